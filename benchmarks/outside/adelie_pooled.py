"""Pooled individual-level elastic net by adelie, run in an environment of its own.

    PYTHON benchmarks/outside/adelie_pooled.py FOLDER [--lasso] [--threads 1] [--dosage dosage.npy]

Reads dosage.npy (people, variants) int8, trait.npy (people,) and group.npy (people,) of FOLDER;
writes betas.npy (candidates, variants) per copy, and prints the seconds it took. Columns
are standardised, groups have a mean of their own, unpenalised; 40 values of the penalty down to
a hundredth of the greatest, for a share of the lasso of 1 and of .5; --lasso fits the first alone. Imports nothing of ours:
adelie needs an older numpy.
"""

import argparse
import json
from pathlib import Path
from time import perf_counter

import adelie as ad
import numpy as np


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("folder", type=Path)
    options.add_argument("--lasso", action="store_true")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--dosage", default="dosage.npy")
    asked = options.parse_args()
    folder = asked.folder
    dosage = np.load(folder / asked.dosage, mmap_mode="r")
    trait, group = np.load(folder / "trait.npy"), np.load(folder / "group.npy")
    began = perf_counter()
    people, variants = dosage.shape
    labels = np.unique(group)[1:]
    x = np.empty((people, variants + len(labels)), np.float32, order="F")
    x[:, :variants] = dosage
    deviation = x[:, :variants].std(axis=0)
    x[:, :variants] -= x[:, :variants].mean(axis=0)
    x[:, :variants] /= np.maximum(deviation, 1e-6)
    for i, label in enumerate(labels):
        x[:, variants + i] = group == label
    y = ((trait - trait.mean()) / trait.std()).astype(np.float32)
    penalty = np.concatenate([np.ones(variants), np.zeros(len(labels))]).astype(np.float32)
    matrix = ad.matrix.dense(x, n_threads=asked.threads)
    made, seconds = [], {}
    converted = perf_counter()
    for share in (1.0,) if asked.lasso else (1.0, 0.5):
        start = perf_counter()
        state = ad.grpnet(
            X=matrix,
            glm=ad.glm.gaussian(y, dtype=np.float32),
            groups=np.arange(x.shape[1]),
            penalty=penalty,
            alpha=share,
            lmda_path_size=40,
            min_ratio=1e-2,
            early_exit=False,
            progress_bar=False,
            n_threads=asked.threads,
        )
        made.append(np.asarray(state.betas.todense())[:, :variants])
        seconds[str(share)] = perf_counter() - start
    seconds["conversion"] = converted - began
    betas = np.concatenate(made) / np.maximum(deviation, 1e-6) * trait.std()
    np.save(folder / "betas.npy", betas)
    told = {"adelie": ad.__version__, "seconds": perf_counter() - began, "paths": seconds}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
