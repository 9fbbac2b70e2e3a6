"""Metrics of a model on rows: per replica, for the ensemble, on the right rows; what validation watches; what sharing gains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from manygate import metrics
from manygate.data.batches import Split
from manygate.data.labels import LabelScale
from manygate.data.rows import Rows
from manygate.errors import InputError
from manygate.evaluation.gains import clusters, gains, measured
from manygate.evaluation.gates import gate_report
from manygate.evaluation.monitor import Monitor, parse_monitor
from manygate.evaluation.task_report import task_report
from manygate.metrics.sigmoid import sigmoid
from manygate.model import MultiTaskModel
from manygate.model import logits as logits_module
from manygate.model.logits import predict
from manygate.model.problem import Problem
from manygate.model.replicas import Member
from manygate.schema import Task
from manygate.scoring.calibration_fit import fit_calibration
from manygate.scoring.outputs import outputs

TASKS = (Task(name="click"), Task(name="buy", where="click == 1"), Task(name="watch", kind="regression"))
SCALES = {"click": LabelScale(), "buy": LabelScale(), "watch": LabelScale(10.0, 4.0)}
PROBLEM = Problem((), TASKS, SCALES)
UNSCALED = Problem.unscaled((), TASKS)
R, N = 3, 400


def rows(seed: int = 0, groups: bool = True) -> Rows:
    random = np.random.default_rng(seed)
    label = np.stack([random.integers(0, 2, N), random.integers(0, 2, N), random.normal(size=N)], axis=1).astype(np.float32)
    weight = random.choice([0.5, 1.0, 2.0], (N, 3)).astype(np.float32)
    weight[label[:, 0] == 0, 1] = 0
    group = random.integers(0, 40, N).astype(np.uint64) if groups else None
    return Rows(np.zeros((N, 0), np.int32), np.zeros((N, 0), np.float32), [], label, weight, group)


def logits(of: Rows, skill: float = 1.0, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    signal = of.label_BT - np.array([0.5, 0.5, 0.0])
    return (skill * signal + random.normal(size=(R, N, 3))).astype(np.float32)


def test_sigmoid_is_exact_and_never_overflows():
    z = np.array([-1e308, -800.0, -30.0, -1.0, 0.0, 1.0, 30.0, 800.0, np.inf, -np.inf])
    with np.errstate(all="raise", under="ignore"):
        found = sigmoid(z)
    expected = [0, 0, 9.357622968840175e-14, 0.2689414213699951, 0.5, 0.7310585786300049, 1 - 9.36e-14, 1, 1, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-16)
    np.testing.assert_allclose(found[3:6], expected[3:6], rtol=1e-12)


def test_outputs_are_probabilities_and_values_in_the_label_s_unit():
    logit = np.array([[[0.0, 2.0, -1.5]]], dtype=np.float32)
    np.testing.assert_allclose(outputs(logit, PROBLEM), [[[0.5, 1 / (1 + np.exp(-2)), 4.0]]])
    assert outputs(logit, PROBLEM).dtype == np.float64
    assert logit[0, 0, 0] == 0, "the logits themselves stay"


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


def members(single: bool) -> list[Member]:
    own = [(0,), (1,), (2,)] if single else [(0, 1, 2)]
    return [Member(r, r, tasks) for r in range(R) for tasks in own]


def test_what_validation_watches():
    of = rows()
    logit = logits(of)
    main = np.array(
        [
            [metrics.auc(of.label_BT[:, t], logit[r, :, t], of.weight_BT[:, t]) for t in (0, 1)]
            + [metrics.r2(of.label_BT[:, 2], logit[r, :, 2], of.weight_BT[:, 2])]
            for r in range(R)
        ]
    )
    mean = Monitor("mean", UNSCALED, of, Split(of))
    found, score = mean(logit, members(single=False))
    np.testing.assert_allclose(found, main)
    np.testing.assert_allclose(score, main.mean(axis=1))
    _, score = mean(logit, members(single=True))
    np.testing.assert_allclose(score, main.flatten())
    for t, name in enumerate(("click", "buy", "watch")):
        _, score = Monitor(name, UNSCALED, of, Split(of))(logit, members(single=False))
        np.testing.assert_allclose(score, main[:, t])


@pytest.mark.parametrize(
    ("watched", "sign"),
    [("click/log_loss", -1), ("click/auc", 1), ("click/gauc", 1), ("buy/normalised_entropy", -1), ("watch/mae", -1)],
)
def test_a_watched_metric_is_better_when_higher(watched, sign):
    of = rows()
    good, bad = logits(of, skill=1.0), logits(of, skill=-1.0)
    monitor = Monitor(watched, UNSCALED, of, Split(of))
    assert (monitor(good, members(False))[1] > monitor(bad, members(False))[1]).all()
    name, _, metric = watched.partition("/")
    report = task_report(good, of, UNSCALED)
    np.testing.assert_allclose(monitor(good, members(False))[1], sign * np.array(report[name].metrics[metric].values))


def test_watching_calibration_means_close_to_one():
    of = rows()
    monitor = Monitor("click/calibration", UNSCALED, of, Split(of))
    right, high, low = (logits(of, skill=0.0) * 0 + shift for shift in (0.0, 1.0, -1.0))
    scores = [monitor(logit.astype(np.float32), members(False))[1][0] for logit in (right, high, low)]
    assert scores[0] > max(scores[1:])
    assert max(scores) <= 0


def test_monitors_that_are_unknown_say_what_is_known():
    assert parse_monitor("mean", TASKS, False) == (None, None)
    assert parse_monitor("buy", TASKS, False) == (1, None)
    assert parse_monitor("watch/rmse", TASKS, False) == (2, "rmse")
    with pytest.raises(InputError, match=r"no task 'clik'. Did you mean 'click'"):
        parse_monitor("clik", TASKS, False)
    with pytest.raises(InputError, match=r"a regression task has no metric 'auc'.*rmse, mae, r2"):
        parse_monitor("watch/auc", TASKS, False)
    with pytest.raises(InputError, match="gauc needs a group column"):
        parse_monitor("click/gauc", TASKS, False)


def test_scoring_in_pieces_gives_the_same_scores(encoded, settings, monkeypatch):
    log = encoded()
    model = MultiTaskModel(Problem.of(log.encoder, settings()), settings(replicas=2))
    whole = predict(model, Split(log.parts["train"]))
    assert whole.shape == (2, len(log.parts["train"]), 3)
    assert whole.dtype == np.float32
    monkeypatch.setattr(logits_module, "ROWS_AT_ONCE", 0)  # the least: 256 rows
    np.testing.assert_allclose(predict(model, Split(log.parts["train"])), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", ["mmoe", "omoe", "shared_bottom", "single_task"])
def test_gates_are_reported_per_task_over_its_own_rows(encoded, settings, architecture):
    log = encoded()
    config = settings(architecture=architecture, replicas=2)
    model = MultiTaskModel(Problem.of(log.encoder, config), config)
    split = Split(log.parts["test"])
    report = gate_report(model, split)
    if architecture in ("shared_bottom", "single_task"):
        assert report == []
        return
    (batch,) = split.slices(10_000)
    (gate,) = model.gates(batch)
    assert [entry["task"] for entry in report] == ["click", "like", "watch"]
    for t, entry in enumerate(report):
        own = gate[0, :, t].numpy()[log.parts["test"].weight_BT[:, t] > 0]
        np.testing.assert_allclose(entry["mean"], own.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(entry["sd"], own.std(axis=0), rtol=1e-3, atol=1e-6)
        assert sum(entry["mean"]) == pytest.approx(1.0, abs=1e-6)


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
    of.group_B = np.array([7, 2**63, 7, 0, 2**63], np.uint64)
    assert [[a == b for b in clusters(of)] for a in clusters(of)] == [[a == b for b in of.group_B] for a in of.group_B]
    assert sorted(set(clusters(of).tolist())) == [0, 1, 2]
    of.group_B = None
    assert clusters(of).tolist() == [0, 1, 2, 3, 4]


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
        scores = [[part.tolist() for part in watch(better, members(single))] for watch in watched for single in (False, True)]
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


def test_calibrators_are_fitted_on_the_mean_of_the_replicas_and_the_rows_of_the_task():
    """Replica 1 says .5 everywhere, replica 2 .2 or .8: means .35 and .65, of which a quarter and three quarters are positive."""
    click = np.array([0, 0, 0, 1, 1, 1, 1, 0, 1, 1], np.float32)
    high = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 1])
    weight = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0, 0], np.float32)  # the last two are not the task's
    logit = np.stack([np.zeros(10), np.log(np.where(high, 0.8, 0.2) / np.where(high, 0.2, 0.8))])[..., None]
    of = Rows(np.zeros((10, 0), np.int32), np.zeros((10, 0), np.float32), [], click[:, None], weight[:, None])
    for order in (logit, logit[::-1]):
        found = fit_calibration(order, of, Problem.unscaled((), [Task(name="click")]), "isotonic")
        assert found.fitted["click"]["rows"] == 8
        numbers = found.tasks["click"].numbers
        assert numbers["x"] == pytest.approx([0, 0.35, 0.65, 1])
        assert numbers["y"] == pytest.approx([0, 0.25, 0.75, 1])
