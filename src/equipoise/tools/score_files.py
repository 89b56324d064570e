"""What `equipoise score` writes: the table of scores, and what became of each weight."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from equipoise.artefacts.files import write_whole
from equipoise.tools.score import Scores, Site

HEADER: Final = (
    *("IID", "site", "score", "ALLELE_CT", "DENOM"),
    *("NAMED_ALLELE_DOSAGE_SUM", "SCORE_SUM", "SCORE_AVG"),
)

_ROWS: Final = 1 << 16


def write(path: Path, sites: Sequence[Site], found: Scores) -> Path:
    """Write the table of scores and, beside it, the report of all weights; return its path.

    The table has one row a person and score, with the columns `HEADER`: ALLELE_CT alleles
    called, DENOM what the average is over, both two for each weight; a score's sum and average.
    Each file is written whole or not at all, the report first.
    """
    report = path.with_name(f"{path.stem}.match.tsv")
    write_whole(report, _report_lines(found))
    write_whole(path, _score_lines(sites, found))
    return report


def summary(found: Scores) -> list[dict[str, object]]:
    """Return, for each score, how many weights there are and what became of them."""
    return [
        {
            "score": s.file.name,
            "build": s.file.build,
            "harmonised": s.file.harmonised,
            "weights": s.file.n_weights,
            "weights_declared": s.file.declared,
            "used": int(np.count_nonzero(s.match.used)),
            "weight_share": None if np.isnan(s.weight_share) else s.weight_share,
            "reasons": s.match.counts(),
        }
        for s in found.scores
    ]


def _score_lines(sites: Sequence[Site], found: Scores) -> Iterator[str]:
    yield "\t".join(HEADER) + "\n"
    for site, sums in zip(sites, found.sums, strict=True):
        for at, one in enumerate(found.scores):
            most = 2 * int(np.count_nonzero(one.match.used))
            alleles = most - 2 * sums.not_called[at].astype(np.int64)
            over = np.full(len(alleles), most) if found.mean_imputation else alleles
            rows = zip(
                site.sample_ids,
                alleles.tolist(),
                over.tolist(),
                sums.copies[at].tolist(),
                sums.score[at].tolist(),
                strict=True,
            )
            for iid, called, denominator, copies, total in rows:
                average = f"{total / denominator:.10g}" if denominator else "NA"
                yield (
                    f"{iid}\t{site.name}\t{one.file.name}\t{called}\t{denominator}"
                    f"\t{copies:.10g}\t{total:.10g}\t{average}\n"
                )


def _report_lines(found: Scores) -> Iterator[str]:
    """Yield a line for each weight of each score, with its reason."""
    names = ["score", "line", "rsid", "chromosome", "position", "effect_allele", "other_allele"]
    yield "\t".join([*names, "weight", "used", "reason"]) + "\n"
    for one in found.scores:
        frame = one.file.weights.select(
            pl.lit(one.file.name).alias("score"),
            *names[1:],
            "weight",
            pl.Series("used", np.where(one.match.used, "yes", "no")),
            pl.Series("reason", one.match.reasons),
        )
        for part in frame.iter_slices(_ROWS):
            yield part.write_csv(
                include_header=False, separator="\t", quote_style="never", null_value="NA"
            )
