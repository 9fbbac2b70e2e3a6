"""Expressions of ONNX operators: what they compute, and that no two tensors share a name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exported import run, session_of
from manygate.export.graph import Graph, concat, interpolate, log1p, where

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


def of(function: Any, x_B: np.ndarray) -> np.ndarray:
    """What a function of one tensor gives."""
    graph = Graph()
    graph.output("y", function(graph.input("x", x_B.dtype, ["rows"])), ["rows"])
    return run(graph, x=x_B)["y"]


def test_arithmetic_and_comparisons() -> None:
    x_B = np.array([-2.0, 0.0, 3.0])
    np.testing.assert_array_equal(of(lambda x: (x + 1.0) * x - x / 2.0, x_B), (x_B + 1) * x_B - x_B / 2)
    np.testing.assert_array_equal(of(lambda x: (x < 0.0) | x.equals(3.0), x_B), [True, False, True])
    np.testing.assert_array_equal(of(lambda x: x >= x, x_B), [True] * 3)
    np.testing.assert_array_equal(of(lambda x: x.to(np.float64), x_B), x_B)


def test_axes() -> None:
    x_B = np.array([1.0, 2.0])
    np.testing.assert_array_equal(of(lambda x: concat([x.unsqueeze(-1), x.unsqueeze(-1)], 1).sum(1), x_B), [2.0, 4.0])
    np.testing.assert_array_equal(of(lambda x: concat([x.unsqueeze(0), (x * 3.0).unsqueeze(0)], 0).mean(0), x_B), [2.0, 4.0])
    np.testing.assert_array_equal(of(lambda x: concat([x.unsqueeze(-1), (x * 3.0).unsqueeze(-1)], 1).at(1, 1), x_B), [3.0, 6.0])
    np.testing.assert_array_equal(of(lambda x: where(x < 2.0, x, x * 0.0), x_B), [1.0, 0.0])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(FINITE, min_size=1, max_size=9, unique=True).map(sorted),
    st.lists(FINITE, min_size=9, max_size=9),
    st.lists(FINITE, min_size=1, max_size=30),
)
def test_interpolate_is_that_of_numpy(x: list[float], u: list[float], given_B: list[float]) -> None:
    """Beside another row with more knots, at the knots, between them and beyond them."""
    x_B = np.array([*given_B, *x, *(np.nextafter(x, -np.inf)), *(np.nextafter(x, np.inf)), -1e300, 1e300])
    u = u[: len(x)]
    other = np.linspace(-1e6, 1e6, 12), np.arange(12.0)
    graph = Graph()
    number = graph.input("x", np.float64, ["rows"])
    both = interpolate(concat([number.unsqueeze(0)] * 2, 0), [(x, u), other])
    graph.output("y", both, [2, "rows"])
    found = run(graph, x=x_B)["y"]
    with np.errstate(all="ignore"):
        expected = np.stack([np.interp(x_B, x, u), np.interp(x_B, *other)])
        finite = np.isfinite(np.diff(u) / np.diff(x)).all() if len(x) > 1 else True
    if finite:
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)


def test_interpolate_between_knots_that_are_neighbours() -> None:
    """A slope between neighbours of zero is infinite, and no number lies between them."""
    tiny = float(np.nextafter(0.0, 1.0))
    x, u = (-1.0, -tiny, 0.0, tiny, 5.0), (0.0, 1.0, 2.0, 3.0, 4.0)
    x_B = np.array([-9.0, -1.0, -0.5, -tiny, -0.0, 0.0, tiny, 2.5, 5.0, 9.0])
    found = of(lambda value: interpolate(value.unsqueeze(0), [(x, u)]).at(0, 0), x_B)
    np.testing.assert_allclose(found, np.interp(x_B, x, u))


def test_log1p_is_exact_near_zero() -> None:
    x_B = np.array([0.0, 5e-324, 1e-300, 1e-17, 1e-16, 1e-9, 1e-12, 0.1, 1.0, 65.0, 1e15, 1e300, 8e307, np.inf])
    np.testing.assert_allclose(of(log1p, x_B), np.log1p(x_B), rtol=1e-14)
    random_B = 10.0 ** np.random.default_rng(0).uniform(-20, 20, 5000)
    np.testing.assert_allclose(of(log1p, random_B), np.log1p(random_B), rtol=1e-14)


def test_names_are_never_shared() -> None:
    """Two inputs of one name, one of the name of an output, one of a name that the graph gives, and one without a name."""
    graph = Graph(["y"])
    inputs = [graph.input(name, np.float64, ["rows"]) for name in ("a", "a", "y", "constant_7", "Add_8", "", "a'")]
    assert [value.name for value in inputs] == ["a", "a'", "y'", "constant_7", "Add_8", "unnamed", "a''"]
    total = inputs[0] + 1.0
    for value in inputs[1:]:
        total = total + value
    graph.output("y", total, ["rows"])
    assert run(graph, **{value.name: np.ones(2) for value in inputs})["y"].tolist() == [8.0, 8.0]
    with pytest.raises(AssertionError, match="two tensors"):
        graph.output("a", total, ["rows"])


def test_a_task_may_have_the_name_of_a_node() -> None:
    graph = Graph(["Add_1", "constant_1"])
    x = graph.input("x", np.float64, ["rows"])
    graph.output("Add_1", x + 1.0, ["rows"])
    graph.output("constant_1", x + 2.0, ["rows"])
    found = run(graph, x=np.zeros(1))
    assert (found["Add_1"].tolist(), found["constant_1"].tolist()) == ([1.0], [2.0])


def test_equal_constants_are_one() -> None:
    graph = Graph()
    one, again, other = (graph.constant(np.array(value)) for value in (1.0, 1.0, 1))
    assert one.name == again.name != other.name


def test_inline_renames_what_is_taken() -> None:
    """A graph inside another, which has the same names of tensors, nodes and weights."""
    inner = Graph()
    x = inner.input("x", np.float64, ["rows"])
    inner.output("y", x * 2.0 + 1.0, ["rows"])
    outer = Graph()
    x = outer.input("x", np.float64, ["rows"])
    y = outer.input("y", np.float64, ["rows"])
    twice = outer.inline(inner.model(), {"x": outer.inline(inner.model(), {"x": x + y}, np.float64)}, np.float64)
    outer.output("z", twice, ["rows"])
    assert run(outer, x=np.array([1.0]), y=np.array([2.0]))["z"].tolist() == [15.0]


def test_any_number_of_rows() -> None:
    graph = Graph()
    graph.output("y", interpolate(graph.input("x", np.float64, ["rows"]).unsqueeze(-1), [((0.0, 1.0), (0.0, 5.0))]), ["rows", 1])
    session = session_of(graph)
    assert [session.run(None, {"x": np.ones(rows)})[0].shape for rows in (0, 1, 7)] == [(0, 1), (1, 1), (7, 1)]


def test_further_outputs_and_parts() -> None:
    """An output beside others gives way, and a tensor can be cut into equal parts."""
    graph = Graph(["y", "further"])
    x = graph.input("x", np.float64, ["rows", 2])
    graph.output("y", concat(graph.split(x, 2, 1)[::-1], 1), ["rows", 2])
    assert graph.further_output("further", graph.split(x, 1, 1)[0] + 1.0, ["rows", 2]) == "further'"
    graph.output("further", x, ["rows", 2])
    found = run(graph, x=np.array([[1.0, 2.0]]))
    assert {name: value.tolist() for name, value in found.items()} == {"y": [[2, 1]], "further'": [[2, 3]], "further": [[1, 2]]}
