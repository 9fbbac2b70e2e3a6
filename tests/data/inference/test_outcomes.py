"""Outcomes in disguise, before and after their label, and by name; honest columns that are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manygate.data.inference.infer import infer_with_questions
from manygate.data.inference.outcomes import Finding
from manygate.schema import Task

N = 3000
RNG = np.random.default_rng(4)
USER, ITEM = RNG.integers(0, 60, N), RNG.integers(0, 30, N)
CLICK = (RNG.random(N) < np.where(USER < 20, 0.5, 0.2)).astype(int)
BUY = np.where(CLICK == 1, (RNG.random(N) < 0.3).astype(float), np.nan)
RETURNED = np.where(np.nan_to_num(BUY) == 1, (RNG.random(N) < 0.4).astype(float), np.nan)
LIKE = (RNG.random(N) < 0.3).astype(int)
WATCH = RNG.gamma(2, 20, N)
BASE = {"user_id": USER, "item_id": ITEM, "click": CLICK, "buy": pa.array(BUY, from_pandas=True), "like": LIKE, "watch": WATCH}
known = np.nan_to_num(BUY)


def question(name: str, values: Any, *tasks: str | Task) -> tuple[str, str] | None:
    """(level, reason) of a column that was left out, None where it is a feature."""
    values = pa.array(values, from_pandas=True) if isinstance(values, np.ndarray) else values
    used = {column for task in Task.parse_all(tasks) for column in task.columns}
    columns = {key: column for key, column in BASE.items() if key in used or key.endswith("_id")}
    answer = infer_with_questions(pa.table(columns | {name: values}), list(tasks))
    if name in answer.schema.feature_names:
        assert name not in answer.schema.ignored
        return None
    (asked,) = [entry for entry in answer.questions if entry.column == name]
    assert answer.schema.ignored[name] in asked.text
    return asked.level, answer.schema.ignored[name]


LEAKS: list[tuple[str, Any, str]] = [
    ("1 and 2", CLICK + 1, "click"),
    ("-1 and 1", 2 * CLICK - 1, "click"),
    ("words", np.where(CLICK == 1, "yes", "no"), "click"),
    ("true and false", CLICK == 1, "click"),
    ("the other way round", 1 - CLICK, "click"),
    ("scaled", CLICK * 0.25 - 7, "click"),
    ("several words for one label", np.where(CLICK == 1, np.where(LIKE == 1, "a", "b"), np.where(LIKE == 1, "c", "d")), "click"),
    ("null for 0", pa.array([7.0 if one else None for one in CLICK]), "click"),
    ("a name where it is 1", pa.array([f"order {i}" if one else None for i, one in enumerate(CLICK)]), "click"),
    ("a score of the label", CLICK + RNG.normal(0, 0.2, N), "click"),
    ("filled with 0", known, "buy:where=click==1"),
    ("filled with -1", np.where(np.isnan(BUY), -1, known), "buy:where=click==1"),
    ("an amount", known * RNG.gamma(2, 20, N), "buy:where=click==1"),
    ("minutes", WATCH / 60, "watch"),
    ("whole seconds", np.round(WATCH), "watch"),
    ("its logarithm", np.log1p(WATCH), "watch"),
    ("its negative", -WATCH, "watch"),
    ("its square", WATCH**2, "watch"),
]


@pytest.mark.parametrize(("what", "values", "task"), LEAKS, ids=[case[0] for case in LEAKS])
def test_a_disguised_label_is_left_out_with_an_alarm(what: str, values: Any, task: str) -> None:
    found = question("extra", values, task)
    assert found is not None, what
    assert "leak" in found[1] or "identical to label" in found[1] or "known only where" in found[1]


def test_a_disguise_is_a_serious_alarm_and_its_text_names_score_and_label() -> None:
    level, reason = question("extra", CLICK * 2 + 3, "click") or ("", "")
    assert level == "serious"
    assert "it alone separates label 'click' (AUC 1.0000)" in reason
    assert "R squared" in (question("extra", WATCH / 60, "watch") or ("", ""))[1]


STEPS: list[tuple[str, Any, tuple[str, ...], str]] = [
    ("two steps later, only the first is named", RETURNED, ("click",), "outcome of a later step"),
    ("two steps later, filled with 0", np.nan_to_num(RETURNED), ("click",), "outcome of a later step"),
    ("one step later, filled with 0", known, ("click",), "outcome of a later step"),
    ("an amount one step later", known * RNG.gamma(2, 20, N), ("click",), "outcome of a later step"),
    (
        "words one step later",
        pa.array([("a", "b")[i % 2] if one else None for i, one in enumerate(known)]),
        ("click",),
        "later step",
    ),
    ("the step before", ((known == 1) | (CLICK == 1)).astype(int), ("bought:label=buy_0",), "outcome of an earlier step"),
]


@pytest.mark.parametrize(("what", "values", "tasks", "said"), STEPS, ids=[case[0] for case in STEPS])
def test_the_outcome_of_another_step_is_asked_about(what: str, values: Any, tasks: tuple[str, ...], said: str, monkeypatch) -> None:
    monkeypatch.setitem(BASE, "buy_0", known)
    level, reason = question("extra", values, *tasks) or ("", "")
    assert level == "warning"
    assert said in reason


NAMED = ["is_follow", "long_view", "liked", "hasPurchased", "label", "add_to_cart", "email_opened", "churned", "is_profile_enter"]


@pytest.mark.parametrize("name", NAMED)
def test_a_yes_or_no_column_named_like_an_outcome_is_asked_about(name: str) -> None:
    values = RNG.integers(0, 2, N)
    for column in (values, values.astype(float), values == 1, np.where(values == 1, "yes", "no")):
        level, reason = question(name, column, "click") or ("", "")
        assert level == "warning"
        assert f"--task {name}" in reason


@pytest.mark.parametrize("name", ["play_time_ms", "watch_seconds", "dwell", "comment_stay_time", "readingTime", "listen_duration"])
def test_a_measurement_that_begins_with_the_impression_is_asked_about(name: str) -> None:
    assert "begins with the impression" in (question(name, RNG.gamma(2, 20, N), "click") or ("", ""))[1]


HONEST: list[tuple[str, Any]] = [
    ("is_weekend", RNG.integers(0, 2, N)),
    ("clicked_before", RNG.integers(0, 2, N)),
    ("prev_purchase", RNG.integers(0, 2, N)),
    ("likes", RNG.poisson(30, N)),
    ("clicks_7d", RNG.poisson(30, N)),
    ("avg_watch_time", RNG.gamma(2, 20, N)),
    ("duration_ms", RNG.gamma(2, 20, N)),
    ("premium", (RNG.random(N) < 0.05).astype(int)),
    ("session", [f"s{i}" for i in RNG.integers(0, 900, N)]),
    ("score", CLICK + RNG.normal(0, 0.7, N)),
    ("rarely_known", np.where(RNG.random(N) < 0.02, 3.5, np.nan)),
    ("tags", [[f"t{i % 7}"] for i in range(N)]),
]


@pytest.mark.parametrize(("name", "values"), HONEST, ids=[case[0] for case in HONEST])
def test_an_honest_column_is_no_outcome(name: str, values: Any) -> None:
    assert question(name, values, "click", "buy:where=click==1", "watch") is None


def test_labels_that_are_numbered_are_all_outcomes() -> None:
    answer = infer_with_questions(pa.table({"x": WATCH, "task_1": CLICK, "task_2": LIKE, "feature_2": LIKE}), "task_1")
    assert [entry.column for entry in answer.questions] == ["task_2"]
    assert infer_with_questions(pa.table({"x": WATCH, "task_1": CLICK, "task_2": LIKE}), ["task_1", "task_2"]).questions == []


def test_an_outcome_after_few_ones_may_be_chance() -> None:
    rare = np.zeros(N)
    rare[np.flatnonzero(CLICK)[:19]] = 5.0
    assert question("extra", rare, "click") is None
    rare[np.flatnonzero(CLICK)[:20]] = 5.0
    assert question("extra", rare, "click") is not None


def test_a_finding_becomes_a_warning_of_its_level() -> None:
    assert Finding("it leaks", "serious", "click").warning("a").level == "serious"
    warning = Finding("it may", "ask").warning("a")
    assert (warning.level, warning.column, warning.task) == ("warning", "a", None)
    assert warning.text == "column 'a' is not used as a feature: it may"
