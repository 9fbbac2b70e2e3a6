"""The random search for LightGBM's parameters: its draws, its choice on validation, and how it goes on after a stop."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from baseline_logs import encoded
from manygate.baselines import boosting_search
from manygate.baselines.boosting import PARAMETERS
from manygate.baselines.boosting_search import Score, draw_trial, fit_trial, tune_task
from manygate.baselines.task_model import TaskFailedError, TaskRows
from manygate.data.encoded import EncodedLog


@pytest.fixture(scope="module")
def log() -> EncodedLog:
    return encoded(400)


def test_the_first_two_trials_are_the_default_and_the_others_are_drawn_by_their_number() -> None:
    assert [draw_trial(n, 7, 1).parameters for n in (0, 1)] == [PARAMETERS, PARAMETERS]
    assert [draw_trial(n, 7, 1).with_statistics for n in (0, 1)] == [True, False]
    drawn = [draw_trial(n, 7, 1) for n in range(2, 40)]
    assert drawn == [draw_trial(n, 7, 1) for n in range(2, 40)]
    assert len({trial.parameters["learning_rate"] for trial in drawn}) == len(drawn)
    assert draw_trial(5, 7, 1) != draw_trial(5, 8, 1)
    assert draw_trial(5, 7, 1) != draw_trial(5, 7, 0)
    assert all(0.015 <= trial.parameters["learning_rate"] <= 0.2 for trial in drawn)
    assert all(4 <= trial.parameters["num_leaves"] <= 128 for trial in drawn)
    assert {trial.with_statistics for trial in drawn} == {True, False}


def test_the_best_trial_on_validation_is_chosen(log: EncodedLog) -> None:
    tuned = tune_task(log, 0, seed=3, trials=4)
    rows = TaskRows(log, 0, 3)
    expected = [rows.score("valid", fit_trial(rows, draw_trial(n, 3, 0)).logit_N["valid"]) for n in range(4)]
    assert [score.valid for score in tuned.scores] == expected
    assert (tuned.number, tuned.valid) == (int(np.argmax(expected)), max(expected))
    assert tuned.trial == draw_trial(tuned.number, 3, 0)


def test_labels_of_test_rows_choose_nothing(log: EncodedLog) -> None:
    other = encoded(400)
    other.parts["test"].label_BT[:] = 1 - other.parts["test"].label_BT
    found, again = (tune_task(rows, 0, seed=3, trials=4) for rows in (log, other))
    assert found.number == again.number
    assert [score.valid for score in found.scores] == [score.valid for score in again.scores]


def test_a_stopped_search_fits_the_other_trials_alone(log: EncodedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, seen = tune_task(log, 0, seed=3, trials=4), list[int]()
    draw = boosting_search.draw_trial

    def noting(number: int, seed: int, t: int) -> object:
        seen.append(number)
        return draw(number, seed, t)

    monkeypatch.setattr(boosting_search, "draw_trial", noting)
    told: list[int] = []

    def on_trial(scores: Sequence[Score]) -> None:
        told.append(len(scores))

    resumed = tune_task(log, 0, seed=3, trials=4, known=whole.scores[:2], on_trial=on_trial)
    assert seen[:2] == [2, 3]
    assert told == [3, 4]
    assert (resumed.number, resumed.scores[:2]) == (whole.number, whole.scores[:2])
    assert [score.valid for score in resumed.scores] == [score.valid for score in whole.scores]


def test_equal_trials_the_first_wins_and_a_failed_one_never_does(log: EncodedLog) -> None:
    known = [Score(math.nan, 1.0), Score(0.7, 1.0), Score(0.7, 1.0), Score(0.6, 1.0)]
    assert tune_task(log, 0, trials=4, known=known).number == 1
    with pytest.raises(TaskFailedError, match="every trial failed"):
        tune_task(log, 0, trials=2, known=[Score(math.nan, 1.0)] * 2)


def test_a_task_that_cannot_be_learnt_says_why(log: EncodedLog) -> None:
    one = encoded(400)
    one.parts["train"].label_BT[:] = 1
    with pytest.raises(TaskFailedError, match="all labels of the training rows are the same"):
        tune_task(one, 0, trials=2)
