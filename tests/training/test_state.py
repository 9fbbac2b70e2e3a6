"""The state of a run: its lists, its fingerprint and its lines of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from manygate.errors import InputError
from manygate.training.state import State, check_fingerprint, plain, write_history


def test_each_member_starts_with_nothing_and_lists_are_not_shared():
    state, other = State(3), State(3)
    assert (state.best, state.best_epoch, state.waited) == ([None] * 3, [0] * 3, [0] * 3)
    assert (state.stopped, state.diverged, state.history) == ([False] * 3, [None] * 3, [])
    state.stopped[1] = True
    state.history.append({"epoch": 1})
    assert (other.stopped, other.history) == ([False] * 3, [])


def test_a_state_goes_through_json_unchanged():
    state = State(
        2, epoch=3, batch=4, step=31, seconds=1.5, best=[0.5, None], stopped=[True, False], diverged=[None, 12], reason="r"
    )
    assert State(**json.loads(json.dumps(asdict(state)))) == state


def test_another_fingerprint_is_refused_with_what_to_do(tmp_path):
    check_fingerprint(tmp_path, "a", "a")
    check_fingerprint(tmp_path, "rows-2:a", "rows-2:a")
    with pytest.raises(InputError, match=r"the log or the settings have changed .* Start a new run with another out") as error:
        check_fingerprint(tmp_path, "a", "b")
    assert str(tmp_path) in str(error.value)


def test_a_run_of_an_earlier_version_is_refused_and_not_called_changed(tmp_path):
    with pytest.raises(InputError, match="earlier version of manygate, which recorded only a part of its rows"):
        check_fingerprint(tmp_path, "a", "rows-2:a")


def test_the_history_has_a_line_an_epoch_and_no_draft_is_left(tmp_path):
    write_history(tmp_path, [{"epoch": 1, "note": "\N{SNOWMAN}"}, {"epoch": 2, "loss": [0.5, None]}])
    text = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8")
    assert text == '{"epoch": 1, "note": "\N{SNOWMAN}"}\n{"epoch": 2, "loss": [0.5, null]}\n'
    write_history(tmp_path, [{"epoch": 1}])
    assert (tmp_path / "metrics.jsonl").read_text(encoding="utf-8") == '{"epoch": 1}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_number_that_json_does_not_have_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_history(tmp_path, [{"loss": float("nan")}])
    assert not (tmp_path / "metrics.jsonl").exists()


def test_numbers_that_are_not_finite_become_null():
    values = plain(np.array([0.5, np.nan, np.inf, -np.inf, 3], dtype=np.float32))
    assert values == [0.5, None, None, None, 3.0]
    assert all(value is None or type(value) is float for value in values)


def test_a_member_stops_after_patience_epochs_without_a_better_score():
    """The scores are 0.5, 0.5 (a tie is not better), NaN and 0.7. The member stops after the third, so 0.7 does not count."""
    state = State(2)
    kept = []
    for state.epoch, score in enumerate((0.5, 0.5, float("nan"), 0.7), start=1):
        kept.append(state.update_best(1, score, patience=2))
    assert kept == [True, False, False, False]
    assert (state.best, state.best_epoch, state.waited) == ([None, 0.5], [0, 1], [0, 2])
    assert state.stopped == [False, True], "only that member"


def test_a_better_score_renews_the_patience():
    state = State(1)
    for state.epoch, score in enumerate((0.5, 0.4, 0.6, 0.5), start=1):
        state.update_best(0, score, patience=2)
    assert (state.best, state.best_epoch, state.waited, state.stopped) == ([0.6], [3], [1], [False])


def test_the_last_weights_are_kept_without_early_stopping():
    state = State(1)
    for state.epoch, score in enumerate((0.5, 0.4, float("nan")), start=1):
        assert state.update_best(0, score, patience=1, keep_last=True)
        assert state.best == [None if np.isnan(score) else score]
    assert (state.best_epoch, state.stopped) == ([3], [False])
