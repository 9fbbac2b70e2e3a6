"""``tuning.json``: a search for good settings, its trials, and what the chosen settings gain on test rows."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from manygate.results.base import Document, Record
from manygate.results.comparison import TaskGain
from manygate.results.evaluation import DataSummary, RunResult
from manygate.results.summary import MetricSummary

TrialState = Literal["complete", "pruned", "failed"]


class TunedObjective(Record):
    """What the trials maximise on validation rows. ``task`` and ``metric`` are null for the mean of all tasks.

    ``better`` is the direction of better values of the metric; values of trials are turned so that higher is better.
    """

    name: str
    task: str | None
    metric: str | None
    better: Literal["higher", "lower", "one"]


class TrialTask(Record):
    """The main metric of a task on validation rows: the mean over the trial's replicas, each at the best epoch of the task."""

    metric: str
    mean: float | None


class TunedTrial(Record):
    """A trial. Test rows have no part in it.

    ``settings`` are those that it changed. ``values`` are its objectives, higher is better: means over replicas. ``noise`` is the
    variance of each of these means, null with one replica. ``curve`` has the best score so far after each evaluation. ``front`` is
    true if no other trial is better in all objectives. A pruned trial was ended early, and a failed one has a ``reason`` and no
    values.
    """

    number: int
    state: TrialState
    settings: dict[str, JsonValue]
    values: list[float]
    scores: list[list[float]]
    noise: list[float | None]
    tasks: dict[str, TrialTask]
    curve: list[tuple[int, float]]
    epochs: float | None
    seconds: float | None
    diverged: int
    front: bool
    reason: str | None = None


class ChosenTrial(Record):
    """The trial whose settings were trained again, and the rule that chose it."""

    number: int
    settings: dict[str, JsonValue]
    rule: str


class FinalRuns(Record):
    """The tuned settings beside the default ones: as many replicas of each, with seeds that no trial used, judged on test rows.

    ``gains`` has the paired gain of each task in its main metric, each task at the best epoch of its own clock in both. It is null,
    and so is the entry ``tuned`` of ``results`` and ``valid`` absent, if the defaults were chosen.
    """

    replicas: int
    seed: int
    results: dict[str, RunResult]
    valid: dict[str, MetricSummary]
    gains: dict[str, TaskGain] | None
    interval_note: str | None


class TuningDocument(Document):
    """The results of a search. ``repeated`` counts trials that another process ran again because theirs had died or was stopped."""

    KIND: ClassVar[str] = "the results of a search for settings"
    VERSION_FIELD: ClassVar[str] = "tuning_version"
    VERSION: ClassVar[int] = 1

    tuning_version: int
    manygate_version: str
    torch_version: str
    optuna_version: str
    command: str
    architecture: str
    config: dict[str, JsonValue]
    tuning: dict[str, JsonValue]
    data_schema: dict[str, JsonValue] = Field(alias="schema")
    data: DataSummary
    headline: str
    objectives: list[TunedObjective]
    defaults: dict[str, JsonValue]
    trials: list[TunedTrial]
    repeated: int
    importance: dict[str, float] | None
    chosen: ChosenTrial
    final: FinalRuns
    seconds: float
