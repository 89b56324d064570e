"""Loading a site: who is left out and why, in which order of reasons, and what is noticed."""

from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from equipoise.consent.terms import Purpose
from equipoise.errors import InputError
from equipoise.federation.load import DUPLICATE, LOW_CALL_RATE, NO_PHENOTYPE, Files, Loaded, load
from equipoise.federation.roster import make_roster, published_counts
from equipoise.genotypes import plink
from equipoise.genotypes.variants import HEADER, Variants
from equipoise.packed.decode import decode, encode

PEOPLE, VARIANTS = 40, 200
NAN = np.nan
LISTED = Variants.of(
    pl.DataFrame(
        [("22", 100 + i, *("AG", "CT", "GA", "TC")[i % 4]) for i in range(VARIANTS)],
        schema=list(HEADER),
        orient="row",
    )
)


def genotypes() -> NDArray[np.float64]:
    draw = np.random.default_rng(2)
    return draw.binomial(2, 0.4, (VARIANTS, PEOPLE)).astype(np.float64)


def site(
    folder: Path,
    dosage: NDArray[np.float64],
    *,
    trait: Callable[[int], str] = lambda i: "yes" if i % 2 else "no",
    code: Callable[[int], str | None] = lambda _: "HMB",
    listed: Variants = LISTED,
) -> Files:
    ids = tuple(f"P{i}" for i in range(PEOPLE))
    plink.write(folder / "genotypes", encode(dosage), listed, ids)
    table(folder / "phenotypes.tsv", ["IID", "ill", "age"], ([p, trait(i), "50"] for i, p in enumerate(ids)))  # fmt: skip
    terms = ([p, c, ".", "2024-01-01"] for i, p in enumerate(ids) if (c := code(i)))
    table(folder / "consents.tsv", ["IID", "code", "value", "date"], terms)
    return Files(folder / "genotypes.bed", folder / "phenotypes.tsv", folder / "consents.tsv")


def table(path: Path, header: list[str], rows: Iterable[list[str]]) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in (header, *rows)))


def loaded(files: Files, *, trait: str = "ill", covariates: tuple[str, ...] = ("age",)) -> Loaded:
    return load(
        files,
        LISTED,
        trait=trait,
        covariates=covariates,
        purpose=Purpose("HMB"),
        as_of=date(2026, 1, 1),
    )


def test_a_plain_site_admits_everybody(tmp_path: Path) -> None:
    found = loaded(site(tmp_path, genotypes()))
    assert found.dataset.reasons == (None,) * PEOPLE
    assert found.duplicates_sought
    assert found.alignment.matched == VARIANTS


def test_who_is_hardly_called_and_who_is_there_twice_take_no_part(tmp_path: Path) -> None:
    dosage = genotypes()
    dosage[:11, 3] = NAN
    dosage[:10, 4] = NAN
    dosage[:, 9] = dosage[:, 6]
    reasons = loaded(site(tmp_path, dosage)).dataset.reasons
    assert {i: reason for i, reason in enumerate(reasons) if reason} == {
        3: LOW_CALL_RATE,
        9: DUPLICATE,
    }


def test_the_first_reason_is_consent_then_phenotype_then_call_rate(tmp_path: Path) -> None:
    dosage = genotypes()
    dosage[:50, :3] = NAN
    files = site(
        tmp_path,
        dosage,
        trait=lambda i: "NA" if i < 2 else "yes" if i % 2 else "no",
        code=lambda i: None if i == 0 else "HMB",
    )
    first, second, third, *rest = loaded(files).dataset.reasons
    assert first not in (None, NO_PHENOTYPE, LOW_CALL_RATE)
    assert (second, third) == (NO_PHENOTYPE, LOW_CALL_RATE)
    assert set(rest) == {None}


def test_who_takes_no_part_makes_nobody_a_duplicate(tmp_path: Path) -> None:
    dosage = genotypes()
    for one, other in ((0, 20), (1, 21), (2, 22)):
        dosage[:, other] = dosage[:, one]
    dosage[:50, 2] = NAN
    files = site(
        tmp_path,
        dosage,
        trait=lambda i: "NA" if i == 1 else "yes" if i % 2 else "no",
        code=lambda i: None if i == 0 else "HMB",
    )
    reasons = loaded(files).dataset.reasons
    assert [reasons[i] for i in (20, 21, 22)] == [None] * 3
    assert None not in reasons[:3]


def test_few_duplicates_are_announced_as_no_number(tmp_path: Path) -> None:
    dosage = genotypes()
    dosage[:, 9] = dosage[:, 6]
    dataset = loaded(site(tmp_path, dosage)).dataset
    roster = make_roster(dataset.ids, dataset.reasons)
    assert roster.refused == {DUPLICATE: 1}
    announced = published_counts(roster, 5)
    assert announced == {"recruited": None, "admitted": 39, "refused": {"other": None}}


def test_too_few_common_variants_leave_duplicates_unsought_and_say_so(tmp_path: Path) -> None:
    dosage = genotypes()
    dosage[:110] = 0
    dosage[:, 9] = dosage[:, 6]
    found = loaded(site(tmp_path, dosage))
    assert not found.duplicates_sought
    assert set(found.dataset.reasons) == {None}


def test_a_call_rate_is_not_lowered_by_what_the_site_does_not_have(tmp_path: Path) -> None:
    frame = LISTED.frame()
    files = site(tmp_path, genotypes()[:160], listed=Variants.of(frame[:160]))
    found = loaded(files)
    assert found.alignment.absent == 40
    assert set(found.dataset.reasons) == {None}


def test_a_site_on_the_other_strand_loads_as_one_on_the_lists(tmp_path: Path) -> None:
    turned = LISTED.frame().with_columns(
        pl.col(name).replace({"A": "T", "C": "G", "G": "C", "T": "A"}) for name in HEADER[2:]
    )
    found = loaded(site(tmp_path, genotypes(), listed=Variants.of(turned)))
    assert found.alignment.other_strand == VARIANTS
    block = found.dataset.genotypes.packed(0, VARIANTS)
    np.testing.assert_array_equal(decode(block, PEOPLE), genotypes())


@pytest.mark.parametrize("name", ["PC1", "PC12", "PC1_old", "score", "stratum", "probability"])
@pytest.mark.parametrize("role", ["trait", "covariate"])
def test_a_column_named_as_one_that_a_run_derives_is_refused(
    tmp_path: Path, name: str, role: str
) -> None:
    files = site(tmp_path, genotypes())
    own = "ill" if role == "trait" else "age"
    path = files.phenotypes
    path.write_text(path.read_text().replace(f"\t{own}", f"\t{name}", 1))
    with pytest.raises(InputError, match=f"the column `{name}`, whose name is kept") as caught:
        loaded(files, **{"trait": name} if role == "trait" else {"covariates": (name,)})
    (problem,) = caught.value.problems
    assert (problem.file, problem.expected) == (str(path), "another name")
    assert "rename it" in problem.remedy


@pytest.mark.parametrize("name", ["PC", "PCOS", "pc_clinic", "score2", "risk_score", "Stratum"])
def test_names_that_only_look_alike_are_taken(tmp_path: Path, name: str) -> None:
    files = site(tmp_path, genotypes())
    files.phenotypes.write_text(files.phenotypes.read_text().replace("\tage", f"\t{name}", 1))
    assert name in loaded(files, covariates=(name,)).dataset.columns


def test_another_name_is_asked_for_together_with_all_other_problems(tmp_path: Path) -> None:
    files = site(tmp_path, genotypes())
    files.consents.unlink()
    with pytest.raises(InputError) as caught:
        loaded(files, covariates=("PC1",))
    assert len(caught.value.problems) == 3, "the name, the column that is not there, the consents"
