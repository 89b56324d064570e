"""The gene network beside a trained model: on whom, over sites, within its budget, and in files."""

import json
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.analyses.gene_network_result import COMPARE, STOP, TRAIN
from equipoise.analyses.risk_steps import PART
from equipoise.artefacts import model_files
from equipoise.errors import DisclosureError, InputError
from equipoise.learn.arguments import one_blas_thread
from equipoise.models.gene_tables import Genes
from equipoise.models.network_model import NetworkModel, from_parts, to_parts
from equipoise.sums import PEOPLE_PER_COLUMN
from equipoise.tools import network_files
from equipoise.tools.adding import Adding
from equipoise.tools.train import Trained, train
from equipoise.tools.train_files import write as write_folder
from equipoise.tools.train_model import build
from equipoise.tools.train_network import (
    COUNTED,
    LEAST_PEOPLE,
    LEAST_ROUNDS,
    PARTED,
    Asked,
    Network,
    asked,
    beside,
    joined,
    network,
    parts,
    people,
    refuse,
)
from equipoise.tools.train_people import STRATUM, Request
from equipoise.tools.train_scores import STANDARD
from tools.risk_people import People, write
from tools.risk_people import people as drawn
from tools.test_train import quiet, together

pytest.importorskip("jax")

WIDTH = 2
TEST = 0.34


def planted(seed: int, n: int = 9000) -> People:
    """Return people of one group with an interaction of two variants, which no score has."""
    draw = np.random.default_rng(seed)
    dosage = draw.binomial(2, 0.4, (n, 40)).astype(np.float64)
    x = (dosage - 0.8) / np.sqrt(0.48)
    trait = 0.5 * x[:, 0] + 0.5 * x[:, 7] + 1.5 * x[:, 2] * x[:, 3] + draw.normal(size=n)
    # `sick` is a trait above 1: about half.
    return People(dosage, trait + 1, draw.normal(size=n), np.zeros(n, np.int64))


def request(files: list[Path], **changes: Any) -> Request:
    tables = tuple(path.with_suffix(".tsv") for path in files)
    own = Request(tuple(map(str, files)), tables, "trait", ("age",), "group", test=TEST)
    return replace(own, **changes)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write(tmp_path_factory.mktemp("three"), drawn(), sites=3)


@pytest.fixture(scope="module")
def trained(files: list[Path]) -> Trained:
    with one_blas_thread():
        return train(request(files), quiet)


@pytest.fixture(scope="module")
def wanted() -> Asked:
    return Asked(rounds=30, width=WIDTH)


@pytest.fixture(scope="module")
def found(trained: Trained, wanted: Asked) -> Network:
    return network(trained, wanted, quiet)


@given(st.integers(4, 25))
def test_a_fifth_compares_a_tenth_stops_and_at_least_half_train(test: int) -> None:
    part = parts(np.arange(test), test).tolist()
    assert part == sorted(part, reverse=True)
    counts = {p: part.count(p) for p in (COMPARE, STOP, TRAIN)}
    assert counts[COMPARE] == max(1, round(test / 5))
    assert counts[STOP] == max(1, round(test / 10))
    assert counts[TRAIN] >= test / 2


def test_nobody_is_in_it_who_trained_or_tuned_the_score(trained: Trained) -> None:
    form, own = trained.form, people(trained)
    first, n = form.tuning, 0
    for everybody, cohort in zip(trained.cohorts, own, strict=True):
        tested = everybody.column(PART) == form.test_part
        np.testing.assert_array_equal(cohort.rows, everybody.rows[tested])
        fold = everybody.fold[tested]
        assert first <= fold.min() <= fold.max() < first + form.test
        # Of 17 folds the first three compare, and two stop.
        expected = np.where(fold < first + 3, COMPARE, np.where(fold < first + 5, STOP, TRAIN))
        np.testing.assert_array_equal(cohort.column(PARTED), expected)
        n += cohort.n
    assert form.test == 17
    assert 0.3 * form.people < n < 0.38 * form.people


def test_three_masked_sites_are_one_site_to_the_last_digit(
    trained: Trained, found: Network
) -> None:
    assert trained.summary["protection"] == "masked"
    one = Adding([together(people(trained))]).run(found.analysis)
    for each in fields(found.result):
        mine, pooled = getattr(found.result, each.name), getattr(one, each.name)
        np.testing.assert_array_equal(mine, pooled, each.name)
    assert len(one.history) > 5


def test_the_rival_has_an_intercept_and_a_slope_for_each_group(
    trained: Trained, found: Network
) -> None:
    cohort = together(people(trained))
    group, score = cohort.column(STRATUM), cohort.column(STANDARD)
    x = np.column_stack(
        [np.ones(cohort.n), score, cohort.column("age")]
        + [c for s in (1, 2) for c in ((group == s) * 1.0, (group == s) * score)]
    )
    train = cohort.column(PARTED) == TRAIN
    # The analysis draws its coefficients to 0 a little: a penalty of .1 beside hundreds of people.
    ridge = np.diag([0.0] + [0.1] * 6)
    y = cohort.column("trait")[train]
    expected = np.linalg.solve(x[train].T @ x[train] + ridge, x[train].T @ y)
    np.testing.assert_allclose(found.result.linear, expected, atol=1e-5)
    assert list(beside(trained)) == [
        "age",
        *("in_group_1", "score_in_group_1", "in_group_2", "score_in_group_2"),
    ]


def test_rounds_are_as_many_as_the_people_outside_the_largest_site_allow(
    trained: Trained, found: Network
) -> None:
    sizes = [cohort.n for cohort in people(trained)]
    allowed = (sum(sizes) - max(sizes)) // PEOPLE_PER_COLUMN
    assert found.allowed == allowed
    assert found.columns == COUNTED * WIDTH
    assert found.analysis.rounds == allowed // found.columns < found.asked.rounds
    said = network_files.summary(found)
    assert said["columns"]["told"] == found.columns * found.result.rounds <= allowed
    assert said["rounds"]["most"] == found.analysis.rounds
    assert said["rounds"]["asked"] == 30


def test_too_few_rounds_are_refused_before_anything_is_trained(
    files: list[Path], trained: Trained
) -> None:
    wide = Asked(width=4)
    with pytest.raises(DisclosureError, match=rf"{LEAST_ROUNDS} are the least; take a smaller"):
        network(trained, wide, quiet)
    asking = request(files)
    told: list[float] = []
    with pytest.raises(DisclosureError, match="tells 8 columns"):
        train(asking, told.append, partial(refuse, wide, asking))
    assert told == []


@pytest.mark.parametrize("binary", [False, True])
def test_an_interaction_is_found_and_the_folder_says_so(binary: bool, tmp_path: Path) -> None:
    (path,) = write(tmp_path, planted(3), sites=1)
    asking = request([path], groups="", binary=binary, trait="sick" if binary else "trait")
    with one_blas_thread():
        trained = train(asking, quiet)
        own = network(trained, Asked(rounds=80), quiet)
    # One site tells nobody anything: all rounds are allowed.
    assert (own.allowed, own.analysis.rounds) == (None, 80)
    assert own.result.recommended == "network"
    built = build(trained, "planted", "GRCh38", ())
    content = write_folder(tmp_path / "out", trained, built, (), own)
    said = json.loads((tmp_path / "out" / "network.json").read_text("utf-8"))
    assert said == content["network"] == network_files.summary(own)
    assert said["recommended"] == "network"
    assert said["columns"] == {"each_round": 16, "told": None, "allowed": None}
    assert said["recommendation"] == own.result.recommendation
    assert said["losses"]["linear"] - said["losses"]["network"] > 0.02
    assert said["best_round"] == own.result.best_round + 1
    assert ("with_trait" in said["people"]["train"]) == binary
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert own.result.recommendation in page
    assert "Loss by round" in page


def test_without_an_interaction_the_linear_model_is_recommended(found: Network) -> None:
    said = network_files.summary(found)
    assert said["recommended"] == found.result.recommended == "linear"
    assert said["recommendation"].startswith("Use the linear model, since the network is")
    parted = said["people"]
    assert [parted[name]["people"] for name in ("train", "stop", "compare")] == (
        found.result.counts[:, 0].tolist()
    )
    by_round = said["by_round"]
    losses = by_round["network"]["compare"][said["best_round"] - 1]
    assert losses == pytest.approx(said["losses"]["network"], abs=2e-6)


def test_a_network_in_files_predicts_as_it_did(
    trained: Trained, found: Network, tmp_path: Path
) -> None:
    model = network_files.model_of(trained, found, "GRCh38")
    network_files.save(tmp_path / "network", model)
    assert sorted(p.name for p in (tmp_path / "network").iterdir()) == [
        "network.json",
        "network.safetensors",
    ]
    again = network_files.load(tmp_path / "network")
    assert same(again, model)
    for cohort in people(trained):
        derived = found.analysis.derive(cohort, found.result)["network_predictor"]
        age, trait = (np.concatenate([p.values[:, i] for p in trained.people]) for i in (1, 0))
        own = cohort.column("age") * age.std() + age.mean()
        group = cohort.column(STRATUM).astype(np.int64)
        predicted = again.predict(cohort, cohort.column(STANDARD), own[:, None], group)
        # The network computes in single precision.
        np.testing.assert_allclose(predicted, derived * trait.std() + trait.mean(), atol=1e-4)
    with pytest.raises(InputError, match="another format"):
        model_files.load(_renamed(tmp_path / "network"))


def _renamed(folder: Path) -> Path:
    """Give a network's files the names of a polygenic model's."""
    for path in list(folder.iterdir()):
        path.rename(path.with_name("model" + path.suffix))
    return folder


def same(one: NetworkModel, other: NetworkModel) -> bool:
    """Return whether two are the same to the last bit."""
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)]
    return all(
        a.tobytes() == b.tobytes() and a.dtype == b.dtype and a.shape == b.shape
        if isinstance(a, np.ndarray)
        else a == b
        for a, b in pairs
    )


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": np.zeros(3)},
        {"linear": np.full(7, np.nan)},
        {"used": np.zeros(120)},
        {"starts": np.array([0, 50], np.int64)},
        {"stops": np.array([50, 60, 110, 121], np.int64)},
        {"genes": ("one",)},
        {"chromosome": ("1",)},
        {"bounds": np.ones(2)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_parts_that_do_not_fit_are_refused(
    trained: Trained, found: Network, change: dict[str, Any]
) -> None:
    model = network_files.model_of(trained, found, "GRCh38")
    arrays, described = to_parts(model)
    assert same(from_parts(arrays, described), model)
    changed, _ = to_parts(replace(model, **change))
    with pytest.raises(InputError, match="expected those of one network"):
        from_parts(changed, described)
    with pytest.raises(InputError, match="missing or of another form"):
        from_parts(arrays, {**described, "covariates": None})


RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8)), min_size=1, max_size=12)


@given(RANGES)
def test_genes_that_share_variants_are_one(ranges: list[tuple[int, int]]) -> None:
    own = sorted((a, a + size) for a, size in ranges)
    starts, stops = (tuple(each) for each in zip(*own, strict=True))
    of = joined(Genes(tuple(map(str, range(len(own)))), starts, stops, 7))
    read = np.zeros(40, np.int64)
    for a, b in zip(of.starts, of.stops, strict=True):
        read[a:b] += 1
    expected = np.zeros(40, np.int64)
    for a, b in own:
        expected[a:b] = 1
    np.testing.assert_array_equal(read, expected)
    assert "+".join(of.names).split("+") == list(map(str, range(len(own))))
    assert of.outside == 7


def test_genes_of_a_table_are_read_and_named(
    trained: Trained, files: list[Path], tmp_path: Path
) -> None:
    # Variants lie a thousand bases apart, 60 to a chromosome.
    table = tmp_path / "genes.bed"
    table.write_text("1\t900\t5500\tA\n1\t4500\t9100\tB\n2\t60000\t70100\tC\nX\t1\t9\tD\n")
    own = asked(str(table), 0, 30, WIDTH, request=request(files), build="NR")
    told = network_files.summary(network(trained, own, quiet))
    assert told["genes"] == {
        "table": "genes.bed",
        "margin": 0,
        "of_the_table": 3,
        "read": 2,
        "variants_outside": 120 - 9 - 10,
    }


def test_a_table_of_other_places_is_refused_before_anything_is_trained(
    files: list[Path], tmp_path: Path
) -> None:
    table = tmp_path / "genes.bed"
    table.write_text("NC_000001.11\t900\t5500\tA\n")
    asking, told = request(files), list[float]()
    own = asked(str(table), 0, 30, WIDTH, request=asking, build="NR")
    with pytest.raises(InputError, match="no gene of the table has a variant"):
        train(asking, told.append, partial(refuse, own, asking))
    assert told == []


def test_the_table_of_the_package_is_for_its_own_build(files: list[Path]) -> None:
    for name in ("NR", "GRCh38", "hg38"):
        own = asked("GRCh38", 500, 60, 8, request=request(files), build=name)
        assert len(own.intervals) > 30_000
        assert "Ensembl 110" in own.table
    with pytest.raises(InputError, match="for variants of GRCh37; expected genes of their own"):
        asked("GRCh38", 0, 60, 8, request=request(files), build="GRCh37")


@pytest.mark.parametrize(
    ("options", "changes", "said"),
    [
        (("", 0, 60, 8), {"test": 0.05}, "is 3 folds of people.*raise --test"),
        (("", 10, 60, 8), {}, "--gene-margin widens the genes of a table"),
        (("no.bed", 0, 60, 8), {}, "no such file"),
        (("genes.txt", 0, 60, 8), {}, "name it .gff3 or .bed"),
        (("GRCh37", 0, 60, 8), {}, "GRCh37 comes with the package; expected GRCh38"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(
    files: list[Path], options: tuple[Any, ...], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        asked(*options, request=request(files, **changes), build="NR")


def test_parts_that_are_too_small_are_refused(trained: Trained, files: list[Path]) -> None:
    asking = request(files)

    def with_traits(values: dict[int, float]) -> list[Any]:
        """Return everybody, the yes/no trait by part: which share has it."""
        draw, found = np.random.default_rng(1), []
        for cohort in trained.cohorts:
            part = parts(cohort.fold - trained.form.tuning, trained.form.test)
            chance = np.array([values[int(p)] for p in part])
            found.append(cohort.with_columns({"trait": (draw.random(cohort.n) < chance) * 1.0}))
        return found

    narrow = Asked(width=WIDTH)
    refuse(
        narrow,
        replace(asking, binary=True),
        trained.sites,
        with_traits({TRAIN: 0.5, STOP: 0.5, COMPARE: 0.5}),
    )
    for rare in ({TRAIN: 0.5, STOP: 0.02, COMPARE: 0.5}, {TRAIN: 0.5, STOP: 0.5, COMPARE: 0.99}):
        with pytest.raises(InputError, match=f"needs {LEAST_PEOPLE} with the trait"):
            refuse(narrow, replace(asking, binary=True), trained.sites, with_traits(rare))
    late = [replace(c, fold=np.where(c.fold == 20, 9, c.fold)) for c in trained.cohorts]
    late = [replace(c, fold=np.where(c.fold > 15, 9, c.fold)) for c in late]
    with pytest.raises(InputError, match="fewer than half"):
        refuse(narrow, asking, trained.sites, late)


def test_without_jax_the_error_says_what_to_install(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jax", None)
    with pytest.raises(InputError, match=r"pip install 'equipoise\[network\]'"):
        asked("", 0, 60, 8, request=request(files), build="NR")
