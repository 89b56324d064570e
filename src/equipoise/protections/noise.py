"""Sums with noise that no party knows: each site adds some before it masks.

Every site adds discrete Gaussian noise (`discrete`) to its integers; what is masked, checked,
published and accepted is the noised sum. The noise of the honest sites that are bound to stay is
enough by itself: t - c of them where sites may be lost, all but c where none may (`graph`).
What further sites add makes totals noisier and never less private.

A sum of discrete Gaussians is close to one, and no more than close. With h honest sites of
deviation s each, on entries of which one person moves d, by D in all (L2), a release is
rho-zCDP (Kairouz, Liu and Steinke 2021, arXiv:2102.06387, Theorem 1, s at least 1/2) with

    rho = (D / (sqrt(h) s) + tau sqrt(d))**2 / 2
    tau = 10 (exp(-2 pi**2 s**2 k / (k + 1)) summed over k from 1 to h - 1)

Of the bounds that they give, this one is the simplest; from s = 2 on, tau is below 1e-15 and
they agree. Entries that one person does not move have the same law with and without, so d is
their number, not that of all entries. Each field of each block is charged so, and the charges
are added.

A round's rho is split evenly over the names of its fields. Within a name noise is in proportion
to what one person adds to an entry. D is what one person adds to an entry times the root of d, or
what a field declares of the whole. Departures: where a field's steps are so fine that the
sampler or the ring has no room for the noise, the lowest bits are rounded away before it is
added; and published totals are held to the field's declared limits, counts also to 0 and more.
Both follow from public numbers alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, exp, floor, pi, prod, sqrt

import numpy as np
from numpy.typing import NDArray

from equipoise.errors import DisclosureError
from equipoise.protection import (
    Accepted,
    Ahead,
    CentreMachine,
    Context,
    Message,
    Party,
    SiteMachine,
)
from equipoise.protections.discrete import Chance, Gaussian, Words, draw, narrowest
from equipoise.protections.graph import COLLUDING, COMPLETE, REACH, threshold
from equipoise.protections.keystream import derive_key
from equipoise.protections.masked import Masked
from equipoise.protections.totals import LazyTotal
from equipoise.step import Done, Next
from equipoise.sums import Block, Field, Integers, Schema

SLACK = 2.0**-10
"""By how much more than `per_person` one person may move a sum of real numbers.

Additions are rounded: of n terms, one more or less moves the sum by up to n**2 / 2**53 of a
term besides its own. The slack is enough for two million people at a site, in any order.
"""

TAIL = 16
"""Standard deviations of summed noise that a total has room for: beyond lies less than 1e-55."""

_STEPS = 1 << 40
_WIDE = 2.0**25


@dataclass(frozen=True, slots=True)
class Added:
    """What is done to one field of one block.

    bits    the lowest bits that are rounded away first
    law     what each site then adds to every entry, in steps of 2**bits quanta
    moves   the most by which one person moves an entry, in the same steps; where the field says
            more of the whole, the root mean square over the entries
    entries the number of entries that one person moves
    field   the field as it is masked: steps of 2**bits quanta, and room for noise
    """

    bits: int
    law: Gaussian
    moves: float
    entries: int
    field: Field

    def cost(self, honest: int) -> float:
        """Return the rho of the release, of the noise of so many sites."""
        return cost(self.law, self.moves, self.entries, honest)

    def deviation(self, n_sites: int) -> float:
        """Return the standard deviation of a total's noise, in the field's own unit."""
        return self.law.deviation * sqrt(n_sites) * self.field.quantum


@dataclass(frozen=True, slots=True)
class Form:
    """A round under noise: what is masked, and what is added to each field of each block.

    cost  the rho of the round, which is at most what was asked for
    """

    asked: Schema
    masked: Schema
    added: tuple[Mapping[str, Added], ...]
    cost: float


def honest(n_sites: int, may_lose: bool) -> int:
    """Return how many honest sites' noise is in every total that is published.

    Beyond 16 sites each masks with 16 neighbours on a ring, of whom enough stay and no seven in
    a row are lost. Walking from one that stays to the next beyond its reach takes at most 23
    places, so that (n - 17) // 23 + 1 stay whose neighbours are all different.

    >>> [honest(n, True) for n in (3, 4, 5, 16, 17, 40)], honest(4, False)
    ([2, 2, 3, 8, 9, 19], 3)
    """
    if not may_lose:
        return n_sites - COLLUDING
    if n_sites <= COMPLETE:
        return threshold(n_sites) - COLLUDING
    around = 2 * REACH + 1
    apart = (n_sites - around) // (around + REACH - COLLUDING - 1) + 1
    return apart * threshold(around) - COLLUDING


def cost(law: Gaussian, moves: float, entries: int, honest: int) -> float:
    """Return the rho of a field: one person moves so many entries, each by `moves` at most."""
    apart = moves * sqrt(entries) / (law.deviation * sqrt(honest))
    return (apart + tau(law, honest) * sqrt(entries)) ** 2 / 2


def tau(law: Gaussian, honest: int) -> float:
    """Return how far the sum of so many draws is from a draw: Theorem 1 of the source."""
    least = -2 * pi**2 * law.variance
    return 10 * sum(exp(least * k / (k + 1)) for k in range(1, honest))


def calibrated(schema: Schema, rho: float, n_sites: int, may_lose: bool) -> Form:
    """Return the noise with which one round costs at most `rho`.

    DisclosureError where the ring has no room for it, or where nothing may be spent.
    """
    if not rho > 0:
        raise DisclosureError("a round without a part of the privacy budget would be all noise")
    moved: dict[str, int] = {}
    for name, field in schema.fields:
        moved[name] = moved.get(name, 0) + entries_moved(field)
    stay = honest(n_sites, may_lose)
    # Less by what rounding could add when the charges are added up.
    part = {name: rho * (1 - 2.0**-30) / len(moved) / max(1, n) for name, n in moved.items()}
    added = tuple(
        {name: _added(name, field, part[name], n_sites, stay) for name, field in block.items()}
        for block in schema.blocks
    )
    masked = Schema(tuple({name: a.field for name, a in block.items()} for block in added))
    spent = sum(a.cost(stay) for block in added for a in block.values())
    return Form(schema, masked, added, spent)


def entries_moved(field: Field) -> int:
    """Return how many entries one person adds to: those of one cell of each partition."""
    return prod(field.shape[len(field.over) :]) if field.size else 0


def moved_by(field: Field, bits: int) -> int:
    """Return the most by which one person moves an entry of a site, in steps of 2**bits quanta.

    Counts are exact. A sum of real numbers is rounded to a step, which may add one; so may
    rounding to a coarser step.
    """
    steps = field.per_person / field.quantum
    if not (field.counts and steps == floor(steps)):
        steps = floor(steps * (1 + SLACK)) + 1
    return int(steps) if not bits else (int(steps) >> bits) + 1


def moved_on_average(field: Field, bits: int) -> float:
    """Return the greatest root mean square of a person's moves of the entries that they move.

    In steps of 2**bits quanta. No more than `moved_by`, and less where the field declares `l2`:
    that bound in steps, and what rounding may add to every entry.
    """
    most, entries = moved_by(field, bits), entries_moved(field)
    if field.l2 is None or not entries:
        return most
    whole = field.l2 / field.quantum * (1 + SLACK) + sqrt(entries)
    if bits:
        whole = whole / 2**bits + sqrt(entries)
    return min(float(most), whole / sqrt(entries))


@lru_cache(maxsize=4096)
def _added(name: str, field: Field, rho: float, n_sites: int, stay: int) -> Added:
    """Return what is added to a field; `rho` is for one of the entries that a person moves."""
    entries = entries_moved(field)
    for bits in range(_STEPS.bit_length()):
        moves = moved_on_average(field, bits)
        wanted = moves / sqrt(2 * rho * stay)
        if wanted > _WIDE:
            continue
        law = narrowest(wanted)
        while cost(law, moves, entries, stay) > rho * entries:
            law = narrowest(law.deviation * (1 + SLACK))
        steps = ceil(field.limit / field.quantum / 2**bits)
        most = steps + n_sites + ceil(TAIL * sqrt(n_sites) * law.deviation)
        if most <= _STEPS:
            quantum = field.quantum * 2**bits
            wide = replace(field, quantum=quantum, limit=most * quantum)
            return Added(bits, law, moves, entries, wide)
    raise DisclosureError(
        f"{name}: the noise that its part of the privacy budget needs has no room beside a total;"
        " give the step a greater part, or ask for fewer values"
    )


def noised(
    form: Form, values: Iterable[Integers], words: Words
) -> Iterator[dict[str, NDArray[np.int64]]]:
    """Yield a site's blocks with its noise, as they are to be masked."""
    for added, block in zip(form.added, values, strict=True):
        found: dict[str, NDArray[np.int64]] = {}
        for name, a in added.items():
            found[name] = draw(a.law, words, a.field.size).reshape(a.field.shape)
            found[name] += _coarse(block[name], a.bits)
        yield found


def _coarse(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    return np.asarray((values + (1 << bits >> 1)) >> bits)


def restored(block: Block, added: Mapping[str, Added], total: Integers) -> Integers:
    """Return a total in units of the declared quanta and within the declared limits."""
    return {name: _restored(field, added[name].bits, total[name]) for name, field in block.items()}


def _restored(field: Field, bits: int, total: NDArray[np.int64]) -> NDArray[np.int64]:
    most = floor(field.limit / field.quantum)
    least = 0 if field.counts else -most
    near = np.clip(total, (least >> bits) - 1, (most >> bits) + 1)  # or the shift could overflow
    return np.asarray(np.clip(near << bits, least, most))


class Restored(LazyTotal):
    """An accepted total, block by block as it is asked for."""

    def __init__(self, form: Form, total: Sequence[Integers]) -> None:
        """Take the total as it was masked."""
        self._form, self._total = form, total

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self._total)

    def made(self, place: int) -> Integers:
        """Return one block."""
        block, added = self._form.asked.blocks[place], self._form.added[place]
        return restored(block, added, self._total[place])


@dataclass(frozen=True, slots=True)
class NoisedSite:
    """The machine of a masked round over what has noise."""

    machine: SiteMachine
    form: Form

    @property
    def settled(self) -> bool:
        """Whether what it has answered may tell a total."""
        return self.machine.settled

    def step(self, request: Message) -> Next[Message] | Done[Accepted]:
        """Return the answer, or the accepted total in the declared units."""
        outcome = self.machine.step(request)
        if not isinstance(outcome, Done):
            return outcome
        accepted = outcome.result
        return Done(Accepted(Restored(self.form, accepted.total), accepted.answer))


@dataclass(frozen=True, slots=True)
class NoisedCentre:
    """The machine of the centre, which sees masked and noised sums alone."""

    machine: CentreMachine
    form: Form

    def step(
        self, answers: Mapping[str, Message]
    ) -> Next[Mapping[str, Message]] | Done[Sequence[Integers]]:
        """Return the next requests, or the total in the declared units."""
        outcome = self.machine.step(answers)
        if not isinstance(outcome, Done):
            return outcome
        return Done(Restored(self.form, outcome.result))


@dataclass(frozen=True, slots=True)
class Noise:
    """Masked sums that are differentially private.

    rho     what one attempt at one round of each step may cost (`accounting.Account.prices`)
    chance  where a site's random words come from, given 32 bytes of its own for each attempt at
            a round: noise that was drawn before a restart is drawn again, never other noise
    """

    rho: Mapping[str, float]
    chance: Callable[[bytes], Words] = Chance

    def check(self, n_sites: int) -> None:
        """Refuse fewer than three sites, as masks do."""
        Masked().check(n_sites)

    def form(self, context: Context, schema: Schema) -> Form:
        """Return what a round is under noise; DisclosureError where its step has no budget."""
        if context.step not in self.rho:
            raise DisclosureError(f"the step {context.step} has no part in the privacy budget")
        return calibrated(schema, self.rho[context.step], len(context.sites), context.may_lose)

    def site(
        self,
        context: Context,
        party: Party,
        schema: Schema,
        values: Iterable[Integers],
    ) -> NoisedSite:
        """Return the machine of one site. Noise is drawn as the values are taken, once."""
        form = self.form(context, schema)
        own = derive_key(party.secret, b"equipoise-noise-1|" + context.digest())
        drawn = noised(form, values, self.chance(own))
        return NoisedSite(Masked().site(context, party, form.masked, drawn), form)

    def centre(self, context: Context, schema: Schema, ahead: Ahead | None = None) -> NoisedCentre:
        """Return the machine of the centre."""
        form = self.form(context, schema)
        return NoisedCentre(Masked().centre(context, form.masked, ahead), form)
