"""What a run reports about its data and about each trained architecture."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from manygate.results.base import Record
from manygate.results.fusion import FusionRanking
from manygate.results.inspection import Inspection
from manygate.results.summary import TaskReport


class LabelSummary(Record):
    """The rows that count for a task in a part of the data, the weighted mean of their labels, and of a binary task the ones."""

    rows: int
    mean: float | None
    positives: int | None = None

    @property
    def rarer(self) -> tuple[int, str]:
        """The number and the name of the rows that limit what can be judged: those of the rarer label, or all of a regression.

        >>> LabelSummary(rows=9, mean=0.1, positives=1).rarer, LabelSummary(rows=9, mean=2.5).rarer
        ((1, 'positives'), (9, 'labelled rows'))
        """
        if self.positives is None:
            return self.rows, "labelled rows"
        rarer = min(self.positives, self.rows - self.positives)
        return rarer, "positives" if rarer == self.positives else "negatives"


class FeatureSummary(Record):
    """A feature: its kind, the rows of its embedding table, the columns of a number, and shares of null and unseen values.

    A number whose values are also ids has both rows and columns; none of its values counts as an unseen id.

    ``unknown_share`` is that of unseen ids on test, ``unknown_shares`` has it for each part (of a bag, the share of its ids).
    """

    name: str
    kind: str
    bias: bool
    rows: int | None
    columns: int | None
    null_share: float
    unknown_share: float | None = None
    unknown_shares: dict[str, float] | None = None
    note: str


class DataWarning(Record):
    """A warning about the data or the result.

    ``serious`` means that results should not be believed before someone has looked; ``warning`` that something may not be what it
    seems; ``note`` that it is good to know. ``column`` and ``task`` name what it is about.
    """

    level: Literal["serious", "warning", "note"] = "warning"
    text: str
    column: str | None = None
    task: str | None = None

    def __str__(self) -> str:
        return self.text


def _as_warning(value: object) -> object:
    """A plain text is a warning without a level of its own."""
    return {"level": "warning", "text": value} if isinstance(value, str) else value


AnyWarning = Annotated[DataWarning, BeforeValidator(_as_warning)]


class DataSummary(Record):
    """What was read: rows of each part, labels by task and part, features and warnings, the serious ones first."""

    log: str
    rows: dict[str, int]
    tasks: dict[str, dict[str, LabelSummary]]
    features: list[FeatureSummary]
    warnings: list[AnyWarning]


class GateSummary(Record):
    """Mean and standard deviation of each expert's weight, for a task at a level."""

    level: int
    task: str
    mean: list[float | None]
    sd: list[float | None]


class Epoch(Record):
    """One evaluation of a training run; each list holds a value a replica, ``gates`` has level, task and expert.

    The value is null where it is undefined, and where early stopping ended the replica (or its model of the task) at an earlier
    evaluation.
    ``epoch`` has a fraction if there are several evaluations in an epoch; ``train_loss`` is then the mean of the epoch so far.
    """

    epoch: int | float
    step: int
    train_loss: dict[str, list[float | None]]
    valid: dict[str, list[float | None]]
    weights: dict[str, list[float | None]]
    gates: list[list[list[float]]]


class Stopped(Record):
    """The epoch kept for each task and replica, and why training ended.

    ``own_best_epoch`` is the best epoch of each task's own clock, where tasks that share have one. ``open_clocks`` is the number of
    replicas whose clock of the task had not closed at the end, so that the task might have improved with more epochs.
    """

    best_epoch: dict[str, list[int | float]]
    reason: str
    own_best_epoch: dict[str, list[int | float]] | None = None
    open_clocks: dict[str, int] | None = None


class Divergence(Record):
    """A replica of which a model's loss became NaN or infinite, and the step."""

    replica: int
    step: int


class DayReport(Record):
    """A day of a log, judged by the model of all days before it, before any of its rows was trained on.

    ``rows`` are those of the day, ``trained_rows`` those of the days before. ``cold_share`` is the share of the day's rows with
    an unseen id. ``new_ids`` are the ids that got a row of their own on the day before, by feature.
    """

    day: str
    rows: int
    trained_rows: int
    cold_share: float
    new_ids: dict[str, int]
    tasks: dict[str, TaskReport]


class RunResult(Record):
    """A trained architecture: its cost, its metrics on test rows, and how its training went.

    ``days`` is there after a training day by day alone. The test rows are then those of the last day.
    """

    architecture: str
    weighting: str
    parameters: int
    network_parameters: int
    flops: int
    widths: dict[str, tuple[int | tuple[int, ...], ...] | None]
    seconds: float
    replicas: int
    tasks: dict[str, TaskReport]
    gates: list[GateSummary]
    inspection: Inspection
    history: list[Epoch]
    stopped: Stopped
    diverged: list[Divergence]
    days: list[DayReport] | None = None


class LogEvaluation(Record):
    """Every metric of a model on a log; ``fusion`` only with a fusion and a group column.

    ``warnings`` say in which way the metrics could mislead.
    """

    log: str
    rows: int
    replicas: int
    interval_note: str | None = None
    tasks: dict[str, TaskReport]
    warnings: list[str]
    fusion: FusionRanking | None = None


class CalibrationReport(Record):
    """What a fit of calibrators changed, on the rows of the fit. ``warnings`` say why the fit could be poor."""

    log: str | None
    rows: int
    tasks: dict[str, TaskReport]
    warnings: list[str]
