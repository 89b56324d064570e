"""`equipoise run` and `equipoise demo`: run a study, show how far it is, say what came out."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from equipoise.study.run import Outcome, run


class Bar:
    """A progress bar on stderr with an estimate; it is silent when that is no terminal."""

    def __init__(self, progress: Progress) -> None:
        """Take the bar to move."""
        self._progress = progress
        self._task = progress.add_task("reading the sites' files", total=None)
        self._steps: tuple[str, ...] = ()

    def begin(self, steps: tuple[str, ...]) -> None:
        """Learn the steps of the plan."""
        self._steps = steps
        self._progress.update(self._task, total=len(steps))

    def at(self, step: str, round: int) -> None:  # noqa: A002
        """Move to a round of a step."""
        done = self._steps.index(step)
        self._progress.update(self._task, completed=done, description=f"{step}, round {round}")


def run_and_tell(study: Path, out: Path, homes: Path | None, as_json: bool) -> None:
    """Run a study and print what came out."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    shown = Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console)
    with shown if sys.stderr.isatty() else nullcontext():
        outcome = run(study, out, homes, Bar(shown))
    print(json.dumps(_content(outcome), indent=1) if as_json else _text(outcome))


def _content(outcome: Outcome) -> dict[str, Any]:
    return {"out": str(outcome.folder), "root": outcome.root, "results": dict(outcome.results)}


def _text(outcome: Outcome) -> str:
    results = outcome.results
    overall = results["evaluation"]["overall"]["auc"]
    lines = [f"{results['study']['question']}", "", _people(results), _top(results)]
    lines.append(f"Out-of-fold AUC of the score: {_auc(overall)}")
    for site, figures in results["evaluation"]["by"]["site"].items():
        lines.append(f"  {site}: {_auc(figures['auc'])}")
    if results["audit"] is not None:
        lines.append(f"The study file asks for an audit; {results['audit']['reason']}.")
    out = outcome.folder
    lines += [
        "",
        f"Results: {out}/results.json, {out}/association.tsv, {out}/report.html",
        f"Final root of the ledger, to be written down: {outcome.root}",
        f"To verify: equipoise verify {out} --root {outcome.root}",
    ]
    return "\n".join(lines)


def _people(results: Any) -> str:
    parts = results["participants"]
    admitted = sum(part["admitted"] for part in parts.values())
    notes = sorted({note for part in parts.values() for note in part["notes"]})
    return "\n".join([f"{admitted} people admitted at {len(parts)} sites.", *notes])


def _top(results: Any) -> str:
    top = results["association"]["top"]
    if not top:
        return "No variant could be tested."
    best = top[0]
    return (
        f"Strongest association: {best['chromosome']}:{best['base_pair_location']}"
        f" ({best['effect_allele']}), -log10 p = {best['neg_log_10_p_value']:.1f}"
    )


def _auc(figure: Any) -> str:
    if figure["value"] is None:
        return f"not estimable ({figure['reason']})"
    low, high = figure["low"], figure["high"]
    return (
        f"{figure['value']:.2f} (95 % interval {low:.2f} to {high:.2f}; {figure['events']} cases)"
    )
