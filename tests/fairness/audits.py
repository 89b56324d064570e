"""People with a score, a trait and a sex, spread over sites: what an audit is made of."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from equipoise.analyses.performance import Performance, PerformanceResult
from equipoise.analyses.recalibration import Recalibration, RecalibrationResult
from equipoise.analysis import Figure
from equipoise.cohort import Cohort
from laws import harness
from strategies import Rows, make_rows

ROUNDS = 16


@dataclass(frozen=True)
class Audit:
    """Both analyses and how they end."""

    performance: Performance
    recalibration: Recalibration
    found: PerformanceResult
    refit: RecalibrationResult

    def figures(self, cohort: Cohort) -> dict[str, Figure]:
        """Return all that a site publishes of itself."""
        return {
            **self.performance.figures(cohort, self.found),
            **self.recalibration.figures(cohort, self.refit),
        }


def people(
    seed: int, n: int = 600, *, spread: float = 1.5, slope: float = 1.0, shift: float = -0.5
) -> Rows:
    """Return rows whose trait follows logit P = shift + slope * score, score with this spread."""
    draw = np.random.default_rng(seed)
    score = draw.normal(0, spread, n)
    p = 1 / (1 + np.exp(-(shift + slope * score)))
    columns = {
        "score": score,
        "trait": (draw.random(n) < p).astype(np.float64),
        "sex": (draw.random(n) < 0.45).astype(np.float64),
        "smoker": (draw.random(n) < 0.3).astype(np.float64),
    }
    return make_rows(seed, n=n, kinds=("common",)).with_columns(columns)


def audit(rows: Rows, sites: list[Cohort] | None = None, **changes: Any) -> Audit:
    """Return an audit of the score over these sites; all people at one site without any."""
    literals: dict[str, Any] = {"groups": ("sex",), "k": 5, "floor": 10, "span": 8.0, **changes}
    bins = literals.pop("bins", 40)
    tables = literals.pop("tables", 10)
    common = {"people": rows.n, "trait": "trait", "score": "score", **literals}
    where, protection = ([rows.cohort()], "clear") if sites is None else (sites, "masked")
    performance = Performance(bins=bins, **common)
    found = harness.run(performance, where, protection, rounds=ROUNDS).result
    recalibration = Recalibration(performance=found, tables=tables, **common)
    refit = harness.run(recalibration, where, protection, rounds=ROUNDS).result
    return Audit(performance, recalibration, found, refit)


def thirds(rows: Rows) -> list[Cohort]:
    """Return the people at three sites."""
    return rows.split(np.arange(rows.n) % 3, 3)


def without(rows: Rows, members: Any) -> Rows:
    """Return the rows of everybody but those."""
    stay = np.setdiff1d(np.arange(rows.n), np.flatnonzero(members))
    return replace(
        rows,
        ids=tuple(np.array(rows.ids)[stay]),
        dosage=rows.dosage[:, stay],
        columns={name: values[stay] for name, values in rows.columns.items()},
        fold=rows.fold[stay],
    )


def external(cohort: Cohort) -> Cohort:
    """Return the same people at a site that never trained."""
    return replace(cohort, fold=np.full(cohort.n, -1, np.int64))
