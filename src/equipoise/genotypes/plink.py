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
from typing import Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.genotypes.source import text
from equipoise.genotypes.text import cleaned, contents, lines, raw, refuse, tabbed, whole
from equipoise.genotypes.variants import HEADER, Text, Variants, normal, repeated
from equipoise.packed.decode import Block, check, decode, people, width

MAGIC: Final = b"\x6c\x1b\x01"

_BIM: Final = ("chromosome", "id", "centimorgan", "base_pair_location", "a1", "a2")
_FAM: Final = ("family", "iid", "father", "mother", "sex", "phenotype")
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
    found = raw(path, "variants")
    digest = hashlib.sha256(found).digest()
    if digest not in _LAST:
        read = _variants(str(path), cleaned(path, found, "variants"))
        _LAST.clear()
        _LAST[digest] = read
    return _LAST[digest]


_LAST: Final[dict[bytes, tuple[Variants, Text]]] = {}
"""The list that was read last, by its digest: sites of one study often have the same."""


def _variants(path: str, found: bytes) -> tuple[Variants, Text]:
    table = lines(path, tabbed(found), _BIM)
    names = ("chromosome", "base_pair_location", "a1", "a2")
    frame = normal(table.frame.select(names).rename({"a1": HEADER[2], "a2": HEADER[3]}))
    position = table.frame["base_pair_location"]
    a1, a2 = frame[HEADER[2]], frame[HEADER[3]]
    faults = (
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
    refuse(table.file, (*table.faults, *faults, repeated(table, frame)))
    return Variants.of(frame), text(table.frame["id"])


def _fam(path: Path) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    table = lines(str(path), tabbed(contents(path, "people")), _FAM)
    iids, sex = table.frame["iid"], table.frame["sex"]
    faults = (
        table.fault(
            ~iids.is_first_distinct(),
            "an IID that an earlier line has",
            "each IID once",
            "rename or remove one of the two",
        ),
        table.fault(
            ~sex.is_in(tuple(_SEX)), "a sex of another form", "1, 2 or 0", "correct column 5"
        ),
    )
    refuse(table.file, (*table.faults, *faults))
    codes = np.array([_SEX[code] for code in sex.to_list()], np.int8)
    return tuple(iids.to_list()), codes
