"""The text files beside a `.pgen`: `.psam` (people) and `.pvar` (variants), plain or Zstandard."""

from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.genotypes.source import ID, imported, people
from equipoise.genotypes.text import Lines, contents, lines, refuse, tabbed, whole
from equipoise.genotypes.variants import HEADER

_SEX: Final = {"1": 1, "2": 2, "M": 1, "F": 2, "m": 1, "f": 2, "0": 0, "NA": 0, "-9": 0}
_FAM: Final = ("FID", "IID", "PAT", "MAT", "SEX", "PHENO1")
_BIM: Final = ("CHROM", "ID", "CM", "POS", "ALT", "REF")
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


def people_of(path: Path) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    """Return IDs and sex (1 male, 2 female, 0 unknown) of a `.psam`, or of one as a `.fam`.

    Raises InputError where the file is malformed.
    """
    data = tabbed(contents(path, "people"))
    table = _table(path, data, (b"#FID", b"#IID"), _FAM)
    if "IID" not in table.frame.columns:
        raise whole(path, "no column IID", "#IID or #FID IID in the header", "add the column")
    frame = table.frame
    sex = frame["SEX"] if "SEX" in frame.columns else pl.repeat("0", len(frame), eager=True)
    form = table.fault(
        ~sex.is_in(tuple(_SEX)), "a sex of another form", "1, 2 or NA", "correct the cell"
    )
    refuse(table.file, (*table.faults, form))
    codes = np.array([_SEX[code] for code in sex.to_list()], np.int8)
    return people(path, frame["IID"].to_list()), codes


def variants_of(prefix: Path) -> Lines:
    """Return the lines of the `.pvar` or `.pvar.zst`, with the columns of `HEADER` and `id`.

    ALT is the effect allele, several parted by commas. Raises InputError where the file is
    malformed.
    """
    plain, packed = (prefix.with_name(prefix.name + end) for end in (".pvar", ".pvar.zst"))
    path = packed if packed.is_file() and not plain.is_file() else plain
    data = _inflated(path) if path is packed else contents(path, "variants")
    table = _table(path, tabbed(data), (b"#CHROM",), _BIM)
    names = ("CHROM", "POS", "ALT", "REF", "ID")
    lacking = [name for name in names if name not in table.frame.columns]
    if lacking:
        found = "no column " + " ".join(lacking)
        raise whole(path, found, "#CHROM POS ID REF ALT", "write it again with plink2")
    refuse(table.file, table.faults)
    renamed: dict[str, str] = dict(zip(names, (*HEADER, ID), strict=True))
    return Lines(table.file, table.frame.select(names).rename(renamed), table.number, ())


def _table(path: Path, data: bytes, begins: tuple[bytes, ...], plain: tuple[str, ...]) -> Lines:
    """Return the lines with the names of their header, or with those of PLINK 1 without one."""
    skipped = 0
    while data.startswith(b"##"):
        _, _, data = data.partition(b"\n")
        skipped += 1
    names = plain
    if data.startswith(b"#"):
        first, _, data = data.partition(b"\n")
        names = tuple(name.decode() for name in first[1:].split(b"\t"))
        skipped += 1
        if not first.startswith(begins) or len(set(names)) != len(names):
            expected = begins[-1].decode() + " and other columns, each once"
            raise whole(path, "a header of another form", expected, "write it again with plink2")
    if not data:
        raise whole(path, "a header and nothing else", "a line each", "copy it again")
    return lines(str(path), data, names, first=skipped + 1)


def _inflated(path: Path) -> bytes:
    zstandard = imported(path, "zstandard", "pgen")
    raw = path.read_bytes()
    inflate = zstandard.ZstdDecompressor().decompressobj()
    try:
        data = inflate.decompress(raw)
    except zstandard.ZstdError:
        data = b""
    if not raw.startswith(_ZSTD) or not inflate.eof:
        raise whole(path, "a Zstandard file cut short or altered", "variants", "copy it again")
    return data.rstrip(b"\n")
