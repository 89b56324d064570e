"""Genotypes of any format, written as PLINK 1 or PGEN, with a report of what could not be kept."""

import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.errors import InputError
from equipoise.genotypes.plink import MAGIC
from equipoise.genotypes.source import (
    GenotypeFile,
    Progress,
    called,
    codes_of,
    imported,
)
from equipoise.genotypes.variants import HEADER
from equipoise.packed.decode import Block

PLINK: Final = (".bed", ".bim", ".fam")
PGEN: Final = (".pgen", ".pvar", ".psam")

_CELLS: Final = 1 << 22
"""Genotypes of a block: 16 MiB of float32."""

_STEPS: Final = 1 << 14
"""PGEN keeps a dosage in 16384ths."""

_COPIES: Final = np.array((2, np.nan, 1, 0), np.float32)
_ALLELES: Final = np.array((2, -9, 1, 0), np.int8)


@dataclass(frozen=True, slots=True)
class Report:
    """What was written, and what of the source it does not say.

    left_out        records that the reader left out, by reason
    rounded         dosages that became another number, as a hard call or a 16384th
    greatest_loss   the most that a dosage moved, in copies of the allele
    mean_loss       the mean over the dosages that moved
    lost            dosages that no hard call is near, not called in what was written
    calls_remade    hard calls that the source has otherwise than its dosages say (PGEN alone)
    not_kept        what the format of the source can hold and what was written does not
    """

    files: tuple[Path, ...]
    n_samples: int
    n_variants: int
    left_out: Mapping[str, int]
    rounded: int
    greatest_loss: float
    mean_loss: float
    lost: int
    calls_remade: int
    not_kept: tuple[str, ...]


class _Losses:
    """Counts what moves."""

    def __init__(self) -> None:
        self.rounded = self.lost = self.remade = 0
        self.greatest = self.total = 0.0

    def add(self, before: NDArray[np.float32], after: NDArray[np.float32]) -> None:
        """Take the dosages of a block, as they were and as they are written."""
        moved = np.abs(before.astype(np.float64) - after)
        self.lost += int(np.count_nonzero(np.isnan(after) & ~np.isnan(before)))
        moved = moved[moved > 0]
        self.rounded += len(moved)
        if len(moved):
            self.greatest = max(self.greatest, float(moved.max()))
            self.total += float(moved.sum())


def convert(source: GenotypeFile, out: Path, progress: Progress | None = None) -> Report:
    """Write the genotypes to `out`, whose ending says as what: `.bed` or `.pgen`.

    In blocks, so that memory does not grow with the variants. `.bed` takes the hard calls;
    `.pgen` the dosages too, in 16384ths, and its hard calls are then made from them. Nothing is
    written unless all is. Raises InputError for another ending, and where a file is there.
    """
    suffixes = {PLINK[0]: PLINK, PGEN[0]: PGEN}.get(out.suffix)
    if suffixes is None:
        raise InputError(f"--out ends with {out.suffix!r}; expected .bed or .pgen")
    files = tuple(out.with_suffix(suffix) for suffix in suffixes)
    losses = _Losses()
    with _whole(files) as partial:
        if suffixes is PLINK:
            _write_bed(partial[0], source, losses, progress)
            _write_bim(partial[1], source)
            _write_people(partial[2], source, "", "0\t{iid}\t0\t0\t{sex}\t-9\n", unknown="0")
        else:
            _write_pgen(partial[0], source, losses, progress)
            _write_pvar(partial[1], source)
            _write_people(partial[2], source, "#IID\tSEX\n", "{iid}\t{sex}\n", unknown="NA")
    dosages = ("dosages",) if source.has_dosages and suffixes is PLINK else ()
    return Report(
        files=files,
        n_samples=source.n_samples,
        n_variants=source.n_variants,
        left_out=MappingProxyType(dict(source.left_out)),
        rounded=losses.rounded,
        greatest_loss=losses.greatest,
        mean_loss=losses.total / losses.rounded if losses.rounded else 0.0,
        lost=losses.lost,
        calls_remade=losses.remade,
        not_kept=(*dosages, *source.unread),
    )


@contextmanager
def _whole(files: tuple[Path, ...]) -> Generator[tuple[Path, ...], None, None]:
    """Give other names to write to; where all went well the files get their own."""
    there = [str(file) for file in files if file.exists()]
    if there:
        raise InputError(f"{' '.join(there)} exists; expected a new name; take another for --out")
    files[0].parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".equipoise-", dir=files[0].parent) as folder:
        partial = tuple(Path(folder) / file.name for file in files)
        yield partial
        # The genotypes last: without them nobody takes the other two for a whole.
        for made, file in reversed(list(zip(partial, files, strict=True))):
            made.replace(file)


def _blocks(source: GenotypeFile, progress: Progress | None) -> Iterator[tuple[int, int]]:
    size = max(_CELLS // source.n_samples, 1)
    for start in range(0, source.n_variants, size):
        stop = min(start + size, source.n_variants)
        yield start, stop
        if progress is not None:
            progress(stop / source.n_variants)


def _write_bed(
    path: Path, source: GenotypeFile, losses: _Losses, progress: Progress | None
) -> None:
    with path.open("wb") as file:
        file.write(MAGIC)
        for start, stop in _blocks(source, progress):
            block: Block = source.packed(start, stop)
            file.write(np.ascontiguousarray(block).data)
            if source.has_dosages:
                calls = _COPIES[codes_of(block, source.n_samples)]
                losses.add(source.dosages(start, stop), calls)


def _write_pgen(
    path: Path, source: GenotypeFile, losses: _Losses, progress: Progress | None
) -> None:
    if not source.n_variants:
        raise InputError("no variant is left; expected some, for a .pgen has at least one")
    pgenlib = imported(path, "pgenlib", "pgen")
    name, has = str(path).encode(), source.has_dosages
    writer = pgenlib.PgenWriter(
        name, source.n_samples, source.n_variants, nonref_flags=None, dosage_present=has
    )
    append = _dosages_to(writer, losses) if has else _calls_to(writer)
    for start, stop in _blocks(source, progress):
        append(source, start, stop)
    writer.close()


def _calls_to(writer: Any) -> Callable[[GenotypeFile, int, int], None]:
    def append(source: GenotypeFile, start: int, stop: int) -> None:
        codes = codes_of(source.packed(start, stop), source.n_samples)
        writer.append_biallelic_batch(np.ascontiguousarray(_ALLELES[codes]))

    return append


def _dosages_to(writer: Any, losses: _Losses) -> Callable[[GenotypeFile, int, int], None]:
    def append(source: GenotypeFile, start: int, stop: int) -> None:
        dosage = source.dosages(start, stop)
        steps = np.floor(dosage * np.float32(_STEPS) + np.float32(0.5))
        kept = (steps / np.float32(_STEPS)).astype(np.float32)
        losses.add(dosage, kept)
        codes = codes_of(source.packed(start, stop), source.n_samples)
        remade = called(dosage)
        losses.remade += int(np.count_nonzero((codes != remade) & ~np.isnan(dosage)))
        for row in np.where(np.isnan(kept), np.float32(-9), kept):
            writer.append_dosages(row)

    return append


def _tables(source: GenotypeFile) -> Iterator[pl.DataFrame]:
    """Yield the columns of `HEADER` and `id`, some at a time."""
    frame = source.variants.frame().with_columns(pl.Series("id", source.ids.tolist(), pl.String))
    yield from frame.iter_slices(1 << 18)


def _write_bim(path: Path, source: GenotypeFile) -> None:
    chromosome, position, effect, other = HEADER
    with path.open("wb") as file:
        for part in _tables(source):
            columns = part.select(
                chromosome, "id", pl.lit("0").alias("centimorgan"), position, effect, other
            )
            columns.write_csv(file, include_header=False, separator="\t", quote_style="never")


def _write_pvar(path: Path, source: GenotypeFile) -> None:
    chromosome, position, effect, other = HEADER
    with path.open("wb") as file:
        file.write(b"#CHROM\tPOS\tID\tREF\tALT\n")
        for part in _tables(source):
            # PLINK 1 writes 0 for an allele that nobody has; in PGEN that is a dot.
            alleles = pl.col(other, effect).replace("0", ".")
            columns = part.with_columns(alleles).select(chromosome, position, "id", other, effect)
            columns.write_csv(file, include_header=False, separator="\t", quote_style="never")


def _write_people(path: Path, source: GenotypeFile, header: str, line: str, unknown: str) -> None:
    each = zip(source.sample_ids, source.sex.tolist(), strict=True)
    rows = "".join(line.format(iid=iid, sex=sex or unknown) for iid, sex in each)
    path.write_bytes((header + rows).encode())
