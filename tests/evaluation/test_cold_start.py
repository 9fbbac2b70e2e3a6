"""A task's metrics apart for rows with known ids and rows with an unseen id."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from manygate.evaluation.task_report import task_report
from manygate.metrics.sigmoid import sigmoid
from scored_rows import PROBLEM, R, logits, rows

COLD = np.random.default_rng(5).random(400) < 0.3


def whole(part, key: str, r: int) -> float:
    return part.metrics[key].values[r]


def test_the_parts_are_the_metrics_of_their_rows():
    of, logit = rows(), logits(rows())
    report = task_report(logit, of, PROBLEM, cold_N=COLD)["buy"].cold_start
    for part, own in ((report.warm, ~COLD), (report.cold, COLD)):
        own = own & (of.weight_BT[:, 1] > 0)
        label, weight = of.label_BT[own, 1], of.weight_BT[own, 1]
        assert (part.rows, part.positives) == (own.sum(), label.sum())
        for r in range(R):
            score = sigmoid(logit[r, own, 1].astype(np.float64))
            assert whole(part, "auc", r) == pytest.approx(roc_auc_score(label, score, sample_weight=weight), rel=1e-9)
            assert whole(part, "log_loss", r) == pytest.approx(log_loss(label, score, sample_weight=weight), rel=1e-9)


@pytest.mark.parametrize("name", ["click", "buy"])
def test_rows_positives_log_loss_and_auc_add_up(name):
    of = rows()
    task = task_report(logits(of), of, PROBLEM, cold_N=COLD)[name]
    parts, mixed = (task.cold_start.warm, task.cold_start.cold), task.cold_start.mixed
    t = ["click", "buy"].index(name)
    assert sum(part.rows for part in parts) == task.rows
    assert sum(part.positives for part in parts) == of.label_BT[of.weight_BT[:, t] > 0, t].sum()
    for r in range(R):
        losses = sum(part.weight_share * whole(part, "log_loss", r) for part in parts)
        assert losses == pytest.approx(task.metrics["log_loss"].values[r], rel=1e-12)
        pairs = sum(part.pair_share * whole(part, "auc", r) for part in parts) + mixed.pair_share * mixed.auc.values[r]
        assert pairs == pytest.approx(task.metrics["auc"].values[r], rel=1e-12)


def test_sums_of_squares_of_a_regression_add_up():
    of = rows()
    task = task_report(logits(of), of, PROBLEM, cold_N=COLD)["watch"]
    parts = task.cold_start.warm, task.cold_start.cold
    assert task.cold_start.mixed is None
    for r in range(R):
        error = sum(part.weight_share * whole(part, "rmse", r) ** 2 for part in parts)
        spread = sum(part.weight_share * part.spread for part in parts)
        assert error == pytest.approx(task.metrics["rmse"].values[r] ** 2, rel=1e-12)
        assert 1 - error / spread == pytest.approx(task.metrics["r2"].values[r], rel=1e-9)


def test_it_is_there_only_where_a_labelled_row_is_cold():
    of = rows()
    masked = of.weight_BT[:, 1] == 0
    report = task_report(logits(of), of, PROBLEM, cold_N=masked)
    assert report["click"].cold_start is not None
    assert "cold_start" not in report["buy"].to_tree()
    assert "cold_start" not in task_report(logits(of), of, PROBLEM)["click"].to_tree()


def test_a_part_of_one_class_has_a_loss_and_no_auc():
    of = rows()
    cold = (of.label_BT[:, 0] == 1) & COLD
    part = task_report(logits(of), of, PROBLEM, cold_N=cold)["click"].cold_start
    assert part.cold.metrics["auc"].mean is None
    assert part.cold.undefined == {"auc": f"only one class among {cold.sum()} rows: all labels are 1"}
    assert part.cold.metrics["log_loss"].mean > 0
    assert part.cold.pair_share == 0


def test_every_row_may_be_cold():
    of = rows()
    task = task_report(logits(of), of, PROBLEM, cold_N=np.ones(400, bool))["click"]
    assert (task.cold_start.warm.rows, task.cold_start.warm.weight_share, task.cold_start.warm.pair_share) == (0, 0, 0)
    assert task.cold_start.cold.metrics["auc"] == task.metrics["auc"]
