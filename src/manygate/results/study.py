"""A study's ``results.json``: the claims of a paper with verdicts, and the numbers behind them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import JsonValue

from manygate.results.base import Document, Interval, Record

Bounds = tuple[float | None, float | None]


class Finding(Record):
    """A number with its interval, and whether it lies within the bounds that the claim sets (null: undecided)."""

    text: str
    value: float | None
    ci95: Bounds
    bounds: Bounds
    holds: bool | None


class Evidence(Record):
    """The findings in one setting; ``learned`` where all models had come to rest."""

    setting: str
    learned: bool
    holds: bool | None
    findings: list[Finding]


class Claim(Record):
    """A claim of the paper, in its words, with the test and the verdict."""

    key: str
    title: str
    section: str
    claim: str
    test: str
    verdict: str
    where: str
    evidence: list[Evidence]


class Cell(Record):
    """The runs of a scheme at one correlation and learning rate."""

    correlation: float
    rate: float
    mean: float | None
    sd: float | None
    ci95: Interval | None
    quartiles: list[float | None]
    diverged: int
    dead_towers: int
    curve: list[float | None]
    validation_mean: float | None
    loss: list[float | None]
    loss_by_task: list[list[float | None]]


class SweepResult(Record):
    """A scheme at every correlation and learning rate."""

    name: str
    architecture: str
    settings: dict[str, JsonValue]
    widths: dict[str, list[int]]
    tasks: int
    runs: int
    parameters: int
    flops: int
    seconds: float
    steps: list[int]
    chosen_rate: dict[str, float]
    cells: list[Cell]


class LabelCorrelation(Record):
    """Figure 2: the correlation of the labels at a cosine of the tasks' vectors, simulated and exact."""

    cosine: float
    exact: float
    mean: float
    sd: float
    standard_errors_off: float


class SyntheticTasks(Record):
    """The tasks that the study draws its rows from."""

    inputs: int
    tasks: int
    correlation: float
    scale: float
    alpha: list[float]
    beta: list[float]
    noise_var: float


class StudyProtocol(Record):
    """What all sweeps have in common."""

    tasks: SyntheticTasks
    batch: int
    steps: int
    steps_an_epoch: int
    validation_rows: int
    test_rows: int
    first_seed: int


class PlannedSweep(Record):
    """A sweep before it runs."""

    name: str
    title: str
    settings: dict[str, JsonValue]
    correlations: list[float]
    rates: list[float]
    runs: int
    tasks: int


class StudyPlan(Record):
    """All that decides the results."""

    protocol: StudyProtocol
    runs: int
    runs_beyond: int
    schemes_beyond: list[str]
    trials: int
    trial_rows: int
    sweeps: dict[str, list[PlannedSweep]]


class StudyResults(Document):
    """The results of a study."""

    KIND: ClassVar[str] = "the results of a study"
    VERSION_FIELD: ClassVar[str] = "results_version"
    VERSION: ClassVar[int] = 1

    results_version: int
    manygate_version: str
    command: str
    plan: StudyPlan
    seconds: float
    runs: int
    figure_2: list[LabelCorrelation]
    claims: list[Claim]
    sweeps: dict[str, list[SweepResult]]
