"""The models from outside in the study: the same budget, chosen on validation, and every fit made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from made_up_census import PLAN, write_census
from manygate.baselines.boosting_search import tune_task
from manygate.baselines.linear import fit_linear
from manygate.baselines.task_model import TaskRows
from manygate.errors import InputError
from manygate.results.census import CensusModel
from manygate.studies.census import outside
from manygate.studies.census.data import CensusData
from manygate.studies.census.outside import run_outside
from manygate.studies.census.plan import Job
from manygate.training.progress import Progress

BOOSTED, LINEAR = Job("lightgbm", ("income",)), Job("logistic", ("income",))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CensusData:
    return CensusData(write_census(tmp_path / "source", monkeypatch), PLAN, threads=1)


def run(job: Job, data: CensusData, folder: Path) -> CensusModel:
    return run_outside(job, data.log(job), PLAN, 3, folder, Progress(), 1).model


def test_trees_are_tuned_with_the_trials_of_the_networks_and_fitted_with_the_seeds_of_their_runs(
    tmp_path: Path, data: CensusData
) -> None:
    model, log = run(BOOSTED, data, tmp_path / "a"), data.log(BOOSTED)
    tuned = tune_task(log, 0, PLAN.seed, PLAN.trials)
    assert model.search is not None
    assert model.search.values == [score.valid for score in tuned.scores]
    assert model.search.chosen == tuned.number
    expected = []
    for seed in (1, 2, 3):
        rows = TaskRows(log, 0, seed)
        expected.append(rows.score("test", outside.fit_trial(rows, tuned.trial).logit_N["test"]))
    assert model.tasks["income"].test.values == pytest.approx(expected, abs=1e-5)


def test_fits_are_made_once(tmp_path: Path, data: CensusData, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(BOOSTED, data, tmp_path / "a")

    def never(*_: object, **__: object) -> None:
        pytest.fail("fitted again")

    monkeypatch.setattr(outside, "fit_trial", never)
    monkeypatch.setattr("manygate.baselines.boosting_search.fit_trial", never)
    again = run(BOOSTED, data, tmp_path / "a")
    assert again == first


def test_test_labels_choose_nothing(tmp_path: Path, data: CensusData) -> None:
    first, log = run(BOOSTED, data, tmp_path / "a"), data.log(BOOSTED)
    log.parts["test"].label_BT[:] = 1 - log.parts["test"].label_BT
    opposite = run(BOOSTED, data, tmp_path / "b")
    assert first.search is not None
    assert opposite.search is not None
    assert (first.search.values, first.settings) == (opposite.search.values, opposite.settings)
    assert first.tasks["income"].valid == opposite.tasks["income"].valid


def test_logistic_regression_has_one_run(tmp_path: Path, data: CensusData) -> None:
    model, log = run(LINEAR, data, tmp_path / "a"), data.log(LINEAR)
    fitted = fit_linear(TaskRows(log, 0))
    assert not model.seeded
    assert model.tasks["income"].test.values == pytest.approx([TaskRows(log, 0).score("test", np.asarray(fitted.logit_N["test"]))])
    assert model.settings["strength"] == fitted.chosen


def test_a_missing_library_says_how_to_install_it(tmp_path: Path, data: CensusData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "missing_library", lambda name: ("LightGBM is not installed", "Install it with pip."))
    with pytest.raises(InputError, match=r"lightgbm: LightGBM is not installed\. Install it with pip\."):
        run(BOOSTED, data, tmp_path / "a")
