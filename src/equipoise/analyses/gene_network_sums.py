"""A site's sums for one round of a gene network's training.

Each person's term is rounded to the field's quantum by itself, so that sums do not depend on
the order of people, nor on how they are spread over sites.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.analyses.gene_network_form import MOST_LOSS, MOST_MORE, MOST_SCORE, MOST_WEIGHT, Form
from equipoise.analyses.gene_network_result import PARTS, TRAIN
from equipoise.cohort import Cohort
from equipoise.models.gene_sums import Columns, Reading
from equipoise.solvers.logistic import probability
from equipoise.sums import Field

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Site:
    """The people of one site, by the columns of a form."""

    form: Form
    cohort: Cohort

    @property
    def rows(self) -> Array:
        """(samples, covariates + 2) 1, the score and the covariates, within their bounds."""
        form, cohort = self.form, self.cohort
        names, most = (form.score, *form.covariates), (MOST_SCORE, *form.bounds[:-1])
        pairs = zip(names, most, strict=True)
        columns = [np.clip(cohort.column(name), -bound, bound) for name, bound in pairs]
        return np.stack([np.ones(cohort.n), *columns], axis=1)

    @property
    def trait(self) -> Array:
        """(samples,) the trait within its bound."""
        most = self.form.bounds[-1]
        least = 0.0 if self.form.shape.binary else -most
        return np.clip(self.cohort.column(self.form.trait), least, most)

    @property
    def trains(self) -> NDArray[np.bool_]:
        """(samples,) who is trained on."""
        return self.cohort.column(self.form.part) == TRAIN

    def counts(self) -> dict[str, Array]:
        """Return how many there are of each part, how many have the trait, and groups."""
        form, part = self.form, self.cohort.column(self.form.part)
        has = np.zeros(self.cohort.n, np.bool_)
        if form.shape.binary:
            has = self.cohort.column(form.trait) == 1
        member = [part == p for p in range(PARTS)]
        found = {"counts": np.array([[m.sum(), (m & has).sum()] for m in member], np.float64)}
        if form.group:
            found["group_counts"] = np.array([m.sum() for m in self._in_groups()], np.float64)
        return found

    def linear(self, rows: Array, linear: Array) -> dict[str, Array]:
        """Return gradient and curvature of the linear model at its present predictions."""
        form, binary = self.form, self.form.shape.binary
        expected = probability(linear) if binary else linear
        spread = expected * (1 - expected) if binary else np.ones(self.cohort.n)
        left = np.clip(self.trait - expected, -form.most_left, form.most_left)
        weight = np.where(self.trains, self._importance(), 0.0)
        products = rows[:, :, None] * rows[:, None]
        terms = {
            "linear_gradient": (weight * left)[:, None] * rows,
            "linear_curvature": (weight * spread)[:, None, None] * products,
        }
        fields = form.linear()
        return {name: _summed(fields[name], term) for name, term in terms.items()}

    def network(
        self, reading: Reading, rows: Array, linear: Array, factors: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Return each person's prediction, (samples,), and the sums of the network's gradient."""
        weight = np.where(self.trains, self._importance() * self._of_group(factors), 0.0)
        columns = Columns(linear, rows[:, 2:], self.trait, weight)
        steps = self.form.steps
        totals = reading.totals(columns, steps)
        return totals.predictor, {
            "weights": totals.weights * steps.gene,
            "biases": totals.biases * steps.gene,
            "head": totals.head * steps.head,
        }

    def losses(self, linear: Array, predicted: Array) -> dict[str, Array]:
        """Return losses of predictions, by how much the linear model's are more, the square."""
        form, part, trait = self.form, self.cohort.column(self.form.part), self.trait
        fields, binary = form.losses(), form.shape.binary
        own = _loss(predicted, trait, binary=binary)
        more = np.clip(_loss(linear, trait, binary=binary) - own, -MOST_MORE, MOST_MORE)
        terms = {"losses": own, "more": more, "squares": more**2}
        found = {
            name: np.array([_summed(fields[name], term[part == p]) for p in range(PARTS)])
            for name, term in terms.items()
        }
        if form.group:
            sums = [_summed(fields["group_losses"], own[m]) for m in self._in_groups()]
            found["group_losses"] = np.array(sums)
        return found

    def _importance(self) -> Array:
        if not self.form.weight:
            return np.ones(self.cohort.n)
        return np.clip(self.cohort.column(self.form.weight), 0.0, MOST_WEIGHT)

    def _of_group(self, values: Array) -> Array:
        """Return the value of each person's group, (samples,); 0 for who is in none."""
        if not self.form.group:
            return np.full(self.cohort.n, values[0])
        own = self.cohort.column(self.form.group)
        return np.sum([np.where(own == g, v, 0.0) for g, v in enumerate(values)], axis=0)

    def _in_groups(self) -> list[NDArray[np.bool_]]:
        own = self.cohort.column(self.form.group)
        return [self.trains & (own == g) for g in range(self.form.groups)]


def _loss(predictor: Array, trait: Array, *, binary: bool) -> Array:
    """Return the loss of each person, cut at `MOST_LOSS`."""
    if binary:
        loss = np.logaddexp(0.0, predictor) - trait * predictor
    else:
        loss = (predictor - trait) ** 2 / 2
    return np.clip(loss, 0.0, MOST_LOSS)


def _summed(field: Field, terms: Array) -> Array:
    """Return the sum of terms over people, each rounded to the field's quantum."""
    return np.asarray(np.rint(terms / field.quantum).sum(axis=0) * field.quantum)
