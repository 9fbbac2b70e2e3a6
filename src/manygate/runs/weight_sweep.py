"""Weight sweeps: Trains many vectors of fixed weights, and compares weighting methods with the front of their trade-offs.

All vectors of an architecture train as replicas of one program. Each vector has the seeds of an ordinary run's replicas, so that
they can be paired with the replicas of other runs. The front is chosen on validation rows and measured on test rows. All models
keep one epoch by the same rule. So their kept weights are compared, and not each task at the best epoch of its own clock.

Shape suffixes: P weight vectors, R replicas, Q = P R, N rows, T tasks.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from manygate import metrics
from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.data.log_rows import LogRows
from manygate.evaluation.gains import gains, measured
from manygate.metrics.paired import gain
from manygate.metrics.pareto import hypervolume, non_dominated, weight_vectors
from manygate.model.problem import Problem
from manygate.results.comparison import Standing, SweepGains, SweepMethod, SweepPoint, WeightSweep
from manygate.runs.run import Trained
from manygate.verdict.transfer import sure

GUESS = {"auc": 0.5, "r2": 0.0}
"""The reference point of hypervolumes: the value of a metric for guessing."""
DOMINATED: Final = "dominated"
BEYOND: Final = "beyond the sweep"
UNSURE: Final = "cannot tell"


def sweep_settings(config: RunConfig, architecture: str, tasks: int) -> RunConfig:
    """Return the settings of the sweep of an architecture. Each weight vector has ``replicas`` replicas."""
    vectors = weight_vectors(tasks, config.weight_sweep).repeat(config.replicas, axis=0)
    settings = {"architecture": architecture, "weighting": "fixed", "weight_sweep": 0, "replicas": len(vectors)}
    return config.replace(**settings, replica_weights=vectors.tolist(), replica_seeds=tuple(range(config.replicas)))


def judge(log: EncodedLog, sweep: Trained, count: int, rivals: dict[str, Trained]) -> WeightSweep:
    """Return the points and the front of a sweep, and compare each run of the same architecture with them."""
    names = log.schema.task_names
    valid_PT, test_PT = (value_QT.reshape(count, -1, len(names)).mean(axis=1) for value_QT in _values(log, sweep))
    logit_PRNT = sweep.test_logit_RNT.reshape(count, -1, *sweep.test_logit_RNT.shape[1:])
    front = np.flatnonzero(non_dominated(valid_PT))
    reference_T = np.array([GUESS[metrics.MAIN_METRIC[task.kind]] for task in log.schema.tasks])
    volumes = {part: hypervolume(point_PT[front], reference_T) for part, point_PT in (("valid", valid_PT), ("test", test_PT))}
    weights = sweep.model.config.replica_weights[:: logit_PRNT.shape[1]]
    methods = {}
    for name, rival in rivals.items():
        valid_T, test_T = (value_RT.mean(axis=0) for value_RT in _values(log, rival))
        together = hypervolume(np.vstack([test_PT[front], test_T]), reference_T)
        points_of_front = {p: logit_PRNT[p] for p in front.tolist()}
        verdict, against = _compare_with_front(
            log.parts["test"], sweep.predictor.problem, points_of_front, rival.test_logit_RNT, len(rivals)
        )
        methods[name] = SweepMethod(
            valid=_plain(names, valid_T),
            test=_plain(names, test_T),
            hypervolume_added=together - volumes["test"] if np.isfinite(test_T).all() else None,
            verdict=verdict,
            against=against,
        )
    points = [
        SweepPoint(
            weights=dict(zip(names, weights[p], strict=True)),
            valid=_plain(names, valid_PT[p]),
            test=_plain(names, test_PT[p]),
            on_front=p in front,
        )
        for p in range(count)
    ]
    return WeightSweep(
        replicas=logit_PRNT.shape[1],
        seconds=sweep.result.seconds,
        reference=dict(zip(names, reference_T.tolist(), strict=True)),
        hypervolume=volumes,
        points=points,
        methods=methods,
    )


def _values(log: EncodedLog, trained: Trained) -> tuple[np.ndarray, np.ndarray]:
    """Return each replica's main metric of each task with its best weights, (R, T), on validation rows and on test rows."""
    tasks, rows = log.schema.tasks, log.parts["test"]
    valid_of = {entry["epoch"]: entry["valid"] for entry in trained.state.history}
    valid_RT = np.full((len(trained.test_logit_RNT), len(tasks)), np.nan)
    for t, task in enumerate(tasks):
        for r, epoch in enumerate(trained.result.stopped.best_epoch[task.name]):
            value = valid_of[epoch][task.name][r] if epoch else None
            valid_RT[r, t] = np.nan if value is None else value
    test_RT = np.empty_like(valid_RT)
    for t, task in enumerate(tasks):
        measure, scale = metrics.METRICS[metrics.MAIN_METRIC[task.kind]].compute, log.encoder.labels[task.name]
        label_N, weight_N = trained.predictor.problem.labelled(rows, t)
        for r, score_N in enumerate(trained.test_logit_RNT[..., t]):
            value_N = score_N if task.kind == "binary" else scale.decode(score_N.astype(np.float64))
            test_RT[r, t] = measure(label_N, value_N, weight_N)
    return valid_RT, test_RT


def _compare_with_front(
    rows: LogRows, problem: Problem, front: dict[int, np.ndarray], rival_RNT: np.ndarray, rivals: int
) -> tuple[Standing, list[SweepGains]]:
    """Compare a method with the points of the front on the test rows, by paired gains.

    *dominated*: A point is at least as good in every task and clearly better in one.
    *beyond the sweep*: Compared with every point, the method is clearly better in a task.
    *cannot tell*: neither.

    "Clearly" means by joint intervals. *Dominated* may be due to any point, task and rival, so all of these are looks. *Beyond the
    sweep* must hold for every point, so its looks are the tasks and the rivals.
    """
    rival, *points = (measured(logit_RNT, rows, problem) for logit_RNT in (rival_RNT, *front.values()))
    against = [SweepGains(point=p, gains=gains(rival, point, problem.tasks)) for p, point in zip(front, points, strict=True)]
    looks, dominated, ahead = len(problem.tasks) * rivals, False, bool(points)
    for point in points:
        every = [gain(rival[task], point[task], looks * len(points)) for task in rival]
        behind = all(one.gain is not None and one.gain <= 0 for one in every)
        dominated = dominated or (behind and any(sure(one) < 0 for one in every))
        ahead = ahead and any(sure(gain(rival[task], point[task], looks)) > 0 for task in rival)
    return DOMINATED if dominated else BEYOND if ahead else UNSURE, against


def _plain(names: tuple[str, ...], value_T: np.ndarray) -> dict[str, float | None]:
    return {name: float(value) if np.isfinite(value) else None for name, value in zip(names, value_T, strict=True)}
