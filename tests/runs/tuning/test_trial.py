"""A trial: its score on validation rows, its early end, its failures, and that it reads no test row."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manygate.errors import InputError
from manygate.evaluation.monitor import Monitor
from manygate.runs.run import train_one
from manygate.runs.tuning.trial import FEWEST_EPOCHS, FEWEST_TRIALS, Reporter, below_median, run_trial
from manygate.training.callback import EpochEnd
from manygate.training.progress import Progress
from searched import claim, ledger


@pytest.fixture(scope="module")
def log(encoded: Any) -> Any:
    return encoded()


def trial(log: Any, config: Any, objectives: Any = ("mean",), others: Any = (), folder: Path | None = None) -> Any:
    book = ledger(objectives=len(objectives))
    reporter = Reporter(book, claim(book, 0), config, others)
    return run_trial(log, config, objectives, folder, Progress(), reporter), book


@pytest.mark.parametrize("architecture", ["mmoe", "single_task"])
def test_the_score_is_that_of_a_comparison(log: Any, settings: Any, architecture: str) -> None:
    config = settings(architecture=architecture, replicas=2, epochs=3)
    outcome, book = trial(log, config)
    trained = train_one(log, config, None, Progress(), own_clocks=True)
    assert outcome.state == "complete"
    assert outcome.about["scores"] == [trained.valid_score_R]
    assert outcome.values == (statistics.fmean(trained.valid_score_R),)
    assert outcome.about["noise"] == [pytest.approx(statistics.variance(trained.valid_score_R) / 2)]
    assert outcome.about["epochs"] == trained.state.epoch
    curve = book.entries()[0].curve
    assert list(curve) == [1, 2, 3]
    assert list(curve.values()) == sorted(curve.values()), "the best so far never falls"


def test_no_test_row_is_read(log: Any, settings: Any) -> None:
    """A log whose test rows are gone gives the same trial."""
    config = settings(replicas=2)
    without = dataclasses.replace(log, parts={name: rows for name, rows in log.parts.items() if name != "test"})
    without.__dict__["fingerprint"] = lambda text: "x"
    assert trial(without, config)[0] == trial(log, config)[0]


def test_the_objective_of_a_task_is_its_metric_at_its_own_best_epoch(log: Any, settings: Any) -> None:
    config = settings(replicas=2, epochs=3)
    outcome, _ = trial(log, config, ("click", "watch", "click/log_loss"))
    trained = train_one(log, config, None, Progress(), own_clocks=True)
    own = [max(entry["valid"]["click"][r] for entry in trained.state.history) for r in range(2)]
    assert outcome.about["scores"][0] == own
    assert outcome.about["scores"][2][0] < 0, "log loss is turned, so that higher is better"
    assert outcome.about["tasks"]["click"]["mean"] == pytest.approx(np.mean(own))


def test_one_replica_has_no_noise(log: Any, settings: Any) -> None:
    assert trial(log, settings(replicas=1))[0].about["noise"] == [None]


def test_a_trial_far_below_the_others_ends_early(log: Any, settings: Any) -> None:
    config = settings(replicas=2, epochs=6, patience=6)
    good = [{1: 100.0}] * FEWEST_TRIALS
    outcome, book = trial(log, config, others=good)
    assert outcome.state == "pruned"
    assert outcome.about["epochs"] == FEWEST_EPOCHS
    assert list(book.entries()[0].curve) == [1, 2]
    assert outcome.values[0] >= book.entries()[0].curve[2], "the tasks' own best epochs, and the best epoch of all tasks"
    assert trial(log, config, others=good[1:])[0].state == "complete", "too few trials to compare with"
    assert trial(log, config, others=[{1: -100.0}] * 9)[0].state == "complete"


def test_the_median_takes_the_last_score_of_a_trial_that_had_stopped() -> None:
    curves = [{1: 1.0, 2: 3.0, 4: 9.0}, {1: 2.0}, {1: 2.0}, {3: 8.0}, {1: 0.0}, {1: 4.0}]
    assert below_median(1.9, 2, curves)
    assert not below_median(2.0, 2, curves), "the median of 3, 2, 2, 0 and 4"
    assert not below_median(-9.0, 0, curves), "no trial had a score then"


def test_the_best_of_each_replica_survives_a_kill() -> None:
    book = ledger()
    entry = claim(book, 0)
    config: Any = type("Config", (), {"replicas": 2, "evaluate_every": 0.5})()

    def end(epoch: float, *scores: float | None) -> EpochEnd:
        return EpochEnd("mmoe", epoch, 1, {}, {}, list(scores))

    reporter = Reporter(book, entry, config)
    assert not reporter(end(0.5, 1.0, 5.0))
    assert not reporter(end(1.0, 4.0, None))
    assert not reporter(end(1.5, 1.0)), "a pack of the replicas: no score of all of them"
    book.void(entry, "its process died")
    again = Reporter(book, claim(book, 0), config)
    assert again.best_R == [4.0, 5.0]
    again(end(1.0, 4.0, 5.0))
    again(end(1.5, 3.0, 6.0))
    assert book.entries()[0].curve == {1: 3.0, 2: 4.5, 3: 5.0}


def test_a_network_that_cannot_be_built_and_a_loss_that_becomes_nan_fail(log: Any, settings: Any) -> None:
    impossible, _ = trial(log, settings(gate="topk", top_k=9))
    assert (impossible.state, impossible.values) == ("failed", ())
    assert "cannot be built" in impossible.about["reason"]
    diverged, _ = trial(log, settings(learning_rate=1e5, optimizer="sgd"))
    assert diverged.state == "failed"
    assert "became" in diverged.about["reason"]


def test_an_undefined_objective_fails(log: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Monitor, "by_replica", lambda self, own_RT: [float("nan")] * len(own_RT))
    outcome, _ = trial(log, settings(replicas=2, epochs=1))
    assert outcome.state == "failed"
    assert outcome.about["reason"] == "mean is undefined on the validation rows"


def test_another_problem_is_no_failure_of_the_trial(log: Any, settings: Any, tmp_path: Path) -> None:
    """A full disk says nothing about the settings."""
    (tmp_path / "checkpoints").write_text("a file in the way", encoding="utf-8")
    with pytest.raises((InputError, OSError)):
        trial(log, settings(), folder=tmp_path)
