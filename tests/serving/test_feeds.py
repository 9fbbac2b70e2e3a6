"""Feeds: what the manifest says of inputs, and several requests in one feed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exported import CONTEXT, Exported
from manygate.serving.feeds import Feed, Inputs, blank, join, shared_arrays
from manygate.serving.rank import read_rank
from served import INPUTS


def feed(x: list[int], tags: list[list[str]], users: list[str], nulls: bool = False) -> Feed:
    width = max(map(len, tags), default=0)
    arrays = {
        "x": np.array(x, np.int64),
        "tags": np.array([each + [""] * (width - len(each)) for each in tags], object).reshape(len(x), width),
        "tags.mask": np.array([[1] * len(each) + [0] * (width - len(each)) for each in tags], np.uint8).reshape(len(x), width),
        "user": np.array(users, object),
    }
    null = {"x": np.arange(len(x)) == 0, "user": np.ones(len(users), bool)} if nulls else {}
    return Feed(arrays | shared_arrays(INPUTS, len(x), null, len(users)), len(x), len(users))


def test_rows_follow_one_another() -> None:
    joined = join(INPUTS, [feed([1, 2], [["a"], []], ["u"]), feed([3], [["b", "c", "d"]], ["v"], nulls=True)])
    assert (joined.rows, joined.contexts) == (3, 2)
    assert {name: value.tolist() for name, value in joined.arrays.items()} == {
        "x": [1, 2, 3],
        "tags": [["a", "", ""], ["", "", ""], ["b", "c", "d"]],
        "tags.mask": [[1, 0, 0], [0, 0, 0], [1, 1, 1]],
        "user": ["u", "v"],
        "missing": [[False], [False], [True]],
        "context.missing": [[False], [True]],
        "row": [0, 0, 1],
    }


def test_one_feed_stays_itself() -> None:
    one = feed([1], [[]], ["u"])
    assert join(INPUTS, [one]) is one


def test_what_the_manifest_says() -> None:
    assert INPUTS.lists == {"tags": "", "tags.mask": 0}
    assert INPUTS.of_context == {"user"}
    assert INPUTS.of_context == {"user"}
    assert INPUTS.context_row == "row"


def test_each_row_can_have_its_own_context() -> None:
    assert shared_arrays(INPUTS, 3, {}, 3)["row"].tolist() == [0, 1, 2]
    assert shared_arrays(INPUTS, 3, {}, 1)["row"].tolist() == [0, 0, 0]


def test_nothing_is_null_in_one_row_of_the_table_of_nulls() -> None:
    arrays = shared_arrays(INPUTS, 3, {"x": np.array([False, True, False])})
    assert arrays["missing"].tolist() == [[False], [True], [False]]
    assert arrays["context.missing"].tolist() == [[False]]


@pytest.mark.parametrize("rows", [0, 1, 64])
@pytest.mark.parametrize("context", [(), CONTEXT])
def test_a_blank_feed_is_one_of_missing_values(
    rows: int, context: tuple[str, ...], exported: Exported, with_requests: Exported
) -> None:
    model = (with_requests if context else exported).model
    inputs = Inputs(model.manifest)
    found = model.session.run(None, dict(blank(inputs, rows).arrays))
    assert {len(values) for values in found} == {rows}


VALUES: dict[str, Any] = {
    "item": st.sampled_from([7, 8, -1, 99]),
    "word": st.sampled_from(["red", "", "a\0", "🙂", "new"]),
    "digits": st.sampled_from(["7", "8", "x"]),
    "share": st.sampled_from([0.5, 7, "NaN", "Infinity"]),
    "flag": st.booleans(),
    "large": st.sampled_from([7, 2**63 + 5, 3]),
    "bucket": st.integers(-(2**63), 2**63 - 1),
    "tags": st.lists(st.sampled_from(["7", "t", "", None]), max_size=4),
    "tags.mask": st.lists(st.sampled_from([7, 8, 9, None]), max_size=4),
    "age": st.floats(-100, 100),
    "price": st.sampled_from([0.5, 2.0, -1, 1e300, "NaN"]),
    "other": st.sampled_from([1.0, 2, "NaN", "-Infinity"]),
}
ROW = st.fixed_dictionaries({name: st.none() | value for name, value in VALUES.items()})
REQUEST = st.tuples(st.lists(ROW, max_size=4), ROW)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(REQUEST, min_size=2, max_size=4))
def test_each_row_gets_the_answer_that_it_gets_alone(
    exported: Exported, with_requests: Exported, requests: list[tuple[list[dict[str, Any]], dict[str, Any]]]
) -> None:
    """Lists of other lengths, nulls in some requests alone, and shared contexts."""
    for model, names in ((exported.model, ()), (with_requests.model, CONTEXT)):
        inputs = Inputs(model.manifest)
        feeds = [read_rank(_tree(rows, context, names), inputs, ["click"], None, 100).feed for rows, context in requests]
        joined = join(inputs, feeds)
        together = dict(zip(model.output_names, model.session.run(model.output_names, dict(joined.arrays)), strict=True))
        start = 0
        for one in feeds:
            alone = model.session.run(model.output_names, dict(one.arrays))
            for name, value_B in zip(model.output_names, alone, strict=True):
                np.testing.assert_allclose(together[name][start : start + one.rows], value_B, rtol=1e-5, atol=1e-6, err_msg=name)
            start += one.rows
        assert start == joined.rows


def _tree(rows: list[dict[str, Any]], context: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """A request in which the features ``names`` stand once."""
    candidates = [{name: value for name, value in row.items() if name not in names} for row in rows]
    return {"candidates": candidates, "context": {name: context[name] for name in names}}
