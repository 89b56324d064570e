"""Attacks on the releases of a finished run, as somebody outside would make them.

Who reads the folder of a run has the allele frequencies of everybody (`association.tsv`), can work
out those of the cases from effects and standard errors, and has the model. A party to the run has
the totals by fold too. For each of these sets the membership test of `solvers/membership.py` is
told by theory; where genotypes of people who took part, and of others of the same ancestry, are
given, it is made and measured. The model is judged by its leverages (`solvers/lira.py`), and what
was released is counted against what it was made of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from equipoise.artefacts.gwas_ssf import Statistics
from equipoise.cohort import blocks_of
from equipoise.dossier.leaks import reconstruction
from equipoise.errors import InputError, Problem
from equipoise.genotypes.align import AlignedSource, align
from equipoise.genotypes.opening import open_genotypes
from equipoise.genotypes.source import Progress, codes_of
from equipoise.genotypes.variants import FREQUENCY, HEADER, Variants
from equipoise.solvers import lira, membership
from equipoise.solvers.membership import LEAST_OTHERS, NOT_CALLED, Linkage, Stratum
from equipoise.tools.releases import CASES, EVERYBODY, Releases, Set, read

SMALLEST_FOLD: Final = "the smallest fold"

NO_GENOTYPES: Final = "no genotypes were given"
NO_CASES: Final = "no list of cases was given"
NO_FOLDS: Final = "not all people of the fold are known and among those given"
NO_TOTALS: Final = "the totals by fold are not in the folder"

CURVE: Final = tuple(np.geomspace(1e-3, 1.0, 25)[:-1].tolist())
"""Rates of false positives at which theory's curve is given."""

_BLOCK: Final = 2048
_COPIES: Final = np.array([2, NOT_CALLED, 1, 0], np.uint8)
"""Of the effect allele, by the 2-bit code."""


@dataclass(frozen=True, slots=True, eq=False)
class _People:
    """Genotypes of members, or of others, of one ancestry."""

    source: AlignedSource
    ids: tuple[str, ...] = field(repr=False)

    def copies(self, start: int, stop: int) -> NDArray[np.uint8]:
        return _COPIES[codes_of(self.source.packed(start, stop), len(self.ids))]


Pairs = Sequence[tuple[_People, _People]]


def leak(
    folder: Path,
    genotypes: Sequence[str | Path] = (),
    cases: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return what the releases of a run tell of its people, as the command prints it.

    genotypes  in pairs: of people who took part, then of people of the same ancestry who did not;
               a further pair for each further ancestry. Files by chromosome parted by commas
    cases      a file with the IID of everybody among them who has the trait, one a line
    progress   is told the share that is done

    Raises InputError where the folder is none of a run, where genotypes cannot be read or do
    not come in pairs, or where the sites' own tables in the folder say otherwise of who took part.
    """
    known = read(folder)
    pairs = _opened(genotypes, known)
    named = None if cases is None else _listed(cases)
    results, effective = _attacked(known, pairs, named, progress) if pairs else ({}, None)
    within = effective if pairs else known.effective
    return {
        "folder": str(folder),
        "study": known.study,
        "effective_variants": _digits(within),
        "effective_variants_from": "genotypes" if pairs else "results",
        "variants": len(known.scan.n),
        "sets": [_told(one, within, results.get(one.name), pairs, named) for one in known.sets],
        "model": _model(known),
        "reconstruction": reconstruction(known.disclosure, known.people, len(known.scan.n)),
    }


def _opened(genotypes: Sequence[str | Path], known: Releases) -> Pairs:
    if len(genotypes) % 2:
        raise InputError(
            f"{len(genotypes)} files of genotypes; expected pairs: --genotypes of people who took"
            " part, then --genotypes of people of the same ancestry who did not; give one more"
        )
    listed = _variants(known.scan)
    opened = [_aligned(word, listed) for word in genotypes]
    pairs = list(zip(opened[::2], opened[1::2], strict=True))
    for place, (inside, outside) in enumerate(pairs):
        if len(outside.ids) < LEAST_OTHERS:
            raise InputError(
                f"{genotypes[2 * place + 1]}: {len(outside.ids)} people who took no part; expected"
                f" at least {LEAST_OTHERS} of each ancestry; give more of them"
            )
        _refuse_misplaced(inside, outside, known.folds, str(genotypes[2 * place]))
    _refuse_twice([iid for pair in pairs for people in pair for iid in people.ids])
    return pairs


def _variants(scan: Statistics) -> Variants:
    columns = (*HEADER, FREQUENCY)
    return Variants.of(pl.DataFrame({name: getattr(scan, name) for name in columns}))


def _aligned(word: str | Path, listed: Variants) -> _People:
    file = open_genotypes([Path(part) for part in str(word).split(",") if part])
    source, _ = align(file, file.variants, listed)
    return _People(source, file.sample_ids)


def _refuse_misplaced(
    inside: _People, outside: _People, folds: Mapping[str, int] | None, name: str
) -> None:
    """Raise InputError where the sites' own tables say otherwise of who took part."""
    if folds is None:
        return
    absent = sum(iid not in folds for iid in inside.ids)
    present = sum(iid in folds for iid in outside.ids)
    if absent or present:
        raise InputError(
            f"{name}: {absent} of {len(inside.ids)} people took no part in the run, and {present}"
            f" of {len(outside.ids)} in the file after it did, as the sites’ own tables say;"
            " expected those who took part first, then others; put them into the right file"
        )


def _refuse_twice(ids: Sequence[str]) -> None:
    if len(set(ids)) < len(ids):
        raise InputError(
            f"{len(ids) - len(set(ids))} people are in two files of genotypes; expected each once;"
            " leave them out of one"
        )


def _listed(path: Path) -> frozenset[str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        problem = Problem(str(path), None, "no list that can be read", "an IID a line", "mend it")
        raise InputError(problem) from None
    return frozenset(line.split()[0] for line in lines if line.strip() and line[0] != "#")


@dataclass(slots=True, eq=False)
class _Target:
    """A set under attack: who of each pair is in it, what is published of it, L so far.

    pool  (variants,) frequencies; None where they are those of the chosen people themselves
    """

    people: int
    chosen: tuple[NDArray[np.int64], ...]
    pool: NDArray[np.float64] | None = None
    pairs: list[membership.Pair] | None = None

    def add(self, calls: Sequence[Stratum], rows: NDArray[np.int64]) -> None:
        """Add the variants at these rows."""
        both = zip(self.chosen, calls, strict=True)
        strata = [Stratum(own.members[:, who], own.others) for who, own in both if len(who)]
        pool = _pool(strata) if self.pool is None else self.pool[rows]
        told = np.isfinite(pool)
        strata = [Stratum(s.members[told], s.others[told]) for s in strata]
        found = membership.paired_statistics(pool[told], self.people, strata)
        before = self.pairs or [(np.zeros(1), np.zeros(1))] * len(found)
        self.pairs = [(a + c, b + d) for (a, b), (c, d) in zip(before, found, strict=True)]

    def measured(self, effective: NDArray[np.float64]) -> dict[str, Any]:
        """Return what the test attains, beside theory for so few others; M is given by pair."""
        try:
            each = [membership.standardised(pair) for pair in self.pairs or ()]
        except ValueError:
            raise InputError(
                "the files of genotypes have no variant in common at which people differ;"
                " expected genotypes of the run’s variants; give others"
            ) from None
        inside, outside = (np.concatenate([pair[i] for pair in each]) for i in (0, 1))
        found = lira.measured((inside, outside), membership.ALARMS, normal=True)
        chosen = np.array([len(who) > 0 for who in self.chosen])
        expected = membership.Attained.of(self.people, effective[chosen], each)
        reference = round(expected.reference, 1)
        return {**asdict(found), "reference": reference, "theory": _expected(expected)}


def _attacked(
    known: Releases, pairs: Pairs, cases: frozenset[str] | None, progress: Progress | None
) -> tuple[dict[str, dict[str, Any]], float]:
    """Return what the test attains on each set, and the number of independent variants."""
    targets = _targets(known, pairs, cases)
    usable = np.logical_and.reduce([one.source.present for pair in pairs for one in pair])
    spans = blocks_of(len(usable), _BLOCK)
    linkage: Linkage | None = None
    for done, (start, stop) in enumerate(spans, 1):
        here = usable[start:stop]
        calls = [
            Stratum(a.copies(start, stop)[here], b.copies(start, stop)[here]) for a, b in pairs
        ]
        linkage = linkage or Linkage(calls)
        linkage.add(calls)
        for target in targets.values():
            target.add(calls, start + np.flatnonzero(here))
        if progress is not None:
            progress(done / len(spans))
    effective, by_pair = 1.0, np.ones(len(pairs))
    if linkage is not None:
        effective, by_pair = linkage.effective(), linkage.by_stratum()
    return {name: target.measured(by_pair) for name, target in targets.items()}, effective


def _targets(known: Releases, pairs: Pairs, cases: frozenset[str] | None) -> dict[str, _Target]:
    scan, sizes = known.scan, {one.name: one.people for one in known.sets}
    everybody = tuple(np.arange(len(inside.ids)) for inside, _ in pairs)
    found = {EVERYBODY: _Target(known.people, everybody, scan.effect_allele_frequency)}
    if cases is not None and CASES in sizes:
        pool = membership.frequencies_in_cases(
            scan.effect_allele_frequency,
            scan.beta,
            scan.standard_error,
            known.people,
            sizes[CASES],
            known.terms,
        )
        chosen = _rows(pairs, cases)
        if not sum(map(len, chosen)):
            raise InputError(
                "nobody in the list of cases is among the genotypes of people who took part;"
                " expected their IIDs, one a line; correct the list"
            )
        found[CASES] = _Target(sizes[CASES], chosen, pool)
    fold = _smallest_fold(known.folds)
    chosen = _rows(pairs, fold)
    if fold and sum(map(len, chosen)) == len(fold) == sizes.get(SMALLEST_FOLD):
        found[SMALLEST_FOLD] = _Target(len(fold), chosen)
    return found


def _rows(pairs: Pairs, chosen: frozenset[str]) -> tuple[NDArray[np.int64], ...]:
    return tuple(
        np.array([i for i, iid in enumerate(inside.ids) if iid in chosen], np.int64)
        for inside, _ in pairs
    )


def _smallest_fold(folds: Mapping[str, int] | None) -> frozenset[str]:
    members: dict[int, list[str]] = {}
    for iid, fold in (folds or {}).items():
        members.setdefault(fold, []).append(iid)
    return frozenset(min(members.values(), key=len)) if members else frozenset()


def _pool(strata: Sequence[Stratum]) -> NDArray[np.float64]:
    """Return the frequencies in the members, (variants,), NaN where nobody is called."""
    members = np.concatenate([stratum.members for stratum in strata], axis=1)
    called = np.count_nonzero(members != NOT_CALLED, axis=1)
    copies = np.where(members == NOT_CALLED, 0, members).sum(axis=1, dtype=np.int64)
    return np.where(called > 0, copies / (2 * np.maximum(called, 1)), np.nan)


def _theory(people: int, effective: float) -> dict[str, Any]:
    powers = [membership.membership_power(people, effective, a) for a in membership.ALARMS]
    return _named(powers, membership.membership_auc(people, effective))


def _expected(of: membership.Attained) -> dict[str, Any]:
    curve = [(alarm, _digits(of.power(alarm))) for alarm in CURVE if of.told(alarm)]
    return _named([of.power(a) for a in membership.ALARMS], of.auc()) | {"curve": curve}


def _named(powers: Sequence[float], auc: float) -> dict[str, Any]:
    five, thousandth = map(_digits, powers)
    return {"power_5": five, "power_01": thousandth, "auc": _digits(auc)}


def _told(
    one: Set,
    effective: float | None,
    found: Mapping[str, Any] | None,
    pairs: Pairs,
    cases: frozenset[str] | None,
) -> dict[str, Any]:
    reasons = {CASES: NO_CASES if cases is None else NO_TOTALS, SMALLEST_FOLD: NO_FOLDS}
    reason = reasons.get(one.name, NO_TOTALS) if pairs else NO_GENOTYPES
    return {
        "set": one.name,
        "people": one.people,
        "seen_by": one.seen_by,
        "theory": None if effective is None else _theory(one.people, effective),
        "measured": found,
        "reason": None if found else reason,
    }


def _model(known: Releases) -> dict[str, Any] | None:
    """Return the power against the model, had it been fitted by least squares to everybody.

    As many parameters as published, and one leverage for all people: their mean.
    """
    if known.parameters is None:
        return None
    leverage = min(known.parameters / known.people, 1.0)
    one, thousandth = (lira.leverage_power(np.array([leverage]), a) for a in lira.ALARMS)
    return {
        "people": known.people,
        "parameters": known.parameters,
        "leverage": _digits(leverage),
        "power_1": _digits(one),
        "power_01": _digits(thousandth),
    }


def _digits(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.6g}")
