"""What validation watches: each task's main metric, and one score per member."""

from __future__ import annotations

import numpy as np
import pytest

from manygate import metrics
from manygate.data.batches import Split
from manygate.data.rows import Rows
from manygate.errors import InputError
from manygate.evaluation.monitor import Monitor, check_monitor, monitor_warnings, parse_monitor
from manygate.evaluation.task_report import task_report
from manygate.model.problem import Problem
from manygate.model.replicas import Member
from manygate.schema import Task
from scored_rows import TASKS, UNSCALED, R, logits, rows


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
    judged = mean(logit, members(single=False))
    np.testing.assert_allclose(judged.metric_RT, main)
    np.testing.assert_array_equal(judged.own_RT, judged.metric_RT)
    np.testing.assert_allclose(judged.score_M, ((main - [0.5, 0.5, 0.0]) / errors(of)).mean(axis=1))
    apart = mean(logit, members(single=True))
    np.testing.assert_array_equal(apart.score_M, apart.own_RT.flatten(), "a member of one task has its task's clock")
    for t, name in enumerate(("click", "buy", "watch")):
        judged = Monitor(name, UNSCALED, of, Split(of))(logit, members(single=False))
        np.testing.assert_array_equal(judged.score_M, judged.own_RT[:, t])
        np.testing.assert_array_equal(judged.own_RT, mean(logit, members(single=False)).own_RT)


def errors(of) -> list[float]:
    """The standard errors of AUC, AUC and R2, from the formulas in the documentation of the metric."""
    found = []
    for t in range(2):
        label, weight = of.label_BT[:, t], of.weight_BT[:, t].astype(np.float64)
        ones, zeros = weight[(label == 1) & (weight > 0)], weight[(label == 0) & (weight > 0)]
        found.append(np.sqrt(((ones**2).sum() / ones.sum() ** 2 + (zeros**2).sum() / zeros.sum() ** 2) / 12))
    label, weight = of.label_BT[:, 2].astype(np.float64), of.weight_BT[:, 2].astype(np.float64)
    label, weight = label[weight > 0], weight[weight > 0]
    deviation = label - np.average(label, weights=weight)
    kurtosis = np.average(deviation**4, weights=weight) / np.average(deviation**2, weights=weight) ** 2
    return [*found, np.sqrt((4 * kurtosis + 36) / 81 * (weight**2).sum() / weight.sum() ** 2)]


@pytest.mark.parametrize(
    ("watched", "sign"),
    [("click/log_loss", -1), ("click/auc", 1), ("click/gauc", 1), ("buy/normalised_entropy", -1), ("watch/mae", -1)],
)
def test_a_watched_metric_is_better_when_higher(watched, sign):
    of = rows()
    good, bad = logits(of, skill=1.0), logits(of, skill=-1.0)
    monitor = Monitor(watched, UNSCALED, of, Split(of))
    found = monitor(good, members(False))
    assert (found.score_M > monitor(bad, members(False)).score_M).all()
    name, _, metric = watched.partition("/")
    report = task_report(good, of, UNSCALED)
    np.testing.assert_allclose(found.score_M, sign * np.array(report[name].metrics[metric].values))
    t = ["click", "buy", "watch"].index(name)
    np.testing.assert_array_equal(found.own_RT[:, t], found.score_M)
    others = [u for u in range(3) if u != t]
    np.testing.assert_array_equal(found.own_RT[:, others], found.metric_RT[:, others])


@pytest.mark.parametrize("watched", ["mean", "click", "click/log_loss", "watch/mae"])
def test_a_task_s_clock_has_the_same_score_in_a_model_of_its_own_and_in_one_that_shares(watched):
    of = rows()
    logit, monitor = logits(of), Monitor(watched, UNSCALED, of, Split(of))
    shared, apart = monitor(logit, members(single=False)), monitor(logit, members(single=True))
    np.testing.assert_array_equal(shared.own_RT, apart.own_RT)
    np.testing.assert_array_equal(apart.score_M.reshape(R, 3), shared.own_RT)


def test_watching_calibration_means_close_to_one():
    of = rows()
    monitor = Monitor("click/calibration", UNSCALED, of, Split(of))
    right, high, low = (logits(of, skill=0.0) * 0 + shift for shift in (0.0, 1.0, -1.0))
    scores = [monitor(logit.astype(np.float32), members(False)).score_M[0] for logit in (right, high, low)]
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


def test_a_replica_s_score_is_that_of_the_watched_task_s_clock_else_the_mean_of_the_standardised_ones():
    of, nan = rows(), float("nan")
    own_RT = np.array([[0.6, 0.5, 0.1], [0.7, 0.9, 0.2], [nan, 0.5, 0.5]])
    click, buy, watch = errors(of)
    found = Monitor("mean", UNSCALED, of, Split(of)).by_replica(own_RT)
    expected = [(0.1 / click + 0.1 / watch) / 3, (0.2 / click + 0.4 / buy + 0.2 / watch) / 3, nan]
    assert found == pytest.approx(expected, nan_ok=True), "a mean of fewer tasks than those of other replicas would be no mean"
    assert Monitor("buy", UNSCALED, of, Split(of)).by_replica(own_RT) == [0.5, 0.9, 0.5]
    assert Monitor("watch/mae", UNSCALED, of, Split(of)).by_replica(own_RT) == [0.1, 0.2, 0.5]


def test_the_mean_leaves_out_a_task_whose_metric_is_undefined():
    of = rows()
    error_T = errors(of)
    of.label_BT[:, 0] = 1
    logit = logits(of)
    judged = Monitor("mean", UNSCALED, of, Split(of))(logit, members(single=False))
    assert np.isnan(judged.metric_RT[:, 0]).all()
    expected = (judged.metric_RT[:, 1:] - [0.5, 0.0]) / error_T[1:]
    np.testing.assert_allclose(judged.score_M, expected.mean(axis=1))
    score_M = Monitor("mean", UNSCALED, of, Split(of))(logit, members(single=True)).score_M
    assert np.isnan(score_M[::3]).all(), "a model of that task alone has no score"
    of.label_BT[:] = 1
    assert np.isnan(Monitor("mean", UNSCALED, of, Split(of))(logit, members(single=False)).score_M).all()


def test_the_noise_of_a_rare_task_and_of_r2_moves_the_choice_of_an_epoch_as_much_as_that_of_the_others():
    """The tasks have 57 ones of 3000, 1500 ones, and a heavy-tailed number. Their models know little, and do not learn any more.

    The noise of the raw mean is the rare task's: over nine tenths of its variance. After standardising, each has about a third.
    """
    random = np.random.default_rng(0)
    rare, even = (np.arange(3000) < count for count in (57, 1500))
    time = random.standard_t(5, 3000)
    tasks = (Task(name="rare"), Task(name="even"), Task(name="time", kind="regression"))
    label = np.stack([rare, even, time], axis=1).astype(np.float32)
    of = Rows(np.zeros((3000, 0), np.int64), np.zeros((3000, 0), np.float32), [], label, np.ones_like(label))
    monitor = Monitor("mean", Problem.unscaled((), tasks), of, Split(of))
    epochs = 300
    noise = random.normal(size=(epochs, 3000, 3))
    noise[..., 2] = time / 3 + np.sqrt(2 / 9 * time.var()) * noise[..., 2]
    judged = monitor(noise.astype(np.float32), [Member(e, e, (0, 1, 2)) for e in range(epochs)])
    raw, standard = judged.metric_RT.var(axis=0), (judged.metric_RT / monitor.error_T).var(axis=0)
    assert raw[0] / raw.sum() > 0.75
    shares = standard / standard.sum()
    assert shares.min() > 0.2, shares
    assert shares.max() < 0.45, shares


def test_a_metric_that_no_model_could_have_on_the_validation_rows_is_refused_before_training():
    of = rows()
    for watched in ("mean", "click", "click/auc", "watch/mae"):
        check_monitor(watched, TASKS, of)
    of.label_BT[:, 0] = 1
    with pytest.raises(InputError, match=r"monitor 'click/auc' is undefined on the validation rows: .*another metric"):
        check_monitor("click/auc", TASKS, of)
    check_monitor("mean", TASKS, of)
    check_monitor("click", TASKS, of)


def test_the_name_of_a_task_s_metric_and_a_task_with_a_slash():
    of = rows()
    monitor = Monitor("mean", UNSCALED, of, Split(of))
    assert [monitor.name(task) for task in TASKS] == ["auc", "auc", "r2"]
    slashed = (TASKS[0].model_copy(update={"name": "a/b"}), *TASKS[1:])
    assert parse_monitor("a/b", slashed, False) == (0, None)
    assert parse_monitor("a/b/log_loss", slashed, False) == (0, "log_loss")


@pytest.mark.parametrize(("groups", "said"), [(99, ["99 groups have labels of both classes"]), (100, [])])
def test_the_gauc_of_few_groups_is_warned_of(groups: int, said: list[str]):
    """Each group has a row of both classes. Fifty more groups have one class alone, and do not count."""
    group_B = np.concatenate([np.repeat(np.arange(groups), 2), np.arange(1000, 1050)]).astype(np.uint64)
    label_N = np.concatenate([np.tile([0.0, 1.0], groups), np.ones(50)]).astype(np.float32)
    label_NT, empty = np.repeat(label_N[:, None], len(TASKS), axis=1), np.zeros((len(label_N), 0), np.float32)
    of = Rows(empty, empty, [], label_NT, np.ones_like(label_NT), group_B)
    texts = monitor_warnings("click/gauc", TASKS, of)
    assert [text for text, words in zip(texts, said, strict=True) if words not in text] == []
    assert monitor_warnings("mean", TASKS, of) == monitor_warnings("click/auc", TASKS, of) == []
