"""A study file that asks for noise: what it can have, what it says, and a budget over all runs."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from equipoise.analyses.frequency import Frequency
from equipoise.artefacts import gwas_ssf
from equipoise.errors import DisclosureError, IntegrityError
from equipoise.federation.identity import CENTRE
from equipoise.federation.spent import Spent
from equipoise.ledger.audit import verify
from equipoise.study import file
from equipoise.study.protecting import NOISELESS, SHARES
from study.small import CAUSAL, SITES, cli, draw, edit, go, listed, write

pytest.importorskip("dp_accounting", reason="needs the extra `privacy`")

PEOPLE = 400
ASKED = 'kind = "noise"\nepsilon = 20\ndelta = 1e-6\n'


def noised(path: Path, more: str = "") -> Path:
    edit(path, 'kind = "masked"\n', ASKED + more)
    edit(path, "[validation]\nfolds = 4\n", "")
    return path


@pytest.fixture(scope="module")
def study_of_many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the study file; it is not to be changed."""
    folder = tmp_path_factory.mktemp("noised")
    return noised(write(folder / "study", draw(people=PEOPLE)))


@pytest.fixture(scope="module")
def ran(study_of_many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run with homes that last, in `out` and `homes`."""
    folder = tmp_path_factory.mktemp("run")
    go(study_of_many, folder / "out", folder / "homes")
    return folder


def results(out: Path) -> dict[str, Any]:
    return json.loads((out / "results.json").read_text())


def test_a_study_runs_from_file_to_folder_and_is_verified(ran: Path) -> None:
    assert verify(ran / "out").sites == tuple(sorted(SITES))
    content = results(ran / "out")
    nothing = ("model", "evaluation", "audit", "explanation", "ancestry")
    assert all(content[name] is None for name in nothing)
    assert content["quality"]["hardy_weinberg"] is None
    assert not (ran / "out" / "model.txt").exists()
    assert set(content["timings"]) == {*SHARES, "total"}


def test_what_matters_is_found_through_the_noise(ran: Path) -> None:
    top, truth = results(ran / "out")["association"]["top"], listed()
    assert top[0]["base_pair_location"] == int(truth.position[CAUSAL])
    assert top[0]["neg_log_10_p_value"] > 7.3


def test_results_say_budget_and_deviation_of_the_noise(ran: Path) -> None:
    told = results(ran / "out")["disclosure"]["privacy"]
    assert (told["epsilon"], told["delta"], told["study_epsilon"]) == (20, 1e-6, 20)
    spent = [step["epsilon_so_far"] for step in told["steps"].values()]
    assert spent == sorted(spent)
    assert spent[-1] <= 20
    deviations = [step["standard_deviation_of_noise"] for step in told["steps"].values()]
    assert all(sd > 0 for own in deviations for sd in own.values())


def test_frequencies_are_as_far_from_the_truth_as_the_noise_says(
    ran: Path, study_of_many: Path, tmp_path: Path
) -> None:
    exact = Path(shutil.copytree(study_of_many.parent, tmp_path / "exact")) / "study.toml"
    edit(exact, ASKED, 'kind = "masked"\n')
    go(exact, tmp_path / "out")
    one, other = (gwas_ssf.read(o / "association.tsv") for o in (tmp_path / "out", ran / "out"))
    both = np.isfinite(one.effect_allele_frequency) & np.isfinite(other.effect_allele_frequency)
    sd = results(ran / "out")["disclosure"]["privacy"]["steps"]["frequency"]
    sd = sd["standard_deviation_of_noise"]
    people, p = int(one.n[0]), one.effect_allele_frequency[both]
    expected = np.hypot(sd["alleles"], 2 * p * sd["called"]) / (2 * people)
    z: NDArray[np.float64] = (other.effect_allele_frequency[both] - p) / expected
    # Of some 79 normal draws; five deviations of their mean square on either side.
    assert abs(float(np.mean(z**2)) - 1) < 5 * math.sqrt(2 / len(z))


def test_the_dossier_says_that_figures_are_noised(ran: Path) -> None:
    page = (ran / "out" / "dossier.html").read_text()
    assert "noise was added to every total, epsilon 20, delta 1e-06" in page
    assert "Standard deviation of the noise" in page
    assert "No noise was added" not in page
    assert "This study has no model" in page


def test_check_says_the_price_of_each_step(study_of_many: Path) -> None:
    told = cli("check", study_of_many)
    assert told.code == 0, told.err
    assert "Privacy budget of one run: epsilon 20 at delta 1e-06" in told.out
    assert "association: epsilon 20" in told.out
    privacy = cli("check", study_of_many, "--json").json["privacy"]
    assert list(privacy["steps"]) == list(SHARES)


def test_what_check_foretells_is_what_the_run_discloses(ran: Path, study_of_many: Path) -> None:
    foretold = cli("check", study_of_many, "--json").json["privacy"]
    found = results(ran / "out")["disclosure"]["privacy"]
    for step, own in found["steps"].items():
        expected = foretold["steps"][step]
        assert own["epsilon_so_far"] == pytest.approx(expected["epsilon_so_far"], rel=1e-8)
        sd = own["standard_deviation_of_noise"]
        assert sd == pytest.approx(expected["standard_deviation_of_noise"], rel=1e-8)
    assert {k: v for k, v in found.items() if k != "steps"} == {
        k: v for k, v in foretold.items() if k != "steps"
    }


def test_shares_are_the_files_where_it_has_them(study: Path) -> None:
    noised(study, "shares = { frequency = 7 }\n")
    read = file.read(study).protection
    assert read.shares == {**SHARES, "frequency": 7}
    assert read.privacy == {
        "epsilon": 20,
        "delta": 1e-6,
        "study_epsilon": 20,
        "shares": {**SHARES, "frequency": 7},
    }


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("epsilon = 20\n", "", "no key `epsilon`"),
        ("delta = 1e-6\n", "", "no key `delta`"),
        ("epsilon = 20\n", "epsilon = 0\n", "a number above 0"),
        ("epsilon = 20\n", "epsilon = nan\n", "a number above 0"),
        ("delta = 1e-6\n", "delta = 1.0\n", "to below 1"),
        ("epsilon = 20\n", "epsilon = 20\nstudy_epsilon = 1\n", "not below `epsilon`"),
        ("epsilon = 20\n", "epsilon = 20\nshares = { model = 1 }\n", "an unknown step `model`"),
        ("epsilon = 20\n", "epsilon = 20\nshares = { census = 0 }\n", "positive numbers"),
        ('columns = ["sex"]\n', "components = 2\n", NOISELESS["components"]),
        ('columns = ["sex"]\n', 'columns = ["age"]\n', NOISELESS["covariates"]),
        ("[trait]", '[audit]\ngroups = ["sex"]\n\n[trait]', NOISELESS["audit"]),
        ("[trait]", "[validation]\nfolds = 5\n\n[trait]", NOISELESS["folds"]),
        (
            "[trait]",
            '[validation]\nhold_out_each_site = true\nreason = "x"\n\n[trait]',
            NOISELESS["hold_out_each_site"],
        ),
        ('name = "West"\n', 'name = "West"\nexternal = true\n', NOISELESS["external"]),
    ],
)
def test_what_cannot_be_under_noise_is_said_by_name(
    study: Path, old: str, new: str, said: str
) -> None:
    edit(noised(study), old, new)
    told = cli("check", study)
    assert told.code == 2
    assert said in told.err


def test_two_sites_cannot_hide_their_noise(tmp_path: Path) -> None:
    path = noised(write(tmp_path, draw(sites=SITES[:2])))
    told = cli("check", path)
    assert told.code == 3
    assert "at least 3 sites" in told.err


def test_a_second_run_is_beyond_the_budget_of_the_study(
    ran: Path, study_of_many: Path, tmp_path: Path
) -> None:
    homes = Path(shutil.copytree(ran / "homes", tmp_path / "homes"))
    with pytest.raises(
        DisclosureError, match=r"beyond the privacy budget of the study.*20 is spent"
    ):
        go(study_of_many, tmp_path / "again", homes)
    assert cli("check", study_of_many, "--homes", homes).code == 3
    go(study_of_many, tmp_path / "elsewhere")  # homes of its own: nobody there remembers


def test_a_greater_budget_of_the_study_holds_as_many_runs_as_it_says(
    ran: Path, study_of_many: Path, tmp_path: Path
) -> None:
    homes = Path(shutil.copytree(ran / "homes", tmp_path / "homes"))
    path = Path(shutil.copytree(study_of_many.parent, tmp_path / "study")) / "study.toml"
    edit(path, "epsilon = 20\n", "epsilon = 20\nstudy_epsilon = 32\n")
    assert "epsilon 20 spent by 1 earlier runs" in cli("check", path, "--homes", homes).out
    go(path, tmp_path / "second", homes)
    with pytest.raises(DisclosureError, match="by 2 earlier runs"):
        go(path, tmp_path / "third", homes)


def test_what_a_broken_run_did_not_ask_for_is_given_back(
    study_of_many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copytree(study_of_many.parent, tmp_path / "study")) / "study.toml"
    homes = tmp_path / "homes"

    def breaks(*given: object) -> None:
        raise DisclosureError("broken off here")

    with monkeypatch.context() as broken:  # one step of three has been asked by then
        broken.setattr(Frequency, "summarise", breaks)
        with pytest.raises(DisclosureError, match="broken off here"):
            go(path, tmp_path / "broken", homes)
    lines = (homes / "North" / "spent.jsonl").read_text().splitlines()
    reserved, settled = map(json.loads, lines)
    assert (reserved["settled"], settled["settled"]) == (False, True)
    assert 0 < settled["rho"] < 0.1 * reserved["rho"]
    edit(path, "epsilon = 20\n", "epsilon = 20\nstudy_epsilon = 22\n")
    go(path, tmp_path / "whole", homes)


def test_an_altered_record_of_what_was_spent_is_refused(ran: Path, tmp_path: Path) -> None:
    homes = Path(shutil.copytree(ran / "homes", tmp_path / "homes"))
    assert CENTRE in {path.name for path in homes.iterdir()}
    assert not (homes / CENTRE / "spent.jsonl").exists()
    path = homes / "East" / "spent.jsonl"
    for bad in ("{}", '{"study": "small"}', "x", path.read_text().replace('"rho": ', '"rho": -')):
        path.write_text(bad + "\n")
        with pytest.raises(IntegrityError, match="no charge of a run"):
            Spent(homes / "East").charges("small")


def test_attacks_that_know_no_noise_are_not_made(ran: Path) -> None:
    told = cli("leakage", ran / "out")
    assert told.code == 2
    assert "which bound every attack" in told.err
