"""VCF (text, plain or compressed) and BCF: genotypes, and dosages from DS or GP.

VCF 4.1 to 4.5 (samtools/hts-specs). A VCF has no index by record, so it is read through once and
converted into a private temporary folder that is mapped (`held.py`); that takes 2 bits, and with
dosages 4 bytes, a genotype. Text is read here, so that every refusal names its line and byte; for
BCF the package cyvcf2 is needed (the extra `vcf`), and refusals name the record.

Where a person has DS or GP, that is the dosage and gives the hard call (within .1 of a whole
number, as `plink2 --vcf FILE dosage=DS`); else GT counts. A haploid genotype counts double, and so
does its DS, which lies in 0 to 1. Refused: half-missing genotypes, more than two copies, a record
without GT, DS and GP, positions out of order, a last line without its end.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import InputError, Problem
from equipoise.genotypes import bcf, held
from equipoise.genotypes.bgzf import stream
from equipoise.genotypes.source import Progress, people, why_left_out
from equipoise.genotypes.text import whole
from equipoise.genotypes.variants import Text, Variants
from equipoise.genotypes.vcf_fields import Form, dosages_given, genotypes
from equipoise.packed.decode import Block

LONGEST: Final = 1 << 28
"""Bytes of the longest line that is read: 500,000 people with long fields take a tenth."""

_WHAT: Final = "a VCF file"
_FIXED: Final = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")
_MEND: Final = "mend the record, or write the file again"


@dataclass(frozen=True, slots=True, eq=False)
class VcfFile:
    """The genotypes of a VCF or BCF file, converted once; as `source.GenotypeFile`."""

    path: Path
    _held: held.Held = field(repr=False)

    @classmethod
    def open(cls, path: Path, progress: Progress | None = None) -> Self:
        """Return the file, read through once; `progress` is told the share that is read.

        Raises InputError as the module says, with the line and byte (of the text) in question.
        """
        if path.suffix == ".bcf":
            return cls(path, bcf.convert(path, progress))
        return cls(path, _convert(path, progress))

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """The IDs of the header's columns."""
        return self._held.sample_ids

    @property
    def sex(self) -> NDArray[np.int8]:
        """(samples,) unknown: the format does not say."""
        return np.zeros(self.n_samples, np.int8)

    @property
    def variants(self) -> Variants:
        """The variants with one ALT allele, which is the effect allele."""
        return self._held.variants

    @property
    def ids(self) -> Text:
        """(variants,) the column ID."""
        return self._held.ids

    @property
    def n_samples(self) -> int:
        """Number of people."""
        return len(self._held.sample_ids)

    @property
    def n_variants(self) -> int:
        """Number of variants, without those left out."""
        return self._held.variants.n_variants

    @property
    def has_dosages(self) -> bool:
        """Whether any genotype has DS or GP."""
        return self._held.dosage is not None

    @property
    def left_out(self) -> Mapping[str, int]:
        """Records left out, by reason."""
        return self._held.left_out

    @property
    def unread(self) -> tuple[str, ...]:
        """What is not read."""
        return ("phase", "QUAL, FILTER and INFO", "FORMAT fields other than GT, DS and GP")

    def packed(self, start: int, stop: int) -> Block:
        """Return the hard calls, (stop - start, ceil(n_samples / 4)), read-only."""
        return self._held.calls[start:stop]

    def dosages(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return dosages of ALT, (stop - start, samples), NaN where not called."""
        return self._held.dosages(start, stop)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the path and the folder that holds the conversion."""
        return _again, (self.path, self._held.folder, self.sample_ids, dict(self.left_out))


def _again(
    path: Path, folder: Path, sample_ids: tuple[str, ...], left_out: Mapping[str, int]
) -> VcfFile:
    """Return the file as its maker converted it, or converted again on another machine."""
    if (folder / "variants").exists():
        return VcfFile(path, held.opened(folder, sample_ids, left_out))
    return VcfFile.open(path)


@dataclass(slots=True)
class _Line:
    """One line, with its 1-based number and the byte of the text where it begins."""

    path: Path
    number: int
    byte: int
    cells: bytes

    def wrong(self, found: str, expected: str, remedy: str = _MEND) -> InputError:
        """Return the error of this line."""
        found = f"{found} (the line begins at byte {self.byte} of the text)"
        return InputError(Problem(str(self.path), self.number, found, expected, remedy))


def _lines(path: Path, progress: Progress | None) -> Iterator[_Line]:
    with stream(path, _WHAT, progress) as file:
        byte = number = 0
        while cells := file.readline(LONGEST):
            number += 1
            line = _Line(path, number, byte, cells.rstrip(b"\r\n"))
            if not cells.endswith(b"\n"):
                if len(cells) == LONGEST:
                    raise line.wrong(f"a line of more than {LONGEST} bytes", "a line end")
                remedy = "copy the file again; where it is whole, add the line end"
                raise line.wrong("a last line without its end", "a whole file", remedy)
            byte += len(cells)
            yield line


def _convert(path: Path, progress: Progress | None) -> held.Held:
    rows = _lines(path, progress)
    sample_ids, dosages = _header(path, rows)
    with held.Holding(path, sample_ids, dosages=dosages) as holding:
        order = held.Order()
        for line in rows:
            _record(line, len(sample_ids), order, holding)
        return holding.done()


def _header(path: Path, rows: Iterator[_Line]) -> tuple[tuple[str, ...], bool]:
    """Return the people, and whether a FORMAT of dosages is declared."""
    dosages = False
    for line in rows:
        if line.number == 1 and not line.cells.startswith(b"##fileformat=VCF"):
            raise line.wrong("a first line of another form", "##fileformat=VCFv4...")
        if line.cells.startswith(b"#CHROM\t"):
            return _people(path, line), dosages
        if not line.cells.startswith(b"##"):
            break
        dosages |= line.cells.startswith((b"##FORMAT=<ID=DS,", b"##FORMAT=<ID=GP,"))
    found = "no line that begins with #CHROM after those that begin with ##"
    raise whole(path, found, "the header of a VCF file", "copy the file again")


def _people(path: Path, line: _Line) -> tuple[str, ...]:
    try:
        cells = line.cells.decode().split("\t")
    except UnicodeDecodeError:
        raise line.wrong("bytes that are no UTF-8", "text") from None
    if tuple(cells[:9]) != _FIXED:
        expected = " ".join(_FIXED) + " and the people"
        raise line.wrong("other columns, or no genotypes", expected, "give a VCF with genotypes")
    return people(path, cells[9:])


def _record(line: _Line, n_samples: int, order: held.Order, holding: held.Holding) -> None:
    parts = line.cells.split(b"\t", 9)
    if len(parts) != 10:
        raise line.wrong("too few columns", f"{n_samples + 9}", "copy the file again")
    try:
        chromosome, position, name, ref, alt = (part.decode("ascii") for part in parts[:5])
    except UnicodeDecodeError:
        raise line.wrong("bytes that are no ASCII in the first five columns", "text") from None
    if not position.isdigit() or len(position) > 18:
        raise line.wrong("a position that is no whole number", "a 1-based position")
    fault = order.fault(chromosome, int(position))
    if fault is not None:
        raise line.wrong(fault, "records in order", "sort the file: bcftools sort")
    reason = why_left_out([ref, *alt.split(",")])
    form = Form.of(parts[8])
    try:
        cells = form.cut(parts[9], n_samples)
        if reason is not None:
            holding.left_out[reason] += 1
            return
        codes, haploid = genotypes(cells)
        dosage = dosages_given(cells, haploid)
    except ValueError as error:
        found, _, expected = str(error).partition("; expected ")
        raise line.wrong(found, expected) from None
    holding.add((chromosome, position, alt, ref, name, line.number), codes, dosage)
