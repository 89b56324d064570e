"""A model as a scoring file of the PGS Catalog, format 2.0.

Lambert et al. 2021, doi:10.1038/s41588-021-00783-5; https://www.pgscatalog.org/downloads/.
Weights are for one effect allele, log odds unless said. What else a prediction needs stands in
header lines of our own, which readers of the format pass over.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from equipoise.artefacts.files import write_whole

COLUMNS: Final = (
    "chr_name",
    "chr_position",
    "effect_allele",
    "other_allele",
    "effect_weight",
    "allelefrequency_effect",
)


@dataclass(frozen=True, slots=True)
class ScoredVariant:
    """One variant of a score; `weight` for one effect allele."""

    chromosome: str
    position: int
    effect_allele: str
    other_allele: str
    weight: float
    frequency: float


def nine_digits(value: float) -> str:
    """Return a number with nine significant digits.

    >>> nine_digits(-1 / 3)
    '-0.333333333'
    """
    return f"{value:.9g}"


def write(
    path: Path,
    variants: Sequence[ScoredVariant],
    *,
    name: str,
    trait: str,
    build: str,
    notes: Mapping[str, str],
    weight_type: str = "log(OR)",
    spelled: Callable[[float], str] = nine_digits,
) -> None:
    """Write the file whole or not at all; `notes` become header lines of their own.

    spelled  writes a weight and a frequency: with `repr` they come back to the last bit
    """
    head = {
        "format_version": "2.0",
        # The Catalog gives its own; its reader needs one, and takes any from others.
        "pgs_id": _clean(name),
        "pgs_name": _clean(name),
        "trait_reported": _clean(trait),
        "genome_build": build,
        "weight_type": weight_type,
        "variants_number": str(len(variants)),
        **{f"equipoise_{key}": _clean(value) for key, value in notes.items()},
    }
    rows = (
        f"{v.chromosome}\t{v.position}\t{v.effect_allele}\t{v.other_allele}"
        f"\t{spelled(v.weight)}\t{spelled(v.frequency)}\n"
        for v in variants
    )
    lines = [
        "###PGS CATALOG SCORING FILE - see https://www.pgscatalog.org/downloads/"
        "#dl_ftp_scoring for additional information\n",
        *(f"#{key}={value}\n" for key, value in head.items()),
        "\t".join(COLUMNS) + "\n",
        *rows,
    ]
    write_whole(path, lines)


def _clean(text: str) -> str:
    """Return text for a header line: on one line, and without `=`, which parts name and value."""
    return " ".join(text.replace("=", " ").split())
