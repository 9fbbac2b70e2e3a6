"""``inspection.json``: gates, dead units, experts, noise, gradients, importance, embeddings and alarms.

Replicas, levels and experts are counted from 0. A record of a replica has ``model`` where each task has its own model.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import JsonValue

from manygate.results.base import Document, Number, Record

Severity = Literal["serious", "warning", "note"]


class Alarm(Record):
    """A fault or a note: what is wrong, the numbers that show it, and what to do."""

    kind: str
    severity: Severity
    title: str
    message: str
    numbers: dict[str, JsonValue]
    advice: str


class GateShape(Record):
    """A task's gate over some rows: mean and standard deviation of each weight, entropy in nats, share of polarised rows."""

    sees: list[int]
    rows: int
    mean: list[Number]
    sd: list[Number]
    entropy: Number
    entropy_share: float | None
    polarised: float | None


class GateUse(GateShape):
    """The gate of a task on the rows of its sample space."""

    task: str


class GateDistance(Record):
    """Total variation between the gates of two tasks: of their means, and the mean over rows that belong to both."""

    tasks: list[str]
    of_means: Number
    by_row: float | None


class LevelGates(Record):
    """The gates of a level."""

    experts: int
    tasks: list[GateUse]
    distances: list[GateDistance]
    unused: list[int]
    unused_share: float | None


class Seen(Record):
    """The replica that a record is about, and its task where each task has its own model."""

    replica: int
    model: str | None = None


class SeenGates(Seen, LevelGates):
    """The gates of a level of a replica."""

    level: str


class SegmentSize(Record):
    """A segment of the rows."""

    segment: str
    rows: int


class SegmentGate(Seen, GateUse):
    """A task's gate on a segment; ``distance`` is the total variation from its mean over all rows."""

    level: str
    segment: str
    distance: Number


class Segments(Record):
    """Gates by the values of a column."""

    by: str
    segments: list[SegmentSize]
    gates: list[SegmentGate]


class EpochGates(Record):
    """Mean gate weights of an epoch, by level, task and expert."""

    epoch: int | float
    gates: list[list[list[Number]]]


class NetworkUnits(Record):
    """The units of a network in a layer: shares that are dead, mostly zero, and the share of all outputs that are zero."""

    name: str
    units: int
    dead: Number
    mostly_zero: Number
    zeros: Number


class LayerUnits(Record):
    """A hidden layer, network by network."""

    part: str
    layer: int
    networks: list[NetworkUnits]


class SeenLayer(Seen, LayerUnits):
    """A hidden layer of a replica."""


class DeadTower(Record):
    """A task whose tower gives the same logit on every row."""

    task: str
    logit: Number
    why: str


class SeenTower(Seen, DeadTower):
    """A dead tower of a replica."""


class DeadUnits(Record):
    """Hidden layers and dead towers."""

    layers: list[SeenLayer]
    towers: list[SeenTower]


class Likeness(Record):
    """Linear CKA and cosine of each pair of experts, and the root mean square of each expert's outputs."""

    cka: list[list[float | None]]
    cosine: list[list[float | None]]
    scale: list[Number]


class SeenExperts(Seen, Likeness):
    """How alike the experts of a level of a replica are."""

    level: str


class NoiseReport(Record):
    """A task's main metric beside chance."""

    task: str
    metric: str
    rows: int
    value: float | None
    se: float | None
    chance: Number
    verdict: Literal["better", "noise", "too few rows"]


class Conflict(Record):
    """The cosine of two tasks' gradients in a layer, over batches and replicas."""

    layer: str
    tasks: list[str]
    mean: Number
    se: float | None
    below_zero: Number
    by_replica: list[float | None]


class Affinity(Record):
    """The share by which the loss of task ``on`` falls after a step for task ``of``."""

    of: str
    on: str
    mean: Number
    se: float | None


class FeatureImportance(Record):
    """The drop of a task's metric when a feature's values change places among the rows."""

    feature: str
    drop: float | None
    se: float | None


class TaskImportance(Record):
    """The importance of every feature for a task, the most important first."""

    task: str
    metric: str
    value: float | None
    rows: int
    repeats: int
    features: list[FeatureImportance]


class SingularValues(Record):
    """Effective rank, that over the largest possible, and the singular values over the largest."""

    rank: Number
    share: float | None
    values: list[Number]


class Spectrum(Record):
    """The spectrum of the rows of a table that were seen: plain, and weighted by use."""

    seen: int
    possible: int
    plain: SingularValues
    by_use: SingularValues


class EmbeddingSpectrum(Spectrum):
    """The spectrum of a replica's table; ``of`` is the task that owns it, or ``shared``."""

    replica: int
    feature: str
    of: str
    dim: int


class ReplicaCount(Record):
    """How many replicas were looked at, of how many."""

    looked_at: int
    of: int


class InspectedTask(Record):
    """A task and the rows of its sample space."""

    task: str
    kind: str
    rows: int


class Inspection(Record):
    """Everything that was measured; only the parts asked for are there."""

    architecture: str
    rows: int
    replicas: ReplicaCount
    tasks: list[InspectedTask]
    gate: str
    parts: list[str]
    gates: list[SeenGates] | None = None
    dead: DeadUnits | None = None
    experts: list[SeenExperts] | None = None
    noise: list[NoiseReport] | None = None
    segments: Segments | None = None
    conflict: list[Conflict] | None = None
    affinity: list[Affinity] | None = None
    importance: list[TaskImportance] | None = None
    embeddings: list[EmbeddingSpectrum] | None = None
    alarms: list[Alarm]


class InspectionDocument(Inspection, Document):
    """The inspection of a model on a log."""

    KIND: ClassVar[str] = "an inspection"
    VERSION_FIELD: ClassVar[str] = "inspection_version"
    VERSION: ClassVar[int] = 1

    inspection_version: int
    manygate_version: str
    log: str
    rows_of_log: int
    history: list[EpochGates] | None = None
