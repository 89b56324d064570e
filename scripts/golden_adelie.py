"""Make tests/data/adelie_weights.tsv: adelie's solution of joint elastic nets.

The problems are those of tests/solvers/joint_problems.py, written out as one quadratic over all
strata, which `adelie.gaussian_cov` solves to steps whose square is below 1e-22 (at 1e-14 its own
distance from the optimum is 2e-6 where strata are strongly coupled). Made with adelie 1.1.52.
Run with the Python of an environment that has adelie, which needs numpy below 2; ours is
not needed there. It overwrites the file.
"""

import sys
from pathlib import Path

import adelie as ad
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from solvers.joint_problems import GOLDEN, Problem, quadratic  # noqa: E402

OUT = ROOT / "tests" / "data" / "adelie_weights.tsv"


def solved(given: Problem) -> np.ndarray:
    """Return the weights, (strata, variants); 0 where a stratum does not carry the variant."""
    matrix, linear, penalty = quadratic(given)
    kept = np.flatnonzero(given.scale.ravel() > 0)
    state = ad.gaussian_cov(
        A=np.asfortranarray(matrix[np.ix_(kept, kept)]),
        v=linear[kept],
        alpha=1.0,
        penalty=penalty[kept],
        lmda_path=np.array([1.0]),
        tol=1e-22,
        rdev_tol=0.0,
        max_iters=1_000_000,
        early_exit=False,
        progress_bar=False,
    )
    weights = np.zeros(given.scale.size)
    weights[kept] = np.asarray(state.betas.todense())[-1]
    return weights.reshape(given.scale.shape)


def main() -> None:
    lines = [f"# made by scripts/golden_adelie.py with adelie {ad.__version__}"]
    lines.append("\t".join(["problem", "stratum", "variant", "r", "weight"]))
    for name, given in GOLDEN.items():
        for (a, j), weight in np.ndenumerate(solved(given)):
            lines.append(f"{name}\t{a}\t{j}\t{given.trait[a, j]:.12g}\t{weight:.12g}")
    OUT.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
