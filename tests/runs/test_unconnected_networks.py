"""Nothing is shared, so a comparison finds nothing: experiments/a-a at a small size.

On this log the rule of one checkpoint for all tasks called the easy task hurt, beyond doubt.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "experiments" / "a-a" / "unconnected.py"
ROWS, SEEDS = 4000, (4017,)


@pytest.fixture(scope="module")
def unconnected() -> ModuleType:
    spec = importlib.util.spec_from_file_location("unconnected", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def said(unconnected: ModuleType) -> list[dict[str, Any]]:
    """What is said of each log by both rules; validation watches the rare task, which is at its best before the easy one."""
    return [unconnected.compare(ROWS, seed, monitor="rare", patience=2, epochs=40) for seed in SEEDS]


def verdicts(said: list[dict[str, Any]], rule: str, metrics: tuple[str, ...]) -> list[str]:
    return [by[metric] for log in said for by in log[rule]["single"].values() for metric in metrics]


def flags(said: list[dict[str, Any]], rule: str) -> list[int]:
    return [sign for log in said for by in log[rule]["joint"].values() for sign in by.values()]


def test_no_verdict_and_no_flag_where_nothing_is_shared(said: list[dict[str, Any]]) -> None:
    assert set(verdicts(said, "own clocks", ("auc",))) == {"cannot tell"}
    assert set(flags(said, "own clocks")) == {0}


def test_one_checkpoint_for_all_tasks_would_call_the_easy_task_hurt(said: list[dict[str, Any]]) -> None:
    """The test above can fail: the same runs, judged at the epoch that is kept."""
    assert [log["one checkpoint"]["single"]["easy"]["auc"] for log in said] == ["hurts"] * len(SEEDS)
    assert -1 in flags(said, "one checkpoint")


def test_a_choice_on_validation_compares_own_epochs_in_both_arms(unconnected: ModuleType) -> None:
    """The mean of each task's best epoch is above the best mean of one epoch, and it is what the choice compares."""
    log = unconnected.compare(1200, 7, monitor="mean", patience=2, epochs=12, replicas=2)
    assert log["own clocks"]["ahead"] < log["one checkpoint"]["ahead"] - 0.01
