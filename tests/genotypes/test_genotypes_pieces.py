"""A file in pieces: the text, the line numbers and the errors of the whole."""

import gzip
import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import InputError
from equipoise.genotypes.pieces import pieces
from equipoise.genotypes.text import contents

FILES = st.lists(
    st.sampled_from([b"a", b"b\t", "ä".encode(), b"\n", b"\r\n", b"\r", b"\xff", b"\xef\xbb\xbf"]),
    max_size=12,
).map(b"".join)


def whole(path: Path) -> bytes | str:
    try:
        return contents(path, "list")
    except InputError as error:
        return str(error)


def in_pieces(path: Path, size: int) -> bytes | str:
    digest, lines = hashlib.sha256(), list[bytes]()
    try:
        for first, piece in pieces(path, "list", digest, size):
            assert first == len(lines) + 1
            lines += piece.split(b"\n")
    except InputError as error:
        return str(error)
    assert digest.digest() == hashlib.sha256(path.read_bytes()).digest()
    return b"\n".join(lines)


@given(FILES, st.integers(1, 9), st.booleans())
def test_pieces_are_the_whole_and_so_are_their_errors(data: bytes, size: int, zipped: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list"
        path.write_bytes(gzip.compress(data) if zipped else data)
        assert in_pieces(path, size) == whole(path)


@pytest.mark.parametrize("kept", [3, 15, -5])
def test_a_zip_cut_short_is_refused_as_a_whole(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "list"
    path.write_bytes(gzip.compress(b"one\ntwo\n" * 100)[:kept])
    said = in_pieces(path, 16)
    assert isinstance(said, str)
    assert said == whole(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; expected the list"):
        list(pieces(tmp_path / "none", "list", hashlib.sha256(), 8))
