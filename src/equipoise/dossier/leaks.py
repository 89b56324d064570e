"""What could be worked out from what left the sites: in words, and as the page of `leakage`."""

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any, Final

import numpy as np

from equipoise.dossier import svg
from equipoise.dossier.curves import Curve
from equipoise.dossier.templating import environment, own, policy
from equipoise.dossier.words import count, of_hundred, percent, within
from equipoise.solvers.distributions import normal_cdf, normal_quantile

PROTECTIONS: Final[Mapping[str, str]] = {
    "clear": "Nothing hid a site’s own sums: the centre, which adds them up, saw them.",
    "masked": (
        "Each site hid its sums under random numbers that cancel in the total, so the centre,"
        " which adds them up, saw the total over all sites and no site’s own sums."
    ),
    "noise": (
        "Each site added random noise to its sums and hid them under random numbers that cancel in"
        " the total, so the centre saw noised totals over all sites and nothing else."
    ),
    "encrypted": (
        "Each site hid its sums under random numbers that cancel in the total, and encrypted them to"
        " a key keeper apart from the centre. The centre added them up unread; the keeper decrypted"
        " totals over all sites and saw no site’s own sums."
    ),
    "threshold": (
        "Each site hid its sums under random numbers that cancel in the total, and encrypted them to"
        " a key that no party holds whole. The centre added them up unread, and all sites together"
        " decrypted the total."
    ),
}


def protection(kind: str) -> str:
    """Return how the sums were protected on their way."""
    return PROTECTIONS.get(kind, f"The sums left under the protection named {kind}.")


def noise(disclosure: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return, for each sum of each step, how noisy its totals are; nothing without noise.

    The privacy spent up to a step is said with its first sum.
    """
    rows: list[dict[str, Any]] = []
    for step, told in within(disclosure, "privacy", "steps").items():
        for place, (name, sd) in enumerate(told["standard_deviation_of_noise"].items()):
            spent = told["epsilon_so_far"] if place == 0 else None
            rows.append({"step": step, "sum": name, "deviation": sd, "epsilon": spent})
    return rows


def smallest(disclosure: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the smallest set of people that the membership figure speaks of."""
    known: Sequence[Mapping[str, Any]] = [
        row
        for row in within(disclosure, "membership").get("sets", ())
        if row["people"] is not None and row["power_01"] is not None
    ]
    return min(known, key=lambda row: row["people"], default=None)


def worst(disclosure: Mapping[str, Any]) -> str:
    """Return the membership figure of the smallest set as a sentence; nothing without one."""
    row = smallest(disclosure)
    return "" if row is None else membership(row)


def membership(row: Mapping[str, Any]) -> str:
    """Return what somebody who has a person's genome can tell about a set.

    >>> membership({"set": "cases", "people": 9, "power_5": 1.0, "power_01": 0.999})
    'Somebody who has a person’s genome could tell with near certainty whether that person is among the 9 people of the set “cases”.'
    """
    head = "Somebody who has a person’s genome could tell"
    people = count(row["people"], "person", "people")
    tail = f"whether that person is among the {people} of the set “{row['set']}”"
    power, loose = row["power_01"], row.get("power_5")
    if power >= 0.99:
        return f"{head} with near certainty {tail}."
    if power >= 0.2:
        return (
            f"{head} {tail}, and find out {of_hundred(power)} members while wrongly naming 1 in 1,000"
            " other people."
        )
    found = f"{of_hundred(loose)} members" if loose is not None else "few members"
    return f"{head} only poorly {tail}: a test that wrongly names 5 of 100 other people finds out {found}."


def reconstruction(disclosure: Mapping[str, Any], people: int, variants: int) -> dict[str, Any]:
    """Return what was released against what it was made of, from the section `disclosure`.

    A step's equations are the values that it released; its unknowns are people times columns
    read, of which the genotype is one for each variant. About G'G each column asked for is an
    equation for every variant of a block: one for each person but one give all of it. Unknowns
    that are whole numbers may follow from fewer equations; that these exist is not told here.
    """
    columns = [_columns(row, disclosure["cells"]) for row in disclosure["columns"]]
    steps = [_equations(row, people, variants) for row in disclosure["releases"]]
    read = {name for row in disclosure["releases"] for name in row["reads"]}
    everything = {
        "step": "all steps",
        "values": sum(step["equations"] for step in steps),
        "reads": sorted(read),
    }
    steps.append(_equations(everything, people, variants))
    enough = any(row["enough"] for row in (*columns, *steps))
    return {"columns": columns, "steps": steps, "enough": enough}


def _columns(row: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sizes = [cell["smallest"] for cell in cells if list(cell["over"]) == list(row["over"])]
    people, used = (sizes[0] if sizes else None), int(row["used"])
    return {
        "over": list(row["over"]),
        "columns": used,
        "allowed": int(row["allowed"]),
        "people": None if people is None else int(people),
        "enough": people is not None and used >= int(people) - 1,
    }


def _equations(row: Mapping[str, Any], people: int, variants: int) -> dict[str, Any]:
    columns = sum(variants if name == "genotype" else 1 for name in row["reads"])
    equations, unknowns = int(row["values"]), people * columns
    enough = equations >= unknowns > 0
    return {
        "step": str(row["step"]),
        "equations": equations,
        "unknowns": unknowns,
        "enough": enough,
    }


def attacked(row: Mapping[str, Any]) -> str:
    """Return in a sentence what the attack on a set attained, or why it was not made."""
    found = row["measured"]
    if found is None:
        return f"Not measured: {row['reason']}."
    tried = (
        f"Tried on {count(found['members'], 'member')} and"
        f" {count(found['others'], 'other person', 'other people')}"
    )
    theory = found["theory"]
    told = "; ".join(
        f"with {percent(rate['false_positives'], 1)} false alarms it found out"
        f" {percent(rate['power']['value'], 1)} of members"
        f" ({percent(rate['power']['low'], 1)} to {percent(rate['power']['high'], 1)})"
        for rate in found["rates"]
        if rate["power"] is not None
    )
    return (
        f"{tried}: {told}. Theory for so few others to compare with:"
        f" {percent(theory['power_5'], 1)} and {percent(theory['power_01'], 1)}."
    )


def model(found: Mapping[str, Any] | None) -> str:
    """Return in a sentence how well the model tells who it was trained on."""
    if found is None:
        return "There is no model."
    return (
        f"The model has {count(found['parameters'], 'parameter')} for"
        f" {count(found['people'], 'person', 'people')}. Fitted by least squares it would tell, of"
        f" those whose trait and genome are known, {percent(found['power_1'], 2)} of members with"
        f" {percent(0.01, 2)} false alarms, and {percent(found['power_01'], 3)} with"
        f" {percent(0.001, 3)}. What choosing variants tells besides is not counted."
    )


def solvable(found: Mapping[str, Any]) -> str:
    """Return in a sentence whether there are as many equations as unknowns."""
    if found["enough"]:
        return "Somewhere there are as many equations as unknowns: genotypes could be rebuilt."
    whole = found["steps"][-1]
    share = percent(whole["equations"] / whole["unknowns"], 1) if whole["unknowns"] else "0"
    return (
        f"Nowhere are there as many equations as unknowns; over all steps there are {share} as many."
        " Genotypes are whole numbers, so that fewer equations are no proof of safety."
    )


LEAST_RATE: Final = 1e-3
"""Where the axes of the curves begin."""

_RATES: Final = tuple(
    (float(power), f"{100 * 10.0**power:g}\N{NO-BREAK SPACE}%") for power in range(-3, 1)
)
_STYLE: Final = """
.theory { fill: none; stroke: var(--mark); stroke-width: 2; stroke-dasharray: 7 4; }
.inner .theory, .inner .curve, .inner .chance { fill: none; vector-effect: non-scaling-stroke; }
.chance { stroke: #767676; }
"""


def roc(row: Mapping[str, Any]) -> Curve | None:
    """Return the curves of a set on logarithmic axes: measured, and dashed by theory."""
    found = row["measured"]
    theory = row["theory"] if found is None else found["theory"]
    if theory is None:
        return None
    x, y = (
        svg.Axis(log10(LEAST_RATE), 0.0, _RATES, title)
        for title in ("Others wrongly named", "Members found out")
    )
    paths = [
        ("chance", _path(x, y, [(a, a) for a in (LEAST_RATE, 1.0)])),
        ("theory", _path(x, y, theory.get("curve") or _normal(theory["auc"]))),
    ]
    if found is not None:
        # Of n others one is the least share that can be seen.
        seen = [point for point in found["curve"] if point[0] * found["others"] > 0.5]
        paths.append(("curve", _path(x, y, _stairs(seen))))
    said = f"Curve of the test on {row['set']}. {membership({**row, **theory})} {attacked(row)}"
    return Curve(svg.plot(x, y, svg.stretched(paths), "square"), said)


def _normal(auc: float) -> list[tuple[float, float]]:
    """Return the curve of two normals that lie so far apart: AUC = Phi(s / sqrt(2))."""
    shift = -(2**0.5) * normal_quantile(min(max(auc, 0.5), 1 - 1e-15))
    grid = np.geomspace(LEAST_RATE, 1.0, 61)[:-1].tolist()
    return [(a, normal_cdf(shift - normal_quantile(a))) for a in grid]


def _stairs(curve: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    for false, true in curve:
        if points:
            points.append((false, points[-1][1]))
        points.append((false, true))
    return points


def _path(x: svg.Axis, y: svg.Axis, points: Sequence[tuple[float, float]]) -> str:
    places = [
        f"{x.share(_log(a)) * svg.SIDE:.1f},{(1 - y.share(_log(b))) * svg.SIDE:.1f}"
        for a, b in points
    ]
    return "M" + "L".join(dict.fromkeys(places))


def _log(rate: float) -> float:
    return log10(max(rate, LEAST_RATE))


def page(content: Mapping[str, Any]) -> str:
    """Return the page of what `tools.leakage.leak` found; it needs no network and no script."""
    style = own("page.css", _STYLE)
    template = environment("count", "percent", "whole", "over").get_template("leakage.html.j2")
    return template.render(
        content=content,
        style=style,
        policy=policy(style),
        sets=[(row, roc(row), attacked(row)) for row in content["sets"]],
        model=model(content["model"]),
        solvable=solvable(content["reconstruction"]),
    )
