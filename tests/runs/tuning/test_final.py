"""The end of a search: fresh seeds, and the paired gain on test rows."""

from __future__ import annotations

from typing import Any

import pytest

from manygate.config import TuneConfig
from manygate.evaluation.gains import measured
from manygate.metrics.paired import gain
from manygate.results.tuning import ChosenTrial
from manygate.runs.run import train_one
from manygate.runs.tuning.final import train_final
from manygate.training.progress import Progress
from searched import space

TUNING = TuneConfig(trials=3, final_replicas=3)


@pytest.fixture(scope="module")
def log(encoded: Any) -> Any:
    return encoded()


def final(log: Any, settings: Any, number: int) -> Any:
    base = space(**settings(replicas=2, seed=4, epochs=1).model_dump())
    chosen = ChosenTrial(number=number, settings={"learning_rate": 0.05, "experts": 2, "dropout": 0.0}, rule="")
    return train_final(log, base, TUNING, chosen, None, Progress())


def test_both_have_seeds_that_no_trial_used(log: Any, settings: Any) -> None:
    runs, trained = final(log, settings, 2)
    assert (runs.replicas, runs.seed) == (3, 6), "the trials had the seeds 4 and 5"
    for run in trained.values():
        assert [run.model.config.seed_of(r) for r in range(3)] == [6, 7, 8]
    assert trained["tuned"].model.config.experts == 2
    assert trained["default"].model.config.experts == 3


def test_the_gain_is_paired_and_holds_for_all_tasks(log: Any, settings: Any) -> None:
    runs, _ = final(log, settings, 2)
    config = settings(replicas=3, seed=6, epochs=1)
    pair = [train_one(log, each, None, Progress(), own_clocks=True) for each in
            (config.replace(learning_rate=0.05, experts=2, dropout=0.0), config)]  # fmt: skip
    rows = log.parts["test"]
    ahead, behind = (measured(run.own_test_logit_RNT, rows, run.predictor.problem) for run in pair)
    assert runs.gains is not None
    for task in log.schema.task_names:
        expected = gain(ahead[task], behind[task], looks=3)
        assert runs.gains[task].gain == pytest.approx(expected.gain, abs=1e-12)
        assert runs.gains[task].joint95 == pytest.approx(expected.joint95, abs=1e-12)
    assert set(runs.valid) == {"default", "tuned"}


def test_defaults_that_won_train_alone(log: Any, settings: Any) -> None:
    runs, trained = final(log, settings, 0)
    assert list(trained) == ["default"]
    assert runs.gains is None
    assert list(runs.results) == ["default"]
