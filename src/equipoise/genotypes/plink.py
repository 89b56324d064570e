"""PLINK 1 binary genotypes: a `.bed` with its `.bim` (variants) and `.fam` (people).

Layout after chrchang/plink-ng (https://www.cog-genomics.org/plink/1.9/formats): three bytes,
of which the third says variant-major, then each variant's block (`packed/decode.py`).
A1, the fifth column of the `.bim`, is the effect allele.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.genotypes.coded import Coded, Coder, joined
from equipoise.genotypes.pieces import PIECE, pieces, together
from equipoise.genotypes.source import text
from equipoise.genotypes.text import Fault, Lines, lines, refuse, tabbed, whole
from equipoise.genotypes.variants import HEADER, REPEATED, TEXTS, Text, Variants, normal, repeats
from equipoise.packed.decode import Block, check, decode, people, width

MAGIC: Final = b"\x6c\x1b\x01"

_BIM: Final = ("chromosome", "id", "centimorgan", "base_pair_location", "a1", "a2")
_FAM: Final = ("family", "iid", "father", "mother", "sex", "phenotype")
PIECE_OF_PEOPLE: Final = 1 << 18
"""Bytes of a `.fam` that are read at a time."""

_SEX: Final = {"1": 1, "2": 2, "0": 0, "-9": 0}


@dataclass(frozen=True, slots=True, eq=False)
class PlinkFile:
    """The genotypes of one site, mapped and not read; a BlockSource in the order of the file.

    sample_ids  the IID of each person, second column of the `.fam`
    sex         (samples,) 1 male, 2 female, 0 unknown
    variants    as in the `.bim`, in any order
    ids         (variants,) second column of the `.bim`
    """

    sample_ids: tuple[str, ...] = field(repr=False)
    sex: NDArray[np.int8] = field(repr=False)
    variants: Variants
    ids: Text = field(repr=False)
    _bed: Block = field(repr=False)
    _path: Path = field(repr=False)

    @property
    def n_samples(self) -> int:
        """Number of people in the file."""
        return len(self.sample_ids)

    @property
    def n_variants(self) -> int:
        """Number of variants in the file."""
        return self.variants.n_variants

    @property
    def has_dosages(self) -> bool:
        """False: the format holds hard calls alone."""
        return False

    @property
    def left_out(self) -> Mapping[str, int]:
        """Nothing: each line of the `.bim` is a variant."""
        return MappingProxyType({})

    @property
    def unread(self) -> tuple[str, ...]:
        """Columns that are not read."""
        return ("family and parents", "phenotype in the .fam", "centimorgan")

    def packed(self, start: int, stop: int) -> Block:
        """Return variants start to stop, (stop - start, ceil(n_samples / 4)), read-only."""
        return self._bed[start:stop]

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the hard calls as dosages, (stop - start, samples), NaN where not called."""
        return decode(self._bed[start:stop], self.n_samples, np.float32)

    def __reduce__(self) -> tuple[Callable[[Path], "PlinkFile"], tuple[Path]]:
        """Pickle the path: who reads the pickle maps the file again."""
        return PlinkFile.open, (self._path,)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the files named by their prefix or by the `.bed`.

        Raises InputError where one of the three is missing, empty or malformed, or where
        the `.bed` is not as long as the other two say, or holds calls beyond the last
        person: a `.fam` that lost a line or three would shift everybody's genotypes unseen.
        """
        prefix = _prefix(path)
        for suffix, what in ((".bed", "genotypes"), (".bim", "variants"), (".fam", "people")):
            if not _beside(prefix, suffix).is_file():
                expected = f"the {what}, as one of .bed, .bim and .fam"
                remedy = "add the file, or correct `genotypes` in the study file"
                raise whole(_beside(prefix, suffix), "no such file", expected, remedy)
        variants, names = _bim(_beside(prefix, ".bim"))
        ids, sex = _fam(_beside(prefix, ".fam"))
        block = _mapped(_beside(prefix, ".bed"), variants, len(ids))
        return cls(ids, sex, variants, names, block, path)


def write(
    prefix: Path,
    block: Block,
    variants: Variants,
    sample_ids: tuple[str, ...],
    sex: NDArray[np.int8] | None = None,
) -> None:
    """Write `.bed`, `.bim` and `.fam`; `block` holds all variants, as from `encode`.

    >>> import tempfile
    >>> from equipoise.packed.decode import encode
    >>> listed = Variants.of(pl.DataFrame([["22"], [100], ["A"], ["G"]], schema=list(HEADER)))
    >>> prefix = Path(tempfile.mkdtemp()) / "site"
    >>> write(prefix, encode(np.array([[0.0, 1, 2]])), listed, ("P1", "P2", "P3"))
    >>> PlinkFile.open(prefix).packed(0, 1)
    array([[11]], dtype=uint8)
    """
    check(block, len(sample_ids))
    if len(block) != variants.n_variants:
        raise ValueError(f"{len(block)} variants in the block, {variants.n_variants} in the list")
    chromosome, position, a1, a2 = HEADER
    bim = variants.frame().select(
        chromosome, pl.lit(".").alias("id"), pl.lit("0").alias("cm"), position, a1, a2
    )
    text = bim.write_csv(include_header=False, separator="\t", quote_style="never")
    codes = np.zeros(len(sample_ids), np.int8) if sex is None else sex
    each = zip(sample_ids, codes.tolist(), strict=True)
    rows = "".join(f"0\t{iid}\t0\t0\t{code}\t-9\n" for iid, code in each)
    _beside(prefix, ".bim").write_bytes(text.encode())
    _beside(prefix, ".fam").write_bytes(rows.encode())
    with _beside(prefix, ".bed").open("wb") as file:
        file.write(MAGIC)
        file.write(np.ascontiguousarray(block).data)


def _prefix(path: Path) -> Path:
    return path.with_suffix("") if path.suffix in {".bed", ".bim", ".fam"} else path


def _beside(prefix: Path, suffix: str) -> Path:
    return prefix.with_name(prefix.name + suffix)


def _mapped(path: Path, variants: Variants, n_samples: int) -> Block:
    with path.open("rb") as file:
        magic = file.read(3)
    if not magic:
        raise whole(path, "an empty file", "the genotypes", "write or copy it again")
    if magic == MAGIC[:2] + b"\x00":
        found, expected = "a sample-major file (byte 3 is 0)", "a variant-major one (byte 3 is 1)"
        raise whole(path, found, expected, "write it again with plink --make-bed")
    if magic != MAGIC:
        found = f"a file that begins with {magic.hex(' ')} (bytes 1 to 3)"
        raise whole(path, found, MAGIC.hex(" "), "give a .bed that plink --make-bed wrote")
    rows, columns = variants.n_variants, width(n_samples)
    size, expected = path.stat().st_size, 3 + rows * columns
    if size != expected:
        found = f"{size} bytes, " + ("cut short" if size < expected else "too long")
        said = f"{expected} for the {rows} variants of the .bim and {n_samples} people of the .fam"
        raise whole(path, found, said, "take the three files from one run of plink, copied whole")
    block = np.asarray(np.memmap(path, np.uint8, "r", offset=3, shape=(rows, columns)))
    beyond = ~people(n_samples)[-1]
    if beyond and np.any(block[:, -1] & beyond):
        found = f"calls of more people than the {n_samples} of the .fam"
        expected = "zeros after the last person of each variant"
        remedy = "take the three files from one run of plink, copied whole"
        raise whole(path, found, expected, remedy)
    return block


def _bim(path: Path) -> tuple[Variants, Text]:
    size, digest = path.stat().st_size, hashlib.sha256()
    for held, (of_size, of_digest) in _LAST.items():
        # Sites of one study often have the same list: to look at its bytes is enough.
        if size == of_size and _digest(path) == of_digest:
            return held.variants, held.ids
    list_ = _List(str(path))
    for first, piece in pieces(path, "variants", digest, PIECE):
        list_.add(first, piece)
    held = list_.made()
    _LAST.clear()
    _LAST[held] = size, digest.digest()
    return held.variants, held.ids


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.sha256).digest()


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    variants: Variants
    ids: Text


_LAST: Final[dict[_Held, tuple[int, bytes]]] = {}
"""The list that was read last, with the size and the digest of its file."""


class _List:
    """Takes a `.bim` piece by piece."""

    def __init__(self, path: str) -> None:
        """Begin before the first line."""
        self._path = path
        self._texts = Coder(), Coder(), Coder()
        self._positions: list[NDArray[np.int64]] = []
        self._ids: list[Text] = []
        self._lines: list[NDArray[np.int64] | range] = []
        self._faults: list[tuple[Fault, ...]] = []

    def add(self, first: int, piece: bytes) -> None:
        """Take the next lines, of which the first is line `first`."""
        table = lines(self._path, tabbed(piece), _BIM, first)
        names = ("chromosome", "base_pair_location", "a1", "a2")
        frame = normal(table.frame.select(names).rename({"a1": HEADER[2], "a2": HEADER[3]}))
        self._faults.append((*table.faults, *_bim_faults(table, frame)))
        for coder, name in zip(self._texts, TEXTS, strict=True):
            coder.add(frame[name])
        # Of another form it is a fault; 0 is not compared with others.
        self._positions.append(frame[HEADER[1]].fill_null(0).to_numpy())
        self._ids.append(text(table.frame["id"]))
        # Where every line is one of the list, its number takes no memory.
        plain = range(first, first + len(frame))
        self._lines.append(table.number if table.faults else plain)

    def made(self) -> _Held:
        """Return the whole list; InputError with all that is wrong with it."""
        chromosome, effect, other = (Coded(one.code, one.words) for one in self._texts)
        position = joined(self._positions, np.int64)
        variants = Variants.coded((chromosome, effect, other), position)
        again = repeats(variants)
        faults = [fault for found in self._faults for fault in found]
        if again.size:
            number = np.concatenate([np.asarray(part, np.int64) for part in self._lines])
            faults.append(Fault(number[again], *REPEATED))
        refuse(self._path, together(faults))
        return _Held(variants, cast("Text", joined(self._ids, np.dtypes.StringDType())))


def _bim_faults(table: Lines, frame: pl.DataFrame) -> tuple[Fault, ...]:
    position = table.frame["base_pair_location"]
    a1, a2 = frame[HEADER[2]], frame[HEADER[3]]
    return (
        table.fault(
            ~position.str.contains("^[0-9]{1,18}$"),
            "a position that is no whole number",
            "a 1-based position, or 0 for an unknown one",
            "correct column 4",
        ),
        table.fault(
            (a1 == a2) & ~a1.is_in(("0", ".")),
            "twice the same allele",
            "two alleles that differ",
            "correct column 5 or 6",
        ),
    )


def _fam(path: Path) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    iids: list[str] = []
    sexes: list[NDArray[np.int8]] = []
    numbers: list[NDArray[np.int64]] = []
    faults: list[Fault] = []
    for first, piece in pieces(path, "people", hashlib.sha256(), PIECE_OF_PEOPLE):
        table = lines(str(path), tabbed(piece), _FAM, first)
        sex = table.frame["sex"]
        fault = table.fault(
            ~sex.is_in(tuple(_SEX)), "a sex of another form", "1, 2 or 0", "correct column 5"
        )
        faults += [*table.faults, fault]
        iids += table.frame["iid"].to_list()
        sexes.append(np.array([_SEX.get(code, 0) for code in sex.to_list()], np.int8))
        numbers.append(table.number)
    if len(set(iids)) < len(iids):
        again = ~pl.Series(iids).is_first_distinct().to_numpy()
        found = (
            "an IID that an earlier line has",
            "each IID once",
            "rename or remove one of the two",
        )
        faults.append(Fault(np.concatenate(numbers)[again], *found))
    refuse(str(path), together(faults))
    return tuple(iids), np.concatenate(sexes)
