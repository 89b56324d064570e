"""A gene network trained over summed gradients, beside the linear model that it must beat.

Every round releases the gradient of the loss over all training people at the published
parameters, and losses by part; the centre takes one step of Adam (Kingma and Ba 2015,
arXiv:1412.6980, Algorithm 1). There are no local steps, so it is the pooled run, step by step:
a person's gradient is rounded by itself, and whole numbers add up alike in any order.

The first round asks how many people there are of each part and how many have the trait, and
nothing else. The linear model is the polygenic score and the covariates, by Newton's method. It
is fitted in the next rounds, in which the network's sums are zero, and then frozen: the network
is trained on what it leaves.

`part` says what a person is for: 0 to train on, 1 to stop by, 2 to compare on. Rounds end when
the loss on part 1 has not been least for `patience` of them; the parameters of the least are
kept. The network is recommended where on part 2, which had no say in either model, it predicts
better than the linear model beyond chance, by the paired differences of losses. The score must
be out of sample in every part, or it is no fair rival on part 2 and hides what is left on part 0.

Weights of two kinds multiply a person's gradient: a column of importance, and, for the worst
group's sake, group-DRO (Sagawa et al. 2020, arXiv:1911.08731, Algorithm 1): the chance q of
each group grows with its loss, and the weight is q over the group's share.

With `clip` a person's whole gradient, as it is summed, has at most that norm (before rounding).
With `sampling` below 1 each round is over people whom their sites draw by chance, as in DP-SGD (Abadi
et al. 2016, doi:10.1145/2976749.2978318, Algorithm 1): the gate draws them, and sums must be noised.
The first round then counts those drawn in it, by whose number later sums are divided. Noise and
sampling keep the linear model from settling: `linear_rounds` says how many rounds it has.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequencies
from equipoise.analyses.gene_network_form import MOST_WEIGHT, Form
from equipoise.analyses.gene_network_result import PARTS, STOP, TRAIN, TrainedNetwork
from equipoise.analyses.gene_network_sums import Site
from equipoise.cohort import Cohort, Columns
from equipoise.errors import InputError
from equipoise.models import gene_shape, gene_sums
from equipoise.record import exact, grid
from equipoise.solvers.adam import adam_step
from equipoise.solvers.logistic import newton_step
from equipoise.step import Done, Next
from equipoise.sums import Schema, Sums

Array = NDArray[np.float64]

FINE = 2.0**-30

SETTLED = 2.0**-20
"""Linear coefficients that move by less are fitted."""

PENALTY = 0.1  # of the linear coefficients, the intercept aside, as in `calibration`


@dataclass(frozen=True, slots=True)
class GeneNetworkState:
    """Parameters of this round, and what is known of those before.

    parameters  (parameters,) as `gene_shape.Parts.vector`; best: of the least loss so far
    first       (parameters,) Adam's first moment; second: (blocks,), the other
    linear      (covariates + 2,) intercept, of the score, of covariates; change: the last moved
    factors     (groups,) the weight of each group's people; chances: q
    history     (rounds, 3, 3) losses of each round of the network, as in `TrainedNetwork`
    counts      (3, 2) people of each part, and those with the trait
    rounds      how many have been asked; best_round: a row of history, -1 before the first
    """

    parameters: Array = grid(FINE)
    best: Array = grid(FINE)
    first: Array = grid(2.0**-40)
    second: Array = grid(2.0**-60)
    linear: Array = grid(FINE)
    change: Array = grid(FINE)
    factors: Array = grid(FINE)
    chances: Array = grid(FINE)
    history: Array = grid(FINE)
    counts: NDArray[np.int64] = exact()
    rounds: int = exact()
    best_round: int = exact()


@dataclass(frozen=True, slots=True)
class GeneNetwork:
    """Trains the network; InputError where the numbers do not fit each other.

    rounds         the most that are asked, those of the linear model among them
    starts, stops  the variants of each gene (`models.gene_tables`)
    score, part    columns: the polygenic score, out of sample; 0, 1 or 2
    bounds         where each covariate, and last the trait, is cut
    weight         a column of importance, or "" for none; group: a column from 0, or ""
    clip           the greatest norm of a person's gradient, 0 for none
    decay          of weights, beside the step (AdamW)
    sampling       the chance with which each person is in a round; 1 for everybody
    linear_rounds  rounds of the linear model; 0 for until it has settled
    least          the fewest people of each part, of a yes/no trait with it and without
    """

    people: int
    n_variants: int
    rounds: int
    starts: tuple[int, ...]
    stops: tuple[int, ...]
    trait: str
    score: str
    part: str
    covariates: tuple[str, ...]
    bounds: tuple[float, ...]
    seed: int
    frequencies: Frequencies
    binary: bool = True
    width: int = 8
    attention: int = 8
    hidden: int = 8
    rate: float = 0.03
    decay: float = 0.1
    patience: int = 20
    clip: float = 0.0
    weight: str = ""
    group: str = ""
    groups: int = 1
    group_rate: float = 0.1
    least: int = 20
    sampling: float = 1.0
    linear_rounds: int = 0

    def __post_init__(self) -> None:
        """Refuse genes beyond the list, and bounds that are not one for each column."""
        if max(self.stops, default=0) > self.n_variants:
            raise InputError("a gene of the network reaches beyond the list of variants")
        if len(self.bounds) != len(self.covariates) + 1:
            raise InputError("the network needs a bound for each covariate and for the trait")
        if self.clip < 0 or self.groups < 1 or self.patience < 1:
            raise InputError("clip is at least 0, and groups and patience are at least 1")
        if not 0 < self.sampling <= 1 or self.linear_rounds < 0:
            raise InputError("sampling is a chance above 0, and linear_rounds at least 0")
        if self.sampling < 1 and not self.linear_rounds:
            raise InputError(
                "the linear model never settles on people drawn anew each round; say how many"
                " rounds it has: linear_rounds, 5 is usual"
            )

    @property
    def shape(self) -> gene_shape.Shape:
        """What the network is made of."""
        sizes = self.width, self.attention, self.hidden
        return gene_shape.Shape(self.starts, self.stops, len(self.covariates), *sizes, self.binary)

    @property
    def form(self) -> Form:
        """What a round asks."""
        return Form(
            people=self.people,
            n_variants=self.n_variants,
            shape=self.shape,
            clip=self.clip,
            trait=self.trait,
            score=self.score,
            part=self.part,
            covariates=self.covariates,
            bounds=self.bounds,
            weight=self.weight,
            group=self.group,
            groups=self.groups,
        )

    def start(self) -> GeneNetworkState:
        """Return random parameters, and a linear model that says nothing."""
        parameters = gene_shape.initial(self.shape, self.seed)
        zeros, linear = np.zeros(len(parameters)), np.zeros(len(self.covariates) + 2)
        return GeneNetworkState(
            parameters=parameters,
            best=parameters,
            first=zeros,
            second=np.zeros(len(self.shape.blocks)),
            linear=linear,
            change=np.ones(1),
            factors=np.ones(self.groups),
            chances=np.full(self.groups, 1 / self.groups),
            history=np.zeros((0, PARTS, 3)),
            counts=np.zeros((PARTS, 2), np.int64),
            rounds=0,
            best_round=-1,
        )

    def schema(self, state: GeneNetworkState) -> Schema:
        """Ask for gradients and losses; nothing once the rounds have ended."""
        return Schema() if self._ended(state) else Schema((self.form.fields(),), self.sampling)

    def summarise(self, cohort: Cohort, state: GeneNetworkState) -> Iterator[Sums]:
        """Yield the site's sums; what is not asked about yet is zero."""
        form = self.form
        site = Site(form, cohort)
        found = {name: np.zeros(field.shape) for name, field in form.fields().items()}
        found |= site.counts()
        if state.rounds > 0:
            rows = site.rows
            linear = predicted = (rows * state.linear).sum(axis=1)
            found |= site.linear(rows, linear)
            if self._settled(state):
                parameters = gene_shape.parts(self.shape, state.parameters)
                reading = gene_sums.Reading(cohort, self.shape, self._coding, parameters)
                predicted, sums = site.network(reading, rows, linear, state.factors)
                found |= sums
            found |= site.losses(linear, predicted)
        yield found

    def advance(
        self, state: GeneNetworkState, totals: Iterable[Sums]
    ) -> Next[GeneNetworkState] | Done[TrainedNetwork]:
        """Take one step: of the linear model until it has settled, then of the network."""
        if self._ended(state):
            return Done(self._result(state))
        (total,) = totals
        new = replace(state, rounds=state.rounds + 1)
        if state.rounds == 0:
            counts = np.rint(total["counts"]).astype(np.int64)
            self._check(counts)
            return Next(replace(new, counts=counts))
        if self._settled(state):
            return Next(self._trained(new, total))
        gradient, curvature = total["linear_gradient"], total["linear_curvature"]
        penalty = np.array([0.0] + [PENALTY] * (len(gradient) - 1))
        linear = newton_step(state.linear, gradient, curvature, penalty)
        change = np.abs(linear - state.linear).max()
        return Next(replace(new, linear=linear, change=np.array([change])))

    def derive(self, cohort: Cohort, result: TrainedNetwork) -> Columns:
        """Return `network_predictor` and `linear_predictor`, in log odds or in trait units.

        Both are in sample for people of part 0, and were chosen by those of part 1.
        """
        rows, n = Site(self.form, cohort).rows, cohort.n
        linear = (rows * result.linear).sum(axis=1)
        columns = gene_sums.Columns(linear, rows[:, 2:], np.zeros(n), np.zeros(n))
        parameters = gene_shape.parts(self.shape, result.parameters)
        reading = gene_sums.Reading(cohort, self.shape, self._coding, parameters)
        return {"network_predictor": reading.predict(columns), "linear_predictor": linear}

    @property
    def _coding(self) -> gene_sums.Coding:
        mean = self.frequencies.mean_at(np.arange(self.n_variants))
        return gene_sums.Coding.of(mean, self.frequencies.used)

    def _check(self, counts: NDArray[np.int64]) -> None:
        """InputError where a part is too small to be asked about, or too few people train."""
        kinds = np.stack([counts[:, 1], counts[:, 0] - counts[:, 1]]) if self.binary else counts.T
        if kinds[: 2 if self.binary else 1].min() < self.least:
            raise InputError(
                f"a part of {self.part!r} has fewer than {self.least} people, or fewer with the"
                " trait or without: use larger parts"
            )
        half = 0.5 if self.sampling == 1 else 0.4  # of those drawn it may be a little less
        if counts[TRAIN, 0] < half * self.sampling * self.people:
            raise InputError(
                f"fewer than half of the people train by {self.part!r}: what a round tells about"
                " genotypes is declared for at least half of them"
            )

    def _trained(self, state: GeneNetworkState, total: Sums) -> GeneNetworkState:
        """Return the state after a step of the network.

        Which parameters are best is decided by totals: whole numbers, the same for everybody.
        """
        row = np.stack([total[name] for name in ("losses", "more", "squares")], axis=1)
        history = np.concatenate([state.history, row[None]])
        least = history[state.best_round, STOP, 0] if state.best_round >= 0 else np.inf
        if history[-1, STOP, 0] < least:
            state = replace(state, best=state.parameters, best_round=len(history) - 1)
        shape, n = self.shape, int(state.counts[TRAIN, 0])
        weights = self._coding.per_allele(shape.members, total["weights"])
        gradient = gene_shape.Parts(weights, total["biases"], total["head"]).vector() / n
        parameters, first, second = adam_step(
            state.parameters,
            gradient,
            (state.first, state.second),
            len(history),
            sizes=shape.blocks,
            rate=self.rate,
            decay=self.decay,
        )
        state = replace(state, parameters=parameters, first=first, second=second, history=history)
        return self._regrouped(state, total) if self.group else state

    def _regrouped(self, state: GeneNetworkState, total: Sums) -> GeneNetworkState:
        """Return the state with each group's weight for the next round."""
        counts = total["group_counts"]
        mean = total["group_losses"] / np.maximum(counts, 1.0)
        chances = state.chances * np.exp(self.group_rate * mean)
        chances = np.where(counts > 0, chances, 0.0)
        chances /= max(float(chances.sum()), FINE)
        share = counts / max(float(counts.sum()), 1.0)
        factors = np.where(counts > 0, chances / np.where(counts > 0, share, 1.0), 0.0)
        return replace(state, chances=chances, factors=np.minimum(factors, MOST_WEIGHT))

    def _settled(self, state: GeneNetworkState) -> bool:
        if self.linear_rounds:
            return state.rounds > self.linear_rounds
        return bool(state.change[0] < SETTLED)

    def _ended(self, state: GeneNetworkState) -> bool:
        waited = len(state.history) - 1 - state.best_round
        return state.rounds >= self.rounds or (bool(len(state.history)) and waited >= self.patience)

    def _result(self, state: GeneNetworkState) -> TrainedNetwork:
        """Return the parameters of the least loss, and how they compare."""
        return TrainedNetwork(
            parameters=state.best,
            linear=state.linear,
            history=state.history,
            counts=state.counts,
            best_round=state.best_round,
            rounds=state.rounds,
        )
