"""MGDA is the shortest convex combination: in closed form for two tasks, and by the conditions of the minimum for more."""

from __future__ import annotations

import builtins
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given as over
from hypothesis import settings as runs
from hypothesis import strategies as st
from scipy.optimize import minimize

from manygate.objective.weighting.mgda import RIDGE, shortest
from weightings import pairs, weights_of


@over(pairs)
@runs(max_examples=60, deadline=None)
def test_mgda_of_two_tasks_in_closed_form(gradients):
    """Sener & Koltun, section 3.3: the share of the first is clip((g_2 - g_1) . g_2 / |g_1 - g_2|^2)."""
    first, second = gradients
    apart = first - second
    if apart @ apart < 1e-3:
        return
    share = np.clip((second - first) @ second / (apart @ apart), 0, 1)
    np.testing.assert_allclose(weights_of("mgda", gradients), 2 * np.array([share, 1 - share]), rtol=1e-4, atol=2e-4)


def gradients_of(tasks: int, numbers: int, seed: int, kind: str) -> np.ndarray:
    """Draw gradients (T, numbers), most of them of a degenerate kind."""
    random = np.random.default_rng(seed)
    gradient_TX = random.normal(size=(tasks, numbers))
    match kind:
        case "scales":
            gradient_TX *= 10.0 ** random.uniform(-3, 3, (tasks, 1))
        case "equal":
            gradient_TX[1:] = gradient_TX[:1]
        case "two equal":
            gradient_TX[1] = gradient_TX[0]
        case "zero":
            gradient_TX[-1] = 0.0
        case "all zero":
            gradient_TX[:] = 0.0
        case "rank 1":
            gradient_TX = np.outer(random.normal(size=tasks), gradient_TX[0])
        case "one side":
            gradient_TX += 3 * random.normal(size=numbers)
        case "a corner":
            gradient_TX = np.abs(gradient_TX) + np.eye(tasks, numbers)
            gradient_TX[0] *= 1e-3
    return gradient_TX


KINDS = ["ordinary", "scales", "equal", "two equal", "zero", "all zero", "rank 1", "one side", "a corner"]


def solved(gradient_TX: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gramian, scaled as in training, and the weights of the shortest convex combination."""
    gramian_TT = gradient_TX @ gradient_TX.T
    gramian_TT /= max(np.trace(gramian_TT) / len(gramian_TT), 1e-300)
    return gramian_TT, shortest(gramian_TT + RIDGE * np.eye(len(gramian_TT)))


@over(st.integers(3, 8), st.integers(1, 12), st.integers(0, 10_000), st.sampled_from(KINDS))
@runs(max_examples=300, deadline=None)
def test_no_convex_combination_is_shorter(tasks, numbers, seed, kind):
    """At the minimum no gradient has a smaller inner product with the combination than the combination itself."""
    gramian_TT, weight_T = solved(gradients_of(tasks, numbers, seed, kind))
    assert weight_T.min() >= 0
    assert weight_T.sum() == pytest.approx(1, abs=1e-9)
    inner_T = gramian_TT @ weight_T
    assert inner_T.min() >= weight_T @ inner_T - 1e-8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tasks", [3, 4])
def test_a_solver_of_scipy_finds_nothing_shorter(tasks, kind):
    for seed in range(5):
        gramian_TT, weight_T = solved(gradients_of(tasks, 6, seed, kind))
        found = minimize(
            lambda w, gramian_TT=gramian_TT: w @ gramian_TT @ w,
            np.full(tasks, 1 / tasks),
            jac=lambda w, gramian_TT=gramian_TT: 2 * gramian_TT @ w,
            bounds=[(0, 1)] * tasks,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(tasks)},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert weight_T @ gramian_TT @ weight_T <= found.fun + 1e-8


def test_three_tasks_by_trying_a_grid():
    steps = np.arange(101) / 100
    grid_W3 = np.array([(a, b, 1 - a - b) for a, b in product(steps, steps) if a + b <= 1 + 1e-9])
    for seed in range(5):
        gramian_TT, weight_T = solved(gradients_of(3, 4, seed, "ordinary"))
        length_W = np.einsum("wi,ij,wj->w", grid_W3, gramian_TT, grid_W3)
        assert weight_T @ gramian_TT @ weight_T <= length_W.min() + 1e-12
        nearest = np.abs(grid_W3 - weight_T).max(axis=1).argmin()
        assert length_W[nearest] - length_W.min() < 1e-3


def test_equal_gradients_get_equal_weights():
    """Every combination is as short. A method that moves between corners would give one of them everything."""
    np.testing.assert_allclose(weights_of("mgda", np.ones((3, 4))), [1, 1, 1], atol=1e-5)
    np.testing.assert_allclose(weights_of("mgda", np.array([[2.0, 0], [2.0, 0], [0, 2.0]])), [0.75, 0.75, 1.5], atol=1e-4)


def test_opposed_gradients_cancel():
    weight_T = weights_of("mgda", np.array([[2.0, 0], [-1.0, 0], [0, 5.0]]))
    np.testing.assert_allclose(weight_T, [1, 2, 0], atol=1e-4)


def test_it_needs_no_package(monkeypatch):
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "torchjd":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    np.testing.assert_allclose(weights_of("mgda", np.eye(3)), [1, 1, 1], atol=1e-6)
