"""What calibrators do to probabilities, by hand; their file; the wish to calibrate some tasks."""

from __future__ import annotations

import json
import math
from typing import Any, get_args

import numpy as np
import pytest

from calibration_samples import FITTED, LABEL, OFF, N
from manygate.config import RunConfig
from manygate.config.names import CALIBRATIONS, CalibrationMethod
from manygate.errors import InputError
from manygate.files import check_manifest, write_manifest
from manygate.schema import Feature, Schema, Task
from manygate.scoring.calibration import (
    Calibration,
    Calibrator,
    bounded_sigmoid,
    calibration_problems,
    logit,
    read_calibration,
    write_calibration,
)
from manygate.scoring.calibration_fit import fit_calibrator

AGE = (Feature(name="age", kind="dense"),)


def test_each_method_by_hand() -> None:
    """Odds of 3 to 1: their square is 9 to 1, a third of it 3 to 1, their square root 1.732 to 1; a line from .2 to .6."""
    platt = Calibrator("platt", {"a": 2.0, "b": -math.log(3)})
    temperature = Calibrator("temperature", {"temperature": 2.0})
    isotonic = Calibrator("isotonic", {"x": [0.5, 1.0], "y": [0.2, 0.6]})
    assert platt.apply([0.75]) == pytest.approx([0.75])
    assert platt.apply([0.5]) == pytest.approx([0.25])
    assert temperature.apply([0.75]) == pytest.approx([math.sqrt(3) / (1 + math.sqrt(3))])
    assert isotonic.apply([0.75, 0.1]) == pytest.approx([0.4, 0.2])


@pytest.mark.parametrize(
    "calibrator",
    [
        Calibrator("platt", {"a": 5.0, "b": 0.0}),
        Calibrator("temperature", {"temperature": 0.01}),
        Calibrator("isotonic", {"x": [0.0, 1.0], "y": [0.0, 1.0]}),
    ],
)
def test_certainties_stay_inside_zero_and_one(calibrator: Calibrator) -> None:
    low, high = calibrator.apply(np.array([0.0, 1.0], np.float32))
    assert 0 < low < 1e-11
    assert 1 - 1e-11 < high < 1
    assert low == pytest.approx(1e-12)


def test_the_logit_undoes_the_sigmoid() -> None:
    assert bounded_sigmoid(logit(np.array([0.1, 0.5, 0.9]))) == pytest.approx([0.1, 0.5, 0.9])
    assert logit(np.array([0.75])) == pytest.approx([math.log(3)])
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


def test_a_calibration_changes_the_columns_of_its_tasks_alone() -> None:
    calibration = Calibration({"click": Calibrator("platt", {"a": 0.0, "b": 0.0})})
    buy = np.array([0.1, 0.9])
    found = calibration.apply({"buy": buy, "click": np.array([0.2, 0.3])})
    assert list(found) == ["buy", "click"]
    assert found["buy"] is buy
    assert found["click"].tolist() == [0.5, 0.5]


def test_an_update_puts_the_other_s_tasks_in_place_of_its_own() -> None:
    one, two, three = (Calibrator("temperature", {"temperature": float(t)}) for t in (1, 2, 3))
    old = Calibration({"click": one, "buy": two}, {"click": {"rows": 1}, "buy": {"rows": 2}})
    new = old.updated(Calibration({"buy": three}, {"buy": {"rows": 3}}))
    assert new == Calibration({"click": one, "buy": three}, {"click": {"rows": 1}, "buy": {"rows": 3}})
    assert old.tasks["buy"] is two


@pytest.mark.parametrize(
    ("method", "numbers", "message"),
    [
        ("plat", {}, "calibration method 'plat' is unknown. Did you mean 'platt'"),
        ("platt", {"a": 1.0}, "platt: expected a, b, found a."),
        ("temperature", {}, "temperature: expected temperature, found nothing."),
        ("temperature", {"temperature": -1.0}, "expected more than 0, found -1.0"),
        ("platt", {"a": math.inf, "b": 0.0}, "platt: a number is not finite."),
        ("isotonic", {"x": [0.1, 0.2], "y": [0.1, math.nan]}, "isotonic: a number is not finite."),
        ("isotonic", {"x": [0.1, 0.1], "y": [0.1, 0.2]}, "x rising and y not falling"),
        ("isotonic", {"x": [0.1, 0.2], "y": [0.2, 0.1]}, "x rising and y not falling"),
        ("isotonic", {"x": [0.1, 0.2], "y": [0.2]}, "lists of one length"),
        ("isotonic", {"x": [], "y": []}, "lists of one length"),
        ("isotonic", {"x": [0.1], "y": [-0.1]}, "y must lie between 0 and 1"),
    ],
)
def test_numbers_that_make_no_calibrator(method: str, numbers: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Calibrator(method, numbers)


def test_every_problem_with_a_wish_to_calibrate_is_listed() -> None:
    schema = Schema(features=AGE, tasks=(Task(name="click"), Task(name="watch", kind="regression")))
    assert calibration_problems(schema, "platt", ["click"]) == []
    assert calibration_problems(schema, "none", []) == []
    method, unknown, regression = calibration_problems(schema, "plat", ["clik", "watch"])
    assert "'plat' is unknown" in method
    assert unknown == "no task 'clik'. Did you mean 'click'? Choose click, watch."
    assert regression == "task 'watch' is a regression; only probabilities are calibrated."
    (alone,) = calibration_problems(Schema(features=AGE, tasks=(Task(name="watch", kind="regression"),)), "platt", [])
    assert alone == "there is no binary task, and only probabilities are calibrated."


def test_the_file_keeps_every_bit(tmp_path: Any) -> None:
    write_manifest(tmp_path, {})
    fitted = {name: fit_calibrator(name, LABEL, OFF) for name in FITTED}
    calibration = Calibration(fitted, {"platt": {"log": "january", "rows": N}})
    write_calibration(tmp_path, calibration)
    again = read_calibration(tmp_path)
    assert again == calibration
    for name in FITTED:
        np.testing.assert_array_equal(again.tasks[name].apply(OFF), fitted[name].apply(OFF))
    write_calibration(tmp_path, None)
    assert read_calibration(tmp_path) is None
    check_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calibration_version": 2}, "calibration version 2, not 1"),
        ({"tasks": {"click": {"method": "platt", "a": 1.0}}}, "expected a, b, found a"),
        ({"tasks": {"click": {"method": "oracle"}}}, "method 'oracle' is unknown"),
        ({"tasks": {"click": {"method": "temperature", "temperature": 0}}}, "more than 0"),
        ({"tasks": {"click": {"method": "isotonic", "x": [0.2, 0.1], "y": [0.1, 0.2]}}}, "x rising"),
        ({"tasks": {"click": {"method": "isotonic", "x": [0.1, 0.2], "y": [0.1, 1.2]}}}, "between 0 and 1"),
        ({"tasks": {"click": {"method": "isotonic", "x": ["a"], "y": [0.2]}}}, "not a calibration"),
        ({"tasks": []}, "not a calibration"),
    ],
)
def test_a_file_that_is_none(tmp_path: Any, change: dict[str, Any], message: str) -> None:
    tree = {"calibration_version": 1, "tasks": {}, "fitted": {}}
    (tmp_path / "calibration.json").write_text(json.dumps({**tree, **change}))
    with pytest.raises(InputError, match=message) as error:
        read_calibration(tmp_path)
    assert "calibration.json" in str(error.value)


def test_the_setting_names_the_methods() -> None:
    assert get_args(RunConfig.model_fields["calibration"].annotation) == get_args(CalibrationMethod) == ("none", *CALIBRATIONS)
