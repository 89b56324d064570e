"""The steps that train a risk model for several ancestries, in the order in which they run.

    parts      who trains, who tunes and who tests, by fold
    linkage    sums over training people; what models are fitted from is held
    singles    strata alone, the pool, clumped scores        scored in tuning people
    joint      joint fits                                    scored in tuning people, by fold
    stack      each group's weights                          scored in training people
    refined    linkage, free of what other blocks explain; then singles, joint and stack again
    methods    baselines beside it                           scored in test people

The scoring steps and `linkage` are rounds that ask sites for sums; all others follow from what
is public. A second time through costs one more column of G'G, and is where most of the accuracy
beyond a weighted stack comes from (benchmarks/results/multi_ancestry.json).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from equipoise.plan import Parameter, Ref, Step
from equipoise.solvers.risk_baselines import METHODS
from equipoise.solvers.risk_stages import most_first, most_second

SCORE = "risk"
"""The derived column with each person's score, in standard deviations of the trait."""

PART = "risk_part"
"""The derived column with what each person is for: see `RiskParts`."""

_ONCE = "risk_once"


@dataclass(frozen=True, slots=True)
class RiskForm:
    """What the steps depend on.

    tuning, test  how many folds, the first ones, tune and then test; all others train
    counted       for each stratum, training people of the smallest set that sums let be derived
    bounds        the most that each covariate, then the trait, may be in absolute value
    borrowed      strata whose linkage comes from `references`, a public result before the run
    background    those of the covariates that are components of ancestry
    frequency     the step that counted alleles
    """

    people: int
    n_variants: int
    starts: tuple[int, ...]
    trait: str
    covariates: tuple[str, ...]
    bounds: tuple[float, ...]
    counted: tuple[int, ...]
    stratum: str
    folds: int
    tuning: int
    test: int
    borrowed: tuple[int, ...] = ()
    background: tuple[str, ...] = ()
    frequency: str = "frequency"

    @property
    def strata(self) -> int:
        """Number of strata."""
        return len(self.counted)

    @property
    def test_part(self) -> int:
        """The number of who tests; those who tune have lower ones."""
        return self.tuning

    @property
    def training_part(self) -> int:
        """The number of who trains."""
        return self.tuning + 1


def risk_steps(form: RiskForm) -> tuple[Step, ...]:
    """Return the steps."""
    return (
        _parts(form),
        _linkage(form),
        *_once(form, "", "linkage.held", _ONCE),
        _residuals(form),
        _refined(),
        *_once(form, "refined_", "refined.held", SCORE),
        _methods(form),
        _sums(form, "tested", "methods", len(METHODS) * form.strata, test=True),
    )


def _parts(form: RiskForm) -> Step:
    sizes: dict[str, Parameter] = {"tuning": form.tuning, "test": form.test, "name": PART}
    return Step("parts", "risk_parts", sizes, 0, (PART,))


def _linkage(form: RiskForm) -> Step:
    parameters: dict[str, Parameter] = {
        **_common(form),
        "starts": form.starts,
        "bounds": form.bounds,
        "folds": 1,
        "counted": form.counted,
        "training": form.training_part,
        "borrowed": form.borrowed,
        "background": form.background,
    }
    if form.borrowed:
        parameters["references"] = Ref("references")
    return Step("linkage", "risk_moments", parameters)


def _once(form: RiskForm, prefix: str, linkage: str, score: str) -> tuple[Step, ...]:
    """Return one time through singles, joint fits and stacks."""
    singles, joint = f"{prefix}singles", f"{prefix}joint"
    frequencies = Ref(form.frequency)
    one: dict[str, Parameter] = {"linkage": Ref(linkage), "frequencies": frequencies}
    two: dict[str, Parameter] = {
        **one,
        "fits": Ref(f"{singles}.held"),
        "totals": Ref(f"{singles}_scored"),
    }
    if prefix:
        one["before"] = two["prior"] = Ref("joint.held")
    three: dict[str, Parameter] = {
        "candidates": Ref(joint),
        "joint": Ref(f"{joint}.held"),
        "totals": Ref(f"{joint}_scored"),
        "frequencies": frequencies,
        "name": score,
        "stratum": form.stratum,
    }
    stack = Step(f"{prefix}stack", "risk_stack", three, 0, (score,))
    return (
        Step(singles, "risk_singles", one, 0),
        _sums(form, f"{singles}_scored", singles, most_first(form.strata), full=False),
        Step(joint, "risk_joint", two, 0),
        _sums(form, f"{joint}_scored", joint, most_second(form.strata)),
        stack,
    )


def _residuals(form: RiskForm) -> Step:
    parameters: dict[str, Parameter] = {
        **_common(form),
        "bounds": form.bounds[:-1],
        "strata": form.strata,
        "n_variants": form.n_variants,
        "training": form.training_part,
        "score": _ONCE,
        "columns": Ref("linkage"),
    }
    return Step("residuals", "residual_sums", parameters)


def _refined() -> Step:
    parameters: dict[str, Parameter] = {
        "linkage": Ref("linkage.held"),
        "columns": Ref("linkage"),
        "weights": Ref("stack"),
        "residuals": Ref("residuals"),
    }
    return Step("refined", "risk_refined", parameters, 0)


def _methods(form: RiskForm) -> Step:
    parameters: dict[str, Parameter] = {
        "fits": Ref("singles.held"),
        "joint": Ref("joint.held"),
        "totals": Ref("joint_scored"),
        "once": Ref("stack"),
        "ended": Ref("refined_stack"),
        "frequencies": Ref(form.frequency),
        "people": Ref("linkage"),
    }
    return Step("methods", "risk_methods", parameters, 0)


def _sums(
    form: RiskForm,
    name: str,
    candidates: str,
    most: int,
    *,
    full: bool = True,
    test: bool = False,
) -> Step:
    """Return the step that sums scores: of tuning people by fold, or of all test people."""
    parameters: dict[str, Parameter] = {
        **_common(form),
        "bounds": form.bounds[:-1],
        "strata": form.strata,
        "candidates": most,
        "tuning": 0 if test else form.tuning,
        "test": form.test_part,
        "full": full,
        "weights": Ref(candidates),
        "columns": Ref("linkage"),
    }
    return Step(name, "score_sums", parameters)


def _common(form: RiskForm) -> Mapping[str, Parameter]:
    return {
        "people": form.people,
        "trait": form.trait,
        "covariates": form.covariates,
        "frequencies": Ref(form.frequency),
        "stratum": form.stratum,
        "part": PART,
    }
