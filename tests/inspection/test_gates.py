"""Utilisation, entropy, distances and idle experts, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from manygate.inspection.gates import distances, entropy, gate_report, one_gate, total_variation, unused_experts

LN2, LN3 = np.log(2), np.log(3)


def test_mean_and_sd_are_over_the_rows_given():
    use = one_gate(np.array([[0.2, 0.8, 0.0], [0.6, 0.4, 0.0]]), seen=(0, 1))
    assert use.mean == pytest.approx([0.4, 0.6, 0.0])
    assert use.sd == pytest.approx([0.2, 0.2, 0.0])
    assert use.rows == 2
    assert use.sees == [0, 1]


def test_entropy_is_a_rows_own_and_then_averaged():
    """Two rows that each use one expert are certain, though their mean is an even mix."""
    use = one_gate(np.array([[1.0, 0.0], [0.0, 1.0]]), seen=(0, 1))
    assert use.mean == [0.5, 0.5]
    assert use.entropy == 0.0
    assert use.entropy_share == 0.0
    even = one_gate(np.full((4, 3), 1 / 3), seen=(0, 1, 2))
    assert even.entropy == pytest.approx(LN3)
    assert even.entropy_share == pytest.approx(1.0)


def test_entropy_is_normalised_by_the_experts_seen():
    use = one_gate(np.array([[0.5, 0.5, 0.0, 0.0]]), seen=(0, 1))
    assert use.entropy == pytest.approx(LN2)
    assert use.entropy_share == pytest.approx(1.0)


def test_entropy_of_a_certain_row_is_zero_and_not_minus_zero():
    assert str(entropy(np.array([[1.0, 0.0]]))[0]) == "0.0"


def test_polarised_counts_rows_above_the_weight_only():
    gate = np.array([[0.96, 0.04], [0.95, 0.05], [0.03, 0.97], [0.5, 0.5]])
    assert one_gate(gate, seen=(0, 1)).polarised == 0.5


def test_a_gate_without_a_choice_has_no_entropy_share():
    use = one_gate(np.ones((3, 1)), seen=(0,))
    assert use.entropy_share is None
    assert use.polarised is None


def test_total_variation_by_hand():
    assert total_variation(np.array([0.7, 0.3]), np.array([0.2, 0.8])) == pytest.approx(0.5)
    assert total_variation(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])).tolist() == [1.0]


def test_tasks_can_agree_in_the_mean_and_differ_on_every_row():
    gate_NTE = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    (pair,) = distances(gate_NTE, np.ones((2, 2), bool), [(0, 1), (0, 1)], ["a", "b"])
    assert pair.to_tree() == {"tasks": ["a", "b"], "of_means": 0.0, "by_row": 1.0}


def test_distance_by_row_is_over_the_rows_of_both_tasks():
    gate_NTE = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.0, 1.0]]])
    inside = np.array([[True, True], [True, False]])
    (pair,) = distances(gate_NTE, inside, [(0, 1)] * 2, ["a", "b"])
    assert pair.by_row == 0.5
    assert pair.of_means == 0.0, "a's mean over both rows is b's on its one"
    (pair,) = distances(gate_NTE, np.array([[True, False], [False, True]]), [(0, 1)] * 2, ["a", "b"])
    assert pair.by_row is None


def test_an_expert_is_unused_only_if_every_task_that_sees_it_ignores_it():
    mean_TE = np.array([[0.995, 0.005, 0.0, 0.0], [0.0, 0.005, 0.5, 0.495]])
    assert unused_experts(mean_TE, [(0, 1), (1, 2, 3)]) == [1]
    assert unused_experts(np.array([[0.005, 0.995], [0.5, 0.5]]), [(0, 1), (0, 1)]) == []


def test_with_many_experts_unused_is_a_tenth_of_an_even_split():
    mean_TE = np.full((1, 200), 1 / 200)
    assert unused_experts(mean_TE, [range(200)]) == []
    mean_TE[0, 7] = 0.0004
    assert unused_experts(mean_TE, [range(200)]) == [7]


def test_a_task_is_judged_on_its_own_rows_and_left_out_where_it_sees_nothing():
    gate_NTE = np.array([[[0.9, 0.1], [0.5, 0.5], [0.0, 0.0]], [[0.1, 0.9], [0.5, 0.5], [0.0, 0.0]]])
    weight_NT = np.array([[0.5, 1.0, 1.0], [0.0, 1.0, 1.0]])
    report = gate_report(gate_NTE, weight_NT, [(0, 1), (0, 1), ()], ["click", "like", "buy"])
    assert [use.task for use in report.tasks] == ["click", "like"]
    assert report.tasks[0].mean == pytest.approx([0.9, 0.1])
    assert report.tasks[0].rows == 1
    assert report.unused_share == 0.0
    assert len(report.distances) == 1
