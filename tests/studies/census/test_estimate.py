"""The estimate of a job's time, from two short trainings whose time is planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_up_census import PLAN, write_census
from manygate.studies.census import estimate
from manygate.studies.census.data import CensusData
from manygate.studies.census.estimate import FEW, MORE, SHARE_OF_EPOCHS, job_seconds
from manygate.studies.census.plan import Job

JOB = Job("mmoe", ("income", "never_married"))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CensusData:
    return CensusData(write_census(tmp_path / "source", monkeypatch), PLAN, threads=1)


def test_steps_and_evaluations_add_up(data: CensusData, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes 2 seconds and the rest of a short training 6. An epoch has 7 batches of 64 rows."""
    monkeypatch.setattr(estimate, "_timed", lambda log, config, steps: 6.0 + 2.0 * steps)
    epoch = 2.0 * 7 + (6.0 + 2.0 * FEW)
    trainings = PLAN.trials + 5 / PLAN.trial_replicas
    assert job_seconds(JOB, data.log(JOB), PLAN, 5, 1) == pytest.approx(epoch * SHARE_OF_EPOCHS * PLAN.epochs * trainings)


def test_a_training_is_as_long_as_it_says(data: CensusData, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []
    original = estimate.fit
    monkeypatch.setattr(estimate, "fit", lambda *given: (asked.append(given[4].max_steps), original(*given))[1])
    assert job_seconds(JOB, data.log(JOB), PLAN, 3, 1) > 0
    assert asked == [FEW, MORE]
