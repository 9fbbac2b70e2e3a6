"""``results.json`` of the census study: every method's runs beside the paper's Tables 1 and 2, and what follows."""

from __future__ import annotations

from typing import ClassVar

from pydantic import JsonValue

from manygate.results.base import Document, Record
from manygate.results.summary import JointGain, MetricSummary


class CensusTask(Record):
    """The AUC of a task on validation and test rows, of each run and of the ensemble of all runs.

    ``se_test`` is the standard error of the mean test AUC over test rows, of which ``positives`` have the label 1.
    """

    valid: MetricSummary
    test: MetricSummary
    ensemble: float | None
    se_test: float | None
    rows: int
    positives: int


class CensusSearch(Record):
    """The search for the settings of a method. ``values`` has the validation AUC of each trial, null if it failed.

    Trial 0 has the default settings.
    """

    sampler: str
    objective: str
    values: list[float | None]
    chosen: int
    settings: dict[str, JsonValue]
    seconds: float


class CensusModel(Record):
    """A method that was trained for some tasks: with two tasks for both at once, with one task for this task alone.

    ``rows`` has the number of rows by part.

    ``search`` is null for a method without one. ``seeded`` is false if all its runs would be the same, so that one was made.
    ``epochs`` has the epoch of the kept weights of each run; it is empty for methods that have no epochs.
    """

    method: str
    rows: dict[str, int]
    tasks: dict[str, CensusTask]
    search: CensusSearch | None
    settings: dict[str, JsonValue]
    seeded: bool
    parameters: int | None
    epochs: list[float]
    diverged: int
    seconds: float


class PaperRow(Record):
    """A row of Table 1 or 2 of the paper: test AUC, of 400 runs."""

    best: float
    mean: float
    married_best: float
    married_mean: float


class BestRun(Record):
    """A run that was picked, with the test AUC of both tasks. A method with a model for each task picks each by itself."""

    run: int
    married_run: int
    main: float
    married: float


class CensusRow(Record):
    """A method in the table of a group.

    ``best`` is picked by the main task on test rows, as the paper does, and ``chosen`` on validation rows.
    """

    method: str
    main_model: str
    married_model: str
    paper: PaperRow | None
    best: BestRun
    chosen: BestRun


class CensusGain(Record):
    """The gain of the reference method over another in a task.

    ``halves`` has half the width of its joint interval with 100 and with 400 runs, if the standard deviations stay. ``paper_gain``
    is the difference of the paper's means, and ``paper_half`` half the width of its own 95 % interval with the paper's 400 runs.
    """

    method: str
    task: str
    gain: JointGain
    halves: dict[str, float] | None
    paper_gain: float | None
    paper_half: float | None


class CensusNoise(Record):
    """The chance in the main task's numbers of a method.

    ``lift`` is how far the best of our runs lies above their mean by luck alone, and ``lift_paper`` the same for 400 runs.
    ``paper_sd`` is the standard deviation over runs that the paper's own best and mean imply.
    """

    method: str
    sd: float | None
    se_test: float | None
    lift: float | None
    lift_paper: float | None
    paper_sd: float | None


class CensusGroup(Record):
    """A group of two tasks: the main one, and whether a person never married."""

    main: str
    table: int
    reference: str
    rows: list[CensusRow]
    gains: list[CensusGain]
    noise: list[CensusNoise]
    conclusions: list[str]


class CensusResults(Document):
    """The results of the census study."""

    KIND: ClassVar[str] = "the results of the census study"
    VERSION_FIELD: ClassVar[str] = "census_version"
    VERSION: ClassVar[int] = 1

    census_version: int
    manygate_version: str
    torch_version: str
    command: str
    quick: bool
    plan: dict[str, JsonValue]
    rows: dict[str, int]
    replicas: int
    looks: int
    models: dict[str, CensusModel]
    groups: dict[str, CensusGroup]
    limits: list[str]
    seconds: float
    estimated_seconds: float | None
