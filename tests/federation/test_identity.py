"""Keys stay with their party, and a signature holds for one name alone."""

import os
from pathlib import Path

import pytest

from equipoise.errors import InputError, ProtocolError
from equipoise.federation.identity import Identity, Peers


def test_the_key_file_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Identity.at(tmp_path / "home", "a")
    finally:
        os.umask(before)
    assert (tmp_path / "home" / "signing.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


def test_the_signing_key_outlives_a_run_and_the_channel_key_does_not(tmp_path: Path) -> None:
    first, second = Identity.at(tmp_path, "a"), Identity.at(tmp_path, "a")
    assert first.signing_key == second.signing_key
    assert first.channel_key != second.channel_key
    assert (tmp_path / "signing.key").read_bytes() == first.signing.private_bytes_raw()
    assert [file.name for file in tmp_path.iterdir()] == ["signing.key"]


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_key_file_of_another_size_is_refused_and_kept(size: int, tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    path.write_bytes(bytes(size))
    with pytest.raises(InputError, match="not a signing key of 32 bytes"):
        Identity.at(tmp_path, "a")
    assert path.read_bytes() == bytes(size)


def test_two_parties_share_one_secret_and_a_third_another() -> None:
    a, b, c = (Identity.create(name) for name in "abc")
    assert a.shared_with(b.channel_key) == b.shared_with(a.channel_key)
    assert a.shared_with(b.channel_key) != a.shared_with(c.channel_key)


def test_a_signature_is_of_one_party_over_one_content() -> None:
    a, b = Identity.create("a"), Identity.create("b")
    peers = Peers({"a": a.signing_key, "b": b.signing_key})
    signature = a.sign(b"x")
    peers.verify("a", signature, b"x")
    for name, by, content in (
        ("b", signature, b"x"),
        ("a", signature, b"y"),
        ("a", signature[:-1], b"x"),
        ("a", signature + b"\0", b"x"),
        ("a", b"", b"x"),
        ("c", signature, b"x"),
    ):
        with pytest.raises(ProtocolError):
            peers.verify(name, by, content)


def test_a_channel_key_without_a_secret_is_refused() -> None:
    """A point of low order would give a secret that everybody knows."""
    with pytest.raises(ValueError):  # noqa: PT011
        Identity.create("a").shared_with(bytes(32))
