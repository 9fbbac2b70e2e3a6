"""Logits in the graph become predictions: probabilities and values, calibrated, with joint columns and the fused score.

It does what :meth:`manygate.scoring.predictor.Predictor.columns` and :meth:`manygate.scoring.fusion.Fusion.score` do, in float64.

Shape suffixes: R replicas, B rows, T tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from manygate.data.labels import LabelScale
from manygate.export.graph import Value, interpolate, log1p, where
from manygate.scoring import calibration as calibrations
from manygate.scoring import fusion as fusions
from manygate.scoring.calibration import Calibrator
from manygate.scoring.fusion import Fusion, Term
from manygate.scoring.predictor import Predictor


class Predicted(NamedTuple):
    """What a graph predicts, (B,) float64 each."""

    columns: dict[str, Value]
    """The columns of :attr:`Predictor.output_names`."""
    uncalibrated: dict[str, Value]
    """For each task the mean of the replicas before calibration."""


def predictions(predictor: Predictor, logit_RBT: Value, numbers: Mapping[str, Value]) -> Predicted:
    """Return the predictions of logits. ``numbers`` are the features of the fusion."""
    problem, schema, calibration = predictor.problem, predictor.schema, predictor.calibration
    logit_RBT = logit_RBT.to(np.float64)
    outputs, means = {}, {}
    for t, task in enumerate(problem.tasks):
        logit_RB = logit_RBT.at(t, 2)
        outputs[task.name] = sigmoid(logit_RB) if task.kind == "binary" else decoded(logit_RB, problem.labels[task.name])
        means[task.name] = outputs[task.name].mean(0)
    calibrators = calibration.tasks if calibration else {}
    columns = {name: calibrated(m_B, calibrators[name]) if name in calibrators else m_B for name, m_B in means.items()}
    joint = dict(columns if calibration else outputs)
    for t, after in problem.targets.steps:
        joint[problem.task_names[t]] = joint[problem.task_names[t]] * joint[problem.task_names[after]]
    for task_name, joint_name in zip(problem.task_names, schema.joint_names, strict=True):
        if joint_name:
            columns[joint_name] = joint[task_name] if calibration else joint[task_name].mean(0)
    if predictor.fusion and predictor.fusion.active:
        columns[predictor.fusion.name] = score(predictor.fusion, columns, numbers)
    return Predicted(columns, means)


def sigmoid(x: Value) -> Value:
    """Return 1 / (1 + exp(-x))."""
    return x.graph.op("Sigmoid", x)


def decoded(value: Value, scale: LabelScale) -> Value:
    """Return predictions in the unit of the label, as :meth:`LabelScale.decode`."""
    value = value * scale.sd + scale.mean
    if not scale.log:
        return value
    capped = value.graph.op("Min", value, value.graph.constant(np.array(80.0)))
    return expm1(capped)


def expm1(x: Value) -> Value:
    """Return exp(x) - 1, as exact near zero as NumPy's ``expm1`` (Kahan's formula in Higham, "Accuracy and Stability of Numerical
    Algorithms", section 1.14.1)."""
    graph = x.graph
    power = graph.op("Exp", x)
    one, low = power.equals(1.0), power < 1e-300
    ordinary = one | low
    log = graph.op("Log", where(ordinary, graph.constant(np.array(2.0)), power))
    return where(one, x, where(low, graph.constant(np.array(-1.0)), (power - 1.0) * x / log))


def calibrated(probability: Value, calibrator: Calibrator) -> Value:
    """Return calibrated probabilities (B,), as :meth:`Calibrator.apply`."""
    numbers = calibrator.numbers
    if calibrator.method == "isotonic":
        return _inside(interpolate(probability.unsqueeze(0), [(numbers["x"], numbers["y"])]).at(0, 0))
    inside = _inside(probability)
    graph = probability.graph
    logit = graph.op("Log", inside) - graph.op("Log", graph.constant(np.array(1.0)) - inside)
    if calibrator.method == "temperature":
        return _inside(sigmoid(logit / float(numbers["temperature"])))
    return _inside(sigmoid(logit * float(numbers["a"]) + float(numbers["b"])))


def _inside(probability: Value) -> Value:
    graph, tiny = probability.graph, calibrations.TINY
    return graph.op("Clip", probability, graph.constant(np.array(tiny)), graph.constant(np.array(1 - tiny)))


def score(fusion: Fusion, columns: Mapping[str, Value], numbers: Mapping[str, Value]) -> Value:
    """Return the fused score, as :meth:`Fusion.score`."""
    parts = [_log_factor(columns[name]) * float(weight) for name, weight in fusion.weights.items()]
    parts += [_log_term(term, numbers[term.feature]) * float(term.weight) for term in fusion.terms]
    total, most = parts[0], fusions.LARGEST_LOG
    for part in parts[1:]:
        total = total + part
    graph = total.graph
    return graph.op("Exp", graph.op("Clip", total, graph.constant(np.array(-most)), graph.constant(np.array(most))))


def _log_factor(value: Value) -> Value:
    graph = value.graph
    return graph.op("Log", graph.op("Max", value, graph.constant(np.array(fusions.TINY))))


def _log_term(term: Term, value: Value) -> Value:
    """Return log f(x), as :meth:`Term.log`. It is 0 if the value is missing or infinite."""
    graph = value.graph
    unknown = graph.op("IsNaN", value, kind=bool) | (graph.op("Abs", value) >= np.inf)
    x = where(unknown, graph.constant(np.array(1.0)), value)
    positive = graph.op("Max", x, graph.constant(np.array(0.0)))
    factor = {
        "log": lambda: log1p(positive),
        "sigmoid": lambda: sigmoid(x),
        "power": lambda: positive + 1.0,
        "none": lambda: x,
    }[term.transform]()
    return where(unknown, graph.constant(np.array(0.0)), _log_factor(factor))
