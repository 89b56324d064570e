"""From a design to its folder."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from equipoise.errors import InputError
from equipoise.genotypes.plink import MAGIC
from equipoise.packed.decode import Block, width
from equipoise.simulation import genomes, sites, traits, write
from equipoise.simulation.demography import MUTATION, RECOMBINATION
from equipoise.simulation.design import Design
from equipoise.simulation.roster import Roster, roster
from equipoise.simulation.sites import Task, Written
from equipoise.simulation.traits import Made, Values

_VALUES: Final = 2**24
"""Numbers of decoded genotypes at a time."""

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Simulated:
    """What was made: its folder, and the content of its truth.json."""

    folder: Path
    truth: dict[str, Any]


def simulate(
    design: Design, out: Path, executor: Executor | None = None, tell: Tell | None = None
) -> Simulated:
    """Write the folder of a simulation, whole or not at all.

    executor  where chromosomes are made, each as one task; None: here, one after the other
    tell      called with the chromosomes done and their number

    Raises InputError where the design cannot be simulated, or the folder is there already.
    """
    design.check()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out} exists already; a simulation writes a new folder: choose another --out or"
            " remove it"
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise InputError(
            f"{out.parent}: no folder can be made here ({error.strerror}); choose another --out"
        ) from error
    try:
        content = _simulate(design, work, executor, tell or (lambda _done, _of: None))
        work.replace(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Simulated(out, content)


def _simulate(design: Design, folder: Path, executor: Executor | None, tell: Tell) -> dict[str, Any]:  # fmt: skip
    people = roster(design)
    write.readme(folder, design)
    tasks = _tasks(design, people, folder)
    _reserve(design, people, tasks, folder)
    written = _made(tasks, executor, tell)
    made = _traits(design, people, written, folder)
    sites.causal_file(folder).unlink()
    write.variants(folder, design, people, written)
    write.people(folder, design, people, made)
    write.causal(folder, design, written, made)
    content = _content(design, people, written, made)
    write.truth(folder, content)
    return content


def _tasks(design: Design, people: Roster, folder: Path) -> list[Task]:
    """Return a task for each chromosome: which variants are causal is known before any is made."""
    rng = np.random.default_rng([design.seed, 3])
    total = design.variants + design.hidden
    typed = np.ones(total, np.bool_)
    hidden = rng.choice(total, design.hidden, replace=False)
    typed[hidden] = False
    causal = np.zeros((len(design.traits), total), np.bool_)
    used = 0
    for place, trait in enumerate(design.traits):
        n = trait.n_causal
        own = hidden[used : used + n] if design.untyped else rng.choice(total, n, replace=False)
        used += n
        causal[place, own] = True
    tasks: list[Task] = []
    for part in genomes.parts(design):
        at = slice(part.first, part.first + part.n)
        before = slice(0, part.first)
        first = int(typed[before].sum()), int(causal[:, before].any(axis=0).sum())
        tasks.append(Task(design, people, part, causal[:, at], typed[at], first, folder))
    return tasks


def _reserve(design: Design, people: Roster, tasks: Sequence[Task], folder: Path) -> None:
    """Make each file in its full length, for chromosomes to fill in any order."""
    for site, name in enumerate(design.site_names):
        members = people.members(site)
        with sites.bed(folder, name).open("wb") as file:
            file.write(MAGIC)
            file.truncate(len(MAGIC) + design.variants * width(members.stop - members.start))
    n = sum(int(task.causal.any(axis=0).sum()) for task in tasks)
    with sites.causal_file(folder).open("wb") as file:
        file.truncate(n * people.n_bytes)


def _made(tasks: Sequence[Task], executor: Executor | None, tell: Tell) -> list[Written]:
    if executor is None:
        written: list[Written] = []
        for task in tasks:
            written.append(sites.write(task))
            tell(len(written), len(tasks))
        return written
    futures = [executor.submit(sites.write, task) for task in tasks]
    try:
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            tell(done, len(tasks))
    finally:
        for future in futures:
            future.cancel()
    return [future.result() for future in futures]


def _traits(design: Design, people: Roster, written: Sequence[Written], folder: Path) -> list[Made]:
    causal = np.concatenate([w.causal for w in written], axis=1)
    sizes = np.array([n for _, n in design.people])
    frequency = np.concatenate([w.carried for w in written]) / (2 * sizes)
    each: list[Values] = []
    for place, trait in enumerate(design.traits):
        rng = np.random.default_rng([design.seed, 8, place])
        each.append(traits.effects(trait, frequency[causal[place]], rng))
    union = causal[:, causal.any(axis=0)]
    table = np.zeros((union.shape[1], len(design.traits), len(design.people)))
    for place, effect in enumerate(each):
        table[union[place], place] = effect
    blocks = _causal_blocks(people, table, folder)
    values = traits.genetic_values(blocks, people, len(design.traits))
    return [
        traits.make(design, people, trait, values[:, place], each[place])
        for place, trait in enumerate(design.traits)
    ]


def _causal_blocks(people: Roster, table: Values, folder: Path) -> Iterator[tuple[Block, Values]]:
    rows = max(1, _VALUES // (4 * people.n_bytes))
    with sites.causal_file(folder).open("rb") as file:
        for start in range(0, len(table), rows):
            part = table[start : start + rows]
            data = file.read(len(part) * people.n_bytes)
            yield np.frombuffer(data, np.uint8).reshape(len(part), people.n_bytes), part


def _content(design: Design, people: Roster, written: Sequence[Written], made: Sequence[Made]) -> dict[str, Any]:  # fmt: skip
    planted = {
        name: int(sum((getattr(w, name) & w.typed).sum() for w in written))
        for name in ("swapped", "flipped")
    }
    packages = (
        "equipoise",
        *(("msprime", "tskit") if design.model == "coalescent" else ()),
        "numpy",
    )
    return {
        "simulated": True,
        "note": write.NOTE.strip(),
        "design": design.content(),
        "rates": {"mutation": MUTATION, "recombination": RECOMBINATION},
        "versions": {name: version(name) for name in packages},
        "sites": {
            name: int((people.site == site).sum()) for site, name in enumerate(design.site_names)
        },
        "relatives": len(people.pairs),
        "planted": planted,
        "traits": {m.trait.name: _reached(design, m) for m in made},
    }


def _reached(design: Design, made: Made) -> dict[str, Any]:
    content: dict[str, Any] = {
        "kind": made.trait.kind,
        "causal": made.trait.n_causal,
        "heritability": dict(zip(design.populations, made.reached.tolist(), strict=True)),
    }
    if made.prevalence.size:
        content["prevalence"] = {
            "all": float(made.prevalence[0]),
            **dict(zip(design.site_names, made.prevalence[1:].tolist(), strict=True)),
        }
    return content
