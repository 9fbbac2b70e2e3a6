"""Metrics of a model on rows: per replica, for the ensemble, on the right rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from manygate.data.batches import Split
from manygate.data.rows import Rows
from manygate.evaluation.gains import gains, measured
from manygate.evaluation.monitor import Monitor
from manygate.evaluation.task_report import task_report
from manygate.metrics.sigmoid import sigmoid
from manygate.model.problem import Problem
from manygate.model.replicas import Member
from manygate.schema import Task
from manygate.scoring.calibration_fit import fit_calibration
from manygate.scoring.outputs import outputs
from scored_rows import PROBLEM, SCALES, TASKS, R, logits, rows


def test_the_report_agrees_with_scikit_learn_on_each_task_s_own_rows():
    of = rows()
    logit = logits(of)
    report = task_report(logit, of, PROBLEM)
    for t, name in ((0, "click"), (1, "buy")):
        own = of.weight_BT[:, t] > 0
        label, weight = of.label_BT[own, t], of.weight_BT[own, t]
        assert report[name].rows == own.sum()
        for r in range(R):
            score = sigmoid(logit[r, own, t].astype(np.float64))
            auc = roc_auc_score(label, score, sample_weight=weight)
            assert report[name].metrics["auc"].values[r] == pytest.approx(auc, rel=1e-9)
            expected = log_loss(label, score, sample_weight=weight)
            assert report[name].metrics["log_loss"].values[r] == pytest.approx(expected, rel=1e-9)
        mean = sigmoid(logit[:, own, t].astype(np.float64)).mean(axis=0)
        assert report[name].ensemble["auc"] == pytest.approx(roc_auc_score(label, mean, sample_weight=weight), rel=1e-9)
        assert report[name].ensemble["auc"] > report[name].metrics["auc"].mean, "averaging takes noise away"
        assert report[name].calibration
        assert report[name].kind == "binary"
    label = of.label_BT[:, 2].astype(np.float64) * 4 + 10
    values = logit[..., 2].astype(np.float64) * 4 + 10
    found = report["watch"].metrics
    for r in range(R):
        assert found["r2"].values[r] == pytest.approx(r2_score(label, values[r], sample_weight=of.weight_BT[:, 2]), rel=1e-6)
        error = np.sqrt(np.average((label - values[r]) ** 2, weights=of.weight_BT[:, 2]))
        assert found["rmse"].values[r] == pytest.approx(error, rel=1e-6), "in the label's unit"
    assert report["watch"].calibration is None


def test_mean_sd_and_interval_over_replicas():
    of = rows()
    found = task_report(logits(of), of, PROBLEM)["click"].metrics["auc"]
    values = np.array(found.values)
    assert found.mean == pytest.approx(values.mean())
    assert found.sd == pytest.approx(values.std(ddof=1))
    half = 4.302652729696142 * values.std(ddof=1) / np.sqrt(3)
    assert found.ci95 == pytest.approx([values.mean() - half, values.mean() + half])
    one = task_report(logits(of)[:1], of, PROBLEM)["click"].metrics["auc"]
    assert (one.sd, one.ci95) == (None, None)


def test_masked_rows_count_for_nothing():
    of, logit = rows(), logits(rows())
    other_label, other_logit = of.label_BT.copy(), logit.copy()
    masked = of.weight_BT[:, 1] == 0
    other_label[masked, 1] = 1 - other_label[masked, 1]
    other_logit[:, masked, 1] = 40
    other = Rows(of.id_BS, of.number_BM, [], other_label, of.weight_BT, of.group_B)
    assert task_report(logit, of, PROBLEM)["buy"] == task_report(other_logit, other, PROBLEM)["buy"]


def test_what_is_undefined_is_null_with_a_reason():
    of = rows()
    of.label_BT[:, 0] = 1
    report = task_report(logits(of), of, PROBLEM)
    assert report["click"].ensemble["auc"] is None
    assert report["click"].metrics["auc"].mean is None
    assert report["click"].undefined["auc"]
    without = task_report(logits(of), rows(groups=False), PROBLEM)
    assert without["click"].ensemble.get("gauc") is None


@pytest.mark.parametrize("weights", [(0.1, 1.0, 10.0), (10.0, 0.1, 1.0)])
def test_a_task_s_weight_is_for_training_and_scales_nothing_that_is_judged(weights: tuple[float, ...]):
    of = rows()
    better, base = logits(of, 1.5), logits(of, 0.5, seed=2)
    weighted = tuple(task.model_copy(update={"weight": weight}) for task, weight in zip(TASKS, weights, strict=True))

    def judged(tasks: Any) -> Any:
        problem = Problem(PROBLEM.inputs, tuple(tasks), SCALES)
        watched = [
            Monitor(name, Problem.unscaled((), tasks), of, Split(of)) for name in ("mean", "buy", "click/log_loss", "watch/mae")
        ]
        together, apart = ([Member(r, r, own) for r in range(R) for own in models] for models in ([(0, 1, 2)], [(0,), (1,), (2,)]))
        scores = [
            [part.tolist() for part in vars(watch(better, members)).values()] for watch in watched for members in (together, apart)
        ]
        found = gains(measured(better, of, problem), measured(base, of, problem), tasks)
        calibrated = fit_calibration(better, of, problem, "platt")
        return scores, found, task_report(better, of, problem, calibrated), outputs(better, problem).tolist()

    assert judged(weighted) == judged(TASKS)


def funnel_rows() -> tuple[Rows, tuple[Task, ...], np.ndarray]:
    """Click, buy after click, keep after buy; of clicked rows some have no known buy, of bought ones some no known keep."""
    click = [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1]
    buy = [9, 9, 9, 0, 0, 1, 1, 1, 9, 9, 9, 1]  # 9: not known, or did not come to it
    keep = [9, 9, 9, 9, 9, 0, 1, 9, 9, 9, 9, 1]
    label = np.array([click, buy, keep], np.float32).T
    weight = np.array([1, 2, 1, 0.5, 1, 2, 1, 1, 2, 1, 0, 1], np.float32)[:, None] * (label != 9)
    label[label == 9] = 0
    logit = np.random.default_rng(4).normal(size=(2, 12, 3)).astype(np.float32)
    tasks = (Task(name="click"), Task(name="buy", after="click"), Task(name="keep", after="buy"))
    return Rows(np.zeros((12, 0), np.int32), np.zeros((12, 0), np.float32), [], label, weight), tasks, logit


def test_a_joint_event_that_is_not_known_counts_as_neither():
    """Row by row: 0 where a step before did not happen, its label where it did, left out where that is unknown."""
    of, tasks, logit = funnel_rows()
    report = task_report(logit, of, Problem.unscaled((), tasks))
    p = 1 / (1 + np.exp(-logit.astype(float)))
    chance = {"buy": (p[..., 0] * p[..., 1]).mean(axis=0), "keep": p.prod(axis=-1).mean(axis=0)}
    for name, steps in (("buy", [0, 1]), ("keep", [0, 1, 2])):
        label, score, weight = [], [], []
        for n in range(12):
            happened, known = 1, True
            last = 0.0
            for t in steps:
                if not happened or not known:
                    break
                known, happened, last = bool(of.weight_BT[n, t] > 0), int(of.label_BT[n, t]), float(of.weight_BT[n, t])
            if known:
                label.append(happened)
                score.append(chance[name][n])
                weight.append(last)
        joint = report[name].joint
        assert joint.rows == len(label) == {"buy": 9, "keep": 8}[name]
        assert joint.ensemble["log_loss"] == pytest.approx(log_loss(label, score, sample_weight=weight))
        assert joint.ensemble["auc"] == pytest.approx(roc_auc_score(label, score, sample_weight=weight))
        assert joint.ensemble["calibration"] == pytest.approx(np.dot(label, weight) / np.dot(score, weight))
