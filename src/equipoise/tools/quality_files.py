"""What `equipoise qc` writes: a table of variants, one of people, pairs, and what to read."""

import json
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from shutil import rmtree
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.artefacts.files import write_whole
from equipoise.dossier import quality_report
from equipoise.errors import InputError
from equipoise.genotypes.variants import Text, Variants
from equipoise.packed.kinship import BINS, LEAST_BIN, MOST_BIN, degree
from equipoise.solvers.outliers import LIMIT
from equipoise.tools.chromosome_kinds import FEMALE, MALE
from equipoise.tools.quality import EVERYBODY, WELL_CALLED, SiteQuality
from equipoise.tools.relatedness import ACROSS_SITES, DEGREES, Related, write_pairs
from equipoise.tools.variant_quality import HardyTests

NEG_LOG_10_LIMIT: Final = 6.0
"""Variants beyond it are counted as failing Hardy-Weinberg."""

LEAST_MINOR: Final = 10
"""Minor alleles in the people tested of a variant that the plot shows."""

LEAST_SHOWN: Final = 5
RANKS: Final = 300
SQUARES: Final = 20

_DIGITS: Final = 9
_SMALL: Final = 15.0
_SEXES: Final = {0: "NA", MALE: "male", FEMALE: "female"}


def write(
    folder: Path, sites: Sequence[SiteQuality], variants: Variants, ids: Text, notes: Sequence[str]
) -> dict[str, Any]:
    """Write the folder whole or not at all, and return the content of its `summary.json`.

    InputError where the folder is there already and holds anything.
    """
    refuse_full(folder)
    content = summary(sites, variants.n_variants, notes)
    partial = folder.with_name(folder.name + ".partial")
    rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        several = len(sites) > 1
        _table(partial / "variants.tsv", [_variants(s, variants, ids) for s in sites])
        _table(partial / "people.tsv", [_people(s) for s in sites])
        write_pairs(partial / "relatives.tsv", [r for s in sites for r in _related(s)])
        write_whole(partial / "summary.json", [json.dumps(content, indent=1) + "\n"])
        write_whole(partial / "report.html", [quality_report.render(content, several=several)])
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        rmtree(partial, ignore_errors=True)
    return content


def refuse_full(folder: Path) -> None:
    """Raise InputError where the folder is there already and holds anything."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already; expected a new folder; name another --out")


def _table(path: Path, frames: Sequence[pl.DataFrame]) -> None:
    whole = pl.concat(frames, how="diagonal")
    write_whole(path, [whole.write_csv(separator="\t", null_value="NA", quote_style="never")])


def _related(site: SiteQuality) -> list[Related]:
    found = site.kinships
    if found is None:
        return []
    return [Related(site.site, site.sample_ids, found.compared, found.pairs, found.apart)]


def _variants(site: SiteQuality, variants: Variants, ids: Text) -> pl.DataFrame:
    found = site.variants
    frame = variants.frame()
    own: dict[str, pl.Series] = {
        "site": pl.Series([site.site]).extend_constant(site.site, max(len(frame) - 1, 0))[
            : len(frame)
        ],
        "chromosome": frame["chromosome"],
        "base_pair_location": frame["base_pair_location"],
        "id": pl.Series(ids.astype(object), dtype=pl.String),
        "effect_allele": frame["effect_allele"],
        "other_allele": frame["other_allele"],
    }
    names = ("hom_effect", "het", "hom_other", "not_called")
    own |= {name: pl.Series(found.counts[:, i]) for i, name in enumerate(names)}
    own |= {
        "call_rate": _real(found.call_rate),
        "effect_allele_frequency": _real(found.frequency),
        "maf": _real(found.minor_frequency),
        "mac": pl.Series(found.minor),
    }
    for stratum, test in found.hardy.items():
        mark = "" if stratum == EVERYBODY else f":{stratum}"
        own[f"hwe_n{mark}"] = pl.Series(test.n)
        own[f"hwe_p{mark}"] = _p_value(test.p)
        own[f"hwe_mid_p{mark}"] = _p_value(test.mid_p)
    return pl.DataFrame(own)


def _people(site: SiteQuality) -> pl.DataFrame:
    found, n = site.people, len(site.sample_ids)
    strata = np.array([*site.strata, None], object)
    stratum = np.full(n, -1) if site.stratum is None else site.stratum
    told = found.sex
    own = {
        "site": pl.Series([site.site] * n, dtype=pl.String),
        "IID": pl.Series(site.sample_ids, dtype=pl.String),
        "stratum": pl.Series(strata[stratum], dtype=pl.String),
        "missing": pl.Series(found.missing),
        "variants": pl.Series(found.variants),
        "call_rate": _real(found.call_rate),
        "hom": pl.Series(found.hom),
        "expected_hom": _real(found.expected_hom),
        "polymorphic": pl.Series(found.polymorphic),
        "inbreeding": _real(found.inbreeding),
        "inbreeding_distance": _real(found.distance),
        "heterozygosity_outlier": _flags(np.abs(found.distance) > LIMIT, ~np.isnan(found.distance)),
        "sex_reported": pl.Series([_SEXES[s] for s in site.sex.tolist()], dtype=pl.String),
        "inbreeding_x": _real(np.full(n, np.nan) if found.x is None else found.x),
        "sex_of_x": pl.Series(["NA"] * n if told is None else [_SEXES[s] for s in told.tolist()]),
        "sex_check": pl.Series(["NA"] * n if told is None else _sex_check(site.sex, told)),
    }
    kinships = site.kinships
    known = np.full(n, kinships is not None)
    for name in ("duplicate", "unrelated"):
        said = np.zeros(n, np.bool_)
        if kinships is not None:
            said = kinships.duplicate if name == "duplicate" else kinships.apart.kept
        own[name] = _flags(said, known)
    return pl.DataFrame(own)


def _sex_check(reported: NDArray[np.int8], told: NDArray[np.int8]) -> list[str]:
    said = np.where(told == reported, "ok", "differs").astype(object)
    said[told == 0] = "ambiguous"
    said[(reported == 0) & (told != 0)] = "not reported"
    return said.tolist()


def _flags(said: NDArray[np.bool_], known: NDArray[np.bool_]) -> pl.Series:
    return pl.Series(np.where(known, np.where(said, "yes", "no"), "NA").astype(object))


def _real(values: NDArray[np.float64]) -> pl.Series:
    return pl.Series(values + 0.0).fill_nan(None).round_sig_figs(_DIGITS)


def _p_value(neg_log_10: NDArray[np.float64]) -> pl.Series:
    """Return p values as text: small ones are spelt from their logarithm, and never become 0."""
    text = _real(10.0 ** -np.minimum(neg_log_10, _SMALL)).cast(pl.String)
    small = np.flatnonzero(neg_log_10 > _SMALL)
    spelt = [_spelt(p) for p in neg_log_10[small].tolist()]
    return text.scatter(small, pl.Series(spelt, dtype=pl.String)) if len(small) else text


def _spelt(neg_log_10: float) -> str:
    """Return a p value as text.

    >>> _spelt(400.5)
    '3.162278e-401'
    """
    exponent = ceil(neg_log_10)
    return f"{10 ** (exponent - neg_log_10):.7g}e-{exponent}"


def summary(sites: Sequence[SiteQuality], n_variants: int, notes: Sequence[str]) -> dict[str, Any]:
    """Return what `summary.json` says: no person's ID or value.

    Of several sites, a number of people (or pairs) from 1 to 4 is null.
    """
    several = len(sites) > 1
    return {
        "schema": 1,
        "variants": n_variants,
        "notes": list(notes) + ([ACROSS_SITES] if several else []),
        "limits": {
            "call_rate": WELL_CALLED,
            "neg_log_10_hardy_weinberg": NEG_LOG_10_LIMIT,
            "heterozygosity_spreads": LIMIT,
        },
        "sites": {site.site: _summary(site, several) for site in sites},
    }


def _summary(site: SiteQuality, several: bool) -> dict[str, Any]:
    found, people, n = site.variants, site.people, len(site.sample_ids)
    rates, maf = found.call_rate, found.minor_frequency
    far = int(np.count_nonzero(np.abs(people.distance) > LIMIT))
    low = int(np.count_nonzero(people.call_rate < WELL_CALLED))
    return {
        "people": n,
        "variants": {
            "not_called_in_anybody": int(np.count_nonzero(found.alleles == 0)),
            "monomorphic": int(np.count_nonzero((found.minor == 0) & (found.alleles > 0))),
            "rare": int(np.count_nonzero((maf < 0.01) & (found.minor > 0))),
            "low_call_rate": int(np.count_nonzero(rates < WELL_CALLED)),
            "maf": _histogram(maf[found.minor > 0], 0.0, 0.5, 25),
            "call_rate": _histogram(rates[~np.isnan(rates)], _floor(rates), 1.0, 25),
        },
        "hardy_weinberg": {
            "tested_in": site.tested_in,
            "strata": {
                name or "everybody": _hardy(test, several) for name, test in found.hardy.items()
            },
        },
        "people_found": {
            "low_call_rate": _few(low, several),
            "heterozygosity_outliers": _few(far, several),
            "judged_within": "strata" if site.strata else "the site",
            "map": _map(people.call_rate, people.inbreeding, several),
        },
        "sex": _sex(site, several),
        "kinship": _kinship(site, several),
    }


def _few(count: int, several: bool) -> int | None:
    return None if several and 0 < count < LEAST_SHOWN else count


def _hidden(counts: Sequence[int]) -> list[int | None]:
    """Return counts of cells without those from 1 to 4, nor what would tell them.

    Who knows the sum of all knows that of the hidden ones: where it is below 5 the smallest
    of the others is hidden with them.

    >>> _hidden([9, 0, 3, 7])
    [9, 0, None, None]
    """
    hidden = [i for i, n in enumerate(counts) if 0 < n < LEAST_SHOWN]
    shown = sorted((n, i) for i, n in enumerate(counts) if n >= LEAST_SHOWN)
    if 0 < sum(counts[i] for i in hidden) < LEAST_SHOWN:
        hidden += [i for _, i in shown[:1]]
    return [None if i in set(hidden) else n for i, n in enumerate(counts)]


def _cells(counts: Sequence[int], several: bool) -> list[int | None]:
    return _hidden(counts) if several else list(counts)


def _floor(rates: NDArray[np.float64]) -> float:
    """Return where a histogram of call rates begins: .99, .95, or the next lower twentieth."""
    least = float(np.nanmin(rates)) if np.any(~np.isnan(rates)) else 1.0
    return 0.99 if least >= 0.99 else min(0.95, float(np.floor(20 * least)) / 20)


def _histogram(values: NDArray[np.float64], low: float, high: float, bins: int) -> dict[str, Any]:
    counts, edges = np.histogram(values, bins, (low, high))
    return {
        "low": low,
        "high": high,
        "counts": counts.tolist(),
        "width": float(edges[1] - edges[0]),
    }


def _hardy(test: HardyTests, several: bool) -> dict[str, Any]:
    """Return the tests of a stratum: how many fail, and quantiles of the common variants' p."""
    tested = ~np.isnan(test.mid_p)
    falling = np.sort(test.mid_p[tested & (test.minor >= LEAST_MINOR)])[::-1]
    n = len(falling)
    rank = (
        np.unique(np.round(np.geomspace(1, n, RANKS)).astype(np.int64)) if n else np.zeros(0, int)
    )
    return {
        "people": _few(int(test.n.max(initial=0)), several),
        "tested": int(np.count_nonzero(tested)),
        "failed": int(np.count_nonzero(test.mid_p > NEG_LOG_10_LIMIT)),
        "quantiles": {
            "tests": n,
            "rank": rank.tolist(),
            "neg_log_10_mid_p": [round(float(p), 4) for p in falling[rank - 1]],
        },
    }


def _map(rate: NDArray[np.float64], inbreeding: NDArray[np.float64], several: bool) -> Any:
    """Return how many people lie where in call rate and inbreeding; None where nobody does."""
    known = ~np.isnan(rate) & ~np.isnan(inbreeding)
    if not known.any():
        return None
    low, high = float(inbreeding[known].min()), float(inbreeding[known].max())
    low, high = min(low, -0.02), max(high, 0.02)
    ranges = ((_floor(rate), 1.0), (low, high))
    counts, across, up = np.histogram2d(rate[known], inbreeding[known], SQUARES, ranges)
    shown = _cells([int(n) for n in counts.ravel()], several)
    return {
        "call_rate": across.tolist(),
        "inbreeding": up.tolist(),
        "counts": [shown[i : i + SQUARES] for i in range(0, len(shown), SQUARES)],
    }


def _sex(site: SiteQuality, several: bool) -> dict[str, Any]:
    told = site.people.sex
    if told is None:
        return {"reason": site.people.no_sex_check, "found": None}
    said = _sex_check(site.sex, told)
    names = ("ok", "differs", "ambiguous", "not reported")
    shown = _cells([said.count(name) for name in names], several)
    return {"reason": None, "found": dict(zip(names, shown, strict=True))}


def _kinship(site: SiteQuality, several: bool) -> dict[str, Any]:
    found = site.kinships
    if found is None:
        return {"reason": site.no_kinships, "compared": 0}
    near = degree(found.pairs.kinship)
    removed = int(np.count_nonzero(~found.apart.kept))
    return {
        "reason": None,
        "compared": found.compared,
        "pairs": {
            name: _few(int(np.count_nonzero(near == i)), several)
            for i, name in enumerate(DEGREES[:3])
        },
        "duplicates": _few(int(np.count_nonzero(found.duplicate)), several),
        "unrelated": None if _few(removed, several) is None else found.apart.n,
        "largest": found.apart.exact,
        "histogram": {
            "low": LEAST_BIN,
            "high": MOST_BIN,
            "width": (MOST_BIN - LEAST_BIN) / BINS,
            "counts": _cells(found.pairs.histogram.tolist(), several),
        },
    }
