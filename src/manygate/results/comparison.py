"""``comparison.json``, and ``evaluation.json``, which has the same form with one architecture."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from manygate.results.base import Document, Interval, Record
from manygate.results.baselines import AgainstBaselines, BaselineResult
from manygate.results.evaluation import DataSummary, RunResult
from manygate.results.story import Story
from manygate.results.summary import JointGain, MetricGain, MetricSummary, Verdict

Rule = Literal["share", "one checkpoint per task", "trade-off", "separate", "look again", "cannot tell"]
Standing = Literal["dominated", "beyond the sweep", "cannot tell"]


class Choice(Record):
    """The architecture with the best mean validation score; ``architecture`` is null where no score is defined."""

    architecture: str | None
    monitor: str
    valid: dict[str, MetricSummary]
    reason: str


class TaskGain(JointGain):
    """A gain in a task's main metric, with the interval that holds for all tasks at once."""

    metric: str


class Price(Record):
    """What a task loses to the one checkpoint that a model keeps for all its tasks: its own best epoch minus the kept epoch.

    Both are of the same model and the same replicas. ``gain as shipped = effect of sharing - price``, in the mean.
    ``reason`` is why there is no interval, null where there is one.
    """

    metric: str
    price: float | None
    ci95: Interval | None
    joint95: Interval | None
    sd_replicas: float | None
    se_test: float | None
    clusters: int
    reason: str | None = None


class Difference(Record):
    """The gains of each task's main metric when the architecture ``to`` takes the place of ``origin`` (``from`` in JSON)."""

    origin: str = Field(alias="from")
    to: str
    tasks: dict[str, JointGain]


class Harm(Record):
    """Negative transfer: a task that a model hurts beyond doubt, against the task's own model."""

    model: str
    task: str


class Removal(Record):
    """A model that takes away the negative transfer ``of`` another on a task."""

    model: str
    of: str
    task: str
    gain: float | None
    joint95: Interval | None


class Seesaw(Record):
    """A pair of tasks of which one gains and the other loses between two architectures."""

    origin: str = Field(alias="from")
    to: str
    gains: str
    loses: str
    sure: bool


class WorseProbability(Record):
    """A metric of the probabilities that is worse than the baseline's beyond doubt; ``ranking`` is the main metric's verdict."""

    model: str
    task: str
    metric: str
    ranking: Verdict


class Transfer(Record):
    """Who gains and who pays, over the baseline and between every two architectures.

    ``looks`` is, by model, the number of looks that the joint intervals of its gains allow for; ``pair_looks`` is that of the
    differences.
    """

    looks: dict[str, int]
    pair_looks: int
    gains: dict[str, dict[str, dict[str, JointGain]]]
    differences: list[Difference]
    negative: list[Harm]
    removed: list[Removal]
    seesaws: list[Seesaw]
    probabilities: list[WorseProbability]


class Alternative(Record):
    """Another model that helps tasks and hurts none on the test rows."""

    model: str
    helps: list[str]


class SizeNeed(Record):
    """What narrows a joint half-width to ``size``: replicas (null: more than 10,000) and times the present test rows."""

    size: float
    replicas: int | None
    times_rows: float


class Need(Record):
    """The two parts of an undecided task's joint half-width, and what would narrow it."""

    task: str
    metric: str
    seeds: float
    test: float
    replicas: int
    sizes: list[SizeNeed]


class Power(Record):
    """How often a comparison like this finds a gain of ``size`` on the task with the widest interval.

    ``found`` and ``found_with_more`` are shares of comparisons, with ``replicas`` and with ``more_replicas``. ``size_found`` is the
    gain that is found in 80 of 100 with ``replicas``. ``text`` says it in words.
    """

    task: str
    metric: str
    size: float
    replicas: int
    found: float
    more_replicas: int
    found_with_more: float
    size_found: float
    text: str


class Recommendation(Record):
    """What to do, by fixed rules from the intervals, in words; ``headline`` is the answer in one sentence."""

    rule: Rule
    headline: str
    model: str | None
    judged: str | None
    text: str
    reasons: list[str]
    could_change: list[str]
    alternatives: list[Alternative]
    needs: list[Need]
    power: Power | None = None


class SweepPoint(Record):
    """A vector of fixed task weights, with the main metrics that it reaches."""

    weights: dict[str, float]
    valid: dict[str, float | None]
    test: dict[str, float | None]
    on_front: bool


class SweepGains(Record):
    """The gains of a run over a point of the front."""

    point: int
    gains: dict[str, MetricGain]


class SweepMethod(Record):
    """How a run of the same architecture stands to the front."""

    valid: dict[str, float | None]
    test: dict[str, float | None]
    hypervolume_added: float | None
    verdict: Standing
    against: list[SweepGains]


class WeightSweep(Record):
    """Fixed weights of an architecture: all points, their front, and the runs beside it."""

    replicas: int
    seconds: float
    reference: dict[str, float]
    hypervolume: dict[str, float]
    points: list[SweepPoint]
    methods: dict[str, SweepMethod]


class IdDropoutChoice(Record):
    """The value of ``id_dropout`` that was chosen for a model, and the validation scores of each value."""

    chosen: float
    valid: dict[str, MetricSummary]


class TunedArchitecture(Record):
    """The settings that a search chose for an architecture: those of its best trial, with its score on validation rows.

    ``valid_default`` is the score of the trial with the default settings, null if that failed.
    """

    trial: int
    settings: dict[str, JsonValue]
    valid: float
    valid_default: float | None
    failed: int
    seconds: float


class ComparisonDocument(Document):
    """The results of one or several architectures; ``interval_note`` is why there are no intervals, null where there are."""

    KIND: ClassVar[str] = "the results of a run"
    VERSION_FIELD: ClassVar[str] = "comparison_version"
    VERSION: ClassVar[int] = 2

    comparison_version: int
    manygate_version: str
    torch_version: str
    command: str
    config: dict[str, JsonValue]
    data_schema: dict[str, JsonValue] = Field(alias="schema")
    data: DataSummary
    architectures: list[str]
    baseline: str | None
    best: Choice | None
    results: dict[str, RunResult]
    verdicts: dict[str, dict[str, MetricGain]]
    valid: dict[str, MetricSummary]
    price: dict[str, dict[str, Price]] | None = None
    as_shipped: dict[str, dict[str, TaskGain]] | None = None
    interval_note: str | None = None
    transfer: Transfer | None = None
    recommendation: Recommendation | None = None
    sweep: dict[str, WeightSweep] | None = None
    id_dropout: dict[str, IdDropoutChoice] | None = None
    tuned: dict[str, TunedArchitecture] | None = None
    story: Story | None = None
    baselines: dict[str, BaselineResult] | None = None
    against_baselines: AgainstBaselines | None = None
