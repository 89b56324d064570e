"""The metadata that GWAS-SSF has beside each table: `F.tsv-meta.yaml`.

Fields after the standard's Table 2 and its schema (gwas_ssf names the source); what is not known
is left out, but for the ancestry, which the standard wants: `NR`, the Catalog's word for not
reported. YAML 1.2 (https://yaml.org/spec/1.2.2), of which little is written, so that every
reader takes it alike: mappings and lists in block form, texts quoted unless they are plain words.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Final, Literal, TypeAlias

from equipoise.artefacts.files import write_whole

SUFFIX: Final = "-meta.yaml"
FILE_TYPE: Final = "GWAS-SSF v1.0"
NOT_REPORTED: Final = "NR"

Scalar: TypeAlias = str | int | float | bool | date
Tree: TypeAlias = "Scalar | Sequence[Tree] | Mapping[str, Tree]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The people of a scan; counts of cases and controls where the trait is yes or no."""

    sample_size: int
    sample_ancestry_category: tuple[str, ...] = (NOT_REPORTED,)
    sample_ancestry: tuple[str, ...] = ()
    ancestry_method: tuple[str, ...] = ()
    case_control_study: bool = False
    case_count: int | None = None
    control_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What is said of a table.

    genome_assembly               GRCh37, GRCh38 ...
    data_file_md5sum              of the bytes of the table's file, as `gwas_ssf.Written.md5`
    minor_allele_freq_lower_limit frequencies below it were raised to it
    """

    gwas_id: str | None = None
    author_notes: str | None = None
    date_metadata_last_modified: date
    trait_description: tuple[str, ...]
    ontology_mapping: tuple[str, ...] = ()
    genome_assembly: str
    coordinate_system: Literal["1-based", "0-based"] = "1-based"
    genotyping_technology: tuple[str, ...] = (NOT_REPORTED,)
    imputation_panel: str | None = None
    imputation_software: str | None = None
    samples: tuple[Sample, ...]
    sex: Literal["M", "F", "combined", "NR"] | None = None
    data_file_name: str
    file_type: str = FILE_TYPE
    data_file_md5sum: str
    analysis_software: str | None = None
    adjusted_covariates: tuple[str, ...] = ()
    minor_allele_freq_lower_limit: float | None = None
    is_harmonised: bool = False
    is_sorted: bool


def beside(table: Path) -> Path:
    """Return where the metadata of a table is.

    >>> beside(Path("scan.tsv.gz")).name
    'scan.tsv.gz-meta.yaml'
    """
    return table.with_name(table.name + SUFFIX)


def write(table: Path, metadata: Metadata) -> Path:
    """Write the metadata beside a table, whole or not at all, and return where.

    ValueError where it speaks of a file of another name.
    """
    if metadata.data_file_name != table.name:
        raise ValueError(f"metadata of {metadata.data_file_name!r} beside {table.name!r}")
    path = beside(table)
    write_whole(path, (f"{line}\n" for line in to_yaml(tree(metadata))))
    return path


def tree(record: Metadata | Sample) -> dict[str, Tree]:
    """Return a record by name, without what is not known or empty."""
    found: dict[str, Tree] = {}
    for each in fields(record):
        value = getattr(record, each.name)
        if value is None or value == ():
            continue
        found[each.name] = [tree(v) for v in value] if each.name == "samples" else value
    return found


def to_yaml(content: Mapping[str, Tree]) -> Iterator[str]:
    """Yield the lines of a YAML document, without their ends.

    >>> list(to_yaml({"trait": ["it: high", "low"], "samples": [{"size": 3, "cases": False}]}))
    ['---', 'trait:', '  - "it: high"', '  - low', 'samples:', '  - size: 3', '    cases: false']
    """
    yield "---"
    yield from _mapping(content)


def _mapping(content: Mapping[str, Tree]) -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, str) or not isinstance(value, Mapping | Sequence):
            yield f"{scalar(key)}: {scalar(value)}"
        elif not value:
            yield f"{scalar(key)}: " + ("{}" if isinstance(value, Mapping) else "[]")
        else:
            yield f"{scalar(key)}:"
            inner = _mapping(value) if isinstance(value, Mapping) else _items(value)
            yield from (f"  {line}" for line in inner)


def _items(content: Sequence[Tree]) -> Iterator[str]:
    for value in content:
        if isinstance(value, Mapping) and value:
            lines = list(_mapping(value))
            yield f"- {lines[0]}"
            yield from (f"  {line}" for line in lines[1:])
        elif isinstance(value, str | int | float | date):
            yield f"- {scalar(value)}"
        else:
            raise ValueError("an empty mapping or a list in a list; expected neither")


_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]*( [A-Za-z0-9_.+-]+)*")
_WORDS: Final = frozenset(
    ("true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf")
)
"""What some readers take for a truth value or a number."""


def scalar(value: Scalar) -> str:
    r"""Return one value as YAML; ValueError for a number that is infinite or undefined.

    >>> [scalar(v) for v in ("no", "height", 0.01, True, "a\tb", date(2026, 11, 21))]
    ['"no"', 'height', '0.01', 'true', '"a\\x09b"', '2026-11-21']
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else f'"{"".join(map(_escaped, value))}"'
    if isinstance(value, float):
        return _real(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def _real(value: float) -> str:
    """Return a number with a point: some readers take 1e-05 for a text.

    >>> _real(1e-05), _real(2.0)
    ('1.0e-05', '2.0')
    """
    if value - value != 0:
        raise ValueError("a number that is infinite or undefined; expected another")
    mantissa, e, power = repr(value).partition("e")
    sign = "+" if e and power[0].isdigit() else ""
    return mantissa + ("" if "." in mantissa else ".0") + e + sign + power


def _escaped(letter: str) -> str:
    code = ord(letter)
    if 0xD800 <= code <= 0xDFFF:
        raise ValueError("half of a surrogate pair in a text; expected Unicode")
    if letter in '"\\':
        return "\\" + letter
    if letter.isprintable():
        return letter
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )
