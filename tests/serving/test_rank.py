"""Requests to rank candidates: what is read, each problem that is named, and the order of the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exported import Exported
from manygate.serving.feeds import Inputs
from manygate.serving.rank import RankRequest, answer, read_rank
from manygate.serving.refusals import BadRequest, Refusal, TooLarge
from served import INPUTS, as_json, funnel_rows

OUTPUTS = ["click", "score"]


def read(tree: Any, outputs: list[str] = OUTPUTS, score: str | None = "score", max_rows: int = 5) -> RankRequest:
    return read_rank(tree, INPUTS, outputs, score, max_rows)


def arrays(tree: Any) -> dict[str, Any]:
    return {name: value.tolist() for name, value in read(tree).feed.arrays.items()}


def problems(tree: Any, **named: Any) -> list[str]:
    with pytest.raises(BadRequest) as caught:
        read(tree, **named)
    return caught.value.problems


GOOD: dict[str, Any] = {"candidates": {"x": [3, None], "tags": [["a"], None]}, "context": {"user": "u"}}


def test_columns_and_rows_are_the_same_request() -> None:
    rows = [{"x": 3, "tags": ["a"]}, {"x": None, "tags": None}]
    assert (
        arrays(GOOD)
        == arrays({**GOOD, "candidates": rows})
        == {
            "x": [3, 0],
            "tags": [["a"], [""]],
            "tags.mask": [[1], [0]],
            "user": ["u"],
            "missing": [[False], [True]],
            "context.missing": [[False]],
            "row": [0, 0],
        }
    )


def test_any_feature_may_stand_in_the_context() -> None:
    spread = arrays({"candidates": [{}, {}], "context": {"user": None, "x": 3, "tags": ["a"]}})
    assert (spread["x"], spread["tags"], spread["user"]) == ([3, 3], [["a"], ["a"]], [""])
    assert (spread["context.missing"], spread["row"]) == ([[True]], [0, 0])


def test_a_context_feature_may_stand_in_the_candidates() -> None:
    own = arrays({"candidates": [{"x": 1, "tags": [], "user": "u"}, {"x": 2, "tags": [], "user": None}]})
    assert (own["user"], own["row"], own["context.missing"]) == (["u", ""], [0, 1], [[False], [True]])


@pytest.mark.parametrize("candidates", [[], {"x": [], "tags": []}])
def test_no_candidates(candidates: Any) -> None:
    request = read({"candidates": candidates, "context": {"user": "u"}})
    assert (request.feed.rows, request.top, list(request.ids)) == (0, 0, [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"candidate": 1}, "unknown key 'candidate'. Did you mean 'candidates'?"),
        ({"context": []}, "context must be an object"),
        ({"context": {"user": "u", "usr": 1}}, "the model has no feature 'usr'. Did you mean 'user'?"),
        ({"candidates": [{"x": 1, "tags": []}], "context": {"user": "u", "usr": 1}}, "the model has no feature 'usr'"),
        ({"context": {"user": "u", "x": 1}}, "'x' is both in context and in candidates"),
        ({"candidates": [{"x": 1, "tags": []}], "context": {"user": "u", "x": 1}}, "'x' is both in context and in candidates"),
        ({"context": {}}, "feature 'user' is missing. Give null"),
        ({"context": {"user": 5}}, "feature 'user': expected text, found a whole number"),
        ({"candidates": None}, "candidates must be an object"),
        ({"candidates": {"x": 1, "tags": []}}, "'x' must be a list"),
        ({"candidates": {"x": [1], "tags": []}}, "0 to 1 values"),
        ({"candidates": [{"x": 1, "tags": []}, 3]}, "each must be an object"),
        ({"candidates": [{"x": 1, "tags": []}, {"x": 1, "tag": []}]}, "'tags' is missing in candidate 1. Did you mean 'tag'?"),
        ({"candidates": {"x": [1], "tags": ["a"]}}, "feature 'tags': expected a list, found text"),
        ({"by": "clik"}, "by: no output 'clik'. Did you mean 'click'?"),
        ({"by": ["click"]}, "by: no output ['click']"),
        ({"top": -1}, "top must be"),
        ({"top": 1.0}, "top must be"),
        ({"top": True}, "top must be"),
        ({"top": None}, "top must be"),
        ({"id": "name"}, "no column 'name'"),
        ({"id": 3}, "no column 3"),
    ],
)
def test_each_problem_is_named(change: dict[str, Any], words: str) -> None:
    assert any(words in problem for problem in problems({**GOOD, **change}))


def test_all_problems_are_named_at_once() -> None:
    found = problems({"candidates": {"x": [1], "y": 2}, "context": {"z": 1}, "by": "buy", "top": "3", "more": 1})
    assert len(found) == 7  # more, z, tags and user are missing, y is no list, by, top


def test_a_message_holds_no_value() -> None:
    (text,) = problems({"candidates": {"x": ["secret"], "tags": [[]]}, "context": {"user": "u"}})
    assert "secret" not in text


def test_without_a_fused_score_by_is_needed_unless_there_is_one_output() -> None:
    assert any("by is missing" in problem for problem in problems(GOOD, outputs=["click", "like"], score=None))
    assert read(GOOD, outputs=["click"], score=None).by == "click"


@pytest.mark.parametrize("candidates", [{"x": [1] * 6, "tags": [[]] * 6}, [{"x": 1, "tags": []}] * 6])
def test_too_many_candidates(candidates: Any) -> None:
    with pytest.raises(TooLarge, match="6 candidates, and a request may have 5"):
        read({**GOOD, "candidates": candidates})


@pytest.mark.parametrize(
    ("body", "ids", "scores"),
    [
        ({}, [1, 2, 0, 3], [0.9, 0.9, 0.5, 0.1]),
        ({"top": 2}, [1, 2], [0.9, 0.9]),
        ({"top": 2**63}, [1, 2, 0, 3], [0.9, 0.9, 0.5, 0.1]),
        ({"top": 0}, [], []),
        ({"id": "name"}, ["b", None, "a", {"x": 1}], [0.9, 0.9, 0.5, 0.1]),
        ({"by": "click"}, [3, 2, 1, 0], [0.1, 0.9, 0.9, 0.5]),
    ],
)
def test_the_highest_come_first_and_equals_keep_their_order(body: dict[str, Any], ids: list[Any], scores: list[float]) -> None:
    candidates = {"x": [1] * 4, "tags": [[]] * 4, "name": ["a", "b", None, {"x": 1}]}
    request = read({"candidates": candidates, "context": {"user": "u"}, **body})
    found = answer(request, {"click": np.array([0.1, 0.2, 0.3, 0.4]), "score": np.array([0.5, 0.9, 0.9, 0.1])})
    assert found["ids"] == ids
    assert found["scores"]["score"].tolist() == scores
    assert found["by"] == body.get("by", "score")


LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4))
NAMED = st.fixed_dictionaries({}, optional={"x": TREES, "tags": TREES, "user": TREES, "name": TREES})
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "candidates": TREES | NAMED | st.lists(NAMED, max_size=3),
        "context": TREES | NAMED,
        "id": TREES | st.just("name"),
        "by": TREES | st.sampled_from(OUTPUTS),
        "top": TREES,
        "more": TREES,
    },
)


@settings(max_examples=300, deadline=None)
@given(TREES | REQUESTS)
def test_any_json_is_read_or_refused(tree: Any) -> None:
    try:
        request = read(tree)
    except Refusal:
        return
    ranked = answer(request, {name: np.arange(request.feed.rows, dtype=float) for name in OUTPUTS})
    assert len(ranked["ids"]) == min(request.top, request.feed.rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_one_strange_value_is_read_or_refused(exported: Exported, data: st.DataObject) -> None:
    columns = as_json(funnel_rows(3), exported.model.features)
    name = data.draw(st.sampled_from(sorted(columns)))
    columns[name][data.draw(st.integers(0, 2))] = data.draw(TREES)
    inputs = Inputs(exported.model.manifest)
    try:
        request = read_rank({"candidates": columns}, inputs, exported.model.output_names, None, 5)
    except Refusal:
        return
    exported.model.session.run(None, dict(request.feed.arrays))


def deep(levels: int) -> Any:
    tree: Any = []
    for _ in range(levels):
        tree = [tree]
    return tree


@pytest.mark.parametrize("key", ["by", "id", "top", "context", "candidates"])
def test_deep_json_is_refused(key: str) -> None:
    assert problems({**GOOD, key: deep(5000)})


def test_millions_of_unknown_names_cost_little() -> None:
    """Hints compare names, which takes long: only the first ones get one."""
    many = {f"n{n}": 1 for n in range(300_000)}
    found = problems({**GOOD, **many, "context": {**many, "user": "u"}, "candidates": {**many, "y": []}})
    assert len(found) < 500
