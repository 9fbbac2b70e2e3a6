"""A baseline from the encoded log to its results: replicas, failures, masks, resume."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from baseline_logs import SCHEMA, encoded, problem_of
from manygate.baselines import baseline
from manygate.baselines.baseline import METHODS, FittedBaseline, failure_warnings, run_baseline
from manygate.baselines.boosting import fit_boosting
from manygate.baselines.task_model import TaskRows
from manygate.config.names import BASELINES
from manygate.data.encoded import EncodedLog
from manygate.evaluation.task_report import task_report
from manygate.schema import Task


@pytest.fixture(scope="module")
def log() -> EncodedLog:
    return encoded()


def run(
    name: str, log: EncodedLog, folder: Path | None = None, seeds: tuple[int, ...] = (3, 4)
) -> tuple[FittedBaseline, list[str]]:
    lines: list[str] = []
    return run_baseline(name, log, problem_of(log), seeds, 1, folder, lines.append), lines


def test_every_name_has_a_method() -> None:
    assert set(METHODS) == set(BASELINES)


def test_replica_r_is_the_model_of_seed_r_and_its_report_that_of_its_logits(log: EncodedLog) -> None:
    fitted, lines = run("lightgbm", log)
    assert fitted.test_logit_RNT.shape == (2, len(log.parts["test"]), 3)
    for r, seed in enumerate((3, 4)):
        for t in range(3):
            expected_N = fit_boosting(TaskRows(log, t, seed)).logit_N["test"].astype(np.float32)
            np.testing.assert_array_equal(fitted.test_logit_RNT[r, :, t], expected_N)
    assert fitted.result.tasks == task_report(fitted.test_logit_RNT, log.parts["test"], problem_of(log))
    assert fitted.result.replicas == 2
    assert fitted.result.tasks["buy"].joint is not None
    assert lines == ["lightgbm: fitting 3 tasks, 2 replicas"]
    valid = fit_boosting(TaskRows(log, 0, 3)).logit_N["valid"]
    assert fitted.result.valid["click"].values[0] == pytest.approx(TaskRows(log, 0).score("valid", valid), abs=1e-4)


@pytest.mark.parametrize("name", ["logistic", "constant"])
def test_a_method_without_random_numbers_has_equal_replicas(log: EncodedLog, name: str) -> None:
    fitted, _ = run(name, log)
    np.testing.assert_array_equal(fitted.test_logit_RNT[0], fitted.test_logit_RNT[1])
    assert fitted.result.tasks["click"].metrics["auc"].sd == 0
    if name == "constant":
        assert fitted.result.tasks["click"].metrics["auc"].mean == 0.5
        assert fitted.result.tasks["watch"].metrics["r2"].mean == pytest.approx(0, abs=0.1)


def test_a_task_that_fails_is_said_and_the_others_go_on(log: EncodedLog) -> None:
    """Click of one value: buy, which comes after click, has results of its own and no joint event."""
    train = log.parts["train"]
    label_BT = train.label_BT.copy()
    label_BT[:, 0] = 1
    broken = dataclasses.replace(log, parts={**log.parts, "train": dataclasses.replace(train, label_BT=label_BT)})
    fitted, lines = run("lightgbm", broken)
    assert np.isnan(fitted.test_logit_RNT[..., 0]).all()
    assert np.isfinite(fitted.test_logit_RNT[..., 1:]).all()
    assert set(fitted.result.tasks) == set(fitted.result.valid) == {"watch", "buy"}
    assert fitted.result.tasks["buy"].joint is None
    assert failure_warnings([fitted.result]) == ["lightgbm has no model of 'click': all labels of the training rows are the same."]
    assert lines[-1] == "lightgbm: click failed: all labels of the training rows are the same"


def test_a_finished_baseline_is_read_again_and_a_damaged_one_is_not(
    log: EncodedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "constant"
    first, _ = run("constant", log, folder)

    def fail(rows: TaskRows) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setitem(baseline.METHODS, "constant", dataclasses.replace(METHODS["constant"], fit=fail))
    again, lines = run("constant", log, folder)
    assert again.result == first.result
    np.testing.assert_array_equal(again.test_logit_RNT, first.test_logit_RNT)
    assert lines == [f"constant: done before, loaded from {folder}"]
    with pytest.raises(ValueError, match="log or the settings have changed"):
        run("constant", log, folder, seeds=(1, 2))


def test_an_ordinal_task_is_a_regression_of_its_label() -> None:
    tasks = (Task(name="click"), Task(name="watch", kind="regression", loss="ordinal"))
    log = encoded(schema=SCHEMA.model_copy(update={"tasks": tasks}))
    fitted, _ = run("lightgbm", log)
    expected_N = fit_boosting(TaskRows(log, 1, 3)).logit_N["test"].astype(np.float32)
    np.testing.assert_array_equal(fitted.test_logit_RNT[0, :, 1], expected_N)


def test_errors_that_are_no_failures_of_a_task_are_not_hidden(log: EncodedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(rows: TaskRows) -> None:
        raise TypeError("a fault of manygate")

    monkeypatch.setitem(baseline.METHODS, "constant", dataclasses.replace(METHODS["constant"], fit=fault))
    with pytest.raises(TypeError, match="a fault"):
        run("constant", log)
