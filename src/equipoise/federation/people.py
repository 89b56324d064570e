"""A site's rows, from the loaded files to the cohort of one study."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from equipoise.analysis import Analysis, Figure, SiteFigures
from equipoise.cohort import BlockSource, Cohort, Columns
from equipoise.errors import DisclosureError, ProtocolError
from equipoise.federation import budget, own_files
from equipoise.federation.roster import Register, Roster, folds_of, make_roster, published_counts
from equipoise.genotypes.variants import Variants
from equipoise.plan import Member, Plan, Step


@dataclass(frozen=True, slots=True)
class Dataset:
    """A site's files as loaded: everybody in the genotype file, admitted or not.

    reasons  for each person why they take no part, None where they do
    columns  (samples,) trait and covariates; what is missing there has a reason
    """

    genotypes: BlockSource
    ids: tuple[str, ...]
    reasons: tuple[str | None, ...]
    columns: Mapping[str, NDArray[np.float64]]


@dataclass(slots=True)
class People:
    """The people of one site in one study. Nothing here knows of a wire.

    k      the smallest count published
    least  people below which a site takes no part, and by which rosters differ
    """

    dataset: Dataset
    register: Register
    seed: int
    folds: int
    k: int
    least: int
    executor: Executor | None = None
    variants: Variants | None = None
    kept: dict[str, NDArray[np.float64]] = field(default_factory=dict[str, NDArray[np.float64]])
    _roster: Roster | None = None
    _place: tuple[Plan, Member] | None = None

    def fix(self, study: str) -> str:
        """Fix the roster for the whole run and return its salted digest.

        DisclosureError where too few people are admitted, or where the roster is too
        near an earlier one of this site.
        """
        roster = make_roster(self.dataset.ids, self.dataset.reasons)
        if roster.n < self.least:
            raise DisclosureError(
                f"fewer than {self.least} people are admitted at this site; it takes no part"
            )
        salted = self.register.admit(roster, study)
        self._roster = roster
        return salted

    @property
    def roster(self) -> Roster:
        """The roster, once it is fixed."""
        if self._roster is None:
            raise ProtocolError("the roster has not been fixed")
        return self._roster

    @property
    def counts(self) -> dict[str, object]:
        """What the site announces of its people."""
        return published_counts(self.roster, self.k)

    @property
    def cohort(self) -> Cohort:
        """The admitted people with their columns, those derived so far included.

        At an external site their folds are -1: whatever has a row a training set, and
        everybody first, is read at fold + 1, so there it is the row of everybody.
        """
        if self._place is None:
            raise ProtocolError("there are no folds before there is a plan")
        roster = self.roster
        columns = {name: c[roster.rows] for name, c in self.dataset.columns.items()}
        fold = folds_of(roster.ids, *self._place)
        everybody = Cohort(self.dataset.genotypes, roster.rows, columns, fold, self.executor)
        return everybody.with_columns(self.kept)

    @property
    def contributing(self) -> Cohort:
        """The people whose sums may leave: the admitted ones, nobody at an external site."""
        cohort = self.cohort
        if self._place is not None and not self._place[1].external:
            return cohort
        columns = {name: column[:0] for name, column in cohort.columns.items()}
        return replace(cohort, rows=cohort.rows[:0], columns=columns, fold=cohort.fold[:0])

    def check_plan(self, plan: Plan, own: Member) -> None:
        """Take a plan for its folds; ProtocolError where its least counts are not those kept here.

        `own` is the line that this site announced, not the one that the plan has for it.
        """
        kept = self.seed, self.folds, self.k, self.least
        if (plan.seed, plan.folds, plan.k, plan.roster_k) != kept:
            raise ProtocolError("the plan has another seed, number of folds or least count")
        self._place = plan, own

    def derive(self, step: Step, analysis: Analysis[Any, Any], result: object) -> str | None:
        """Derive the columns of a step and keep them; return their digest, None without any."""
        columns = analysis.derive(self.cohort, result)
        return self.keep(step, columns) if columns or step.keeps else None

    def figures(self, step: Step, analysis: Analysis[Any, Any], result: object) -> dict[str, Any]:
        """Return the figures that the site publishes of itself, coarse and on enough people."""
        if not step.figures:
            return {}
        if not isinstance(analysis, SiteFigures):
            raise ProtocolError("the plan lists figures by site that the analysis does not have")
        publishing = cast("SiteFigures[Any]", analysis)
        own = publishing.figures(self.cohort, result)
        for figure in own.values():
            budget.check_figure(figure, publishing.coarse, self.k, self.least)
        return {name: _published(figure) for name, figure in own.items()}

    def keep(self, step: Step, columns: Columns) -> str:
        """Keep the columns that a step derives here; return their salted digest."""
        if set(columns) != set(step.keeps):
            raise ProtocolError(f"the step {step.name} derives other columns than planned")
        joint = hashlib.sha256()
        for name in sorted(columns):
            self.kept[name] = np.asarray(columns[name], np.float64)
            joint.update(name.encode() + b"\0" + self.kept[name].tobytes())
        return self.register.salted(joint.digest())

    def write(self, directory: Path, results: Mapping[str, Any]) -> list[Path]:
        """Write what stays at the site for its own people; return the files."""
        return own_files.write(
            directory,
            self.roster.ids,
            self.cohort.fold,
            kept=self.kept,
            results=results,
            variants=self.variants,
        )


def _published(figure: Figure) -> dict[str, Any]:
    """Return what a figure says to everybody: not its counts where they are not shown."""
    said = asdict(figure if figure.shown else replace(figure, n=None, events=None))
    del said["shown"]
    return said
