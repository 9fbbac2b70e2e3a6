"""The kind of a task from its labels, the note for people, and labels that no task can have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manygate.data.inference.infer import infer_schema
from manygate.data.inference.infer_tasks import labels_that_count
from manygate.errors import InputError
from manygate.schema import Schema, Task

N = 400
RNG = np.random.default_rng(0)
CLICK = RNG.integers(0, 2, N)
ITEM = RNG.integers(0, 50, N)


def infer(columns: dict[str, Any], tasks: Any = "click", **roles: Any) -> Schema:
    return infer_schema(pa.table({"click": CLICK, "item_id": ITEM} | columns), tasks, **roles)


def problems(*arguments: Any, **roles: Any) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        infer(*arguments, **roles)
    return caught.value.problems


def test_tasks() -> None:
    columns = {
        "buy": pa.array([None if i % 4 else i % 8 // 4 for i in range(N)]),
        "watch": np.linspace(0.5, 9.5, N),
        "like": [True, False] * (N // 2),
        "stars": [0, 1] * (N // 2),
        "never": pa.array([0.0] * N),
    }
    wanted = ["click", Task(name="buy", where="click == 1"), "seconds:label=watch", "like", "stars:kind=regression", "never"]
    schema = infer(columns, wanted)
    kinds = dict(zip(schema.task_names, [task.kind for task in schema.tasks], strict=True))
    numbers = {"seconds", "stars"}
    assert kinds == {task: "regression" if task in numbers else "binary" for task in schema.task_names}
    notes = {task.name: task.note for task in schema.tasks}
    assert notes["buy"] == "0 and 1, 50 % ones, 75 % of the rows of the sample space unknown"
    assert notes["never"] == "always 0 in the rows looked at"
    assert notes["seconds"] == "numbers from 0.5 to 9.5, 5 on average"
    assert schema.tasks[1].where == "click == 1"
    assert infer({}, Task(name="x", label="click")).tasks[0].column == "click"


def test_labels_that_no_task_can_have() -> None:
    columns = {"word": ["yes", "no"] * (N // 2), "empty": pa.nulls(N, pa.int64()), "stars": RNG.integers(1, 6, N)}
    found = problems(columns, ["word", "empty", "stars:kind=binary", "click"])
    assert len(found) == 3
    assert "task 'word': label column 'word' holds string: 'yes', 'no'. Say which word means 1" in found[0]
    assert "task='word:positive=yes'" in found[0]
    assert "label column 'empty' is null in every row looked at" in found[1]
    assert "label column 'stars' is binary, but holds" in found[2]
    assert "stars:kind=regression" in found[2]


@pytest.mark.parametrize("values", [[-1, 1], [0, 1, 2], [1.0, 2.0]])
def test_a_label_of_few_whole_values_other_than_0_and_1_must_be_given_a_kind(values):
    log = pa.table({"item": [str(i) for i in range(6)] * 2, "click": values * (12 // len(values))})
    with pytest.raises(InputError, match=r"label column 'click' has \d values.*click:kind=regression"):
        infer_schema(log, "click")
    assert infer_schema(log, "click:kind=regression").tasks[0].kind == "regression"


@pytest.mark.parametrize(("values", "refused"), [([2, 3, 4], True), ([2, 3, 4, 5], False)])
def test_whole_labels_of_four_values_are_a_number_and_of_three_are_not(values: list[int], refused: bool) -> None:
    log = pa.table({"y": values * (N // len(values)), "x": RNG.random(N // len(values) * len(values))})
    if refused:
        with pytest.raises(InputError, match="neither 0 and 1 nor clearly a number"):
            infer_schema(log, "y")
    else:
        assert infer_schema(log, "y").tasks[0].kind == "regression"


def test_labels_count_within_their_space_after_their_step_and_where_they_are_known() -> None:
    sample = pa.table(
        {
            "click": [1, 1, 0, 1, 1],
            "buy": [1, 0, 1, -1, 5],
            "told": ["yes", "no", "?", None, "yes"],
            "watch": [1.5, None, 2.0, float("inf"), 3.0],
        }
    )
    tasks = Task.parse_all(
        ["click", "buy:after=click,unknown=-1", "told:positive=yes,negative=no,unknown=?", "watch:where=click==1"]
    )
    tasks[3] = tasks[3].model_copy(update={"kind": "regression"})
    nan = np.nan
    found = labels_that_count(tasks, sample, "log")
    np.testing.assert_array_equal(found["click"], [1, 1, 0, 1, 1])
    np.testing.assert_array_equal(found["buy"], [1, 0, nan, nan, nan])
    np.testing.assert_array_equal(found["told"], [1, 0, nan, nan, 1])
    np.testing.assert_array_equal(found["watch"], [1.5, nan, nan, nan, 3.0])


def columns_of(label: Any, **more: Any) -> dict[str, Any]:
    return {"y": label, "x": RNG.random(N)} | more


CLICKED = CLICK == 1


@pytest.mark.parametrize(
    ("label", "task"),
    [
        (np.where(CLICKED, ITEM % 2, -1), "y:where=click == 1"),
        (np.where(CLICKED, ITEM % 2, -1), "y:where=y != -1"),
        (np.where(CLICKED, ITEM % 2, -1), "y:unknown=-1"),
        (np.where(CLICKED, ITEM % 2, -1), "y:after=click"),
        (np.where(CLICKED, ITEM % 2, 7.5), "y:where=click = 1"),
        (np.where(CLICKED, ITEM % 2, np.inf), "y:where=click = true"),
        (np.where(CLICKED, np.where(ITEM % 2, "true", "False"), "?"), "y:where=click == 1"),
        (np.where(CLICKED, np.where(ITEM % 2, "1", "0"), ""), "y:unknown="),
    ],
)
def test_only_labels_that_count_decide_the_kind(label: Any, task: str) -> None:
    inferred = infer(columns_of(label), ["click", task]).tasks[1]
    assert inferred.kind == "binary"
    assert f"{100 * float((ITEM % 2)[CLICKED].mean()):.0f} % ones" in inferred.note


def test_labels_of_weight_zero_do_not_count() -> None:
    columns = columns_of(np.where(CLICKED, ITEM % 2, -1), w=np.where(CLICKED, 2.5, 0.0))
    assert infer(columns, "y", weight="w").tasks[0].kind == "binary"
    assert "has 3 values" in problems(columns, "y", ignore="w")[0]


def test_two_words_name_both_words_in_the_schema() -> None:
    words = np.where(CLICKED, "yes", "no")
    task = infer(columns_of(words), "y:positive=yes").tasks[0]
    assert (task.kind, task.positive, task.negative) == ("binary", "yes", "no")
    assert task.note == f"yes is 1 and no is 0, {100 * CLICKED.mean():.0f} % ones"
    numbers = infer(columns_of(np.where(CLICKED, 2, 1)), "y:positive=2").tasks[0]
    assert (numbers.positive, numbers.negative) == ("2", "1")
    signs = infer(columns_of(np.where(CLICKED, 1.0, -1.0)), "y:positive=1").tasks[0]
    assert (signs.positive, signs.negative) == ("1", "-1")
    third = infer(columns_of(np.where(ITEM == 3, "?", words)), "y:positive=yes,unknown=?").tasks[0]
    assert (third.negative, third.unknown) == ("no", "?")


@pytest.mark.parametrize(
    ("label", "task", "problem"),
    [
        (np.where(CLICKED, "yes", "no"), "y", "Say which word means 1, for example task='y:positive="),
        (np.where(ITEM == 3, "?", np.where(CLICKED, "yes", "no")), "y:positive=yes", "holds 'yes' beside"),
        (np.where(ITEM == 3, "?", np.where(CLICKED, "yes", "no")), "y:positive=yes,negative=no", r"cannot be labels ('?')"),
        (np.full(N, "yes"), "y:positive=yes", "holds 'yes' alone. Say with y:negative=WORD"),
        (np.where(CLICKED, "yes", "no"), "y:positive=Yes", "holds 'Yes' beside"),
        (np.where(CLICKED, "a", "b"), "y:kind=regression", "A regression needs numbers"),
        (np.where(CLICKED, 1, -1), "y", "y:positive=VALUE for the value that means 1"),
        (ITEM % 2, "y:where=click == 7", "has no row looked at of its sample space (click == 7)"),
        (ITEM % 2, "y:unknown=none", "unknown is 'none', and the label column is int64"),
    ],
)
def test_labels_that_need_a_word_from_the_user(label: Any, task: str, problem: str) -> None:
    assert problem in problems(columns_of(label), task)[0]


def test_an_explicit_kind_needs_no_row_in_the_sample() -> None:
    (task,) = infer(columns_of(ITEM % 2), "y:where=click == 7,kind=binary").tasks
    assert (task.kind, task.note) == ("binary", "no row looked at of its sample space (click == 7)")
