"""A study's ``results.json``: the claims of a paper with verdicts, and the numbers behind them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import JsonValue

from manygate.results.base import Document, Interval, Record

Bounds = tuple[float | None, float | None]


class Finding(Record):
    """A number with its interval, and whether it lies within the bounds that the claim sets (null: undecided).

    ``runs_needed`` is the number of runs that would decide an undecided finding if its value stays; null if none would.
    """

    text: str
    value: float | None
    ci95: Bounds
    bounds: Bounds
    holds: bool | None
    runs_needed: int | None


class Evidence(Record):
    """The findings in one setting; ``learned`` where all models had come to rest."""

    setting: str
    learned: bool
    holds: bool | None
    findings: list[Finding]


class Claim(Record):
    """A claim of the paper, in our words, with the test and the verdict.

    ``runs_needed`` is the number of runs that would decide all findings of a claim that cannot be told; null if none would.
    """

    key: str
    title: str
    section: str
    claim: str
    test: str
    verdict: str
    where: str
    runs_needed: int | None
    evidence: list[Evidence]


class Cell(Record):
    """The runs of a scheme at one correlation and learning rate; ``at_rest`` if their mean training loss no longer falls."""

    correlation: float
    rate: float
    mean: float | None
    sd: float | None
    ci95: Interval | None
    quartiles: list[float | None]
    diverged: int
    dead_towers: int
    at_rest: bool
    curve: list[float | None]
    validation_mean: float | None
    loss: list[float | None]
    loss_by_task: list[list[float | None]]


class SweepResult(Record):
    """A scheme at every correlation: its long runs in ``cells``, and its pilots at every learning rate that they tried.

    ``on_edge`` lists the correlations whose chosen rate is the lowest or the highest that was tried.
    """

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
    on_edge: list[float]
    cells: list[Cell]
    pilots: list[Cell]


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
    """The settings that all runs have in common; ``sines`` is the number that every run draws, or 0 for those of ``tasks``."""

    tasks: SyntheticTasks
    batch: int
    steps: int
    steps_an_epoch: int
    validation_rows: int
    test_rows: int
    first_seed: int
    sines: int


class PlannedSweep(Record):
    """The pilots of a scheme before they run; ``rates`` has a row for each correlation, and ``offset`` is that of their seeds."""

    name: str
    settings: dict[str, JsonValue]
    correlations: list[float]
    rates: list[list[float]]
    runs: int
    offset: int
    tasks: int


class StudyPlan(Record):
    """All that decides the results. ``runs`` has the number of long runs of each group; ``trials`` are those of figure 2."""

    study: str
    protocol: StudyProtocol
    lengths: list[int]
    runs: dict[str, int]
    pilots: dict[str, list[PlannedSweep]]
    trials: int
    trial_rows: int


class StudyResults(Document):
    """The results of a study. ``length`` is the number of steps of its runs; ``runs`` counts long runs and pilots."""

    KIND: ClassVar[str] = "the results of a study"
    VERSION_FIELD: ClassVar[str] = "results_version"
    VERSION: ClassVar[int] = 2

    results_version: int
    manygate_version: str
    command: str
    plan: StudyPlan
    length: int
    seconds: float
    runs: int
    figure_2: list[LabelCorrelation]
    claims: list[Claim]
    sweeps: dict[str, list[SweepResult]]
