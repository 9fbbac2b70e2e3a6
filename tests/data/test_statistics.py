"""Target statistics against loops, and that a row's own label never reaches its input."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.data.statistics import FOLDS, draw_folds, fit_statistics, labels_of, other_rows, out_of_fold, prior_of, rows_of

SIZE = 7


def sample(seed: int, rows: int = 40, single: bool = False) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """A bag (of one id a row with ``single``), labels and weights, some of them 0."""
    random = np.random.default_rng(seed)
    length_N = np.ones(rows, int) if single else random.integers(0, 4, rows)
    bag = random.integers(0, SIZE, length_N.sum()), np.append(0, np.cumsum(length_N))
    return bag, random.normal(size=rows), random.choice([0.0, 0.5, 2.0], rows)


def mean_by_loop(ids: list[int], bag: tuple[np.ndarray, np.ndarray], label_N, weight_N, chosen: list[int], prior, smoothing):  # type: ignore[no-untyped-def]
    """The mean statistic of some ids, from the labels of the chosen rows."""
    means = []
    for wanted in ids:
        total, weight = smoothing * prior, smoothing
        for row in chosen:
            for found in bag[0][bag[1][row] : bag[1][row + 1]]:
                if found == wanted:
                    total, weight = total + weight_N[row] * label_N[row], weight + weight_N[row]
        means.append(total / weight)
    return np.mean(means) if means else np.nan


@given(st.integers(0, 10_000), st.booleans())
def test_statistics_are_those_of_a_loop(seed: int, single: bool) -> None:
    bag, label_N, weight_N = sample(seed, single=single)
    fitted = fit_statistics(bag, label_N, weight_N, SIZE, 0.3, 5.0)
    ids = [list(bag[0][bag[1][row] : bag[1][row + 1]]) for row in range(len(label_N))]
    expected = [mean_by_loop(of_row, bag, label_N, weight_N, list(range(len(label_N))), 0.3, 5.0) for of_row in ids]
    np.testing.assert_allclose(fitted.means(bag), expected)


@given(st.integers(0, 10_000), st.booleans())
def test_a_training_row_reads_the_other_folds_alone(seed: int, single: bool) -> None:
    bag, label_N, weight_N = sample(seed, single=single)
    fold_N = np.random.default_rng(seed).integers(0, 3, len(label_N))
    expected = [
        mean_by_loop(
            list(bag[0][bag[1][row] : bag[1][row + 1]]),
            bag,
            label_N,
            weight_N,
            [other for other in range(len(label_N)) if fold_N[other] != fold_N[row]],
            0.3,
            5.0,
        )
        for row in range(len(label_N))
    ]
    np.testing.assert_allclose(out_of_fold(bag, label_N, weight_N, SIZE, 0.3, fold_N, 5.0), expected)


@given(st.integers(0, 10_000), st.integers(0, 39))
def test_a_label_does_not_reach_its_own_row(seed: int, row: int) -> None:
    bag, label_N, weight_N = sample(seed)
    fold_N = draw_folds(len(label_N), seed, 0)
    before_N = out_of_fold(bag, label_N, weight_N, SIZE, 0.3, fold_N)
    label_N[row] += 100
    after_N = out_of_fold(bag, label_N, weight_N, SIZE, 0.3, fold_N)
    np.testing.assert_array_equal(before_N[row], after_N[row])


def test_an_id_without_labels_has_the_prior() -> None:
    bag = np.array([2, 3]), np.arange(3)
    fitted = fit_statistics(bag, np.array([1.0, 9.0]), np.array([1.0, 0.0]), SIZE, 0.25)
    assert fitted.mean_V[3] == fitted.mean_V[5] == 0.25
    assert fitted.mean_V[2] == pytest.approx((1 + 20 * 0.25) / 21)


def test_a_row_does_not_count_itself_and_rare_ids_count_nothing() -> None:
    bag = np.array([2, 2, 3, 1, 1]), np.arange(6)
    weight_N = np.array([2.0, 1.0, 1.0, 1.0, 0.0])
    fitted = fit_statistics(bag, np.zeros(5), weight_N, SIZE, 0.0)
    assert fitted.weights(bag).tolist() == [3, 3, 1, 0, 0]
    assert other_rows(bag, weight_N, fitted).tolist() == [1, 2, 0, 0, 0]


def test_folds_are_even_and_differ_by_seed_and_task() -> None:
    first = draw_folds(103, 0, 0)
    assert sorted(np.bincount(first).tolist()) == [20, 20, 21, 21, 21]
    assert len(np.bincount(first)) == FOLDS
    assert (first == draw_folds(103, 0, 0)).all()
    assert (first != draw_folds(103, 1, 0)).any()
    assert (first != draw_folds(103, 0, 1)).any()


def test_the_prior_is_weighted_and_rows_of_a_bag_repeat() -> None:
    assert prior_of(np.array([1.0, 0.0]), np.array([3.0, 1.0])) == 0.75
    assert rows_of((np.array([4, 4, 4]), np.array([0, 1, 1, 3]))).tolist() == [0, 2, 2]


def test_weights_have_the_mean_one_over_the_labelled_rows(encoded) -> None:  # type: ignore[no-untyped-def]
    rows = encoded().parts["train"]
    for t in range(3):
        label_N, weight_N = labels_of(rows, t)
        known_N = rows.weight_BT[:, t] > 0
        assert weight_N[known_N].mean() == pytest.approx(1)
        assert (weight_N[~known_N] == 0).all()
        np.testing.assert_allclose(weight_N / weight_N.max(), rows.weight_BT[:, t] / rows.weight_BT[:, t].max(), rtol=1e-6)
        np.testing.assert_array_equal(label_N, rows.label_BT[:, t])
    nothing = dataclasses.replace(rows, weight_BT=np.zeros_like(rows.weight_BT))
    assert not labels_of(nothing, 0)[1].any()
