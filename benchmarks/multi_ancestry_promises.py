"""What was promised of risk models for several ancestries, and whether seeds hold it."""

import numpy as np
from multi_ancestry_methods import METHODS, REFERENCE
from scipy import stats
from simulated import GROUPS

MARGIN = 0.003
OWN_MARGIN = 0.005
GAIN = 0.15


def interval(values: list[float]) -> tuple[float, float, float]:
    """Return the mean of the seeds' values and its 95 % interval by Student's t."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("-inf"), float("inf")
    reach = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return mean, mean - float(reach), mean + float(reach)


def compared(runs: list[dict[str, dict[str, float]]]) -> list[dict[str, object]]:
    """Return each promised comparison with its paired means and whether it holds."""
    rows: list[dict[str, object]] = []

    def put(claim: str, group: str, of: tuple[float, float, float], holds: bool) -> None:
        told = {"mean": of[0], "low": of[1], "high": of[2], "holds": bool(holds)}
        rows.append({"claim": claim, "group": group, **told})

    def paired(other: str, group: str) -> list[float]:
        return [run["stacked"][group] - run[other][group] for run in runs]

    for group in GROUPS:
        if group == REFERENCE:
            continue
        # As a difference: a ratio to an R^2 near 0 has no interval that says anything.
        of = interval([r["stacked"][group] - (1 + GAIN) * r["reference"][group] for r in runs])
        put(f"beyond +{GAIN:.0%} on {REFERENCE} only", group, of, of[0] >= 0)
    for other in ("weighted", "adelie"):
        if other not in runs[0]:
            continue
        for group in GROUPS:
            of = interval(paired(other, group))
            put(f"not worse than {METHODS[other]}", group, of, of[1] > -MARGIN)
        mean = [float(np.mean([paired(other, g)[i] for g in GROUPS])) for i in range(len(runs))]
        put(f"better than {METHODS[other]} on average", "all", interval(mean), np.mean(mean) > 0)
    of = interval(paired("own", REFERENCE))
    put(f"within {OWN_MARGIN} of its own best", REFERENCE, of, of[0] >= -OWN_MARGIN)
    for group in GROUPS:
        of = interval(paired("own", group))
        put("no group worse than its own single-ancestry score", group, of, of[0] >= 0)
    return rows


def shown(runs: list[dict[str, dict[str, float]]]) -> None:
    print(f"\nout-of-sample R², mean of {len(runs)} seeds")
    print(f"{'':34s}" + "".join(f"{g:>9s}" for g in GROUPS))
    for method, name in METHODS.items():
        if method in runs[0]:
            means = [np.mean([run[method][g] for run in runs]) for g in GROUPS]
            print(f"{name:34s}" + "".join(f"{m:9.4f}" for m in means))
    print("\npromised, with paired means over seeds and 95 % intervals")
    for row in compared(runs):
        verdict = "yes" if row["holds"] else "NO"
        figures = f"{row['mean']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
        print(f"{row['claim']:52s} {row['group']:4s} {figures}  {verdict}")
