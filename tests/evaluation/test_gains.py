"""Gains are paired differences of main metrics, replica by replica and row by row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from manygate import metrics
from manygate.data.rows import NO_GROUP, Rows
from manygate.evaluation.gains import clusters, gains, measured
from scored_rows import TASKS, UNSCALED, N, R, logits, rows


def test_gains_are_differences_of_the_main_metric_replica_by_replica():
    of = rows()
    base, better = logits(of, 0.5, seed=1), logits(of, 1.5, seed=1)
    found = gains(measured(better, of, UNSCALED), measured(base, of, UNSCALED), TASKS)
    for t, (name, measure) in enumerate((("click", metrics.auc), ("buy", metrics.auc), ("watch", metrics.r2))):
        label, weight = of.label_BT[:, t], of.weight_BT[:, t]
        expected = [measure(label, better[r, :, t], weight) - measure(label, base[r, :, t], weight) for r in range(R)]
        assert found[name].gain == pytest.approx(np.mean(expected))
        assert found[name].sd_replicas == pytest.approx(np.std(expected, ddof=1))
        assert found[name].metric == metrics.MAIN_METRIC[TASKS[t].kind]
        assert found[name].se_test > 0
    shuffled: Any = gains(measured(better[[1, 2, 0]], of, UNSCALED), measured(base, of, UNSCALED), TASKS)
    assert shuffled["click"].gain == pytest.approx(found["click"].gain)
    assert shuffled["click"].sd_replicas != found["click"].sd_replicas, "replicas are paired"


def test_a_model_gains_nothing_over_itself():
    of = rows()
    for entry in gains(measured(logits(of), of, UNSCALED), measured(logits(of), of, UNSCALED), TASKS).values():
        assert entry.gain == 0
        assert entry.verdict == "cannot tell"


def test_a_gain_that_cannot_be_computed_is_null():
    of = rows()
    of.label_BT[:, 0] = 0
    found = gains(measured(logits(of), of, UNSCALED), measured(logits(of, 2.0), of, UNSCALED), TASKS)["click"]
    assert (found.gain, found.ci95, found.verdict) == (None, None, "cannot tell")


def test_rows_of_one_group_are_one_cluster_and_rows_without_groups_one_each():
    of = rows().where(np.arange(N) < 5)
    of = replace(of, group_B=np.array([7, 2**63, 7, NO_GROUP, NO_GROUP], np.uint64))
    assert clusters(of).tolist() == [0, 1, 0, 2, 3]
    assert clusters(replace(of, group_B=None)).tolist() == [0, 1, 2, 3, 4]


def test_rows_without_a_group_make_a_verdict_as_sure_as_rows_of_groups_of_their_own():
    """Half of the rows have no user: the error of the gain is that of as many users with a row each, and not of one user."""
    of = rows()
    group_N = np.arange(1, N + 1, dtype=np.uint64)
    half = np.arange(N) % 2 == 0
    without, alone, pooled = (
        replace(of, group_B=np.where(half, other, group_N)) for other in (NO_GROUP, group_N, np.uint64(N + 1))
    )
    pair = [logits(of, 0.5, seed=1), logits(of, 1.5, seed=1)]
    errors = [
        gains(measured(pair[1], each, UNSCALED), measured(pair[0], each, UNSCALED), TASKS)["click"].se_test
        for each in (without, alone, pooled)
    ]
    assert errors[0] == pytest.approx(errors[1], rel=1e-12)
    assert errors[0] != pytest.approx(errors[2], rel=1e-3)


def test_a_user_s_row_said_twice_makes_a_verdict_no_surer():
    """Each row twice, in a group of its own: the same gain with the same error; without groups it is smaller, by sqrt 2."""
    once = rows(groups=False)
    both = np.repeat(np.arange(N), 2)
    twice = Rows(once.id_BS[both], once.number_BM[both], [], once.label_BT[both], once.weight_BT[both], both.astype(np.uint64))
    apart = Rows(twice.id_BS, twice.number_BM, [], twice.label_BT, twice.weight_BT, None)
    better, base = logits(once, 1.5, seed=1), logits(once, 0.5, seed=2)
    expected = gains(measured(better, once, UNSCALED), measured(base, once, UNSCALED), TASKS)
    found = gains(measured(better[:, both], twice, UNSCALED), measured(base[:, both], twice, UNSCALED), TASKS)
    surer = gains(measured(better[:, both], apart, UNSCALED), measured(base[:, both], apart, UNSCALED), TASKS)
    for name, entry in found.items():
        assert entry.gain == pytest.approx(expected[name].gain, rel=1e-6)
        assert entry.se_test == pytest.approx(expected[name].se_test, rel=1e-6)
        assert entry.ci95 == pytest.approx(expected[name].ci95, rel=1e-6)
        assert surer[name].se_test == pytest.approx(entry.se_test / np.sqrt(2), rel=0.01)
