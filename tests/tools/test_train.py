"""Training over sites: as from rows at hand, the same however people are spread, and in files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.analyses.risk_steps import PART, RiskForm, risk_steps
from equipoise.cohort import Cohort
from equipoise.errors import InputError
from equipoise.solvers.block_correlations import Residuals, correlations, refined
from equipoise.solvers.block_moments import BlockMoments, moments_of_rows
from equipoise.solvers.risk_stages import Liked, chosen, first, liked, second, singles, total
from equipoise.solvers.sparse_weights import SparseWeights
from equipoise.solvers.stack import StackMoments, stack_moments
from equipoise.tools import model_files
from equipoise.tools.adding import Adding
from equipoise.tools.train import Trained, run_steps, train
from equipoise.tools.train_files import summary
from equipoise.tools.train_model import build
from equipoise.tools.train_people import FOLDS, STRATUM, Request
from tools.risk_people import GROUPS, People, people, write

Array = NDArray[np.float64]


def quiet(share: float) -> None:
    assert 0 <= share <= 1


@pytest.fixture(scope="module")
def drawn() -> People:
    return people()


@pytest.fixture(scope="module")
def files(drawn: People, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write(tmp_path_factory.mktemp("risk"), drawn)


def request(files: list[Path], **changes: Any) -> Request:
    asked = Request(
        tuple(map(str, files)),
        tuple(path.with_suffix(".tsv") for path in files),
        "trait",
        ("age",),
        "group",
    )
    return replace(asked, **changes)


@pytest.fixture(scope="module")
def trained(files: list[Path]) -> Trained:
    return train(request(files), quiet)


def together(cohorts: tuple[Cohort, ...]) -> Cohort:
    """Return the people of all sites at one."""
    dosage = np.concatenate([c.dosage(0, c.genotypes.n_variants) for c in cohorts], axis=1)
    from equipoise.packed.decode import encode
    from strategies import Memory

    names = list(cohorts[0].columns)
    return Cohort(
        Memory(encode(dosage), dosage.shape[1]),
        np.arange(dosage.shape[1]),
        {name: np.concatenate([c.columns[name] for c in cohorts]) for name in names},
        np.concatenate([c.fold for c in cohorts]),
    )


def test_four_masked_sites_are_as_all_people_at_one(trained: Trained) -> None:
    assert trained.summary["protection"] == "masked"
    known: dict[str, Any] = {"frequency": trained.known["frequency"]}
    one = together(trained.cohorts)
    run_steps(risk_steps(trained.form), Adding([one]), known, quiet)
    for name in ("stack", "refined_stack"):
        masked, pooled = trained.known[name], known[name]
        np.testing.assert_array_equal(masked.stacked, pooled.stacked)
        np.testing.assert_allclose(masked.weights, pooled.weights, atol=1e-5)
    for mine, theirs in zip(trained.known["tested"].gram, known["tested"].gram, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-3 * np.abs(theirs).max())


class FromRows:
    """The stages on rows at hand, without a schema, a record or a site."""

    def __init__(self, cohort: Cohort, trained: Trained) -> None:
        form, known = trained.form, trained.known
        dosage = cohort.dosage(0, form.n_variants).T
        mean, used = known["frequency"].means(0, form.n_variants)
        self.g = (np.where(np.isnan(dosage), mean, dosage) - mean) * used
        columns = known["linkage"]
        self.y = columns.standard(cohort.column(form.trait))
        names = form.covariates
        self.c = np.column_stack([np.ones(cohort.n), *map(cohort.column, names)])
        self.group, self.part = cohort.column(STRATUM), cohort.column(PART)
        self.form = form

    def moments(self) -> list[BlockMoments]:
        starts = np.array(self.form.starts)
        found = []
        for s in range(self.form.strata):
            m = self.training(s)
            found.append(moments_of_rows(self.g[m], self.c[m], self.y[m], starts))
        return found

    def training(self, s: int) -> NDArray[np.int64]:
        return np.flatnonzero((self.group == s) & (self.part == self.form.training_part))

    def tuned(self, weights: SparseWeights) -> dict[str, list[StackMoments]]:
        z = self.g @ weights.dense(0, self.form.n_variants)
        return {
            str(s): [
                stack_moments(z[m], self.c[m], self.y[m])
                for f in range(self.form.tuning)
                for m in [np.flatnonzero((self.group == s) & (self.part == f))]
            ]
            for s in range(self.form.strata)
        }

    def once(
        self,
        strata: dict[str, Any],
        prior: SparseWeights | None = None,
        before: Liked | None = None,
    ) -> tuple[list[Array], SparseWeights, Liked]:
        alone = first(strata, None, before)
        choice = liked(alone, total(self.tuned(alone.weights)))
        joint = second(strata, alone, choice, None, prior)
        ends = chosen(joint, self.tuned(joint.weights))
        made = [joint.weights.combined(end.weights) for end in ends.values()]
        return made, singles(alone, choice), choice

    def weights(self) -> list[Array]:
        moments = self.moments()
        strata = {str(s): correlations(m) for s, m in enumerate(moments)}
        made, prior, choice = self.once(strata)
        again = {}
        for s, held in enumerate(moments):
            m = self.training(s)
            left = self.y[m] - self.g[m] @ made[s]
            residuals = Residuals(self.c[m].T @ left, self.g[m].T @ left)
            again[str(s)] = refined(strata[str(s)], held, residuals, made[s])
        return self.once(again, prior, choice)[0]


def test_training_is_what_the_stages_make_of_rows(trained: Trained) -> None:
    rows = FromRows(together(trained.cohorts), trained)
    for s, expected in enumerate(rows.weights()):
        m = rows.group == s
        mine = rows.g[m] @ trained.known["refined_stack"].weights[s]
        theirs = rows.g[m] @ expected
        # Linkage is held in single precision, and fits end within a tolerance.
        np.testing.assert_allclose(mine, theirs, atol=0.01 * theirs.std())


def test_scores_serve_every_group(trained: Trained) -> None:
    for s in range(3):
        found = {method: by_group[s] for method, by_group in trained.accuracy.items()}
        stacked, reference = found["stacked"], found["reference"]
        assert stacked is not None
        assert reference is not None
        assert stacked.low > 0.05
        if s:
            assert stacked.r2 > reference.r2


def test_accuracy_is_of_people_whom_nothing_saw(trained: Trained) -> None:
    rows = FromRows(together(trained.cohorts), trained)
    for s in range(3):
        m = (rows.group == s) & (rows.part == rows.form.test_part)
        score = rows.g[m] @ trained.known["refined_stack"].weights[s]
        left = [v - rows.c[m] @ np.linalg.lstsq(rows.c[m], v)[0] for v in (score, rows.y[m])]
        found = trained.accuracy["stacked"][s]
        assert found is not None
        assert found.people == m.sum()
        assert found.r2 == pytest.approx(np.corrcoef(*left)[0, 1] ** 2, abs=1e-5)


def test_a_model_says_of_dosages_what_sums_said(trained: Trained, tmp_path: Path) -> None:
    built = build(trained, "three", "GRCh38", ())
    model_files.save(tmp_path / "model", built.model)
    model = model_files.load(tmp_path / "model")
    cohort = together(trained.cohorts)
    dosage = cohort.dosage(0, trained.form.n_variants).T
    unit = trained.known["linkage"].deviation * float(trained.columns.scale[0])
    raw = people()
    order = [p for site in range(4) for p in range(site, len(raw.trait), 4)]
    for s, group in enumerate(trained.groups):
        m = np.flatnonzero(cohort.column(STRATUM) == s)
        score = model.score(dosage[m], group)
        column = unit * cohort.column("risk")[m]
        np.testing.assert_allclose(
            score.score - score.score.mean(), column - column.mean(), atol=1e-6
        )
        place = raw.group == GROUPS.index(group)
        predicted = model.predict(score, group, raw.age[order][m][:, None]).risk
        assert predicted is not None
        # On the scale of the trait: its mean in the group, within a few standard errors.
        observed = raw.trait[place]
        error = observed.std() / np.sqrt(0.15 * len(observed))
        assert abs(predicted.value.mean() - observed.mean()) < 4 * error


def test_a_yes_no_trait(files: list[Path]) -> None:
    trained = train(request(files, trait="sick", binary=True), quiet)
    built = build(trained, "sick", "GRCh38", ())
    assert built.model.kind == "binary"
    for s, one in enumerate(built.model.calibrations):
        assert one.slope is not None
        assert one.slope > 0
        found = trained.accuracy["stacked"][s]
        assert found is not None
        assert found.r2 > 0.03
    slopes = [own.slope for own in built.model.sites.values() if own.slope is not None]
    assert slopes
    assert 0.3 < np.mean(slopes) < 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"groups": "age"}, "over 100 different labels"),
        ({"groups": "ancestry"}, "no column 'ancestry'"),
        ({"tuning": 0.02}, "half of the people"),
        ({"tuning": 0.4, "test": 0.4}, "half of the people"),
        ({"trait": "weight"}, "no column 'weight'"),
        ({"trait": "trait", "binary": True}, "other values than 0 and 1"),
    ],
)
def test_what_is_wrong_is_said(files: list[Path], changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        train(request(files, **changes), quiet)


def test_a_group_that_is_too_small_is_refused(drawn: People, tmp_path: Path) -> None:
    few = np.flatnonzero((drawn.group != 2) | (np.cumsum(drawn.group == 2) <= 60))
    part = People(drawn.dosage[few], drawn.trait[few], drawn.age[few], drawn.group[few])
    with pytest.raises(InputError, match="'small' has 60 people"):
        train(request(write(tmp_path, part)), quiet)


def test_a_small_group_borrows_its_linkage(
    files: list[Path], drawn: People, trained: Trained, tmp_path: Path
) -> None:
    # The reference are the group's own people: nothing is lost but that they are told to be.
    of = np.flatnonzero(drawn.group == 2)
    own = People(drawn.dosage[of], drawn.trait[of], drawn.age[of], drawn.group[of])
    (reference,) = write(tmp_path, own, sites=1)
    borrowing = train(request(files, references={"small": str(reference)}), quiet)
    assert borrowing.groups[-1] == "small"
    last = len(borrowing.groups) - 1
    assert borrowing.form.borrowed == (last,)
    assert borrowing.known["linkage"].told[last] == 0
    match = borrowing.known["linkage.held"].matches[last]
    assert match.fits
    found, before = (of.accuracy["stacked"][last] for of in (borrowing, trained))
    assert found is not None
    assert before is not None
    assert found.r2 > 0.5 * before.r2
    content = summary(borrowing, build(borrowing, "b", "GRCh38", ()), ())
    assert content["groups"][last]["reference"]["fits"]


def test_a_reference_of_others_is_said_not_to_fit(
    files: list[Path], drawn: People, tmp_path: Path
) -> None:
    of = np.flatnonzero(drawn.group == 0)
    other = People(drawn.dosage[of], drawn.trait[of], drawn.age[of], drawn.group[of])
    (reference,) = write(tmp_path, other, sites=1)
    borrowing = train(request(files, references={"small": str(reference)}), quiet)
    assert not borrowing.known["linkage.held"].matches[2].fits


@pytest.mark.parametrize(
    ("references", "said"),
    [({"tiny": "a.bed"}, "groups of people here"), (dict.fromkeys(GROUPS, "a.bed"), "every group")],
)
def test_references_that_make_no_sense(
    files: list[Path], references: dict[str, str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        train(request(files, references=references), quiet)


def test_folds_are_shares_of_the_people(trained: Trained) -> None:
    form: RiskForm = trained.form
    assert (form.tuning, form.test) == (8, 8)
    part = np.concatenate([c.column(PART) for c in trained.cohorts])
    fold = np.concatenate([c.fold for c in trained.cohorts])
    np.testing.assert_array_equal(part == form.training_part, fold >= 16)
    np.testing.assert_array_equal(part == form.test_part, (fold >= 8) & (fold < 16))
    np.testing.assert_array_equal(part[fold < 8], fold[fold < 8])
    assert fold.max() == FOLDS - 1
    assert form.n_variants == form.starts[-1]
    content = json.dumps(trained.summary)
    assert "seconds" in content
