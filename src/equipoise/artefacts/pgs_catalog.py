"""Reading scoring files of the PGS Catalog, format 2.0 or 1.0, harmonised or not.

Lambert et al. 2021, doi:10.1038/s41588-021-00783-5; https://www.pgscatalog.org/downloads/.
Tab-separated, plain or gzip: lines `#key=value`, a line of column names, a line a weight.
The harmonised columns `hm_chr` and `hm_pos` are taken where the file has them, as they are all
of one genome build. What the Catalog could not place stays without a place; it is never
completed from the author's columns, which are of another build.

Where several other alleles may be meant, as in `C/T`, none is known, as pgsc_calc has it. Format
1.0, of files kept from before 2022, has other words for what is read here: `_FORMER`.
"""

import gzip
import re
import zlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.errors import InputError, Problem

COLUMNS: Final[dict[str, type[pl.DataType]]] = {
    "line": pl.Int64,
    "rsid": pl.String,
    "chromosome": pl.String,
    "position": pl.Int64,
    "effect_allele": pl.String,
    "other_allele": pl.String,
    "weight": pl.Float64,
    "unsupported": pl.String,
}
"""The columns of `ScoringFile.weights`."""

MOST_PROBLEMS: Final = 20

_BUILDS: Final = {"hg18": "ncbi36", "hg19": "grch37", "b37": "grch37", "hg38": "grch38"}
_MISSING: Final = ("", "NA", "NR", "NaN", "nan", "None", ".")
_ACGT: Final = "^[ACGT]+$"
_SEVERAL: Final = "^[ACGTN]+([/,][ACGTN]+)+$"
_POSITION: Final = "^[1-9][0-9]{0,17}$"
_NUMBER: Final = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_FLAGS: Final = {
    "is_haplotype": "haplotype",
    "is_diplotype": "diplotype",
    "is_interaction": "interaction",
    "is_dominant": "dominant",
    "is_recessive": "recessive",
}
_DOSAGES: Final = ("dosage_0_weight", "dosage_1_weight", "dosage_2_weight")
_UNFLAGGED: Final = ("false", "0", "0.0", "no")
_FORMER: Final = {
    "PGS ID": "pgs_id",
    "Reported Trait": "trait_reported",
    "Original Genome Build": "genome_build",
    "Number of Variants": "variants_number",
    "reference_allele": "other_allele",
}
_AUTHORS: Final = ("chr_name", "chr_position")
_HARMONISED: Final = ("hm_chr", "hm_pos")
_WANTED: Final = (
    *("rsID", "hm_rsID", "effect_allele", "other_allele", "hm_inferOtherAllele", "effect_weight"),
    *_AUTHORS,
    *_HARMONISED,
    *_FLAGS,
    *_DOSAGES,
)


@dataclass(frozen=True, slots=True, eq=False)
class ScoringFile:
    """The weights of one score, in the order of the file.

    name        its `pgs_id`, else the name of the file
    build       the genome build of the positions; None where the file does not say
    harmonised  whether the positions are those of the `hm_` columns
    declared    how many weights the header promises; None where it does not
    weights     a row a weight, of the columns `COLUMNS`: `line` is 1-based; a chromosome without
                `chr` and a position, both null where the variant has no place; alleles in
                capitals, `other_allele` null where not known; `weight` for each copy of the
                effect allele; `unsupported` null for an additive weight of a plain variant,
                else what it is instead, and then `weight` may be null
    """

    name: str
    trait: str
    build: str | None
    harmonised: bool
    declared: int | None
    weights: pl.DataFrame = field(repr=False)

    @property
    def n_weights(self) -> int:
        """Number of weights."""
        return len(self.weights)


def read(path: Path, build: str | None = None) -> ScoringFile:
    r"""Return the weights of a file.

    `build` is the genome build wanted: a harmonised file of another build is then read by its
    author's columns, where those are of the build wanted. Raises InputError with all problems
    by line (the first 20).

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "score.txt"
    >>> head = "#pgs_id=PGS1\n#genome_build=GRCh37\n"
    >>> names = "rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\n"
    >>> _ = path.write_text(head + names + "rs1\tchr22\t100\ta\tG\t-0.5\nrs2\t1\t7\tC\t\t1e-3\n")
    >>> score = read(path)
    >>> score.name, score.build, score.n_weights
    ('PGS1', 'GRCh37', 2)
    >>> score.weights.select("chromosome", "effect_allele", "other_allele", "weight").rows()
    [('22', 'A', 'G', -0.5), ('1', 'C', None, 0.001)]
    """
    header, names, body, first = _parts(path, _contents(path))
    place, taken = _places(path, header, names, build)
    frame = _cells(path, names, body, first)
    found, faults = _weights(frame, place)
    _refuse(path, faults)
    declared = header.get("variants_number", "")
    return ScoringFile(
        name=header.get("pgs_id") or path.name.removesuffix(".gz").removesuffix(".txt"),
        trait=header.get("trait_reported", ""),
        build=taken,
        harmonised=place == _HARMONISED,
        declared=int(declared) if re.fullmatch("[0-9]{1,18}", declared) else None,
        weights=found,
    )


def same_build(one: str, other: str) -> bool:
    """Return whether two names mean one genome build.

    >>> same_build("GRCh37", "hg19"), same_build("GRCh38.p13", "GRCh38"), same_build("hg19", "hg38")
    (True, True, False)
    """
    return _build(one) == _build(other)


def _build(name: str) -> str:
    plain = name.lower().partition(".")[0]
    return _BUILDS.get(plain, plain)


def _contents(path: Path) -> bytes:
    """Return the text of the file, checked to be UTF-8, with plain line ends."""
    remedy = "download it again"
    try:
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.GzipFile(fileobj=BytesIO(data)).read()
    except FileNotFoundError:
        raise _whole(path, "no such file", "correct the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise _whole(path, "a gzip file cut short or altered", remedy) from None
    except OSError:
        raise _whole(path, "a file that cannot be read", "allow reading it") from None
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").rstrip(b"\n")
    if not data:
        raise _whole(path, "an empty file", remedy)
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = Problem(str(path), line, "bytes that are no UTF-8", "text", "save it as UTF-8")
        raise InputError(problem) from None
    return data


def _parts(path: Path, data: bytes) -> tuple[dict[str, str], tuple[str, ...], bytes, int]:
    """Return header, names of columns, the rows' text, and the line of the first row."""
    header: dict[str, str] = {}
    line = 1
    while data.startswith(b"#"):
        said, _, data = data.partition(b"\n")
        key, parted, value = said.decode().lstrip("#").partition("=")
        if parted:
            header[_FORMER.get(key.strip(), key.strip())] = value.strip()
        line += 1
    first, _, body = data.partition(b"\n")
    columns = tuple(name.strip() for name in first.decode().split("\t"))
    names = tuple(_FORMER.get(name, name) for name in columns)
    twice = sorted({name for name in names if name in _WANTED and names.count(name) > 1})
    absent = [name for name in ("effect_allele",) if name not in names]
    if "effect_weight" not in names and not set(_DOSAGES) <= set(names):
        absent.append("effect_weight")
    for wrong, found in ((absent, "no column "), (twice, "twice the column ")):
        if wrong:
            expected = "the columns of the PGS Catalog's scoring files, parted by tabs"
            remedy = "take the file as the Catalog has it"
            raise InputError(Problem(str(path), line, found + wrong[0], expected, remedy))
    if not body:
        raise _whole(path, "no weight", "download it again")
    return header, names, body, line + 1


def _places(
    path: Path, header: dict[str, str], names: tuple[str, ...], build: str | None
) -> tuple[tuple[str, str], str | None]:
    """Return the two columns to take places from, and their genome build."""
    builds = {
        _HARMONISED: header.get("HmPOS_build"),
        _AUTHORS: header.get("genome_build"),
    }
    known = {p: None if b in (None, *_MISSING) else b for p, b in builds.items()}
    have = [place for place in known if set(place) <= set(names)]
    if not have:
        found = "no column of positions (hm_chr and hm_pos, or chr_name and chr_position)"
        raise _whole(path, found, "take the harmonised file of the score, PGS..._hmPOS_GRCh..")
    for place in have if build is not None else ():
        said = known[place]
        if said is not None and build is not None and same_build(said, build):
            return place, said
    return have[0], known[have[0]]


def _cells(path: Path, names: tuple[str, ...], body: bytes, first: int) -> pl.DataFrame:
    """Return the cells as text, null where missing, with the `line` of each row."""
    raw = np.frombuffer(body, np.uint8)
    ends = np.append(np.flatnonzero(raw == ord("\n")), raw.size)
    tabs = np.flatnonzero(raw == ord("\t"))
    cells = np.diff(np.searchsorted(tabs, ends), prepend=0) + 1
    number = np.arange(ends.size, dtype=np.int64) + first
    bad = number[cells != len(names)]
    _refuse(path, [(bad, "a line of another number of cells", f"{len(names)}", "mend the line")])
    kept = [at for at, name in enumerate(names) if name in _WANTED]
    frame = pl.read_csv(
        body,
        has_header=False,
        columns=kept,
        separator="\t",
        quote_char=None,
        infer_schema=False,
    )
    frame.columns = [names[at] for at in kept]
    texts = frame.with_columns(pl.all().str.strip_chars())
    known = texts.with_columns(
        pl.when(~pl.col(name).is_in(_MISSING)).then(pl.col(name)) for name in texts.columns
    )
    absent = [pl.lit(None, pl.String).alias(name) for name in _WANTED if name not in names]
    return known.with_columns(*absent, pl.Series("line", number))


_Fault = tuple[NDArray[np.int64], str, str, str]


def _weights(frame: pl.DataFrame, place: tuple[str, str]) -> tuple[pl.DataFrame, list[_Fault]]:
    """Return the weights, and what is wrong with which lines."""
    chromosome, position = (pl.col(name) for name in place)
    effect = pl.col("effect_allele").str.to_uppercase()
    weight = pl.col("effect_weight")
    inferred = pl.col("hm_inferOtherAllele").str.to_uppercase()
    other = pl.coalesce(
        _one(pl.col("other_allele").str.to_uppercase()),
        pl.when(inferred != effect).then(_one(inferred)),
    )
    placed = chromosome.is_not_null() & position.is_not_null()
    if place == _HARMONISED:  # the Catalog's own model of these rows admits a position of 0
        placed &= position != "0"
    numbered = placed & position.str.contains(_POSITION)  # a haplotype's may be `5;9`
    number = pl.when(weight.str.contains(_NUMBER)).then(weight).cast(pl.Float64, strict=False)
    read_ = frame.select(
        "line",
        pl.coalesce("hm_rsID", "rsID").alias("rsid"),
        pl.when(numbered).then(chromosome.str.replace("^(?i)chr", "")).alias("chromosome"),
        pl.when(numbered).then(position).cast(pl.Int64, strict=False).alias("position"),
        effect.alias("effect_allele"),
        other.alias("other_allele"),
        number.alias("weight"),
        _unsupported(effect).alias("unsupported"),
    )
    asked = read_["unsupported"].is_null()
    line = read_["line"].to_numpy()
    well = frame.select(
        position=~placed | numbered,
        effect=effect.is_not_null(),
        weight=number.is_finite().fill_null(value=False),
        alleles=effect.ne_missing(other),
    )
    faults = [
        (well["position"] | ~asked, "a position that is no whole number from 1", "a 1-based one"),
        (well["effect"] | ~asked, "no effect allele", "the allele that the weight is of"),
        (well["weight"] | ~asked, "a weight that is no finite number", "a number"),
        (well["alleles"] | ~asked, "twice the same allele", "two alleles that differ"),
    ]
    remedy = "correct the cell, or take the file as the Catalog has it"
    listed = [(line[~good.to_numpy()], found, expected, remedy) for good, found, expected in faults]
    return read_, listed


def _one(allele: pl.Expr) -> pl.Expr:
    """Return the allele, null where it is several of which one is meant."""
    return pl.when(~allele.str.contains(_SEVERAL)).then(allele)


def _unsupported(effect: pl.Expr) -> pl.Expr:
    """Return what a weight is where it is none for each copy of a plain allele, else null."""
    reason = pl.lit(None, pl.String)
    if_dosage = pl.any_horizontal(*(pl.col(name).is_not_null() for name in _DOSAGES))
    reasons = [(~effect.str.contains(_ACGT), "allele_form"), (if_dosage, "dosage_weights")]
    # A flag in words of its own is taken as set: no weight is additive by mistake.
    reasons += [
        (~pl.col(name).str.to_lowercase().is_in(_UNFLAGGED), said) for name, said in _FLAGS.items()
    ]
    # The last that applies is kept: a flag of the file says more than the form of a cell.
    for applies, said in reasons:
        reason = pl.when(applies.fill_null(value=False)).then(pl.lit(said)).otherwise(reason)
    return reason


def _refuse(path: Path, faults: list[_Fault]) -> None:
    """Raise InputError with the first problems by line, if there is a fault anywhere."""
    each = sorted(
        (int(line), at)
        for at, fault in enumerate(faults)
        for line in fault[0][:MOST_PROBLEMS].tolist()
    )
    problems = [Problem(str(path), line, *faults[at][1:]) for line, at in each[:MOST_PROBLEMS]]
    more = sum(len(fault[0]) for fault in faults) - len(problems)
    if more:
        remedy = "mend those above, then read again"
        problems.append(Problem(str(path), None, f"and {more} more problems", "none", remedy))
    if problems:
        raise InputError(problems)


def _whole(path: Path, found: str, remedy: str) -> InputError:
    return InputError(Problem(str(path), None, found, "a scoring file of the PGS Catalog", remedy))
