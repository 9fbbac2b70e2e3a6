"""Sweeps: their runs, packs and settings, and what is read from their outcomes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from manygate.datasets.synthetic import Tasks
from manygate.studies.sweep import Protocol, Runs, Sweep, at_rest
from study_outcomes import outcome, runs_of, sweep

PROTOCOL = Protocol(
    Tasks(inputs=6, alpha=(1.0, 2.0), beta=(0.1, 0.2)), 8, steps=12, steps_an_epoch=5, validation_rows=30, test_rows=40
)
TWO_RATES = Sweep("s", {"architecture": "mmoe"}, (0.5, 1.0), ((1e-3, 1e-2), (3e-3, 3e-2)), runs=5)


def some(test_RT: list[list[float]], validation_R: list[float], diverged_R: list[bool]) -> Runs:
    lost_R = np.array(diverged_R)
    return Runs(np.array(test_RT), np.array(validation_R), lost_R, np.zeros(len(lost_R)), np.ones((2, len(lost_R))))


def test_a_correlation_has_rates_of_its_own():
    config = TWO_RATES.config(PROTOCOL)
    assert TWO_RATES.cells == [(0.5, 1e-3), (0.5, 1e-2), (1.0, 3e-3), (1.0, 3e-2)]
    assert config.learning_rate * np.array(config.replica_rates) == pytest.approx([1e-3, 1e-2, 3e-3, 3e-2])
    assert TWO_RATES.stream(PROTOCOL, [0, 1]).rates == 2
    assert (config.max_steps, config.epochs, config.keep) == (12, 3, "last")


def test_the_seeds_of_pilots_are_apart():
    packs = replace(TWO_RATES, runs=60, offset=1_000).packs(replace(PROTOCOL, first_seed=7))
    assert [seed for pack in packs for seed in pack] == list(range(1_007, 1_067))
    assert [len(pack) for pack in packs] == [30, 30]


@pytest.mark.parametrize(("runs", "sizes"), [(1, [1]), (33, [33]), (34, [17, 17]), (100, [25, 25, 25, 25]), (67, [23, 23, 21])])
def test_packs_hold_about_two_hundred_programs(runs: int, sizes: list[int]):
    """Two correlations at three rates are six runs a seed: at most 33 seeds a pack, in packs of about one size."""
    packs = sweep("s", (0.5, 1.0), (1e-3, 1e-2, 1e-1), runs).packs(replace(PROTOCOL, first_seed=7))
    assert [len(pack) for pack in packs] == sizes
    assert [seed for pack in packs for seed in pack] == list(range(7, 7 + runs))


def test_rows_are_those_of_every_run():
    assert TWO_RATES.rows(PROTOCOL) == 4 * 5 * 12 * 8


def test_losses_are_means_of_tasks_and_nan_where_a_run_diverged():
    runs = some([[1.0, 3.0], [5.0, 7.0]], [1.0, 2.0], [False, True])
    np.testing.assert_array_equal(runs.losses(), [2.0, np.nan])
    np.testing.assert_array_equal(runs.losses(task=1), [3.0, np.nan])
    assert runs.validation == 1.0


def test_the_rate_with_the_fewest_lost_runs_and_then_the_least_validation_loss_is_best():
    zero = [[0.0], [0.0]]
    cells = {
        (0.5, 1e-3): some(zero, [1.0, 3.0], [False, False]),
        (0.5, 3e-3): some(zero, [0.5, np.nan], [False, True]),
        (0.5, 1e-2): some(zero, [1.0, 2.0], [False, False]),
        (0.5, 3e-2): some(zero, [1.5, 1.5], [False, False]),
    }
    of = sweep("s", (0.5,), (1e-3, 3e-3, 1e-2, 3e-2))
    assert outcome(of, cells).best_rate(0.5) == 1e-2, "1.5 in the mean, the first of two"
    lost = {cell: replace(runs, diverged_R=np.array([True, True])) for cell, runs in cells.items()}
    assert outcome(of, lost).best_rate(0.5) == 1e-3
    assert not lost[0.5, 1e-3].at_rest


def test_losses_are_at_rest_where_they_fell_by_a_twentieth_at_most():
    assert not at_rest(np.array([2.0, 1.5, 1.2, 1.1, 1.06, 1.0])), "1.06 to 1.00 is 5.7 %"
    assert at_rest(np.array([2.0, 1.5, 1.2, 1.1, 1.05, 1.0]))
    assert not at_rest(np.ones(1)), "one epoch shows no course"


def test_runs_that_diverged_are_no_part_of_the_mean_curve():
    runs = runs_of(np.ones((3, 2)))
    runs.curve_ER[:, 1] = np.linspace(9.0, 1.0, 6)
    assert not runs.at_rest
    assert replace(runs, diverged_R=np.array([False, True, False])).at_rest


def test_outcomes_of_other_rates_are_joined():
    first = outcome(sweep("s", (0.5, 1.0)), {(0.5, 1e-2): runs_of(np.ones((2, 2))), (1.0, 1e-2): runs_of(np.ones((2, 2)))})
    both = first.joined(outcome(sweep("t", (1.0,), (1e-1,)), {(1.0, 1e-1): runs_of(np.zeros((2, 2)))}))
    assert (both.rates(0.5), both.rates(1.0), both.seconds) == ([1e-2], [1e-2, 1e-1], 3.0)
    assert both.best_rate(1.0) == 1e-1
    assert both.at(0.5) is first.at(0.5, 1e-2)
