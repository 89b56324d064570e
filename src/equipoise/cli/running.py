"""`equipoise run` and `equipoise demo`: run a study, show how far it is, say what came out."""

import json
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.cli.progress import bars
from equipoise.study.run import run
from equipoise.study.writing import Outcome

if TYPE_CHECKING:
    from rich.progress import Progress


class Bar:
    """A progress bar on stderr with an estimate; it is silent when that is no terminal."""

    def __init__(self, progress: "Progress") -> None:
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
    shown = bars()
    with shown if sys.stderr.isatty() else nullcontext():
        outcome = run(study, out, homes, Bar(shown))
    tell(outcome, as_json)


def tell(outcome: Outcome, as_json: bool) -> None:
    """Print what came out of a run."""
    print(json.dumps(_content(outcome), indent=1) if as_json else _text(outcome))


def _content(outcome: Outcome) -> dict[str, Any]:
    return {"out": str(outcome.folder), "root": outcome.root, "results": dict(outcome.results)}


def _text(outcome: Outcome) -> str:
    results, out = outcome.results, outcome.folder
    lines = [f"{results['study']['question']}", "", _people(results), _top(results), ""]
    lines += _evaluation(results["evaluation"]) if results["model"] else _noised(results)
    if results["audit"] is not None:
        lines += ["", _audit(results["audit"])]
    lines += [
        "",
        f"To read: {out}/dossier.html",
        f"For programs: {out}/results.json, {out}/association.tsv"
        + (f", {out}/model.txt" if results["model"] else ""),
        f"Final root of the ledger, to be written down: {outcome.root}",
        f"To verify: equipoise verify {out} --root {outcome.root}",
    ]
    return "\n".join(lines)


def _noised(results: Any) -> list[str]:
    """Return what noise a run without a model had."""
    told = results["disclosure"]["privacy"]
    return [
        f"Every total had noise: epsilon {told['epsilon']:g} at delta {told['delta']:g} for this run.",
        "There is no model: under noise a study counts and scans, and no more.",
    ]


def _evaluation(evaluation: Any) -> list[str]:
    """Return the AUC of the model and, beside it, of the best single variant."""
    alone = evaluation["best_single_variant"]
    how = (
        "by people it never saw"
        if evaluation["design"].startswith("folds")
        else "at sites it never saw"
    )
    lines = [
        f"AUC of the model [95 % interval], judged {how} (best single variant of the same folds):"
    ]
    rows = {"all sites": (evaluation["overall"]["auc"], alone["overall"]["auc"])}
    for site, figures in evaluation["by"]["site"].items():
        name = f"{site} (external)" if figures["external"] else site
        rows[name] = figures["auc"], alone["by"]["site"].get(site, {}).get("auc")
    width = max(map(len, rows))
    return lines + [f"  {name:{width}}  {_auc(f)}  {_alone(s)}" for name, (f, s) in rows.items()]


def _alone(figure: Any) -> str:
    return "(-)" if figure is None or figure["value"] is None else f"({figure['value']:.2f})"


def _audit(audit: Any) -> str:
    verdicts = Counter(finding["verdict"] for finding in audit["findings"])
    said = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    return f"Audit by site and {', '.join(audit['groups']) or 'nothing else'}: {said or 'nothing'}."


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
    cases = "" if figure["events"] is None else f", {figure['events']} cases"
    return f"{figure['value']:.2f} [{low:.2f}, {high:.2f}{cases}]"
