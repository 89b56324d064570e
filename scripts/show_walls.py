"""Run the demo again under other consents and under a permuted trait, and hold it to its promises.

    .venv/bin/python scripts/show_walls.py

Ten other draws of the consents (scripts/make_gstt1.py, seeds 1 to 10), each in a copy of the demo:
the strongest association lies within 10 kb of 22:24,367,099; outside 2 Mb nothing is genome-wide
significant; the out-of-fold AUC is at least .85 in each cohort and .93 on average. Five
permutations of the trait within sites: the interval of the AUC covers .5, and nothing anywhere is
genome-wide significant. A line for each run, and exit code 1 where a promise is broken.

It takes about two minutes. The seeds were fixed before the script was first run.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from make_gstt1 import SITES, redraw

from equipoise import demo
from equipoise.artefacts import gwas_ssf
from equipoise.errors import EquipoiseError
from equipoise.ledger.audit import verify
from equipoise.study.run import run

GENE = 24_367_099
NEAR, FAR = 10_000, 2_000_000
GENOME_WIDE = 7.3
EACH, AVERAGE = 0.85, 0.93

HEADER = (
    f"{'what':<9} {'seed':>4}  {'top':>11}  {'-log10 p':>8}  {'outside':>7}  "
    + "  ".join(f"{site:>4}" for site in sorted(SITES))
    + f"  {'mean':>5}  {'all [interval]':<17}  promises"
)


@dataclass(frozen=True)
class Figures:
    """What one run found.

    strength, outside  the largest -log10 p, and the largest beyond 2 Mb of the gene
    aucs               by site, in the order of their names
    """

    position: int
    strength: float
    outside: float
    aucs: tuple[float, ...]
    overall: tuple[float, float, float]

    @property
    def mean(self) -> float:
        """The average AUC over sites."""
        return sum(self.aucs) / len(self.aucs)


def look(study: Path, out: Path) -> Figures:
    """Run a study, verify its folder, and return what it found."""
    evaluation: Any = run(study, out).results["evaluation"]
    verify(out)
    table = gwas_ssf.read(out / "association.tsv")
    p = np.nan_to_num(table.neg_log_10_p_value, nan=0.0)
    far = np.abs(table.base_pair_location - GENE) > FAR
    by_site = evaluation["by"]["site"]
    overall = evaluation["overall"]["auc"]
    return Figures(
        position=int(table.base_pair_location[np.argmax(p)]),
        strength=float(p.max()),
        outside=float(p[far].max()),
        aucs=tuple(by_site[site]["auc"]["value"] for site in sorted(SITES)),
        overall=(overall["value"], overall["low"], overall["high"]),
    )


def consented(found: Figures) -> dict[str, bool]:
    """Return which promises hold under other consents."""
    return {
        "top": abs(found.position - GENE) <= NEAR,
        "outside": found.outside < GENOME_WIDE,
        "each": min(found.aucs) >= EACH,
        "mean": found.mean >= AVERAGE,
    }


def permuted(found: Figures) -> dict[str, bool]:
    """Return which promises hold where the trait has nothing to do with the genome."""
    return {"chance": found.overall[1] <= 0.5 <= found.overall[2], "none": found.strength < GENOME_WIDE}  # fmt: skip


def permute(folder: Path, seed: int) -> None:
    """Exchange the trait among the people of each site; all else stays."""
    generator = np.random.default_rng(seed)
    for site in SITES:
        path = folder / "sites" / site / "phenotypes.tsv"
        header, *rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
        place = header.index("GSTT1_null")
        order = generator.permutation(len(rows))
        moved = [[*row[:place], rows[i][place], *row[place + 1 :]] for row, i in zip(rows, order, strict=True)]  # fmt: skip
        path.write_text("".join("\t".join(row) + "\n" for row in (header, *moved)), "utf-8")


def row(what: str, seed: int, found: Figures, held: dict[str, bool]) -> str:
    """Return one line of the table."""
    value, low, high = found.overall
    aucs = "  ".join(f"{auc:>4.2f}" for auc in found.aucs)
    promises = "  ".join(f"{name} {'PASS' if well else 'FAIL'}" for name, well in held.items())
    return (
        f"{what:<9} {seed:>4}  {found.position:>11,}  {found.strength:>8.1f}  {found.outside:>7.2f}"
        f"  {aucs}  {found.mean:>5.3f}  {f'{value:.3f} [{low:.2f}, {high:.2f}]':<17}  {promises}"
    )


def attempt(
    what: str,
    seed: int,
    change: Callable[[Path, int], None],
    promise: Callable[[Figures], dict[str, bool]],
) -> bool:
    """Run the demo once with something changed, print the line, and say whether all held."""
    with tempfile.TemporaryDirectory(prefix="equipoise-walls-") as made:
        folder = Path(made) / "study"
        shutil.copytree(demo.folder(), folder)
        change(folder, seed)
        try:
            found = look(folder / "study.toml", Path(made) / "out")
        except EquipoiseError as error:
            reason = str(error).splitlines()[0]
            print(f"{what:<9} {seed:>4}  FAIL {type(error).__name__}: {reason}", flush=True)
            return False
    held = promise(found)
    print(row(what, seed, found, held), flush=True)
    return all(held.values())


def main() -> int:
    """Run everything and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--consents", type=int, default=10, help="how many draws of consents")
    parser.add_argument("--permutations", type=int, default=5, help="how many permutations")
    given = parser.parse_args()
    print(HEADER)
    runs: Iterable[bool] = [
        *(attempt("consents", s, redraw, consented) for s in range(1, given.consents + 1)),
        *(attempt("permuted", s, permute, permuted) for s in range(1, given.permutations + 1)),
    ]
    broken = sum(not well for well in runs)
    print(
        f"{broken} of {len(list(runs))} runs broke a promise." if broken else "Every promise held."
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
