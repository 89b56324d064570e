"""A list of variants: the study's public one, or that of a site's own file."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.genotypes.coded import Coded, Text
from equipoise.genotypes.text import Fault, Lines, contents, lines, refuse, whole

HEADER: Final = ("chromosome", "base_pair_location", "effect_allele", "other_allele")
TEXTS: Final = (HEADER[0], *HEADER[2:])
"""Those of them that are texts."""

FREQUENCY: Final = "effect_allele_frequency"
"""One more column that a list may have; it tells A/T and C/G variants' strand apart."""

_ALLELE: Final = "^[ACGTN]+$"
_POSITION: Final = "^[1-9][0-9]{0,17}$"
_CHROMOSOME: Final = "^[A-Za-z0-9_.-]+$"
_NUMBER: Final = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_CHUNK: Final = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Variants:
    """Variants in the order of their file, each array of shape (variants,).

    chromosome  without `chr`
    position    1-based, in the genome build that the study names
    frequency   of the effect allele, from 0 to 1, NaN where not known; None without the column
    The dosage of a genotype counts `effect_allele`. Held are a few bytes a variant: chromosomes
    and alleles are made into texts whenever they are asked for.
    """

    chromosome: Text = field(repr=False)
    position: NDArray[np.int64] = field(repr=False)
    effect_allele: Text = field(repr=False)
    other_allele: Text = field(repr=False)
    frequency: NDArray[np.float64] | None = field(default=None, repr=False)
    _coded: tuple[Coded, Coded, Coded] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Keep the texts as codes alone."""
        texts = self.chromosome, self.effect_allele, self.other_allele
        first, second, third = (
            Coded.of(pl.Series(one.astype(object), dtype=pl.String)) for one in texts
        )
        object.__setattr__(self, "_coded", (first, second, third))
        for name in TEXTS:
            object.__delattr__(self, name)

    def __getattr__(self, name: str) -> Text:
        """Return a column of texts, which is not held."""
        if name not in TEXTS:
            raise AttributeError(name)
        return self._coded[TEXTS.index(name)].text()

    @property
    def n_variants(self) -> int:
        """Number of variants."""
        return len(self.position)

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Self:
        """Return the variants of a frame with the columns of `HEADER`, already checked.

        A column `FREQUENCY` may be there, null where it is not known.
        """
        known = frame[FREQUENCY].fill_null(np.nan).to_numpy() if FREQUENCY in frame else None
        chromosome, effect, other = (Coded.of(frame[name]) for name in TEXTS)
        return cls.coded((chromosome, effect, other), frame[HEADER[1]].to_numpy(), known)

    @classmethod
    def coded(
        cls,
        texts: tuple[Coded, Coded, Coded],
        position: NDArray[np.int64],
        frequency: NDArray[np.float64] | None = None,
    ) -> Self:
        """Return the variants of columns that are coded already: chromosome, effect, other."""
        made = cls.__new__(cls)
        held = {"_coded": texts, "position": position, "frequency": frequency}
        for name, value in held.items():
            object.__setattr__(made, name, value)
        return made

    def at(self, rows: NDArray[np.int64]) -> "Variants":
        """Return the variants of some rows, without frequencies."""
        first, second, third = self._coded
        return Variants.coded(
            (first.at(rows), second.at(rows), third.at(rows)), self.position[rows]
        )

    def with_frequency(self, frequency: NDArray[np.float64]) -> "Variants":
        """Return the same variants with other frequencies."""
        return Variants.coded(self._coded, self.position, frequency)

    def same(self, other: "Variants") -> bool:
        """Return whether two lists are one, in the same order and with the same alleles."""
        if self is other or self._coded is other._coded:
            return True
        return np.array_equal(self.position, other.position) and all(
            mine.same(theirs) for mine, theirs in zip(self._coded, other._coded, strict=True)
        )

    def frame(self, part: "slice | NDArray[np.int64]" = slice(None)) -> pl.DataFrame:
        """Return the columns of `HEADER`, of some rows or of all."""
        texts = dict(zip(TEXTS, self._coded, strict=True))
        return pl.DataFrame(
            {
                name: texts[name].series(part)
                if name in texts
                else pl.Series(self.position[part], dtype=pl.Int64)
                for name in HEADER
            }
        )

    def runs(self) -> tuple[NDArray[np.int64], list[str]]:
        """Return where each run of one chromosome begins, and its name."""
        code = self._coded[0].code
        begins = np.flatnonzero(np.append(len(code) > 0, code[1:] != code[:-1]))
        return begins, self._coded[0].series(begins).to_list()

    def digest(self) -> bytes:
        """Return SHA-256 of the list, whatever the file's line ends, zip or `chr` prefix."""
        digest = hashlib.sha256(b"equipoise variants 1\n")
        for start in range(0, self.n_variants, _CHUNK):
            part = self.frame(slice(start, start + _CHUNK))
            text = part.write_csv(include_header=False, separator="\t", quote_style="never")
            digest.update(text.encode())
        if self.frequency is not None:
            # Numbers, not their text: how a library spells them may change.
            held = np.where(np.isnan(self.frequency), -1.0, self.frequency)
            digest.update(FREQUENCY.encode() + b"\n" + held.astype("<f8").tobytes())
        return digest.digest()


def read(path: Path) -> Variants:
    r"""Return the study's list: tab-separated with the header `HEADER`, plain or gzip.

    One more column may follow, `FREQUENCY`: numbers from 0 to 1, or NA. Sorted by position within each chromosome, each variant once, whichever of its
    alleles is the effect allele. Raises InputError with all problems (the first 20).

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "variants.tsv"
    >>> rows = ["\t".join(HEADER), "chr22\t100\tA\tG", "22\t200\tC\tCT"]
    >>> _ = path.write_text("\n".join(rows))
    >>> variants = read(path)
    >>> variants, variants.n_variants, variants.position
    (Variants(), 2, array([100, 200]))
    >>> str(variants.chromosome[0]), str(variants.other_allele[1])
    ('22', 'CT')
    """
    first, _, body = contents(path, "list of variants").partition(b"\n")
    expected = "a list of variants with the header " + " ".join(HEADER) + ", parted by tabs"
    names = tuple(first.decode().split("\t"))
    if names not in (HEADER, (*HEADER, FREQUENCY)):
        expected += f", and {FREQUENCY} or nothing after it"
        raise whole(path, "a first line of another form", expected, "write this header")
    if not body:
        raise whole(path, "no variant", expected, "add a line for each variant")
    table = lines(str(path), body, names, first=2)
    frame = normal(table.frame)
    faults = (*_form(table), *_order(table, frame))
    if FREQUENCY in names:
        known, fault = _frequencies(table)
        frame, faults = frame.with_columns(known), (*faults, fault)
    refuse(table.file, (*table.faults, *faults, repeated(table, frame)))
    return Variants.of(frame)


def write(path: Path, variants: Variants) -> None:
    """Write the study's list, to be read by `read`."""
    frame = variants.frame()
    if variants.frequency is not None:
        known = [None if np.isnan(f) else repr(f) for f in variants.frequency.tolist()]
        frame = frame.with_columns(pl.Series(FREQUENCY, known, pl.String))
    text = frame.write_csv(separator="\t", quote_style="never", null_value="NA")
    path.write_bytes(text.encode())


def normal(frame: pl.DataFrame) -> pl.DataFrame:
    """Return text columns of `HEADER` as they are kept; a position of another form is null."""
    chromosome = pl.col("chromosome").str.replace("^(?i)chr", "")
    position = pl.col("base_pair_location").cast(pl.Int64, strict=False)
    return frame.select(chromosome, position, "effect_allele", "other_allele")


def repeats(variants: Variants) -> NDArray[np.int64]:
    """Return the rows of the second and later places of a variant, as `repeated` has them."""
    position, (begins, names) = variants.position, variants.runs()
    near = position[1:] == position[:-1]
    falls = position[1:] < position[:-1]
    falls[begins[1:] - 1] = False
    if falls.any() or len(set(names)) < len(names):
        shared = pl.Series(position).is_duplicated().to_numpy()
    else:  # sorted: only neighbours can be one variant
        shared = np.zeros(len(position), np.bool_)
        shared[1:] |= near
        shared[:-1] |= near
    rows = np.flatnonzero(shared & (position > 0))
    return rows[_again(variants.frame(rows)).to_numpy()]


def repeated(table: Lines, frame: pl.DataFrame) -> Fault:
    """Return the second and later lines of a variant, whichever allele each counts.

    Those at position 0, which PLINK writes for an unknown place, are not compared.
    """
    position = pl.col("base_pair_location")
    # Few variants share a position: only those are compared in full.
    shared = frame.with_row_index("row").filter((position > 0) & position.is_duplicated())
    again = np.zeros(len(frame), np.bool_)
    again[shared.filter(_again(shared))["row"].to_numpy()] = True
    return Fault(table.number[again], *REPEATED)


REPEATED: Final = "a variant that an earlier line has", "each variant once", "remove one of the two"
"""What is found, expected and to be done where a variant comes twice."""


def _again(frame: pl.DataFrame) -> pl.Series:
    """Return which rows are a variant that an earlier row is, whichever allele it counts."""
    effect, other = pl.col("effect_allele"), pl.col("other_allele")
    first = pl.struct(
        "chromosome",
        "base_pair_location",
        pl.min_horizontal(effect, other).alias("lower"),
        pl.max_horizontal(effect, other).alias("upper"),
    ).is_first_distinct()
    return frame.select(~first).to_series()


def _form(table: Lines) -> tuple[Fault, ...]:
    chromosome, position, effect, other = (table.frame[name] for name in HEADER)
    alleles = effect.str.contains(_ALLELE) & other.str.contains(_ALLELE)
    return (
        table.fault(
            ~chromosome.str.contains(_CHROMOSOME),
            "a chromosome of another form",
            "a name such as 22 or X",
            "correct the cell",
        ),
        table.fault(
            ~position.str.contains(_POSITION),
            "a position that is no whole number from 1",
            "a 1-based position",
            "correct the cell, without commas, decimals or exponents",
        ),
        table.fault(
            ~alleles,
            "an allele with other letters than A, C, G, T and N",
            "bases in capital letters",
            "spell the alleles out, or remove the variant",
        ),
        table.fault(
            alleles & (effect == other),
            "twice the same allele",
            "two alleles that differ",
            "correct one of the two",
        ),
    )


def _frequencies(table: Lines) -> tuple[pl.Series, Fault]:
    """Return the column of frequencies, null for NA, and where it is of another form."""
    text = table.frame[FREQUENCY]
    number = text.str.contains(_NUMBER)
    known = text.cast(pl.Float64, strict=False)
    bad = ~(text.eq("NA") | (number & known.is_between(0, 1).fill_null(value=False)))
    return known, table.fault(
        bad,
        "a frequency that is no number from 0 to 1",
        "the frequency of the effect allele, or NA",
        "correct the cell, or write NA",
    )


def _order(table: Lines, frame: pl.DataFrame) -> tuple[Fault, ...]:
    """Return where a position goes back, and where a chromosome comes back."""
    position = pl.col("base_pair_location")
    chromosome = pl.col("chromosome")
    before = position.forward_fill().shift(1).over("chromosome")
    begins = chromosome.ne_missing(chromosome.shift(1))
    found = frame.select(
        back=(position < before).fill_null(value=False),
        again=begins & ~chromosome.is_first_distinct(),
    )
    remedy = "sort the list by chromosome and position"
    return (
        table.fault(
            found["back"], "a position before that of an earlier line", "rising positions", remedy
        ),
        table.fault(
            found["again"],
            "a chromosome that began further up",
            "the variants of a chromosome together",
            remedy,
        ),
    )
