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


class ColdPart(Record):
    """The metrics of a task's warm rows, or of its cold rows.

    ``weight_share`` is the part's share of the weight of all rows. ``pair_share`` (binary) is its share of the pairs of rows that
    AUC compares. ``spread`` (regression) is the mean squared distance of its labels from the mean of all rows.
    """

    rows: int
    positives: int | None = None
    weight_share: float
    pair_share: float | None = None
    spread: float | None = None
    metrics: dict[str, MetricSummary]
    undefined: dict[str, str]


class MixedPairs(Record):
    """The AUC of the pairs of a warm row and a cold row, and their share of all pairs."""

    pair_share: float | None
    auc: MetricSummary


class ColdStart(Record):
    """A task's metrics apart for warm rows, whose ids are all known, and cold rows, which have an unseen id.

    They add up to those of all rows. Log loss: the sum of ``weight_share`` x log loss. AUC: the sum of ``pair_share`` x AUC over
    warm, cold and mixed pairs. R2: 1 - S / V, where S is the sum of ``weight_share`` x RMSE squared, and V that of
    ``weight_share`` x ``spread``.
    """

    warm: ColdPart
    cold: ColdPart
    mixed: MixedPairs | None = None


class TaskReport(Scores):
    """A task's metrics on its own rows.

    ``joint`` is there only for a task after another, ``calibrated`` only with a calibrator, ``cold_start`` only where a labelled
    row has an unseen id.
    """

    calibrated: Calibrated | None = None
    joint: JointReport | None = None
    cold_start: ColdStart | None = None


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
