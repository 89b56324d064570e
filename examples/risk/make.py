"""Five sites of mixed ancestry from 2,504 real genomes, with a disease that is simulated.

    python examples/risk/make.py FOLDER [--genomes ../shared/data/kg2504] [--seed 1]

The genotypes are those of the 1000 Genomes Project's 2,504 people at 23,770 common variants
(GRCh37), as kg2504_24k.bed, .bim, .fam and kg2504_pops.tsv in the folder of genomes. Nothing
else is real: which site a person is at, age, and who has the disease are drawn. Each site draws
people of two of the five superpopulations three times as often as others.

The disease: 15 of the variants, with effects whose correlation between any two superpopulations is
.85; heritability of the liability .6; 30 in 100 have it. The panel is too sparse for variants that are
not on it to be seen through others, so the causal ones stay in the files.
Writes FOLDER/Harbour.bed and so on for five sites, with a table beside each (IID, simulated_disease,
simulated_liability, age, sex, ancestry), and truth.tsv.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equipoise.genotypes.plink import PlinkFile
from equipoise.packed.decode import decode, encode

SITES = ("Harbour", "Valley", "Plains", "Coast", "Highlands")
HOME = {
    "Harbour": ("EUR", "AFR"),
    "Valley": ("EAS", "SAS"),
    "Plains": ("AMR", "EUR"),
    "Coast": ("AFR", "SAS"),
    "Highlands": ("EAS", "AMR"),
}
LEAST_FREQUENCY = 0.05
CAUSAL, CORRELATION, HERITABILITY, PREVALENCE = 15, 0.85, 0.6, 0.3

Array = NDArray[np.float64]


def main() -> None:
    """Write the sites."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    default = Path(__file__).resolve().parents[3] / "shared/data/kg2504"
    options.add_argument("--genomes", type=Path, default=default)
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()
    if asked.folder.exists() and any(asked.folder.iterdir()):
        raise SystemExit(f"{asked.folder} is there already; name a new folder")
    prefix = asked.genomes / "kg2504_24k"
    if not prefix.with_suffix(".bed").exists():
        raise SystemExit(f"no {prefix}.bed; name the folder of genomes with --genomes")
    asked.folder.mkdir(parents=True, exist_ok=True)
    write(asked.folder, prefix, asked.genomes / "kg2504_pops.tsv", asked.seed)


def write(folder: Path, prefix: Path, labels: Path, seed: int) -> None:
    """Draw the disease and the sites, and write them."""
    rng = np.random.default_rng(seed)
    file = PlinkFile.open(prefix)
    rows = [line.split("\t") for line in labels.read_text("utf-8").splitlines()[1:]]
    told = {row[0]: (row[2], row[3]) for row in rows}
    ancestry = np.array([told[iid][0] for iid in file.sample_ids])
    sex = [told[iid][1] for iid in file.sample_ids]
    dosage = decode(file.packed(0, file.n_variants), file.n_samples)
    frequency = np.nanmean(dosage, axis=1) / 2
    common = np.flatnonzero(np.minimum(frequency, 1 - frequency) > LEAST_FREQUENCY)
    causal = np.sort(rng.choice(common, CAUSAL, replace=False))
    value, effects = genetic(rng, dosage[causal], ancestry)
    liability = np.sqrt(HERITABILITY) * value
    liability += np.sqrt(1 - HERITABILITY) * rng.standard_normal(len(value))
    disease = liability > np.quantile(liability, 1 - PREVALENCE)
    age = rng.normal(55, 12, len(value)).round()
    site = sites(rng, ancestry)
    listed = prefix.with_suffix(".bim").read_text("utf-8").splitlines(keepends=True)
    head = "IID\tsimulated_disease\tsimulated_liability\tage\tsex\tancestry\n"
    for number, name in enumerate(SITES):
        here = np.flatnonzero(site == number)
        block = encode(dosage[:, here])
        (folder / f"{name}.bed").write_bytes(b"\x6c\x1b\x01" + block.tobytes())
        (folder / f"{name}.bim").write_text("".join(listed))
        ids = [file.sample_ids[i] for i in here.tolist()]
        (folder / f"{name}.fam").write_text("".join(f"0 {i} 0 0 0 -9\n" for i in ids))
        lines = [
            f"{file.sample_ids[i]}\t{int(disease[i])}\t{liability[i]:.5f}\t{age[i]:g}"
            f"\t{sex[i]}\t{ancestry[i]}\n"
            for i in here.tolist()
        ]
        (folder / f"{name}.tsv").write_text(head + "".join(lines))
    truth = ["variant\t" + "\t".join(sorted(set(ancestry))) + "\n"]
    for i, row in zip(causal.tolist(), effects.T.tolist(), strict=True):
        truth.append(listed[i].split()[1] + "".join(f"\t{e:.5f}" for e in row) + "\n")
    (folder / "truth.tsv").write_text("# simulated effects\n" + "".join(truth))


def genetic(rng: np.random.Generator, dosage: Array, ancestry: Array) -> tuple[Array, Array]:
    """Return genetic values of variance 1 in each group, and effects (groups, variants)."""
    groups = sorted(set(ancestry.tolist()))
    shared = rng.standard_normal(len(dosage))
    own = rng.standard_normal((len(groups), len(dosage)))
    effects = np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * own
    filled = np.where(np.isnan(dosage), np.nanmean(dosage, axis=1, keepdims=True), dosage)
    effects /= filled.std(axis=1)
    value = np.zeros(len(ancestry))
    for number, group in enumerate(groups):
        here = ancestry == group
        made = effects[number] @ filled[:, here]
        value[here] = (made - made.mean()) / made.std()
    return value, effects


def sites(rng: np.random.Generator, ancestry: Array) -> NDArray[np.int64]:
    """Return the site of each person: those of a home group are there three times as likely."""
    chance = np.ones((len(ancestry), len(SITES)))
    for number, name in enumerate(SITES):
        chance[np.isin(ancestry, HOME[name]), number] = 3.0
    chance /= chance.sum(axis=1, keepdims=True)
    return (chance.cumsum(axis=1) < rng.random(len(ancestry))[:, None]).sum(axis=1)


if __name__ == "__main__":
    main()
