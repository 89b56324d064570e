"""The laws that every analysis keeps, as functions: AssertionError where one is broken.

They take the analysis and pooled rows, so that planted faults can be held against them
(`test_planted_faults`). `states` are the public states at which sums are asked for.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from math import comb, prod
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.analysis import Analysis
from equipoise.cohort import Cohort
from equipoise.errors import InputError
from equipoise.federation import registry
from equipoise.plan import Step
from equipoise.record import rounded
from equipoise.sums import GENOTYPE, Field, Read, Schema, Sums, check_total, encode
from laws import harness
from strategies import Rows

Summaries = Sequence[Mapping[str, NDArray[np.float64]]]
AnyAnalysis = Analysis[Any, Any]

ROUNDING = 1e-9
"""Sums of some sixty products of doubles differ by far less than this share of one person's
most when their order changes, and no fault of interest is so small."""


def states(
    analysis: AnyAnalysis,
    rows: Rows,
    rounds: int = 1,
    records: Mapping[str, type] = registry.RECORDS,
) -> list[Any]:
    """Return the public states at which a pooled run asks for sums."""
    try:
        done = harness.run(analysis, [rows.cohort()], "clear", rounds=rounds, records=records)
    except InputError:
        return [rounded(analysis.start())]
    return [asked.state for asked in done.asked]


def split_equals_pooled(
    analysis: AnyAnalysis,
    rows: Rows,
    sites: Sequence[Cohort],
    protection: str,
    tolerance: Mapping[str, float],
    **options: Any,
) -> None:
    """Law 1: totals differ by S/2 quanta at most, results by the declared tolerance."""
    whole = rows.cohort()
    try:
        pooled = harness.run(analysis, [whole], "clear", **options)
    except InputError as error:
        # What the pooled people's data forbid is forbidden in the same words when split.
        with pytest.raises(InputError, match=f"^{re.escape(str(error))}$"):
            harness.run(analysis, sites, protection, **options)
        return
    split = harness.run(analysis, sites, protection, **options)
    assert len(split.asked) == len(pooled.asked), "another number of rounds"
    for asked in split.asked:
        sums = harness.sums_of(analysis, whole, asked.state)
        for block, total, exact in zip(asked.schema.blocks, asked.total, sums, strict=True):
            for name, declared in block.items():
                apart = np.abs(total[name] * declared.quantum - exact[name]).max(initial=0.0)
                allowed = 0.0 if declared.counts else len(sites) / 2 * declared.quantum
                assert apart <= allowed + _noise(declared, rows.n), f"{name}: totals differ"
    records_are_near(split.result, pooled.result, tolerance)


def records_are_near(one: Any, other: Any, tolerance: Mapping[str, float]) -> None:
    """Check two public records: equal but for the fields that have a tolerance."""
    assert type(one) is type(other)
    for declared in fields(one):
        mine, theirs = getattr(one, declared.name), getattr(other, declared.name)
        most = tolerance.get(declared.name, 0.0)
        assert np.shape(mine) == np.shape(theirs), f"{declared.name}: another shape"
        if most:
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=most, err_msg=declared.name)
        else:
            np.testing.assert_array_equal(mine, theirs, err_msg=declared.name)


def order_is_irrelevant(
    analysis: AnyAnalysis, rows: Rows, order: NDArray[np.int64], at: Sequence[Any]
) -> None:
    """Law 2: the same people in another order give the same totals, up to rounding."""
    for state in at:
        schema = analysis.schema(state)
        one = _encoded(schema, analysis, rows.cohort(), state)
        other = _encoded(schema, analysis, rows.cohort(order), state)
        for block, mine, theirs in zip(schema.blocks, one, other, strict=True):
            for name, declared in block.items():
                apart = np.abs(mine[name] - theirs[name]).max(initial=0)
                # A sum next to half a quantum may be rounded up or down.
                allowed = 0 if declared.counts else 1 + _noise(declared, rows.n) / declared.quantum
                assert apart <= allowed, f"{name}: the order of people shows"


def an_empty_site_answers_zeros(analysis: AnyAnalysis, rows: Rows, at: Sequence[Any]) -> None:
    """Law 3, for a site where nobody is admitted."""
    empty = rows.cohort([])
    for state in at:
        schema = analysis.schema(state)
        answer = harness.sums_of(analysis, empty, state)
        assert [list(block) for block in answer] == [list(block) for block in schema.blocks]
        for block, sums in zip(schema.blocks, answer, strict=True):
            for name, declared in block.items():
                assert sums[name].shape == declared.shape, f"{name}: another shape when empty"
                assert not np.any(sums[name]), f"{name}: nobody adds something"


def one_person_moves_little(analysis: AnyAnalysis, rows: Rows, at: Sequence[Any]) -> None:
    """Law 4: totals are within limits, and nobody adds more than `per_person` anywhere.

    Where a field is summed over cells, a person moves the entries of their own cell only.
    """
    whole = rows.cohort()
    for state in at:
        schema = analysis.schema(state)
        check_total(schema, _encoded(schema, analysis, whole, state))
        full = harness.sums_of(analysis, whole, state)
        for person in range(rows.n):
            rest = harness.sums_of(analysis, _without(rows, person), state)
            for block, with_, without in zip(schema.blocks, full, rest, strict=True):
                for name, declared in block.items():
                    moved = np.abs(with_[name] - without[name])
                    noise = _noise(declared, rows.n)
                    most = moved.max(initial=0.0)
                    assert most <= declared.per_person + noise, f"{name}: one person adds {most}"
                    own = _cell(declared, rows, person, moved)
                    if all(i < size for i, size in zip(own, moved.shape, strict=False)):
                        moved[own] = 0.0  # whoever is in no cell moves nothing
                    outside = moved.max(initial=0.0)
                    assert outside <= noise, f"{name}: one person moves another cell"


def only_declared_columns_are_read(
    analysis: AnyAnalysis, rows: Rows, draw: np.random.Generator, at: Sequence[Any]
) -> None:
    """Law 4: changing what a field does not declare leaves its bytes as they were.

    That holds for each column, for the genotypes, and for the folds where a field is not
    over them. The cohort is not restricted here, so that reading more is seen.
    """
    whole = rows.cohort()
    changed = {name: _other_column(rows, name, draw).cohort() for name in rows.columns}
    changed[GENOTYPE] = _other_genotypes(rows, draw).cohort()
    moved = replace(rows, fold=(rows.fold + 1 + draw.integers(0, 2, rows.n)) % 3).cohort()
    for state in at:
        schema = analysis.schema(state)
        assert schema.columns <= set(rows.columns), "a column is declared that no study has"
        before = list(analysis.summarise(whole, state))
        for name, cohort in changed.items():
            _unread(schema, before, list(analysis.summarise(cohort, state)), name)
        _unread(schema, before, list(analysis.summarise(moved, state)), None)
        # At the gate the analysis sees the declared columns only: they must suffice.
        assert _bytes(harness.sums_of(analysis, whole, state)) == _bytes(before)


def _unread(schema: Schema, before: Summaries, after: Summaries, changed: str | None) -> None:
    for block, old, new in zip(schema.blocks, before, after, strict=True):
        for name, declared in block.items():
            reads = {read.column for read in declared.reads}
            may = changed in reads if changed is not None else "fold" in declared.over
            same = old[name].tobytes() == new[name].tobytes()
            what = "folds" if changed is None else changed
            assert may or same, f"{name}: reads {what}, which it does not declare"


def columns_enter_by_their_degree(
    analysis: AnyAnalysis,
    rows: Rows,
    draw: np.random.Generator,
    at: Sequence[Any],
    rounding: float = ROUNDING,
) -> None:
    """Law 4: as a function of one person's value, a sum is a polynomial of the declared degree.

    The (d + 1)-th difference over 0, 1, ..., d + 1 times the value must vanish, but for
    `rounding` of the largest term.
    """
    person = int(draw.integers(rows.n))
    for state in at:
        schema = analysis.schema(state)
        degrees = {
            (read.column, read.degree)
            for _, declared in schema.fields
            for read in declared.reads
            if read.degree is not None and read.column != GENOTYPE
        }
        for column, degree in sorted(degrees):
            steps = [_scaled(rows, column, person, t) for t in range(degree + 2)]
            values = [harness.sums_of(analysis, scaled, state) for scaled in steps]
            for place, block in enumerate(schema.blocks):
                for name, declared in block.items():
                    if _degree(declared, column) == degree:
                        found = [value[place][name] for value in values]
                        said = f"{name}: not of degree {degree} in {column}"
                        _vanishes(found, degree, rounding, said)


def _vanishes(
    values: Sequence[NDArray[np.float64]], degree: int, rounding: float, message: str
) -> None:
    signed = [(-1) ** t * comb(degree + 1, t) * value for t, value in enumerate(values)]
    scale = max(float(np.abs(value).max(initial=1.0)) for value in signed)
    left = np.abs(np.sum(signed, axis=0)).max(initial=0.0)
    # Rounding of sums whose terms are as large as `scale`.
    assert left <= rounding * scale, message


def it_is_pure(analysis: AnyAnalysis, rows: Rows, at: Sequence[Any]) -> None:
    """Law 5: inputs are unchanged, even where they may be written, and bytes repeat."""
    for state in at:
        cohort = rows.cohort()
        before = _contents(cohort, state, analysis)
        first = _bytes(harness.sums_of(analysis, cohort, state))
        second = _bytes(harness.sums_of(analysis, cohort, state))
        assert _contents(cohort, state, analysis) == before, "an input was changed"
        assert first == second, "the same input gives other bytes"
        frozen = _frozen(cohort)
        assert _bytes(harness.sums_of(analysis, frozen, state)) == first


def counts_are_whole(analysis: AnyAnalysis, rows: Rows, at: Sequence[Any]) -> None:
    """What is declared a head-count has whole entries in steps of one."""
    for state in at:
        schema = analysis.schema(state)
        for block, sums in zip(
            schema.blocks, harness.sums_of(analysis, rows.cohort(), state), strict=True
        ):
            for name, declared in block.items():
                if declared.counts:
                    assert declared.quantum == 1, f"{name}: a count in steps of other than one"
                    assert np.array_equal(sums[name], np.rint(sums[name])), f"{name}: no counts"


def products_of_variants_are_declared(analysis: AnyAnalysis, at: Sequence[Any]) -> None:
    """What is quadratic in genotypes, beyond its diagonal, says how many columns of G'G it tells."""
    for state in at:
        for name, declared in analysis.schema(state).fields:
            quadratic = any(read == Read(GENOTYPE, 2) for read in declared.reads)
            entries = declared.size // prod(declared.shape[: len(declared.over)])
            if quadratic and entries > declared.shape[-1]:
                assert declared.directions >= declared.shape[-1], f"{name}: tells about G'G"


ASKING_NOTHING = {
    *("risk_parts", "risk_singles", "risk_joint", "risk_stack", "risk_refined", "risk_methods"),
}
"""Analyses that follow from what is public alone."""


def a_plan_is_judged_without_results(step: Step, results: Mapping[str, Any]) -> None:
    """The form of a step follows from its literal parameters, and results do not change it."""
    judged, actual = registry.build(step, None), registry.build(step, results)
    try:
        form = judged.schema(judged.start())
    except (AttributeError, TypeError) as error:
        raise AssertionError("the form of the first round needs a result") from error
    asks = step.analysis not in ASKING_NOTHING
    assert (form.size > 0) == asks, "a form that asks, of a step that should not, or none"
    assert actual.schema(actual.start()) == form, "a result changes the form"


def columns_are_derived_person_by_person(
    analysis: AnyAnalysis, rows: Rows, sites: Sequence[Cohort], result: Any
) -> None:
    """A derived column says the same of a person at whichever site they are."""
    whole = analysis.derive(rows.cohort(), result)
    parts = [analysis.derive(site, result) for site in sites]
    for name, values in whole.items():
        assert values.shape == (rows.n,)
        joined = np.concatenate([part[name] for part in parts])
        # The same sum over variants; another number of people may change its rounding.
        np.testing.assert_allclose(np.sort(joined), np.sort(values), rtol=0, atol=1e-12)
    assert all(set(part) == set(whole) for part in parts)


def _noise(declared: Field, people: int) -> float:
    """Return what the order of additions may change: nothing for counts."""
    return 0.0 if declared.counts else ROUNDING * declared.per_person * people


def _encoded(schema: Schema, analysis: AnyAnalysis, cohort: Cohort, state: Any) -> list[Any]:
    sums = harness.sums_of(analysis, cohort, state)
    pairs = zip(schema.blocks, sums, strict=True)
    return [encode(block, part, cohort.n) for block, part in pairs]


def _without(rows: Rows, person: int) -> Cohort:
    return rows.cohort(np.delete(np.arange(rows.n), person))


def _cell(declared: Field, rows: Rows, person: int, moved: NDArray[np.float64]) -> tuple[int, ...]:
    """Return the leading index of the person's own cell; () is the whole array.

    Where no column names the cells, since they follow from the data, the person's own is
    the one that they move most: they may move no other.
    """
    cells = {"fold": rows.fold, **rows.columns}
    if set(declared.over) <= set(cells):
        return tuple(int(cells[partition][person]) for partition in declared.over)
    by_cell = moved.reshape(*moved.shape[: len(declared.over)], -1).max(axis=-1)
    return tuple(int(i) for i in np.unravel_index(np.argmax(by_cell), by_cell.shape))


def _degree(declared: Field, column: str) -> int | None:
    degrees = [read.degree for read in declared.reads if read.column == column]
    return degrees[0] if degrees else -1


def _other_column(rows: Rows, name: str, draw: np.random.Generator) -> Rows:
    values = rows.columns[name]
    two_valued = bool(np.isin(values, (0, 1)).all())
    if not two_valued:
        return rows.with_column(name, draw.permutation(values) + draw.normal(size=rows.n))
    flipped = draw.random(rows.n) < 0.5
    flipped[draw.integers(rows.n)] = True
    return rows.with_column(name, np.where(flipped, 1 - values, values))


def _other_genotypes(rows: Rows, draw: np.random.Generator) -> Rows:
    return replace(rows, dosage=draw.choice([0, 1, 2, np.nan], size=rows.dosage.shape))


def _scaled(rows: Rows, column: str, person: int, times: int) -> Cohort:
    values = rows.columns[column].copy()
    # A person with 0 stays there; so everybody's value is moved off it first.
    values[person] = times * (values[person] or 1.0)
    return rows.with_column(column, values).cohort()


def _bytes(summaries: Sequence[Sums]) -> list[tuple[str, bytes]]:
    return [(name, value.tobytes()) for block in summaries for name, value in block.items()]


def _contents(cohort: Cohort, state: Any, analysis: AnyAnalysis) -> list[bytes]:
    genotypes = cohort.genotypes.packed(0, cohort.genotypes.n_variants)
    arrays = [genotypes, cohort.rows, cohort.fold, *cohort.columns.values()]
    arrays += [
        np.asarray(getattr(record, declared.name))
        for record in (state, *_records(analysis))
        for declared in fields(record)
    ]
    return [np.ascontiguousarray(array).tobytes() for array in arrays]


def _records(analysis: AnyAnalysis) -> list[Any]:
    parameters = [getattr(analysis, declared.name) for declared in fields(analysis)]
    return [value for value in parameters if type(value) in registry.RECORDS.values()]


def _frozen(cohort: Cohort) -> Cohort:
    """Return the cohort with arrays that cannot be written."""

    def fixed(array: NDArray[Any]) -> NDArray[Any]:
        copy = array.copy()
        copy.flags.writeable = False
        return copy

    return replace(
        cohort,
        genotypes=replace(cohort.genotypes, block=fixed(cohort.genotypes.block)),
        rows=fixed(cohort.rows),
        columns={name: fixed(column) for name, column in cohort.columns.items()},
        fold=fixed(cohort.fold),
    )
