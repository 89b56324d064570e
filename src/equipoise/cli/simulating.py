"""`equipoise simulate`: made-up cohorts with a known truth."""

import json
import os
import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast, get_args

import typer

from equipoise.cli.options import AsJson
from equipoise.errors import InputError

if TYPE_CHECKING:  # who runs another command does not wait for these
    from equipoise.simulation.design import Design, Model, Trait

_SMALL: Final = 20_000_000
"""Genotypes below which other processes take longer to start than to help."""

_NUMBERS: Final = ("h2", "causal", "correlation", "alpha", "prevalence")


# Long, because typer takes the options from the signature.
def simulate(
    out: Annotated[Path, typer.Option("--out", help="The folder to write; it must be new.")],
    people: Annotated[
        str, typer.Option("--people", help="How many of each population: EUR=2000,AFR=500.")
    ],
    variants: Annotated[int, typer.Option("--variants", help="How many the files have.")],
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same files.")],
    model: Annotated[
        str, typer.Option("--model", help="coalescent, or random: independent variants, fast.")
    ] = "coalescent",
    chromosomes: Annotated[int, typer.Option("--chromosomes")] = 22,
    length: Annotated[
        int | None, typer.Option("--length", help="Bases of each chromosome.")
    ] = None,
    maf: Annotated[float, typer.Option("--maf", help="Least minor allele frequency.")] = 0.01,
    maf_everywhere: Annotated[
        bool, typer.Option("--maf-everywhere", help="In every population, not just one.")
    ] = False,
    amr: Annotated[
        str | None, typer.Option("--amr", help="Admixture of AMR: AFR=.1,EUR=.6,EAS=.3.")
    ] = None,
    fst: Annotated[
        float, typer.Option("--fst", help="Distance of populations, random model only.")
    ] = 0.1,
    sites: Annotated[int, typer.Option("--sites", help="Sites, each a mixture.")] = 4,
    by_population: Annotated[
        bool, typer.Option("--by-population", help="One site for each population instead.")
    ] = False,
    relatives: Annotated[
        int, typer.Option("--relatives", help="Pairs: parent and child, full sibs, in turn.")
    ] = 0,
    untyped: Annotated[
        bool, typer.Option("--untyped", help="Leave causal variants out of the files.")
    ] = False,
    missing: Annotated[float, typer.Option("--missing", help="Share of calls.")] = 0.0,
    batch_missing: Annotated[
        float,
        typer.Option("--batch-missing", help="Share at 5 % of variants in a quarter of a site."),
    ] = 0.0,
    swapped: Annotated[
        float, typer.Option("--swapped", help="Share of variants, at all sites but the first.")
    ] = 0.0,
    flipped: Annotated[
        float, typer.Option("--flipped", help="The same, named on the other strand.")
    ] = 0.0,
    trait: Annotated[
        list[str] | None,
        typer.Option(
            "--trait",
            help="Such as height=quantitative,h2=.5,causal=100,correlation=.85,alpha=-.5 or"
            " cad=binary,prevalence=.1 or nothing=null; once for each.",
        ),
    ] = None,
    site_effect: Annotated[float, typer.Option("--site-effect", help="SD of means.")] = 0.1,
    population_effect: Annotated[float, typer.Option("--population-effect")] = 0.0,
    age_effect: Annotated[float, typer.Option("--age-effect")] = 0.2,
    sex_effect: Annotated[float, typer.Option("--sex-effect")] = 0.2,
    threads: Annotated[
        int | None, typer.Option("--threads", help="Chromosomes at a time; all cores by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make up cohorts with a known truth: genotypes, traits, sites."""
    from equipoise.simulation.demography import AMR
    from equipoise.simulation.design import TRAITS, Design

    named = trait_of(trait) if trait else TRAITS
    # Design.check refuses a model that is none.
    design = Design(
        people=tuple((name, _whole("--people", n)) for name, n in _pairs("--people", people)),
        variants=variants,
        seed=seed,
        model=cast("Model", model),
        chromosomes=chromosomes,
        length=length,
        maf=maf,
        maf_everywhere=maf_everywhere,
        amr=tuple(AMR.items()) if amr is None else _shares("--amr", amr),
        fst=fst,
        sites=None if by_population else sites,
        relatives=relatives,
        untyped=untyped,
        missing=missing,
        batch_missing=batch_missing,
        swapped=swapped,
        flipped=flipped,
        site_effect=site_effect,
        population_effect=population_effect,
        age_effect=age_effect,
        sex_effect=sex_effect,
        traits=named,
    )
    simulate_and_tell(design, out, threads, as_json)


def simulate_and_tell(design: "Design", out: Path, threads: int | None, as_json: bool) -> None:
    """Write the folder and print what is in it; `threads` None takes all cores."""
    if threads is not None and threads < 1:
        raise InputError(f"--threads is {threads}; expected 1 or more; give a number of threads")
    design.check()
    # Its packages take a second to load: not before the design is known to be sound.
    from equipoise.simulation.run import simulate as run

    with _executor(design, threads or os.cpu_count() or 1) as executor, _Bar() as bar:
        made = run(design, out, executor, bar.at)
    content = {"out": str(made.folder), **made.truth}
    print(json.dumps(content, indent=1) if as_json else _text(design, content))


def trait_of(options: list[str]) -> "tuple[Trait, ...]":
    """Return the traits of `NAME=KIND,KEY=NUMBER,...`; InputError for another form.

    >>> trait_of(["height=quantitative,h2=.8", "nothing=null"])[0].h2
    0.8
    """
    return tuple(_trait(option) for option in options)


def _trait(option: str) -> "Trait":
    from equipoise.simulation.design import Kind, Trait

    (name, kind), *rest = _pairs("--trait", option)
    if kind not in get_args(Kind):
        raise _malformed("--trait", f"`{kind}`", f"NAME= and one of {', '.join(get_args(Kind))}")
    strange = [key for key, _ in rest if key not in _NUMBERS]
    if strange:
        raise _malformed("--trait", f"`{strange[0]}`", " or ".join(_NUMBERS))
    numbers = dict(rest)
    causal = _whole("--trait", numbers.pop("causal", "100"))
    values = {key: _number("--trait", value) for key, value in numbers.items()}
    return Trait(name, cast("Kind", kind), causal=causal, **values)


def _pairs(option: str, text: str) -> list[tuple[str, str]]:
    pairs = [tuple(part.strip().partition("=")[::2]) for part in text.split(",")]
    if not all(name and value for name, value in pairs):
        raise _malformed(option, f"`{text}`", "NAME=VALUE,NAME=VALUE ...")
    if len({name for name, _ in pairs}) < len(pairs):
        raise _malformed(option, "a name twice", "each once")
    return cast("list[tuple[str, str]]", pairs)


def _shares(option: str, text: str) -> tuple[tuple[str, float], ...]:
    return tuple((name, _number(option, share)) for name, share in _pairs(option, text))


def _whole(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _malformed(option, f"`{text}`", "a whole number") from None


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _malformed(option, f"`{text}`", "a number") from None


def _malformed(option: str, found: str, expected: str) -> InputError:
    return InputError(f"{option}: {found}; expected {expected}; see `equipoise simulate --help`")


def _executor(design: "Design", threads: int) -> AbstractContextManager[Executor | None]:
    """Return where chromosomes are made: msprime keeps other threads waiting, numbers do not."""
    workers = min(threads, design.chromosomes)
    if workers == 1 or design.n_people * design.variants < _SMALL:
        return nullcontext()
    if design.model == "random":
        return ThreadPoolExecutor(workers)
    # Here and not above: other commands import this module too, and need no processes.
    processes, multiprocessing = map(import_module, ("concurrent.futures", "multiprocessing"))
    return processes.ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


class _Bar:
    """A progress bar on stderr with an estimate; it is silent when that is no terminal."""

    def __enter__(self) -> "_Bar":
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn("chromosomes"), BarColumn(), TextColumn("left"))
        self._shown = Progress(
            *columns, TimeRemainingColumn(), console=console, disable=not sys.stderr.isatty()
        )
        self._task = self._shown.add_task("", total=None)
        self._shown.start()
        return self

    def at(self, done: int, of: int) -> None:
        """Move to a number of chromosomes."""
        self._shown.update(self._task, completed=done, total=of)

    def __exit__(self, *_: object) -> None:
        self._shown.stop()


def _text(design: "Design", content: dict[str, Any]) -> str:
    sites = ", ".join(f"{name} {n}" for name, n in content["sites"].items())
    lines = [
        f"Simulated {design.n_people} people and {design.variants} variants: {sites}.",
        *(f"  {name}: {_reached(trait)}" for name, trait in content["traits"].items()),
        "",
        f"Genotypes and phenotypes: {content['out']}/sites/",
        f"The truth: {content['out']}/truth.json and truth*.tsv",
    ]
    return "\n".join(lines)


def _reached(trait: dict[str, Any]) -> str:
    h2 = ", ".join(f"{name} {value:.3f}" for name, value in trait["heritability"].items())
    cases = f", prevalence {trait['prevalence']['all']:.3f}" if "prevalence" in trait else ""
    return f"{trait['kind']}, {trait['causal']} causal variants, heritability {h2}{cases}"
