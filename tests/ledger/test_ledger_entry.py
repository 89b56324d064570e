"""Entries: one canonical line, and a closed table of kinds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import InputError, IntegrityError
from equipoise.ledger.entry import KINDS, Entry

HEX = "0" * 64
SITES = [{"name": "FIN", "public_key": HEX}, {"name": "TSI", "public_key": "1" * 64}]
CONTRIBUTIONS = [{"site": name, "sha256": HEX, "signature": "c2ln"} for name in ("FIN", "TSI")]
BODIES = {
    "opened": {"origin": "example.com/log", "public_key": HEX},
    "sites": {"sites": SITES},
    "keeper": {"name": "University of North", "public_key": HEX},
    "plan": {"sha256": HEX},
    "agreement": {"site": "FIN", "plan": HEX, "signature": "c2ln"},
    "roster": {"salted_sha256": HEX, "admitted": 91},
    "state": {"step": "pca", "round": 0, "sha256": HEX},
    "release": {
        "step": "pca",
        "round": 1,
        "attempt": 0,
        "phase": "masked",
        "sha256": HEX,
        "bytes": 8,
    },
    "decryption": {
        "step": "pca",
        "round": 1,
        "attempt": 0,
        "least": 3,
        "context": HEX,
        "key": HEX,
        "contributions": CONTRIBUTIONS,
        "sha256": HEX,
    },
    "derived": {"step": "pca", "salted_sha256": HEX},
    "received": {
        "site": "FIN",
        "step": "pca",
        "round": 2,
        "attempt": 0,
        "phase": "round 1",
        "sha256": HEX,
    },
    "lost": {"site": "FIN", "step": "pca", "round": 2},
    "artefact": {"path": "model/weights.json", "sha256": HEX, "bytes": 3},
    "refusal": {"reason": "roster differs by 1", "message_sha256": HEX},
    "checkpoint": {"site": "FIN", "note": "text\n", "root": HEX, "size": 4},
    "closed": {"reason": "done — all of it\n"},
}


def test_every_kind_has_a_case_here():
    assert BODIES.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", BODIES)
def test_bytes_are_one_ascii_line_that_reads_back(kind):
    entry = Entry(kind, BODIES[kind])
    line = entry.to_bytes()
    assert line.isascii()
    assert b"\n" not in line
    assert Entry.from_bytes(line) == entry
    assert Entry.from_bytes(line).to_bytes() == line


@given(st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_unicode_text_reads_back(reason):
    entry = Entry("closed", {"reason": reason})
    assert Entry.from_bytes(entry.to_bytes()).body["reason"] == reason


@pytest.mark.parametrize("kind", BODIES)
def test_every_key_is_required_and_no_other_is_allowed(kind):
    for key in BODIES[kind]:
        with pytest.raises(InputError, match="exactly the keys"):
            Entry(kind, {k: v for k, v in BODIES[kind].items() if k != key})
    with pytest.raises(InputError, match="exactly the keys"):
        Entry(kind, {**BODIES[kind], "sample": "x"})


@pytest.mark.parametrize("kind", BODIES)
def test_a_value_of_another_type_is_refused_and_not_repeated(kind):
    for key in BODIES[kind]:
        for wrong in (None, True, -1, 1.0, 2**53, "", ["secret"], {"secret": 1}, "\ud800"):
            with pytest.raises(InputError, match=key) as caught:
                Entry(kind, {**BODIES[kind], key: wrong})
            assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a/.", "a\nb", "a\x00"]
)
def test_a_path_that_could_leave_its_folder_is_refused(path):
    with pytest.raises(InputError, match="relative path"):
        Entry("artefact", {**BODIES["artefact"], "path": path})


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\nb"])
def test_a_site_is_one_folder_name(name):
    with pytest.raises(InputError, match="site"):
        Entry("agreement", {**BODIES["agreement"], "site": name})
    with pytest.raises(InputError, match="sites"):
        Entry("sites", {"sites": [{"name": name, "public_key": HEX}]})


def test_two_sites_share_neither_name_nor_key():
    for shared in ({"name": "FIN"}, {"public_key": HEX}):
        with pytest.raises(InputError, match="different"):
            Entry("sites", {"sites": [SITES[0], {**SITES[1], **shared}]})


def test_a_site_contributes_once_to_a_decryption_and_nothing_but_what_it_signed():
    for wrong in ([CONTRIBUTIONS[0]] * 2, [{**CONTRIBUTIONS[0], "sample": "x"}], [{}]):
        with pytest.raises(InputError, match="contributions"):
            Entry("decryption", {**BODIES["decryption"], "contributions": wrong})


@pytest.mark.parametrize("body", [{"reason": float("nan")}, {"reason": b"x"}, {"reason": {1, 2}}])
def test_what_json_cannot_say_is_an_input_error(body):
    with pytest.raises(InputError, match="plain JSON"):
        Entry("closed", body)


def test_an_unknown_kind_is_refused_on_both_ways():
    with pytest.raises(InputError, match="unknown kind"):
        Entry("note", {"reason": "x"})
    with pytest.raises(IntegrityError, match="unknown kind"):
        Entry.from_bytes(b'{"body":{"reason":"x"},"kind":"note"}')


@pytest.mark.parametrize(
    "line",
    [
        b'{"kind":"closed","body":{"reason":"x"}}',
        b'{"body":{"reason":"x"}, "kind":"closed"}',
        b'{"body":{"reason":"x"},"kind":"closed"} ',
        b'{"body":{"reason":"x"},"kind":"closed"}\n',
        b'{"body":{"reason":"\\u0078"},"kind":"closed"}',
        b'{"body":{"reason":"x","reason":"x"},"kind":"closed"}',
        b'{"body":{"reason":"x"},"kind":"closed","more":1}',
        '{"body":{"reason":"é"},"kind":"closed"}'.encode(),
        '{"body":{"reason":"x"},"kind":"closed"}'.encode("utf-16"),
        b'{"body":{"admitted":1e0,"salted_sha256":"' + b"0" * 64 + b'"},"kind":"roster"}',
        b'{"body":{"reason":NaN},"kind":"closed"}',
        b"[" * 100_000,
        b"9" * 5000,
        b'["body","kind"]',
        b'{"body":[],"kind":"closed"}',
        b'{"body":{},"kind":[]}',
        b"null",
        b"",
        b"\xff",
    ],
)
def test_bytes_that_are_not_canonical_are_refused(line):
    with pytest.raises(IntegrityError, match="entry"):
        Entry.from_bytes(line)


def test_a_later_change_outside_does_not_reach_the_entry():
    body = {"sites": [dict(site) for site in SITES]}
    entry = Entry("sites", body)
    line = entry.to_bytes()
    body["sites"][0]["name"] = "other"
    assert entry.to_bytes() == line
    with pytest.raises(TypeError):
        entry.body["sites"] = []
