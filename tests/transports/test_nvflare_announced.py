"""What a site says of its files to the centre: heard as it was said, and in that form alone."""

from typing import Any

import pytest

from equipoise.errors import ProtocolError
from equipoise.federation.announcing import files_heard, files_said


def told() -> dict[str, Any]:
    return {
        "alignment": {"matched": 8, "swapped": 1, "absent": 1},
        "without_genotypes": 0,
        "duplicates_sought": True,
        "notes": ["a note"],
    }


def test_what_a_site_says_of_its_files_is_heard_as_it_was_said() -> None:
    heard = files_heard("North", told())
    assert (heard.alignment.matched, heard.notes, heard.unknown_phenotypes) == (8, ("a note",), 0)
    assert files_said(heard, 5)["notes"] == ["a note"]


@pytest.mark.parametrize("unknown", range(8))
def test_a_count_of_one_to_four_people_is_never_said(unknown: int) -> None:
    from dataclasses import replace

    own = replace(files_heard("North", told()), unknown_phenotypes=unknown)
    said = files_said(own, 5)["without_genotypes"]
    assert said == (None if 0 < unknown < 5 else unknown)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("alignment", {"matched": -1, "swapped": 0, "absent": 0}),
        ("alignment", {"matched": "8", "swapped": 0, "absent": 0}),
        ("alignment", {"matched": 8, "swapped": 1, "absent": 1, "other": 1}),
        ("alignment", None),
        ("without_genotypes", 1.5),
        ("without_genotypes", True),
        ("duplicates_sought", 1),
        ("notes", "words"),
        ("notes", [1]),
    ],
)
def test_what_a_site_says_of_its_files_in_another_form_is_refused(key: str, value: object) -> None:
    with pytest.raises(ProtocolError, match="North announced its files in another form"):
        files_heard("North", {**told(), key: value})
    for other in (None, [], "x", {}):
        with pytest.raises(ProtocolError):
            files_heard("North", other)
