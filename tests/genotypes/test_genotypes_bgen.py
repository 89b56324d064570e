"""BGEN: every width, packing and ploidy; against the package bgen; refused by byte."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import InputError
from equipoise.genotypes.bgen import BgenFile
from equipoise.genotypes.bgen_probabilities import dosage_of_first
from genotypes.formats import Tiny, bgen_bytes, read_hard, tiny

NAN = np.nan
COHORT = Tiny(
    np.array([[0, 1, 2, NAN, 0.5], [2, 1, 0, 1.25, 1]]),
    ("01", "22"),
    (7, 9),
    ("A", "C"),
    ("G", "CT"),
)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def opened(path: Path, read: bool) -> None:
    file = BgenFile.open(path)
    if read:
        file.packed(0, 9)


def refused(path: Path, read: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        opened(path, read)
    message = str(caught.value)
    assert message.startswith(str(path.with_suffix("")))
    return message


@pytest.mark.parametrize("phased", [False, True])
@pytest.mark.parametrize("packing", [0, 1])
@settings(max_examples=10)
@given(bits=st.integers(1, 32), cohort=tiny(dosages=True))
def test_every_width_is_read(
    tmp_path_factory: Any, bits: int, cohort: Tiny, packing: int, phased: bool
) -> None:
    path = tmp_path_factory.mktemp("b") / "a.bgen"
    file = BgenFile.open(written(path, bgen_bytes(cohort, bits, packing, phased)))
    # Two probabilities, each rounded down to a multiple of 1 / (2^bits - 1).
    np.testing.assert_allclose(file.dosages(0, 9), cohort.dosage, atol=3 / (2**bits - 1) + 1e-6)


def test_it_says_what_the_package_bgen_says(tmp_path: Path) -> None:
    bgen: Any = pytest.importorskip("bgen")
    for name, bits, phased in (("a", 8, False), ("b", 11, True)):
        path = written(tmp_path / f"{name}.bgen", bgen_bytes(COHORT, bits, phased=phased))
        theirs = [variant.alt_dosage for variant in bgen.BgenReader(str(path))]
        np.testing.assert_allclose(BgenFile.open(path).dosages(0, 2), theirs, atol=1e-6)


def test_zstandard_is_read_and_its_damage_is_refused(tmp_path: Path) -> None:
    zstandard: Any = pytest.importorskip("zstandard")
    pytest.importorskip("bgen")
    plain = bgen_bytes(COHORT, 8, packing=0)
    data = bytearray(repacked(plain, zstandard.ZstdCompressor().compress, 2))
    path = written(tmp_path / "a.bgen", bytes(data))
    np.testing.assert_allclose(BgenFile.open(path).dosages(0, 2), COHORT.dosage, atol=0.01)
    # Zstandard has no checksum here: what is cut out of the last block is seen by its length.
    (size,) = struct.unpack_from("<I", data, place_of_last(data))
    cut = data[: place_of_last(data)] + struct.pack("<I", size - 3) + data[-size:-3]
    assert "byte" in refused(written(path, bytes(cut)), read=True)


def repacked(plain: bytes, pack: Callable[[bytes], bytes], packing: int) -> bytes:
    """Return a file without packing, packed."""
    (offset,) = struct.unpack_from("<I", plain)
    out = bytearray(plain[: offset + 4])
    out[20] = out[20] & 0xFC | packing
    place = offset + 4
    for _ in range(2):
        begin = place
        for _ in range(3):
            place += 2 + struct.unpack_from("<H", plain, place)[0]
        place += 6
        for _ in range(2):
            place += 4 + struct.unpack_from("<I", plain, place)[0]
        (size,) = struct.unpack_from("<I", plain, place)
        block = plain[place + 4 : place + 4 + size]
        packed = struct.pack("<I", size) + pack(block)
        out += plain[begin:place] + struct.pack("<I", len(packed)) + packed
        place += 4 + size
    return bytes(out)


def test_which_allele_is_the_reference_is_said_by_who_opens(tmp_path: Path) -> None:
    path = written(tmp_path / "a.bgen", bgen_bytes(COHORT))
    first, last = BgenFile.open(path), BgenFile.open(path, "last")
    assert first.variants.effect_allele.tolist() == ["G", "CT"]
    assert last.variants.effect_allele.tolist() == ["A", "C"]
    np.testing.assert_allclose(first.dosages(0, 2) + last.dosages(0, 2), 2 + 0 * COHORT.dosage)
    assert first.variants.chromosome.tolist() == ["1", "22"]


def test_one_copy_counts_double_and_none_is_not_called() -> None:
    def block(phased: int, ploidy: list[int], values: list[int]) -> bytes:
        head = struct.pack("<IHBB", len(ploidy), 2, min(p & 63 for p in ploidy), 2)
        return head + bytes([*ploidy, phased, 8, *values])

    mixed = block(0, [1, 2, 0, 1, 0], [255, 0, 255, 51])
    np.testing.assert_allclose(dosage_of_first(mixed, 5), [2, 1, NAN, 0.4, NAN])
    phased = block(1, [1, 2, 0x81, 2], [51, 255, 0, 0, 51, 51])
    np.testing.assert_allclose(dosage_of_first(phased, 4), [0.4, 1, NAN, 0.4])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b[:-1], "expected 14"),
        (lambda b: b + b"\0", "expected 14"),
        (lambda b: b[:9], "expected more"),
        (lambda b: b"\x03" + b[1:], "3 people and 2 alleles"),
        (lambda b: b[:4] + b"\x03" + b[5:], "2 people and 3 alleles"),
        (lambda b: b[:8] + b"\x03" + b[9:], "more than two copies"),
        (lambda b: b[:6] + b"\x03" + b[7:], "contradicts itself"),
        (lambda b: b[:10] + b"\x02" + b[11:], "contradicts itself"),
        (lambda b: b[:11] + b"\x00" + b[12:], "contradicts itself"),
        (lambda b: b[:11] + b"\x21" + b[12:], "contradicts itself"),
        (lambda b: b[:12] + b"\xff\xff" + b[14:], "add up to more than 1"),
    ],
)
def test_a_block_that_contradicts_itself_is_refused(
    change: Callable[[bytes], bytes], words: str
) -> None:
    good = struct.pack("<IHBB", 2, 2, 2, 2) + bytes([2, 2, 0, 8, 255, 0])
    with pytest.raises(ValueError, match=words.replace("expected 14", "expected 4")):
        dosage_of_first(change(good + b"\0\0"), 2)


def offset_of(data: bytes) -> int:
    return int(struct.unpack_from("<I", data)[0]) + 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b"", "an empty file"),
        (lambda b: b[:20], "byte 16"),
        (lambda b: b[:16] + b"BGEN" + b[20:], "byte 16"),
        (lambda b: b"\xff\xff\xff\x00" + b[4:], "byte 0: lengths that do not fit"),
        (lambda b: b[:4] + b"\xff\xff\xff\x00" + b[8:], "byte 0: lengths that do not fit"),
        (lambda b: b[:20] + bytes([b[20] & 3 | 1 << 2]) + b[21:], "layout 1"),
        (lambda b: b[:8] + bytes(4) + b[12:], "no variants or no people"),
        (lambda b: b[:8] + b"\x03" + b[9:], "a variant cut short"),
        (lambda b: b[:8] + b"\x01" + b[9:], "bytes after the last variant"),
        (lambda b: b[:12] + b"\x06" + b[13:], "a list of people that does not fit"),
        (lambda b: b[:-3], "bytes of probabilities where"),
        (lambda b: b[: offset_of(b) + 3], f"byte {offset_of(bgen_bytes(COHORT))}: a variant cut"),
        (lambda b: b + b"\0", "1 bytes after the last variant"),
        (lambda b: b.replace(b"P0", b"\tP"), "1 IDs of people that are empty, or have tabs"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_by_its_byte(
    tmp_path: Path, change: Callable[[bytes], bytes], words: str
) -> None:
    assert words in refused(written(tmp_path / "a.bgen", change(bgen_bytes(COHORT))))


def test_altered_probabilities_are_refused_by_their_byte_when_read(tmp_path: Path) -> None:
    data = bytearray(bgen_bytes(COHORT))
    data[-3] ^= 0x10  # in the checksum of the last block
    path = written(tmp_path / "a.bgen", bytes(data))
    begin = len(data) - struct.unpack_from("<I", data, place_of_last(data))[0]
    assert f"byte {begin}: " in refused(path, read=True)
    np.testing.assert_allclose(BgenFile.open(path).dosages(0, 1), COHORT.dosage[:1], atol=0.01)


def place_of_last(data: bytes) -> int:
    """Return where the length of the last block is."""
    found = data.rindex(b"\x02\0\0\0CT") + 6
    size = struct.unpack_from("<I", data, found)[0]
    assert found + 4 + size == len(data)
    return found


def test_a_bomb_is_not_inflated(tmp_path: Path) -> None:
    block = struct.pack("<I", 20) + zlib.compress(bytes(1 << 24))
    data = bgen_bytes(COHORT)
    last = place_of_last(data)
    data = data[:last] + struct.pack("<I", len(block)) + block
    assert "21 bytes in the block; expected 20" in refused(
        written(tmp_path / "a.bgen", data), read=True
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ID_1 ID_2 missing sex\n0 0 0 D\n" + "f x 0 3\n" * 5, "a sex of another form"),
        ("ID_1 ID_2 missing\n0 0 0\na b 0\n", "1 people; expected 5"),
        ("name\n0\na\n", "two first lines of another form"),
        ("", "an empty file"),
        ("ID_1 ID_2 missing\n0 0 0\na b\n", "a line of another number of cells"),
    ],
)
def test_a_sample_file_that_does_not_fit_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.sample").write_text(text)
    assert words in refused(written(tmp_path / "a.bgen", bgen_bytes(COHORT)))


def test_a_sample_file_names_the_people_and_their_sex(tmp_path: Path) -> None:
    rows = "".join(f"f{i} s{i} 0 {sex}\n" for i, sex in enumerate(("1", "2", "0", "NA", "2")))
    (tmp_path / "a.sample").write_text("ID_1 ID_2 missing sex\n0 0 0 D\n" + rows)
    file = BgenFile.open(written(tmp_path / "a.bgen", bgen_bytes(COHORT)))
    assert file.sample_ids == ("s0", "s1", "s2", "s3", "s4")
    assert file.sex.tolist() == [1, 2, 0, 0, 2]
    (tmp_path / "a.sample").unlink()
    assert BgenFile.open(tmp_path / "a.bgen").sample_ids == COHORT.ids


def test_without_names_a_sample_file_is_asked_for(tmp_path: Path) -> None:
    data = bytearray(bgen_bytes(COHORT))
    data[23] &= 0x7F
    assert "no IDs in it; expected a.sample" in refused(written(tmp_path / "a.bgen", bytes(data)))


def test_a_symbolic_allele_is_left_out_and_counted(tmp_path: Path) -> None:
    data = bgen_bytes(COHORT).replace(b"\x02\0\0\0CT", b"\x05\0\0\0<DEL>")
    file = BgenFile.open(written(tmp_path / "b.bgen", data))
    assert file.left_out == {"a symbolic allele": 1}
    np.testing.assert_array_equal(read_hard(file), [[0, 1, 2, NAN, NAN]])
