"""`equipoise train`: a risk model for several ancestries."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from equipoise.cli.progress import bar
from equipoise.tools.quality_files import refuse_full
from equipoise.tools.train import train
from equipoise.tools.train_files import write
from equipoise.tools.train_model import build
from equipoise.tools.train_network import Asked, network, refuse
from equipoise.tools.train_people import Request


def train_and_tell(
    request: Request,
    out: Path,
    *,
    name: str,
    genome_build: str,
    components: tuple[str, ...],
    notes: tuple[str, ...],
    beside: Asked | None,
    as_json: bool,
) -> None:
    """Train, with a network beside the model where asked, write the folder, say what came out."""
    refuse_full(out)
    with bar("training") as at:
        trained = train(request, at, partial(refuse, beside, request) if beside else None)
    built = build(trained, name, genome_build, components)
    found = None
    if beside:
        with bar("training the network") as at:
            found = network(trained, beside, at)
    content = write(out, trained, built, notes, found)
    print(json.dumps(content, indent=1) if as_json else _text(content, out))


def _text(content: dict[str, Any], out: Path) -> str:
    people = sum(group["people"] for group in content["groups"])
    lines = [
        f"Risk model of {content['trait']} from {people} people at {len(content['people'])} sites,"
        f" written to {out}"
    ]
    for site, counts in content["matching"].items():
        lines.append(f"  {site}: {counts['taken']} of {counts['in_genotypes']} people")
    names = [group["name"] for group in content["groups"]]
    lines += ["", "  R² in people whom nothing has seen", ""]
    width = max(len(method) for method in content["accuracy"])
    lines.append("  " + " " * width + "".join(f"{name[:11]:>12s}" for name in names))
    for method, by_group in content["accuracy"].items():
        cells = [by_group[name]["value"] for name in names]
        shown = "".join(f"{'NA' if c is None else f'{c:.3f}':>12s}" for c in cells)
        lines.append(f"  {method:{width}s}{shown}")
    if content["convergence"]["not_converged"]:
        lines.append(f"  {content['convergence']['not_converged']} points did not converge")
    if content["network"]:
        lines += _network(content["network"])
    lines.append(f"  A page to look at: {out / 'report.html'}")
    return "\n".join(lines)


def _network(said: dict[str, Any]) -> list[str]:
    """Return what a network came to: what to use, and what it was trained on and by."""
    people, rounds, genes, columns = (said[k] for k in ("people", "rounds", "genes", "columns"))
    shorter = ""
    if rounds["most"] < rounds["asked"]:
        shorter = f", of {rounds['most']} that the people allow ({rounds['asked']} asked)"
    told = ""
    if columns["allowed"] is not None:
        told = f"; {columns['told']} columns told, of {columns['allowed']} allowed"
    return [
        "",
        "  Gene network, beside the linear model",
        f"  {said['recommendation']}",
        f"  {genes['read']} genes ({genes['table']}), {genes['variants_outside']} variants in none;"
        f" trained on {people['train']['people']} of the people who test, stopped by"
        f" {people['stop']['people']}, compared on {people['compare']['people']}",
        f"  {rounds['run']} rounds{shorter}{told}",
        "",
    ]
