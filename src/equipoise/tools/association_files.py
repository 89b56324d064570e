"""What a scan leaves: its table, the table's metadata, and a page to look at."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import polars as pl

import equipoise
from equipoise.artefacts import gwas_meta
from equipoise.artefacts.gwas_writing import Written, write_table
from equipoise.genotypes.variants import HEADER, Text
from equipoise.tools.association_rows import Rows
from equipoise.tools.sites import Sites

ROWS: Final = 1 << 14
"""Rows that are written at a time."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which files besides the table.

    build      of the genome, as the user names it
    report     a page; None for none
    plots      a folder for the pictures by themselves; None for none
    ld_scores  files in the form of LDSC, for the check by LD scores
    """

    build: str | None = None
    report: Path | None = None
    plots: Path | None = None
    ld_scores: tuple[Path, ...] = ()

    @property
    def any(self) -> bool:
        """Whether there is more to do than to write the table and its metadata."""
        return bool(self.report or self.plots or self.ld_scores)


NOTHING_MORE: Final = Wanted()


def write_scan(
    path: Path,
    sites: Sites,
    rows: Rows,
    wanted: Wanted,
    said: Callable[[], Mapping[str, Any]],
    ready: Callable[[int], None],
) -> dict[str, Any]:
    """Write all files of one trait; return what the whole scan looks like in a few figures.

    said   what is known of the scan, asked for when the table has been written
    ready  is called with a row, and returns when all rows before it have been found
    """
    # What a page needs takes longer to import than a small scan takes.
    page = import_module("equipoise.tools.association_page") if wanted.any else None
    reduction = page.Reduction() if page else None
    written = write_table(path, _blocks(sites, rows, reduction, ready))
    known = said()
    gwas_meta.write(path, _metadata(path, wanted, known, written))
    figures = _inflation(rows)
    if page:
        figures |= page.write_page(path, sites, rows, wanted, known, reduction)
    return figures


def _metadata(
    path: Path, wanted: Wanted, said: Mapping[str, Any], written: Written
) -> gwas_meta.Metadata:
    cases = said.get("cases")
    n = sum(counts["taken"] for counts in said["people"].values())
    sample = gwas_meta.Sample(
        sample_size=n,
        case_control_study=cases is not None,
        case_count=cases,
        control_count=None if cases is None else n - cases,
    )
    return gwas_meta.Metadata(
        date_metadata_last_modified=datetime.now(UTC).date(),
        trait_description=(said["trait"],),
        genome_assembly=wanted.build or gwas_meta.NOT_REPORTED,
        samples=(sample,),
        data_file_name=path.name,
        data_file_md5sum=written.md5,
        analysis_software=f"equipoise {equipoise.__version__}",
        adjusted_covariates=tuple(said["covariates"]),
        is_sorted=written.is_sorted,
    )


def _inflation(rows: Rows) -> dict[str, Any]:
    """Return the genomic inflation: the median chi-square over its median under chance."""
    tested = rows.median()
    p = 10.0**-tested if tested is not None else 0.0
    if not 0 < p / 2 < 1:
        return {}
    median = NormalDist().inv_cdf(p / 2) ** 2
    return {"lambda_gc": round(median / NormalDist().inv_cdf(0.25) ** 2, 4)}


def _blocks(
    sites: Sites, rows: Rows, reduction: Any, ready: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    """Yield the table in blocks, and tell the reduction of each."""
    named: tuple[str, ...] | None = None
    for start in range(0, max(sites.n_variants, 1), ROWS):
        stop = min(start + ROWS, sites.n_variants)
        ready(stop)
        # Not before: other threads go on with the scan while names are looked through.
        named = _own_names(sites.ids) if named is None else named
        block = _block(sites, rows, slice(start, stop), named)
        if reduction is not None:
            reduction.add({name: np.asarray(values) for name, values in block.items()})
        yield block


def _block(sites: Sites, rows: Rows, part: slice, named: Sequence[str]) -> dict[str, Any]:
    rows_of = sites.variants.frame(part)
    chromosome, position, effect, other = (rows_of[name] for name in HEADER)
    joined = pl.select(
        pl.concat_str(chromosome, position.cast(pl.String), other, effect, separator="_")
    )
    block: dict[str, Any] = {
        "chromosome": chromosome,
        "base_pair_location": position.to_numpy(),
        "effect_allele": effect,
        "other_allele": other,
        "beta": rows.beta[part],
        "standard_error": rows.standard_error[part],
        "effect_allele_frequency": rows.frequency[part],
        "neg_log_10_p_value": rows.neg_log_10_p[part],
        "variant_id": joined.to_series(),
        "n": rows.n[part],
        "status": rows.status.series(part),
    }
    ids = _series(sites.ids[part]) if named else None
    if ids is not None and len(named) == 1:
        block[named[0]] = ids
    elif ids is not None:
        known = _known(ids)
        block |= {"rsid": ids.set(~known, None), "name": ids.set(known, None)}
    if rows.method is not None:
        block["method"] = rows.method.series(part)
    return block


def _own_names(ids: Text) -> tuple[str, ...]:
    """Return which columns hold the file's own names: rs numbers, and all others."""
    found: set[str] = set()
    for start in range(0, len(ids), ROWS):
        held = ids[start : start + ROWS]
        like = np.strings.startswith(held, "rs")
        if "name" not in found:
            found |= {"name"} if np.any(~like & (held != ".") & (held != "")) else set()
        if like.any() and len(found) < 2:
            known = _known(_series(held[like]))
            found |= {"rsid"} if known.any() else set()
            found |= {"name"} if not known.all() else set()
        if len(found) == 2:
            break
    return tuple(name for name in ("rsid", "name") if name in found)


def _known(ids: pl.Series) -> pl.Series:
    return ids.str.contains("^rs[0-9]+$")


def _series(values: Text) -> pl.Series:
    return pl.Series(values.astype(object), dtype=pl.String)
