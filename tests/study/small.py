"""A small made-up study: four sites of forty people, eighty variants, one of which matters."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.cli import main
from equipoise.genotypes import plink, variants
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import encode
from equipoise.study.run import run
from equipoise.study.writing import Outcome

SITES = ("North", "East", "South", "West")
CAUSAL = 30
"""The place in the list of the variant on which the trait depends."""
MARK = "-qqz"
"""The end of every IID, which comes by chance in no digest and no signature."""
RARE = 5
"""The place of one that hardly anybody carries."""

STUDY = """\
[study]
id = "small"
question = "Is the trait told by the genome?"
purpose = "HMB"
as_of = 2026-11-01
seed = 7

[[people]]
name = "A. Analyst"
role = "analyst"
contact = "a@example.org"

[trait]
name = "ill"
type = "binary"

[covariates]
columns = ["sex"]

[variants]
list = "variants.tsv"
build = "GRCh37"

[protection]
kind = "masked"

[validation]
folds = 4

"""

SITE = """\
[[site]]
name = "{name}"
genotypes = "{name}/genotypes.bed"
phenotypes = "{name}/phenotypes.tsv"
consents = "{name}/consents.tsv"

"""


@dataclass(frozen=True)
class Person:
    """One made-up person; `terms` are (code, value, date), `dosage` is in the order of the list."""

    iid: str
    sex: str
    ill: str
    terms: tuple[tuple[str, str, str], ...]
    dosage: NDArray[np.float64]


Site = list[Person]


def listed() -> Variants:
    """Return the list: four windows of twenty variants on two chromosomes."""
    rows = [
        (str(21 + window // 2), 1_000_000 + 300_000 * window + 400 * place, *"AG"[:: (-1) ** place])
        for window in range(4)
        for place in range(20)
    ]
    return Variants.of(pl.DataFrame(rows, schema=list(HEADER), orient="row"))


def draw(seed: int = 1, people: int = 40, sites: Iterable[str] = SITES) -> dict[str, Site]:
    """Return people by site. Six of the first site have withdrawn, two of the second never agreed."""
    generator = np.random.default_rng(seed)
    frequency = generator.uniform(0.2, 0.5, 80)
    frequency[CAUSAL], frequency[RARE] = 0.25, 0.01
    return {
        name: [_person(generator, frequency, name, place, number) for number in range(people)]
        for place, name in enumerate(sites)
    }


def _person(
    generator: np.random.Generator, frequency: NDArray[np.float64], site: str, place: int, i: int
) -> Person:
    dosage = generator.binomial(2, frequency).astype(np.float64)
    carrier = bool(dosage[CAUSAL])
    ill = "yes" if carrier != (generator.random() < 0.08) else "no"
    sex = ("female", "male")[int(generator.integers(2))]
    dosage[generator.random(80) < 0.01] = np.nan
    terms: tuple[tuple[str, str, str], ...] = (("GRU" if i % 3 else "HMB", ".", "2024-05-01"),)
    if place == 0 and i < 6:
        terms = (*terms, ("EQP:WITHDRAWN", ".", "2025-05-01"))
    if place == 1 and i < 2:
        terms = ()
    return Person(f"{site}{i:03d}{MARK}", sex, ill, terms, dosage)


def write(
    folder: Path,
    people: Mapping[str, Site],
    *,
    order: Mapping[str, list[int]] | None = None,
    swapped: Mapping[str, set[int]] | None = None,
) -> Path:
    """Write a study and return its study file.

    `order` gives, for a site, which variants of the list its file has, in which order;
    `swapped` those that it has with the other allele counted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    variants.write(folder / "variants.tsv", listed())
    for name, site in people.items():
        rows = (order or {}).get(name, list(range(80)))
        write_site(folder / name, site, rows, (swapped or {}).get(name, set()))
    path = folder / "study.toml"
    path.write_text(STUDY + "".join(SITE.format(name=name) for name in people))
    return path


def write_site(folder: Path, site: Site, rows: list[int], swapped: set[int]) -> None:
    """Write the five files of a site."""
    folder.mkdir(exist_ok=True)
    turned = np.array([row in swapped for row in rows])
    frame = listed().frame()[rows]
    a1, a2 = frame[HEADER[2]].to_numpy(), frame[HEADER[3]].to_numpy()
    frame = frame.with_columns(
        pl.Series(HEADER[2], np.where(turned, a2, a1)),
        pl.Series(HEADER[3], np.where(turned, a1, a2)),
    )
    calls = np.stack([person.dosage for person in site], axis=1)[rows]
    calls = np.where(turned[:, None], 2 - calls, calls)
    ids = tuple(person.iid for person in site)
    sex = np.array([2 if person.sex == "female" else 1 for person in site], np.int8)
    plink.write(folder / "genotypes", encode(calls), Variants.of(frame), ids, sex)
    lines(folder / "phenotypes.tsv", ["IID", "sex", "ill"], ((p.iid, p.sex, p.ill) for p in site))
    terms = ((person.iid, *term) for person in site for term in person.terms)
    lines(folder / "consents.tsv", ["IID", "code", "value", "date"], terms)


def lines(path: Path, header: list[str], rows: Iterable[Iterable[str]]) -> None:
    """Write a table."""
    path.write_text("".join("\t".join(row) + "\n" for row in (header, *rows)))


def edit(path: Path, old: str, new: str, times: int = 1) -> None:
    """Replace a text that the file has so many times."""
    text = path.read_text()
    assert text.count(old) >= times
    path.write_text(text.replace(old, new, times))


def go(study: Path, out: Path, homes: Path | None = None) -> Outcome:
    """Run a study."""
    return run(study, out, homes)


def science(out: Path) -> dict[str, Any]:
    """Return what `results.json` says but for what differs between any two runs."""
    content = json.loads((out / "results.json").read_text())
    del content["timings"], content["ledger"]
    return content


def findings(out: Path) -> dict[str, Any]:
    """Return what `results.json` says of people: neither how each site's file was matched."""
    content = science(out)
    del content["quality"]["sites"]
    return content


def matched(out: Path, site: str) -> dict[str, Any]:
    """Return what `results.json` says of how a site's file was matched to the list."""
    return json.loads((out / "results.json").read_text())["quality"]["sites"][site]


def scores(out: Path, site: str) -> dict[str, tuple[float, int]]:
    """Return score and fold by person."""
    header, *rows = (out / "sites" / site / "scores.tsv").read_text().splitlines()
    assert header == "IID\tscore\tprobability\tfold"
    cells = [row.split("\t") for row in rows]
    return {iid: (float(score), int(fold)) for iid, score, _, fold in cells}


def changed(person: Person, **what: Any) -> Person:
    """Return the same person with something changed."""
    return replace(person, **what)


def all_files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, in order."""
    yield from sorted(path for path in folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Told:
    """What a command said and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it said on stdout, as JSON."""
        return json.loads(self.out)


def cli(*words: object, named: bool = False) -> Told:
    """Run a command in this process; no person of a small study may be named, unless `named`."""
    out, err, code = StringIO(), StringIO(), 0
    with (
        patch.object(sys, "argv", ["equipoise", *map(str, words)]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    told = Told(code, out.getvalue(), err.getvalue())
    assert named or MARK not in told.out + told.err, "a person is named"
    assert "Traceback" not in told.err
    return told
