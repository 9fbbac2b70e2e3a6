"""What validation watches: each task's main metric, and one score per member."""

from __future__ import annotations

import numpy as np
import pytest

from manygate import metrics
from manygate.data.batches import Split
from manygate.errors import InputError
from manygate.evaluation.monitor import Monitor, check_monitor, parse_monitor
from manygate.evaluation.task_report import task_report
from manygate.model.replicas import Member
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


def test_a_replica_s_score_is_that_of_the_watched_task_s_model_else_the_mean_of_its_models():
    of = rows()
    apart = members(single=True)
    score_M = np.arange(9.0)  # three models a replica
    assert Monitor("mean", UNSCALED, of, Split(of)).by_replica(score_M, apart) == [1.0, 4.0, 7.0]
    assert Monitor("buy", UNSCALED, of, Split(of)).by_replica(score_M, apart) == [1.0, 4.0, 7.0]
    assert Monitor("watch/mae", UNSCALED, of, Split(of)).by_replica(score_M, apart) == [2.0, 5.0, 8.0]
    together = members(single=False)
    assert Monitor("click", UNSCALED, of, Split(of)).by_replica(np.array([0.5, 0.25, 1.0]), together) == [0.5, 0.25, 1.0]


def test_the_mean_leaves_out_a_task_whose_metric_is_undefined():
    of = rows()
    of.label_BT[:, 0] = 1
    logit = logits(of)
    main_RT, score_M = Monitor("mean", UNSCALED, of, Split(of))(logit, members(single=False))
    assert np.isnan(main_RT[:, 0]).all()
    np.testing.assert_allclose(score_M, main_RT[:, 1:].mean(axis=1))
    _, score_M = Monitor("mean", UNSCALED, of, Split(of))(logit, members(single=True))
    assert np.isnan(score_M[::3]).all(), "a model of that task alone has no score"


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
