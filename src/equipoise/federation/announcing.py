"""What a site in a process of its own tells of its files, and how the centre reads it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

from equipoise.errors import ProtocolError
from equipoise.federation.load import Loaded
from equipoise.federation.people import People
from equipoise.genotypes.align import AlignmentReport


@dataclass(slots=True)
class Announcing(People):
    """People who announce with their counts what their files held, which results tell.

    In one process the results take that from what was loaded; from another process it has
    to be said. Counts of people under k are not.
    """

    loaded: Loaded | None = None

    @property
    def counts(self) -> dict[str, object]:
        """What the site announces of its people and its files."""
        counts = People.counts.fget(self)  # pyright: ignore[reportOptionalCall]
        return {**counts, FILES: files_said(self.loaded, self.k)} if self.loaded else counts


FILES: Final = "files"
"""Under which name a site announces what its files held."""


def files_said(loaded: Loaded, k: int) -> dict[str, Any]:
    """Return what a site says of its files; counts of people from 1 to k - 1 are None."""
    unknown = loaded.unknown_phenotypes
    return {
        "alignment": asdict(loaded.alignment),
        "without_genotypes": None if 0 < unknown < k else unknown,
        "duplicates_sought": loaded.duplicates_sought,
        "notes": list(loaded.notes),
    }


def files_heard(site: str, said: object) -> Loaded:
    """Return what a site said of its files, as if loaded here, but for the data themselves.

    ProtocolError where it was said in another form.
    """
    try:
        told = cast("Mapping[str, Any]", said)
        alignment = AlignmentReport(**told["alignment"])
        unknown, sought = told["without_genotypes"], told["duplicates_sought"]
        notes = cast("list[Any]", told["notes"])
        counts: list[Any] = [*asdict(alignment).values(), 1 if unknown is None else unknown]
        well = all(type(n) is int and n >= 0 for n in counts) and type(sought) is bool
        well = well and type(notes) is list and all(type(n) is str for n in notes)
    except (KeyError, TypeError) as error:
        raise ProtocolError(f"{site} announced its files in another form") from error
    if not well:
        raise ProtocolError(f"{site} announced its files in another form")
    # There is no dataset here: only what is told of it is ever read.
    return Loaded(cast("Any", None), alignment, counts[-1], tuple(notes), sought)
