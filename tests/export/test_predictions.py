"""From logits to calibrated predictions and the fused score in the graph, against the predictor's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exported import draw_flags, draw_numbers, run, untrained
from manygate.data.labels import LabelScale
from manygate.export.graph import Graph
from manygate.export.predictions import calibrated, decoded, expm1, predictions
from manygate.schema import Feature, Schema, Task
from manygate.scoring.calibration import Calibration, Calibrator
from manygate.scoring.fusion import TRANSFORMS, Fusion, Term

LOGITS = np.random.default_rng(0).normal(size=(2, 400, 5)).astype(np.float32) * 8
LOGITS[:, :6] = np.array([0.0, -0.0, 90.0, -90.0, 1e30, -1e30], np.float32)[None, :, None]
NUMBERS = np.array([0.0, -0.0, 1e-300, 1e-12, 1e-9, 0.5, 3.0, -3.0, 1e300, -1e300, np.inf, -np.inf, np.nan])
CALIBRATORS = {
    "platt": Calibrator("platt", {"a": 1.3, "b": -0.2}),
    "falling": Calibrator("platt", {"a": -2.0, "b": 0.0}),
    "temperature": Calibrator("temperature", {"temperature": 1.7}),
    "isotonic": Calibrator("isotonic", {"x": [0.1, 0.2, 0.2000001, 0.5, 0.9], "y": [0.0, 0.2, 0.7, 0.7, 1.0]}),
    "one block": Calibrator("isotonic", {"x": [0.3], "y": [0.25]}),
}


def funnel() -> Any:
    """A funnel of three steps out of order, and two regressions."""
    labels = {"a": draw_flags(1), "b": draw_flags(2), "c": draw_flags(3), "log": draw_flags(4), "plain": draw_numbers(5)}
    tasks = (
        Task(name="c", after="b"),
        Task(name="a"),
        Task(name="b", after="a"),
        Task(name="log", kind="regression", loss="log"),
        Task(name="plain", kind="regression"),
    )
    schema = Schema(features=(Feature(name="age", kind="dense"),), tasks=tasks)
    return untrained({"age": draw_numbers(6), **labels}, schema, architecture="shared_bottom")


def assert_equal_columns(predictor: Any, numbers: dict[str, np.ndarray] | None = None) -> None:
    graph = Graph(predictor.output_names)
    logit = graph.input("logits", np.float32, ["replicas", "rows", 5])
    read = {name: graph.input(f"number {name}", np.float64, ["rows"]) for name in numbers or {}}
    predicted = predictions(predictor, logit, read)
    for name, value in predicted.columns.items():
        graph.output(name, value, ["rows"])
    names = {name: graph.further_output(f"uncalibrated.{name}", value, ["rows"]) for name, value in predicted.uncalibrated.items()}
    given = {f"number {name}": value for name, value in (numbers or {}).items()}
    found = run(graph, logits=LOGITS, **given)
    expected = predictor.columns(LOGITS)
    if predictor.fusion:
        expected[predictor.fusion.name] = predictor.fusion.score(expected, numbers or {})
    assert list(found) == [*predictor.output_names, *names.values()]
    before = predictor.uncorrected().columns(LOGITS)
    expected |= {further: before[name] for name, further in names.items()}
    assert list(names) == list(predictor.schema.task_names)
    for name, value_B in expected.items():
        assert found[name].dtype == np.float64
        np.testing.assert_allclose(found[name], value_B, rtol=1e-9, atol=1e-14, err_msg=name)


def test_replicas_joint_columns_and_units() -> None:
    assert_equal_columns(funnel())


@pytest.mark.parametrize("name", CALIBRATORS)
def test_calibrated_columns_and_their_products(name: str) -> None:
    """Some tasks of the funnel are calibrated, and the joint columns are products of the means."""
    predictor = funnel()
    changed = type(predictor)(predictor.model, predictor.encoder, Calibration({"b": CALIBRATORS[name], "c": CALIBRATORS["platt"]}))
    assert_equal_columns(changed)


def test_the_score() -> None:
    """All transforms of numbers, among them missing, infinite and tiny ones."""
    predictor = funnel()
    terms = tuple(Term(transform, transform, weight) for transform, weight in zip(TRANSFORMS, (0.5, -1.0, 2.0, 0.3), strict=True))
    fusion = Fusion({"a": 1.0, "a_b_c": -0.5, "log": 0.2, "plain": 1.0}, terms, name="rank")
    numbers = {transform: np.random.default_rng(7).choice(NUMBERS, LOGITS.shape[1]) for transform in TRANSFORMS}
    calibration = Calibration({"a": CALIBRATORS["isotonic"]})
    assert_equal_columns(type(predictor)(predictor.model, predictor.encoder, calibration, fusion), numbers)
    assert_equal_columns(type(predictor)(predictor.model, predictor.encoder, None, Fusion({"a": 1.0})))


def of(function: Any, x_B: np.ndarray) -> np.ndarray:
    graph = Graph()
    graph.output("y", function(graph.input("x", np.float64, ["rows"])), ["rows"])
    return run(graph, x=x_B)["y"]


@pytest.mark.parametrize("name", CALIBRATORS)
def test_calibrators_on_many_probabilities(name: str) -> None:
    random = np.random.default_rng(1)
    edges = [0.0, 1.0, 1e-13, 1 - 1e-13, 0.1, 0.2, 0.2000001, 0.9]
    p_N = np.array(
        [*edges, *random.random(2000), *10.0 ** random.uniform(-15, 0, 2000), *(1 - 10.0 ** random.uniform(-12, 0, 2000))]
    )
    graph = Graph()
    given = graph.input("p", np.float64, ["rows"])
    graph.output("y", calibrated(given, CALIBRATORS[name]), ["rows"])
    np.testing.assert_allclose(run(graph, p=p_N)["y"], CALIBRATORS[name].apply(p_N), rtol=1e-9, atol=1e-15)


def test_expm1_is_exact_near_zero() -> None:
    x_N = np.array([0.0, -0.0, 1e-300, -1e-300, 1e-17, -1e-16, 1e-9, -1e-9, 0.5, -0.5, 80.0, -80.0, -700.0, -745.0, -1e6])
    np.testing.assert_allclose(of(expm1, x_N), np.expm1(x_N), rtol=1e-13)
    random_N = np.random.default_rng(0).choice([-1.0, 1.0], 4000) * 10.0 ** np.random.default_rng(1).uniform(-18, 1.9, 4000)
    np.testing.assert_allclose(of(expm1, random_N), np.expm1(random_N), rtol=1e-13)


@pytest.mark.parametrize("scale", [LabelScale(2.0, 3.0), LabelScale(0.5, 2.0, log=True), LabelScale(-4.0, 1e-9, log=True)])
def test_labels_in_their_unit(scale: LabelScale) -> None:
    x_N = np.array([0.0, 1.0, -1.0, 1e-9, 39.0, 1e4, -1e4])
    np.testing.assert_allclose(of(lambda x: decoded(x, scale), x_N), scale.decode(x_N), rtol=1e-12)


def test_a_batch_without_rows() -> None:
    predictor = funnel()
    graph = Graph(predictor.output_names)
    for name, value in predictions(predictor, graph.input("logits", np.float32, ["replicas", "rows", 5]), {}).columns.items():
        graph.output(name, value, ["rows"])
    assert all(len(value_B) == 0 for value_B in run(graph, logits=LOGITS[:, :0]).values())
