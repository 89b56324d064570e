"""Show a risk model's way from people to absolute risks: fitted, saved, read, and predicted by.

    .venv/bin/python scripts/show_risk.py [FOLDER]

Two groups of simulated people with the same ten effects at other frequencies. The model goes to
FOLDER (show-risk/ by default), with a scoring file of each group beside it. Printed are the risks
of three people of each group, and in how many of 2,000 new ones, whose true risk is known here,
the 95 % interval holds it: fewer than 95 %, since the interval is that of the mean risk of people
with a score, widened by how candidates differ about it, and not that of a person's own.
"""

import sys
from pathlib import Path

import numpy as np

from equipoise.learn import PolygenicRiskClassifier
from equipoise.models.polygenic import ModelVariants, PolygenicModel
from equipoise.solvers.absolute_risk import Risk
from equipoise.solvers.logistic import probability
from equipoise.tools import model_files

VARIANTS = 80
SIZES = {"AFR": 800, "EUR": 2400}


def people(draw: np.random.Generator, group: str, n: int) -> tuple[np.ndarray, ...]:
    """Return dosages, ages, a yes/no trait and its true risk of n people of a group."""
    frequency = np.random.default_rng(sorted(SIZES).index(group)).uniform(0.2, 0.8, VARIANTS)
    effects = np.where(np.arange(VARIANTS) % 8 == 0, 0.4, 0.0)
    dosage = draw.binomial(2, frequency, (n, VARIANTS)).astype(np.float64)
    age = draw.normal(size=n)
    risk = probability((dosage - 2 * frequency) @ effects + 0.3 * age - 0.8)
    return dosage, age[:, None], (draw.random(n) < risk).astype(np.int64), risk


def variants() -> ModelVariants:
    """Return made-up places for the variants."""
    return ModelVariants(
        tuple(f"rs{i}" for i in range(VARIANTS)),
        ("22",) * VARIANTS,
        np.arange(1, VARIANTS + 1, dtype=np.int64) * 1000,
        ("A",) * VARIANTS,
        ("C",) * VARIANTS,
    )


def fitted(draw: np.random.Generator) -> PolygenicModel:
    """Return a model of both groups."""
    parts = [people(draw, group, n)[:3] for group, n in SIZES.items()]
    dosage, age, trait = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    groups = np.repeat(list(SIZES), list(SIZES.values()))
    estimator = PolygenicRiskClassifier(random_state=1).fit(dosage, trait, groups, age)
    return estimator.to_model(variants(), name="shown", trait="simulated", build="GRCh38")


def held(found: Risk, true: np.ndarray) -> float:
    """Return the share of people whose true risk is in the interval."""
    return float(np.mean((found.low <= true) & (true <= found.high)))


def main(folder: Path) -> None:
    """Fit, save, read back, and print what is predicted of new people."""
    draw = np.random.default_rng(1)
    model_files.save(folder, fitted(draw))
    model = model_files.load(folder)
    for group in model.groups:
        model_files.write_score(folder / f"{group}.txt", model, group)
        dosage, age, _, true = people(draw, group, 2000)
        score = model.score(dosage, group)
        found = model.predict(score, group, age).risk
        plain = model.predict(
            model.scored(score.score, np.zeros((2000, 0)), group), group, age
        ).risk
        if found is None or plain is None:
            print(f"{group}: not estimable")
            continue
        for i in range(3):
            print(f"{group}: {found.value[i]:.3f} ({found.low[i]:.3f} to {found.high[i]:.3f})")
        print(f"{group}: the interval holds the true risk of {held(found, true):.0%}")
        print(f"{group}: without the candidates' spread of {held(plain, true):.0%}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "show-risk"))
