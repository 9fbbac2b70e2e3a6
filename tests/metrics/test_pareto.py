"""Compare fronts, hypervolumes and weight vectors with values by hand and with slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manygate.metrics.pareto import WIDEST, hypervolume, non_dominated, weight_vectors

points = (
    st.integers(2, 5)
    .flatmap(lambda tasks: st.lists(st.lists(st.integers(0, 6), min_size=tasks, max_size=tasks), min_size=1, max_size=6))
    .map(lambda rows: np.array(rows, dtype=np.float64))
)


def test_the_front_by_hand():
    point_PT = np.array([[1.0, 5.0], [2.0, 4.0], [2.0, 3.0], [5.0, 1.0], [0.0, 5.0], [np.nan, 9.0]])
    assert non_dominated(point_PT).tolist() == [True, True, False, True, False, False]
    assert non_dominated(np.ones((3, 2))).all(), "equals do not beat each other"


def test_hypervolumes_by_hand():
    zero = np.zeros(2)
    assert hypervolume(np.array([[2.0, 3.0]]), zero) == 6
    assert hypervolume(np.array([[3.0, 1.0], [2.0, 2.0], [1.0, 3.0]]), zero) == 6  # 3 + 2 + 1
    assert hypervolume(np.array([[3.0, 1.0], [2.0, 2.0], [1.0, 3.0]]), np.array([1.0, 1.0])) == 1
    assert hypervolume(np.array([[2.0, 2.0], [0.5, -1.0]]), zero) == 4, "what does not beat the reference adds nothing"
    assert hypervolume(np.empty((0, 2)), zero) == 0
    assert hypervolume(np.array([[2.0, 2.0, 2.0], [1.0, 1.0, 4.0], [3.0, 1.0, 1.0]]), np.zeros(3)) == 8 + 2 + 1


@given(points)
@settings(max_examples=80, deadline=None)
def test_hypervolume_counts_the_unit_cubes_below_the_points(point_PT):
    tasks = point_PT.shape[1]
    corner = np.stack(np.meshgrid(*[np.arange(1, 7)] * tasks, indexing="ij"), axis=-1).reshape(-1, tasks)
    covered = (corner[:, None] <= point_PT[None]).all(axis=2).any(axis=1).sum()
    assert hypervolume(point_PT, np.zeros(tasks)) == pytest.approx(covered)


@given(points, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_hypervolume_grows_with_points_and_needs_only_the_front(point_PT, random):
    reference_T = np.zeros(point_PT.shape[1])
    whole = hypervolume(point_PT, reference_T)
    assert whole == pytest.approx(hypervolume(point_PT[non_dominated(point_PT)], reference_T))
    assert hypervolume(point_PT[:-1], reference_T) <= whole + 1e-9
    raised = point_PT.copy()
    raised[random.randrange(len(raised))] += random.random()
    assert hypervolume(raised, reference_T) >= whole - 1e-9
    assert hypervolume(random.sample(list(point_PT), len(point_PT)) * np.ones(1), reference_T) == pytest.approx(whole)


@given(points)
@settings(max_examples=60, deadline=None)
def test_the_front_is_what_a_loop_finds(point_PT):
    def beats(a, b):
        return all(a >= b) and any(a > b)

    expected = [not any(beats(other, point) for other in point_PT) for point in point_PT]
    assert non_dominated(point_PT).tolist() == expected


@pytest.mark.parametrize("tasks", [2, 3, 4, 7])
@pytest.mark.parametrize("count", [1, 2, 5, 8, 33])
def test_weight_vectors_are_positive_of_sum_t_distinct_and_hold_equal_weights(tasks, count):
    weight_PT = weight_vectors(tasks, count)
    assert weight_PT.shape == (count, tasks)
    np.testing.assert_allclose(weight_PT.sum(axis=1), tasks)
    assert (weight_PT > 0).all()
    assert weight_PT.max() / weight_PT.min() <= WIDEST * WIDEST
    assert np.isclose(weight_PT, 1.0).all(axis=1).sum() == 1
    assert len(np.unique(weight_PT.round(9), axis=0)) == count
    np.testing.assert_array_equal(weight_PT, weight_vectors(tasks, count))


def test_two_tasks_are_a_geometric_grid_of_ratios():
    weight_PT = weight_vectors(2, 5)
    np.testing.assert_allclose(weight_PT[:, 0] / weight_PT[:, 1], [1 / 16, 1 / 4, 1, 4, 16])
    np.testing.assert_allclose(weight_vectors(2, 4), weight_PT[:4])


def test_three_tasks_are_spread_evenly():
    """For every task, each third of the logarithm's range has about a third of the vectors."""
    weight_PT = weight_vectors(3, 300)
    log_PT = np.log(weight_PT / np.exp(np.log(weight_PT).mean(axis=1, keepdims=True)))
    assert (abs(log_PT.mean(axis=0)) < 0.03).all()
    assert (log_PT.std(axis=0) > 0.5).all()
