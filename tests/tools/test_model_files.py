"""Models in files, and a group's weights as a scoring file that other tools read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from equipoise.artefacts import pgs_catalog
from equipoise.cli.scoring import score_and_tell
from equipoise.errors import InputError
from equipoise.genotypes import plink
from equipoise.models.polygenic import PolygenicModel
from equipoise.packed.decode import encode
from equipoise.tools import model_files
from equipoise.tools.score import score
from models.polygenic_models import make_model, models
from tools.scoring import listed, site, table

REAL = st.floats(allow_nan=False, allow_infinity=False)


def with_weights(model: PolygenicModel, weights: np.ndarray) -> PolygenicModel:
    object.__setattr__(model, "weights", weights)
    return model


def rows_of(model: PolygenicModel) -> list[tuple[str, int, str, str]]:
    own = model.variants
    columns = (own.chromosome, own.position.tolist(), own.effect_allele, own.other_allele)
    return list(zip(*columns, strict=True))


@settings(max_examples=20)
@given(models())
def test_a_model_comes_back_from_its_folder(
    tmp_path_factory: pytest.TempPathFactory, model: PolygenicModel
) -> None:
    folder = tmp_path_factory.mktemp("models") / "new" / "model"
    model_files.save(folder, model)
    again = model_files.load(folder)
    np.testing.assert_array_equal(again.weights, model.weights)
    assert (again.groups, again.covariates, again.kind) == (
        model.groups,
        model.covariates,
        model.kind,
    )
    assert [c.reason for c in again.calibrations] == [c.reason for c in model.calibrations]


@settings(max_examples=60)
@given(arrays_of.arrays(np.float64, (12, 3), elements=REAL), st.sampled_from(["AFR", "EUR"]))
def test_weights_come_back_from_a_scoring_file_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, weights: np.ndarray, group: str
) -> None:
    model = with_weights(make_model(1), weights)
    g = model.place(group)
    if not weights[:, g].any():
        return  # the format has no file without a weight
    path = tmp_path_factory.mktemp("score") / "score.txt"
    model_files.write_score(path, model, group)
    file = pgs_catalog.read(path)
    assert (file.name, file.build, file.declared) == (
        f"model 1_{group}",
        "GRCh38",
        np.count_nonzero(weights[:, g]),
    )
    found = model_files.read_weights(file, model)
    # -0.0 is no weight, and comes back as 0.0.
    assert (found + 0.0).tobytes() == (weights[:, g] + 0.0).tobytes()


def test_scores_of_the_file_are_those_of_the_model(tmp_path: Path) -> None:
    model = make_model(2)
    path = tmp_path / "score.txt"
    model_files.write_score(path, model, "EUR")
    draw = np.random.default_rng(3)
    calls = draw.binomial(2, 0.4, (12, 7)).astype(np.float64)
    found = score(
        [site(calls)], listed(rows_of(model)), [pgs_catalog.read(path)], keep_ambiguous=True
    )
    expected = model.score(calls.T, "EUR").score
    np.testing.assert_allclose(found.sums[0].score[0], expected, rtol=0, atol=1e-12)


def test_the_command_scores_people_by_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model(4)
    path = tmp_path / "score.txt"
    model_files.write_score(path, model, "AFR")
    calls = np.random.default_rng(5).binomial(2, 0.4, (12, 7)).astype(np.float64)
    ids = tuple(f"P{i}" for i in range(7))
    plink.write(
        tmp_path / "cohort", encode(calls), listed(rows_of(model)), ids, np.ones(7, np.int8)
    )
    out = tmp_path / "scores.tsv"
    score_and_tell([tmp_path / "cohort"], [path], out, keep_ambiguous=True, as_json=True)
    content = json.loads(capsys.readouterr().out)
    assert content["scores"][0]["used"] == np.count_nonzero(model.weights[:, 0])
    assert len(table(out)) == 7


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    one, other = make_model(6), make_model(7)
    path = tmp_path / "score.txt"
    model_files.write_score(path, one, "EUR")
    file = pgs_catalog.read(path)
    with pytest.raises(InputError, match=r"line .*does not have"):
        model_files.read_weights(file, other)
    changed: Any = make_model(6)
    object.__setattr__(changed, "build", "GRCh37")
    with pytest.raises(InputError, match="positions of GRCh38; expected GRCh37"):
        model_files.read_weights(file, changed)
    with pytest.raises(InputError, match="no group 'EAS'"):
        model_files.write_score(path, one, "EAS")
