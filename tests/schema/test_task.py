"""A task: its column, its sample space, its loss, its order in a funnel, and the form of the command line."""

from __future__ import annotations

from typing import Any

import pytest

from manygate.errors import InputError
from manygate.schema import Task
from manygate.schema.task import funnel_order, joint_name


def test_the_columns_of_a_task() -> None:
    task = Task(name="buy", label="bought", where="click == 1 and price > 0 and click != 2")
    assert (task.column, task.columns) == ("bought", ("bought", "click", "price"))
    assert Task(name="click").columns == ("click",)


@pytest.mark.parametrize(
    ("settings", "loss"),
    [
        ({}, "cross_entropy"),
        ({"loss": "pairwise"}, "pairwise"),
        ({"kind": "regression"}, "squared"),
        ({"kind": "regression", "loss": "quantile", "quantile": 0.9}, "quantile"),
        ({"kind": "regression", "loss": "ordinal", "levels": 5}, "ordinal"),
    ],
)
def test_the_loss_of_a_task(settings: dict[str, Any], loss: str) -> None:
    assert Task(name="a", **settings).trained_by == loss


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"loss": "squared"}, "loss 'squared' is not for binary tasks. Choose cross_entropy or pairwise"),
        ({"kind": "regression", "loss": "pairwise"}, "loss 'pairwise' is not for regression tasks"),
        ({"quantile": 0.9}, "quantile is for the loss quantile"),
        ({"levels": 5}, "levels are for the loss ordinal"),
        ({"name": ""}, "a task needs a name"),
        ({"where": "click"}, "is not a comparison"),
        ({"positive": True}, "YAML reads yes, no, on and off as true and false"),
        ({"negative": "no"}, "positive is missing"),
        ({"positive": "yes", "negative": "yes"}, "must be different values"),
        ({"positive": "1", "unknown": 1}, "must be different values"),
        ({"kind": "regression", "positive": "yes"}, "are for binary tasks"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Task(**{"name": "a", **settings})


def test_the_form_of_the_command_line() -> None:
    assert Task.parse("click") == Task(name="click")
    assert Task.parse("buy:where=click==1,weight=0.5") == Task(name="buy", where="click==1", weight=0.5)
    assert Task.parse(" watch : regression, label = seconds ") == Task(name="watch", kind="regression", label="seconds")
    assert Task.parse("watch:loss=huber").kind == "regression"


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("like:where=country == 'A,B' and x > 1,weight=2", "where", "country == 'A,B' and x > 1"),
        ('like:where=country == "A,B",weight=2', "where", 'country == "A,B"'),
        ("like:where=`a,b` == 1,weight=2", "where", "`a,b` == 1"),
        ("like:where=c in ('A', 'B') or (d in (1, 2)),weight=2", "where", "c in ('A', 'B') or (d in (1, 2))"),
        ("like:where=c == 'it''s, so',weight=2", "where", "c == 'it''s, so'"),
        ("like:where=c == '(' ,weight=2", "where", "c == '('"),
        ("like:where=user:id == 'x:y=z',weight=2", "where", "user:id == 'x:y=z'"),
        ("like:weight=2,unknown='n/a, other'", "unknown", "n/a, other"),
        ("like:positive=yes,weight=2", "positive", "yes"),
        ("like:unknown=-1,weight=2", "unknown", "-1"),
        ("like:label='it''s',weight=2", "label", "it's"),
    ],
)
def test_commas_in_quotes_and_parentheses_are_part_of_a_value(text: str, field: str, value: str) -> None:
    task = Task.parse(text)
    assert getattr(task, field) == value
    assert task.weight == 2


def test_words_of_a_label() -> None:
    assert Task(name="a", unknown=-1, positive=1, negative=0.5).unknown == "-1"
    assert Task.model_validate({"name": "a", "positive": 2, "negative": 1}).positive == "2"


def test_the_space_of_a_task_in_words() -> None:
    assert Task(name="a", after="b", where="c == 1 or d == 2").space == "after b and (c == 1 or d == 2)"
    assert Task(name="a", after="b", where="c == 1 and d == 2").space == "after b and c == 1 and d == 2"
    assert Task(name="a", where="c == 1 or d == 2").space == "c == 1 or d == 2"


def test_a_word_without_quotes_is_named_as_a_column_that_may_be_text() -> None:
    purposes = Task(name="a", where="country == CH and a > 1").purposes
    assert purposes == {
        "a": "label of task 'a'",
        "country": "sample space of task 'a'",
        "CH": "sample space of task 'a'; text stands in quotes: 'CH'",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a:where=b == 'x", "a quote (') is not closed"),
        ("a:where=b == 1,where=c == 2", "'where' is given twice"),
        ("a:where=b == 1, c == 2", "unknown option 'c'"),
        ("a:where=b == 1;weight=2", "is not a comparison"),
        ("a:kinf=binary", "task 'a:kinf=binary': unknown option 'kinf'. Did you mean 'kind'?"),
        ("a:name=b", "unknown option 'name'"),
        ("a:kind=other", "task 'a:kind=other': kind: Input should be"),
        ("a:weight=-1", "weight: Input should be greater than or equal to 0; found '-1'"),
    ],
)
def test_options_that_are_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        Task.parse(text)
    assert problem in str(caught.value)


def test_the_problems_of_several_tasks_are_listed_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Task.parse_all(["a:x=1", Task(name="b"), "c:kind=other"])
    assert len(caught.value.problems) == 2
    assert Task.parse_all(["a", Task(name="b")]) == [Task(name="a"), Task(name="b")]


@pytest.mark.parametrize(
    ("parents", "order"),
    [([None, None], []), ([None, 0, 1], [(1, 0), (2, 1)]), ([2, 0, None, 2], [(0, 2), (3, 2), (1, 0)])],
)
def test_a_step_of_a_funnel_comes_after_its_parent(parents: list[int | None], order: list[tuple[int, int]]) -> None:
    assert funnel_order(parents) == order


def test_names_of_joint_events() -> None:
    tasks = [Task(name="click"), Task(name="cart", after="click"), Task(name="buy", after="cart")]
    assert [joint_name(task, tasks) for task in tasks] == ["click", "click_cart", "click_cart_buy"]
