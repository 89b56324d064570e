"""A site's rows, from the loaded files to the cohort of one study."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from equipoise.analysis import Analysis, SiteFigures
from equipoise.artefacts import scores
from equipoise.cohort import BlockSource, Cohort, Columns
from equipoise.errors import DisclosureError, ProtocolError
from equipoise.federation import budget
from equipoise.federation.roster import Register, Roster, folds, make_roster, published_counts
from equipoise.plan import Plan, Step


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
    """The people of one site in one study. Nothing here knows of a wire."""

    dataset: Dataset
    register: Register
    seed: int
    folds: int
    k: int
    least: int
    executor: Executor | None = None
    kept: dict[str, NDArray[np.float64]] = field(default_factory=dict[str, NDArray[np.float64]])
    _roster: Roster | None = None

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
        """The admitted people with their columns, those derived so far included."""
        roster = self.roster
        columns = {name: c[roster.rows] for name, c in self.dataset.columns.items()}
        fold = folds(roster.ids, self.seed, self.folds)
        everybody = Cohort(self.dataset.genotypes, roster.rows, columns, fold, self.executor)
        return everybody.with_columns(self.kept)

    def check_plan(self, plan: Plan) -> None:
        """Raise ProtocolError unless a plan speaks of the folds and least counts kept here."""
        own = self.seed, self.folds, self.k, self.least
        if (plan.seed, plan.folds, plan.k, plan.roster_k) != own:
            raise ProtocolError("the plan has another seed, number of folds or least count")

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
            budget.check_figure(figure, publishing.coarse, self.k)
        return {name: asdict(figure) for name, figure in own.items()}

    def keep(self, step: Step, columns: Columns) -> str:
        """Keep the columns that a step derives here; return their salted digest."""
        if set(columns) != set(step.keeps):
            raise ProtocolError(f"the step {step.name} derives other columns than planned")
        joint = hashlib.sha256()
        for name in sorted(columns):
            self.kept[name] = np.asarray(columns[name], np.float64)
            joint.update(name.encode() + b"\0" + self.kept[name].tobytes())
        return self.register.salted(joint.digest())

    def write(self, directory: Path) -> list[Path]:
        """Write what stays at the site for its own people; return the files."""
        if "score" not in self.kept:
            return []
        path = directory / "scores.tsv"
        fold = folds(self.roster.ids, self.seed, self.folds)
        scores.write(path, self.roster.ids, self.kept["score"], fold)
        return [path]
