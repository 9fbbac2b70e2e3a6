"""Metrics of tasks, over replicas and of the ensemble, and gains of a model over another."""

from __future__ import annotations

from typing import Literal

from manygate.results.base import Interval, Record

Verdict = Literal["helps", "hurts", "cannot tell"]


class MetricSummary(Record):
    """A metric over replicas: mean, standard deviation (n - 1), 95 % interval, and each replica's value."""

    mean: float | None
    sd: float | None
    ci95: Interval | None
    values: list[float | None]


class CalibrationBin(Record):
    """A bin of a reliability diagram: mean prediction, rate of positives, number of rows."""

    predicted: float
    observed: float
    rows: int


class Scores(Record):
    """Every metric of a task or of a joint event; ``calibration`` is absent for a regression task."""

    kind: Literal["binary", "regression"]
    rows: int
    metrics: dict[str, MetricSummary]
    ensemble: dict[str, float | None]
    undefined: dict[str, str]
    calibration: list[CalibrationBin] | None = None


class JointReport(Scores):
    """What is expected on any row, for a task after another, on all rows of the funnel's first step."""

    name: str


class Calibrated(Record):
    """The ensemble after its calibrator."""

    method: str
    metrics: dict[str, float | None]
    undefined: dict[str, str]
    calibration: list[CalibrationBin]


class TaskReport(Scores):
    """A task's metrics on its own rows; ``joint`` only for a task after another, ``calibrated`` only with a calibrator."""

    calibrated: Calibrated | None = None
    joint: JointReport | None = None


class Gain(Record):
    """The mean paired difference from another model; positive is better. ``ci95`` covers seeds and test rows.

    ``reason`` is why there is no interval, null where there is one.
    """

    gain: float | None
    ci95: Interval | None
    sd_replicas: float | None
    se_test: float | None
    verdict: Verdict
    reason: str | None = None


class MetricGain(Gain):
    """A gain in a task's main metric."""

    metric: str


class JointGain(Gain):
    """A gain with the interval that holds for all tasks at once, and the number of rows or groups that move the gain."""

    joint95: Interval | None
    clusters: int
