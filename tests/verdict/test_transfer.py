"""Negative transfer, seesaws and what removes them: flags by hand, and what must hold whatever the numbers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from gain_entries import entry
from manygate.metrics.paired import Measured
from manygate.results.comparison import Difference, Harm, WorseProbability
from manygate.verdict.transfer import probabilities, removed, seesaws, sure, transfer, turned

MAIN = {"click": "auc", "buy": "auc"}


def model(values: dict[str, float], spread: float = 0.001, size: int = 4000) -> dict[str, dict[str, Measured]]:
    """A model whose replicas and test rows vary by a little."""
    found = {}
    for task, value in values.items():
        replicas = value + spread * np.array([-1.0, 0.0, 1.0, -1.0, 0.0, 1.0]) * (1 + value)
        found[task] = {"auc": Measured(replicas, spread / size * np.resize([1.0, -1.0], size) * (1 + value))}
    return found


@pytest.mark.parametrize(
    ("click", "buy", "expected"),
    [
        (0.02, -0.02, [("click", "buy", True)]),
        (-0.02, 0.02, [("buy", "click", True)]),
        (0.02, -0.012, [("click", "buy", False)]),  # buy's own interval is below 0, the joint one is not
        (0.02, -0.001, [("click", "buy", False)]),
        (0.001, -0.02, [("click", "buy", False)]),
        (0.001, -0.001, []),
        (0.02, 0.001, []),
        (0.02, 0.03, []),
        (-0.02, -0.03, []),
        (0.02, 0.0, []),
        (0.02, None, []),
    ],
)
def test_a_seesaw_has_one_task_up_and_one_down(click: float, buy: float | None, expected: list[Any]) -> None:
    found = seesaws("single_task", "mmoe", {"click": entry(click), "buy": entry(buy)})
    assert [(flag.gains, flag.loses, flag.sure) for flag in found] == expected
    assert all((flag.origin, flag.to) == ("single_task", "mmoe") for flag in found)


def test_three_tasks_have_a_seesaw_for_each_pair_that_parts() -> None:
    found = seesaws("a", "b", {"x": entry(0.02), "y": entry(-0.02), "z": entry(-0.03)})
    assert [(flag.gains, flag.loses) for flag in found] == [("x", "y"), ("x", "z")]


def test_who_removes_a_negative_transfer() -> None:
    gains = {
        "bottom": {"click": {"auc": entry(-0.05)}, "buy": {"auc": entry(0.0)}},
        "mmoe": {"click": {"auc": entry(0.001)}, "buy": {"auc": entry(0.0)}},
        "ple": {"click": {"auc": entry(-0.012)}, "buy": {"auc": entry(0.0)}},  # better, but hurts too, on its own interval
        "omoe": {"click": {"auc": entry(-0.04, half=0.05)}, "buy": {"auc": entry(0.0)}},  # not surely better
    }
    differences = [
        {"origin": "bottom", "to": "mmoe", "tasks": {"click": entry(0.051), "buy": entry(0.0)}},
        {"origin": "ple", "to": "bottom", "tasks": {"click": entry(-0.038), "buy": entry(0.0)}},
        {"origin": "bottom", "to": "omoe", "tasks": {"click": entry(0.01), "buy": entry(0.0)}},
    ]
    differences = [Difference(**difference) for difference in differences]
    harmed = [Harm(model="bottom", task="click")]
    (found,) = removed(harmed, gains, differences, MAIN)
    assert (found.model, found.of, found.task, found.gain) == ("mmoe", "bottom", "click", 0.051)
    gains["ple"]["click"]["auc"] = entry(-0.009)
    assert [one.model for one in removed(harmed, gains, differences, MAIN)] == ["mmoe", "ple"], "pairs count both ways round"


def test_better_ranking_with_worse_probabilities_is_seen() -> None:
    gains = {"mmoe": {"click": {"auc": entry(0.05), "log_loss": entry(-0.05), "ece": entry(-0.012), "calibration": entry(0.05)}}}
    assert probabilities(gains, {"click": "auc"}) == [
        WorseProbability(model="mmoe", task="click", metric="log_loss", ranking="helps"),
    ]


def test_the_whole_of_a_comparison() -> None:
    """Shared-Bottom loses click and wins buy; MMoE gives click back and keeps buy."""
    measures = {
        "single_task": model({"click": 0.75, "buy": 0.70}),
        "shared_bottom": model({"click": 0.72, "buy": 0.73}),
        "mmoe": model({"click": 0.7501, "buy": 0.74}),
    }
    found = transfer(measures, "single_task", MAIN, judged="mmoe")
    assert (found.looks, found.pair_looks) == ({"shared_bottom": 4, "mmoe": 4}, 2)
    assert found.negative == [Harm(model="shared_bottom", task="click")]
    assert [(one.model, one.of, one.task) for one in found.removed] == [("mmoe", "shared_bottom", "click")]
    assert found.removed[0].gain == pytest.approx(0.0301)
    assert [(one.origin, one.to, one.gains, one.loses, one.sure) for one in found.seesaws] == [
        ("single_task", "shared_bottom", "buy", "click", True)
    ]
    assert list(found.gains) == ["shared_bottom", "mmoe"]
    assert [(one.origin, one.to) for one in found.differences] == [("shared_bottom", "mmoe")]


def test_a_seesaw_between_two_architectures() -> None:
    """Both are better than the baseline at both tasks; from one to the other, click rises and buy falls (PLE, section 3)."""
    measures = {
        "single_task": model({"click": 0.70, "buy": 0.70}),
        "mmoe": model({"click": 0.72, "buy": 0.78}),
        "ple": model({"click": 0.76, "buy": 0.74}),
    }
    found = transfer(measures, "single_task", MAIN)
    assert found.negative == []
    assert [(one.origin, one.to, one.gains, one.loses, one.sure) for one in found.seesaws] == [
        ("mmoe", "ple", "click", "buy", True)
    ]


def test_names_of_models_are_not_looked_into() -> None:
    measures = {name: model({"click": 0.7, "buy": 0.7}) for name in ("single_task", "mmoe+uncertainty", "mine:Scheme")}
    assert list(transfer(measures, "single_task", MAIN).gains) == ["mmoe+uncertainty", "mine:Scheme"]


numbers = st.floats(-0.2, 0.2, allow_nan=False)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(numbers, st.floats(1e-6, 0.1)), min_size=2))
def test_swapping_architectures_flips_signs_and_keeps_seesaws(drawn: dict[str, tuple[float, float]]) -> None:
    there = {task: entry(gain, half) for task, (gain, half) in drawn.items()}
    back = {task: turned(one) for task, one in there.items()}
    assert {task: sure(one) for task, one in back.items()} == {task: -sure(one) for task, one in there.items()}
    one = {(flag.gains, flag.loses, flag.sure) for flag in seesaws("x", "y", there)}
    two = {(flag.loses, flag.gains, flag.sure) for flag in seesaws("y", "x", back)}
    assert one == two
    assert {task: turned(entry) for task, entry in back.items()} == there


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.5, 0.9), st.floats(0.5, 0.9)), min_size=3, max_size=4), st.floats(1e-4, 0.05))
def test_flags_follow_from_the_joint_intervals(values: list[tuple[float, float]], spread: float) -> None:
    names = ["single_task", "a", "b", "c"][: len(values)]
    scores = dict(zip(names, values, strict=True))
    found = transfer({name: model({"click": x, "buy": y}, spread) for name, (x, y) in scores.items()}, "single_task", MAIN)
    for flag in found.negative:
        assert found.gains[flag.model][flag.task]["auc"].joint95[1] < 0
    for flag in found.removed:
        at = list(MAIN).index(flag.task)
        assert scores[flag.model][at] > scores[flag.of][at]
        assert found.gains[flag.model][flag.task]["auc"].verdict != "hurts"
    for flag in found.seesaws:
        up, down = (list(MAIN).index(getattr(flag, key)) for key in ("gains", "loses"))
        assert scores[flag.to][up] > scores[flag.origin][up]
        assert scores[flag.to][down] < scores[flag.origin][down]


def test_joint_intervals_count_every_cell_of_their_table() -> None:
    """By hand, with 4 replicas and 5 clusters.

    Half of the 5 % is for the judged model's 3 tasks, and half for those of two others. The other metrics are a table of their own,
    three times as large.
    """
    random = np.random.default_rng(3)
    keys = ("auc", "gauc", "log_loss", "ece")

    def any_model() -> dict[str, dict[str, Measured]]:
        influence = {(task, key): random.normal(size=5) for task in "abc" for key in keys}
        return {
            task: {key: Measured(random.normal(size=4), influence[task, key] - influence[task, key].mean()) for key in keys}
            for task in "abc"
        }

    measures = {"single_task": any_model(), "one": any_model(), "two": any_model(), "three": any_model()}
    found = transfer(measures, "single_task", dict.fromkeys("abc", "auc"), judged="two")
    assert (found.looks, found.pair_looks) == ({"one": 12, "two": 6, "three": 12}, 9)

    def half(one: Measured, other: Measured, looks: int) -> float:
        gain_R, influence_G = one.value_R - other.value_R, one.influence_G - other.influence_G
        se, share = np.sqrt(np.sum(influence_G**2) * 5 / 4), 1 - 0.05 / looks / 2
        seeds = student.ppf(share, 3) * np.std(gain_R, ddof=1) / 2
        return float(np.hypot(seeds, student.ppf(share, 4) * se))

    for (name, count), task in itertools.product(found.looks.items(), "abc"):
        for key, looks in (("auc", count), ("gauc", 3 * count), ("log_loss", 3 * count), ("ece", 3 * count)):
            low, high = found.gains[name][task][key].joint95
            expected = half(measures[name][task][key], measures["single_task"][task][key], looks)
            assert (high - low) / 2 == pytest.approx(expected, rel=1e-6), (name, task, key)
    for task in "abc":
        low, high = found.differences[0].tasks[task].joint95
        assert (high - low) / 2 == pytest.approx(half(measures["two"][task]["auc"], measures["one"][task]["auc"], 9), rel=1e-6)


def test_of_tables_in_which_nothing_differs_few_have_any_filled_mark() -> None:
    """Five models and four tasks without a difference, 200 times: the marks of a whole table may be wrong in 5 % of them.

    Each model has its own seeds' luck and its own luck of the test rows. Tests of one cell alone would fill a mark in most tables.
    """
    random, tables, filled, alone = np.random.default_rng(8), 200, 0, 0
    main = dict.fromkeys(("a", "b", "c", "d"), "auc")
    for _ in range(tables):
        measures = {}
        for name in ("single_task", "m0", "m1", "m2", "m3", "m4"):
            luck, influence = random.normal(size=4), random.normal(size=(4, 60)) / 60
            values = 0.7 + (luck[:, None] / np.sqrt(60) + random.normal(size=(4, 4))) / 100
            measures[name] = {
                task: {"auc": Measured(values[at], (influence[at] - influence[at].mean()) / 100)} for at, task in enumerate(main)
            }
        found = transfer(measures, "single_task", main, judged="m0")
        cells = [by_task[task]["auc"] for by_task in found.gains.values() for task in main]
        filled += any(sure(cell) != 0 for cell in cells)
        alone += any(cell.verdict != "cannot tell" for cell in cells)
    assert filled <= 0.05 * tables + 2 * np.sqrt(tables * 0.05 * 0.95)
    assert alone > 0.15 * tables, "the cells are tested, and one at a time some are wrong"
