"""A network of the study: tuned on validation rows alone, trained with fresh seeds, stopped and continued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from made_up_census import PLAN, write_census
from manygate.data.encoded import EncodedLog
from manygate.runs.tuning.ledger import Outcome as TrialOutcome
from manygate.runs.tuning.study import Study
from manygate.studies.census import networks
from manygate.studies.census.data import CensusData
from manygate.studies.census.networks import run_network
from manygate.studies.census.plan import Job
from manygate.training.progress import Progress

JOB = Job("mmoe", ("income", "never_married"))


def run(log: EncodedLog, folder: Path) -> Any:
    return run_network(JOB, log, PLAN, 3, folder, Progress(), 1).model


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CensusData:
    return CensusData(write_census(tmp_path / "source", monkeypatch), PLAN, threads=1)


def test_no_test_row_touches_a_choice(tmp_path: Path, data: CensusData) -> None:
    """With opposite test labels everything is as before, but for the numbers of the test rows."""
    log = data.log(JOB)
    model = run(log, tmp_path / "a")
    log.parts["test"].label_BT[:] = 1 - log.parts["test"].label_BT
    opposite = run(log, tmp_path / "b")
    assert model.search.model_copy(update={"seconds": 0.0}) == opposite.search.model_copy(update={"seconds": 0.0})
    assert (model.settings, model.epochs) == (opposite.settings, opposite.epochs)
    for task in JOB.tasks:
        assert model.tasks[task].valid == opposite.tasks[task].valid
        values = [1 - value for value in opposite.tasks[task].test.values]
        assert model.tasks[task].test.values == pytest.approx(values)


def test_the_best_trial_is_trained_with_fresh_seeds(tmp_path: Path, data: CensusData) -> None:
    model = run(data.log(JOB), tmp_path / "a")
    values = model.search.values
    assert len(values) == PLAN.trials
    assert model.search.chosen == max(range(len(values)), key=lambda number: values[number] or 0.0)
    assert model.settings == {name: model.settings[name] for name in model.search.settings}
    assert set(model.settings) >= {"learning_rate", "experts", "expert_hidden", "dropout"}
    assert len(model.tasks["income"].test.values) == len(model.epochs) == 3
    assert len(set(model.tasks["income"].test.values)) == 3, "seeds differ"


def test_a_job_that_was_stopped_goes_on_and_gives_the_same(
    tmp_path: Path, data: CensusData, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = data.log(JOB)
    whole = run(log, tmp_path / "a")

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(networks, "judge", stopped)  # all is trained, and nothing is written yet
        with pytest.raises(KeyboardInterrupt):
            run(log, tmp_path / "b")

    def never(*_: object, **__: object) -> None:
        pytest.fail("trained again")

    monkeypatch.setattr(Study, "_run", never)
    monkeypatch.setattr("manygate.runs.run.fit", never)
    again = run(log, tmp_path / "b")
    assert again.tasks == whole.tasks
    assert again.search.values == whole.search.values


def test_a_failed_trial_has_no_value(tmp_path: Path, data: CensusData, monkeypatch: pytest.MonkeyPatch) -> None:
    from manygate.runs.tuning import study as study_module

    original, calls = study_module.run_trial, list[int]()

    def failing(*given: Any) -> TrialOutcome:
        calls.append(1)
        return TrialOutcome("failed", about={"reason": "a planted fault"}) if len(calls) == 1 else original(*given)

    monkeypatch.setattr(study_module, "run_trial", failing)
    model = run(data.log(JOB), tmp_path / "a")
    assert model.search.values[0] is None
    assert model.search.chosen == 1
