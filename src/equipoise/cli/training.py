"""`equipoise train`: a risk model for several ancestries."""

import json
from pathlib import Path
from typing import Any

from equipoise.cli.progress import bar
from equipoise.tools.quality_files import refuse_full
from equipoise.tools.train import train
from equipoise.tools.train_files import write
from equipoise.tools.train_model import build
from equipoise.tools.train_people import Request


def train_and_tell(
    request: Request,
    out: Path,
    *,
    name: str,
    genome_build: str,
    components: tuple[str, ...],
    notes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train, write the folder, and say what came out."""
    refuse_full(out)
    with bar("training") as at:
        trained = train(request, at)
    built = build(trained, name, genome_build, components)
    content = write(out, trained, built, notes)
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
    lines.append(f"  A page to look at: {out / 'report.html'}")
    return "\n".join(lines)
