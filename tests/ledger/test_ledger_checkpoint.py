"""Signed checkpoints against what Go's own implementation signed, and against every altered byte."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from equipoise.errors import InputError, IntegrityError
from equipoise.ledger.checkpoint import Checkpoint, Note, key_hash, parse, sign, verify

NAME = "example.com/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HEAD = Checkpoint(NAME, 7, bytes(range(100, 132)))
TEXT = sign(HEAD, NAME, KEY)

# A head of Go's checksum database and its public key, both published.
GO_KEY = base64.b64decode("Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")[1:]
GO_NOTE = (
    "go.sum database tree\n6476701\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n\n"
    "— sum.golang.org Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfv"
    "imWEPWL+o3GeoWwOoAw=\n"
)
# The key of the example in Go's documentation of signed notes, and what it signed.
PETER = Ed25519PrivateKey.from_private_bytes(
    base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
)
PETER_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETER_BLOB = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)


def refused(text, name=NAME, key=None):
    with pytest.raises(IntegrityError):
        verify(text, name, KEY.public_key() if key is None else key)


def test_a_head_of_go_s_checksum_database_verifies():
    key = Ed25519PublicKey.from_public_bytes(GO_KEY)
    head = verify(GO_NOTE, "sum.golang.org", key)
    assert (head.origin, head.size) == ("go.sum database tree", 6476701)
    assert parse(GO_NOTE).text() == GO_NOTE
    refused(GO_NOTE.replace("6476701", "6476702"), "sum.golang.org", key)


def test_key_hash_and_signature_are_those_of_go_s_example():
    blob = key_hash("PeterNeumann", PETER.public_key()) + PETER.sign(PETER_TEXT.encode())
    assert base64.b64encode(blob).decode() == PETER_BLOB


def test_the_text_is_laid_out_as_c2sp_says():
    origin, size, root, blank, line, end = TEXT.split("\n")
    assert (origin, size, base64.b64decode(root)) == (NAME, "7", HEAD.root)
    assert (blank, end) == ("", "")
    assert line.startswith(f"— {NAME} ")


def test_what_was_signed_is_what_verifies():
    assert verify(TEXT, NAME, KEY.public_key()) == HEAD


@pytest.mark.parametrize("mask", [0x01, 0x02, 0x04, 0x20, 0x80, 0xFF])
def test_no_byte_can_be_flipped(mask):
    data = TEXT.encode()
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= mask
        try:
            text = flipped.decode()
        except UnicodeDecodeError:
            continue  # no text at all; reading.load_note refuses it
        refused(text)


def test_no_character_can_be_left_out_or_doubled():
    for place in range(len(TEXT)):
        refused(TEXT[:place] + TEXT[place + 1 :])
        refused(TEXT[:place] + TEXT[place] + TEXT[place:])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n7\n", "\n07\n"),
        ("\n7\n", "\n+7\n"),
        ("\n7\n", "\n7 \n"),
        ("\n7\n", "\n٧\n"),
        ("\n7\n", "\n7_0\n"),
        ("\n7\n", "\n-7\n"),
        ("\n7\n", "\n" + "7" * 5000 + "\n"),
        ("\n7\n", "\n7\nextension\n"),
        ("\n", "\r\n"),
        ("— ", "-- "),
        ("— ", "—\u00a0"),
        ("=\n\n", "\n\n"),
        ("=\n\n", "==\n\n"),
        (NAME, "\ufeff" + NAME),
        (NAME, ""),
        (NAME, "\ud800"),
    ],
)
def test_only_the_canonical_rendering_is_accepted(old, new):
    refused(TEXT.replace(old, new))


def test_a_base64_with_stray_bits_is_refused():
    # the last character before the padding carries 2 bits that decoding drops
    for end in ("=\n\n", "=\n"):
        place = TEXT.index(end) - 1 if end == "=\n\n" else TEXT.rindex(end) - 1
        for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/":
            if letter != TEXT[place]:
                refused(TEXT[:place] + letter + TEXT[place + 1 :])


def test_more_signatures_and_more_lines_are_refused():
    line = TEXT.split("\n")[4] + "\n"
    for text in (TEXT + line, TEXT + "\n", "\n" + TEXT, TEXT[:-1], TEXT + "x", ""):
        refused(text)


def test_another_name_or_key_is_refused():
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    refused(TEXT, name="example.com/other")
    refused(TEXT, key=other.public_key())
    refused(sign(HEAD, NAME, other))
    refused(sign(HEAD, "example.com/other", KEY))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "a\x00"])
def test_a_key_name_that_would_be_ambiguous_is_an_input_error(name):
    with pytest.raises(InputError, match="key name"):
        sign(HEAD, name, KEY)


@pytest.mark.parametrize("name", ["", "a+b", "a\u2003b", "a\x00"])
def test_a_note_by_such_a_name_is_refused(name):
    with pytest.raises(IntegrityError, match="not a signed checkpoint"):
        parse(Note(HEAD, name, bytes(4), bytes(64)).text())


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [("", 0, bytes(32)), ("a\nb", 0, bytes(32)), ("a", -1, bytes(32)), ("a", 0, b"")],
)
def test_a_head_without_a_rendering_is_an_input_error(origin, size, root):
    with pytest.raises(InputError, match="checkpoint"):
        Checkpoint(origin, size, root)
