"""The state of a run: its lists, its fingerprint and its lines of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.errors import InputError
from manygate.training.state import Clock, State, check_fingerprint, plain, write_history


def test_each_member_starts_with_nothing_and_lists_are_not_shared():
    state, other = State(3, tasks=2), State(3, tasks=2)
    assert (state.best, state.best_epoch) == ([None] * 3, [0] * 3)
    assert state.own == [[Clock(), Clock()]] * 3
    assert (state.stopped, state.diverged, state.history) == ([False] * 3, [None] * 3, [])
    state.stopped[1] = state.kept[1].closed = state.own[1][0].closed = True
    state.history.append({"epoch": 1})
    assert (other.stopped, other.history) == ([False] * 3, [])
    assert not any(clock.closed for clock in (state.kept[0], state.own[1][1], state.own[0][0], *other.kept, *other.own[1]))


def test_a_state_goes_through_json_unchanged():
    state = State(
        2,
        tasks=1,
        epoch=3,
        batch=4,
        step=31,
        seconds=1.5,
        kept=[Clock(0.5, 2, 1), Clock()],
        own=[[Clock(0.7, 3, 2, True)], [Clock()]],
        stopped=[True, False],
        diverged=[None, 12],
        reason="r",
    )
    assert State.from_tree(json.loads(json.dumps(asdict(state))), None) == state


def test_a_state_of_an_earlier_version_is_refused_and_not_called_damaged(tmp_path):
    """It had a list of the best scores for each member, and no clocks."""
    tree = asdict(State(1))
    old = {**tree, "best": [0.5], "best_epoch": [1], "waited": [0]}
    del old["kept"], old["own"], old["tasks"]
    with pytest.raises(InputError, match=r"earlier version of manygate, in which tasks had no clocks .* Start a new run") as error:
        State.from_tree(old, tmp_path)
    assert str(tmp_path) in str(error.value)
    for wrong in ([], {}, 3, None, {**tree, "more": 1}, {**tree, "kept": 1}, {**tree, "kept": [{"x": 1}]}, {**tree, "own": [1]}):
        with pytest.raises(InputError, match="not the state of a run"):
            State.from_tree(wrong, tmp_path)


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


NAN = float("nan")


def by_hand(scores: list[float], patience: int) -> tuple[float | None, int, int | None]:
    """The best score, its epoch, and the epoch in which the clock closes, found from all scores at once."""
    newest = 0
    for e in range(1, len(scores) + 1):
        best = max((score for score in scores[:e] if score == score), default=None)
        newest = e if best is None else scores.index(best) + 1
        since = e if best is None else e - newest
        if since >= patience:
            return best, newest, e
    return best, newest, None


@pytest.mark.parametrize(
    ("scores", "patience", "expected"),
    [
        ([0.5, 0.5, NAN, 0.7], 2, (0.5, 1, 3)),
        ([0.5, 0.4, 0.6, 0.5], 2, (0.6, 3, None)),
        ([NAN, 0.1, NAN, 0.0], 2, (0.1, 2, 4)),
        ([NAN, NAN, 0.9], 2, (None, 2, 2)),
        ([-3.0, -2.0], 1, (-2.0, 2, None)),
    ],
)
def test_a_clock_closes_after_patience_evaluations_without_a_better_score(scores, patience, expected):
    assert by_hand(scores, patience) == expected
    clock, used = Clock(), []
    for epoch, score in enumerate(scores, start=1):
        before = asdict(clock)
        used.append(clock.update(score, epoch, patience))
        assert not before["closed"] or asdict(clock) == before, "a closed clock never changes"
    best, at, closed = expected
    assert (clock.best, clock.epoch, clock.closed) == (best, at, closed is not None)
    assert [epoch for epoch, use in enumerate(used, start=1) if use][-1] == at


@given(st.lists(st.sampled_from([NAN, 0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=12), st.integers(1, 4))
def test_a_clock_agrees_with_a_search_of_all_scores(scores, patience):
    clock, closed = Clock(), None
    for epoch, score in enumerate(scores, start=1):
        clock.update(score, epoch, patience)
        closed = closed or (epoch if clock.closed else None)
    assert (clock.best, clock.epoch, closed) == by_hand(scores, patience)


def test_a_member_trains_until_all_its_clocks_have_closed():
    """Patience is 1. The kept clock closes after epoch 2, the first task's after 3 and the second task's after 4."""
    state, kept, own = State(2, tasks=2), [], []
    scores = [(0.5, 0.1, 0.1), (0.4, 0.2, 0.2), (0.9, 0.1, 0.3), (0.9, 0.9, 0.0), (0.9, 0.9, 0.9)]
    for state.epoch, (score, *of_tasks) in enumerate(scores, start=1):
        found = state.update(1, state.epoch, score, of_tasks, patience=1)
        kept.append(found[0])
        own.append(found[1])
        assert state.stopped == [False, state.epoch >= 4]
    assert kept == [True, False, False, False, False]
    assert own == [[True, True], [True, True], [False, True], [False, False], [False, False]]
    assert state.kept == [Clock(), Clock(0.5, 1, 1, True)]
    assert state.own == [[Clock(), Clock()], [Clock(0.2, 2, 1, True), Clock(0.3, 3, 1, True)]]


def test_the_range_of_epochs_is_that_of_the_weights_that_are_shipped():
    own = [[Clock(epoch=1.25), Clock(epoch=4)], [Clock(epoch=2), Clock(epoch=3)]]
    state = State(2, tasks=2, kept=[Clock(epoch=3), Clock(epoch=3)], own=own)
    assert (state.best_epochs(), state.best_epochs(of_tasks=True)) == ("epoch 3", "epochs 1.25 to 4")


def test_the_clocks_of_a_member_that_diverged_freeze():
    state = State(1, tasks=1)
    state.epoch = 1
    state.update(0, 1, 0.5, [0.5], patience=2)
    state.stopped[0], state.diverged[0], state.epoch = True, 7, 2
    assert state.update(0, 2, 0.9, [0.9], patience=2) == (False, [False])
    assert not state.keep_newest(0, 2, 0.9)
    assert (state.kept, state.own) == ([Clock(0.5, 1)], [[Clock(0.5, 1)]])


def test_the_last_weights_are_kept_without_early_stopping():
    state = State(1)
    for state.epoch, score in enumerate((0.5, 0.4, NAN), start=1):
        assert state.keep_newest(0, state.epoch, score)
        assert state.best == [None if np.isnan(score) else score]
    assert (state.best_epoch, state.stopped) == ([3], [False])
