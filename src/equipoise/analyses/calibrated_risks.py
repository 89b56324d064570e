"""Fits of absolute risk: where they stand between rounds, and how they end."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.record import exact, grid
from equipoise.solvers import absolute_risk as solver
from equipoise.solvers.absolute_risk import FULL, NOT_ESTIMABLE, Calibration
from equipoise.solvers.calibration import SETTLED

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

GRID = 2.0**-20


@dataclass(frozen=True, slots=True)
class AbsoluteRiskState:
    """Where the fits stand; row 0 is everybody, row 1 + g group g.

    round         how often sums were asked
    counts        (groups, 2) people, and of a yes/no trait those with it
    coefficients  (1 + groups, terms)
    change        (1 + groups,) the largest part of the last step
    """

    round: int = exact()
    counts: Counts = exact()
    coefficients: Floats = grid(GRID)
    change: Floats = grid(GRID)


@dataclass(frozen=True, slots=True)
class AbsoluteRisks:
    """The fits; rows as in the state, zeros where a group is not estimable.

    binary       1 for a yes/no trait
    modes        (groups,) 0 not estimable, 1 an intercept of its own, 2 fitted whole
    information  (1 + groups, terms, terms) next to the optimum
    variance     (1 + groups,) of a quantitative trait about what is expected, else 1
    """

    binary: int = exact()
    counts: Counts = exact()
    modes: Counts = exact()
    coefficients: Floats = grid(GRID)
    information: Floats = grid(GRID)
    variance: Floats = grid(GRID)
    change: Floats = grid(GRID)

    def everybody(self) -> Calibration:
        """Return the calibration of all estimable groups together."""
        used = self.modes > NOT_ESTIMABLE
        return self._whole(0, int(self.counts[used, 0].sum()))

    def of_group(self, group: int) -> Calibration:
        """Return the calibration of a group, or why there is none."""
        people, place = int(self.counts[group, 0]), 1 + group
        if self.modes[group] == NOT_ESTIMABLE:
            return self._none(people, solver.TOO_FEW)
        if self.modes[group] == FULL:
            return self._whole(place, people)
        if self.change[place] > SETTLED:
            return self._none(people, solver.NOT_SETTLED)
        intercept, variance = float(self.coefficients[place, 0]), float(self.variance[place])
        every = self.everybody()
        return solver.offset(intercept, self.information[place], every, people, variance)

    def _whole(self, place: int, people: int) -> Calibration:
        if not people:
            return self._none(0, solver.TOO_FEW_IN_ALL)
        return solver.whole(
            self.coefficients[place],
            self.information[place],
            float(self.change[place]),
            binary=bool(self.binary),
            people=people,
            variance=float(self.variance[place]),
        )

    def _none(self, people: int, reason: str) -> Calibration:
        terms = self.coefficients.shape[1]
        return solver.not_estimable(bool(self.binary), terms, people, reason)
