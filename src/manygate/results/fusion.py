"""``fusion-search.json``, and how a fused score ranks the visits of a log."""

from __future__ import annotations

from typing import ClassVar

from pydantic import JsonValue

from manygate.results.base import Document, Record


class SearchObjective(Record):
    """An objective of a search; ``task_alone`` is its value for ranking by its task alone, ``random`` that of a random order."""

    objective: str
    task: str
    weight: float
    task_alone: float
    random: float


class SearchFeature(Record):
    """A transformed feature of the formula."""

    feature: str
    transform: str


class FormulaTerm(SearchFeature):
    """A transformed feature with its exponent."""

    weight: float


class FusionFormula(Record):
    """The formula of a score, as in ``fusion.json`` without its version of the form; ``made`` records how it came about."""

    version: int
    name: str
    weights: dict[str, float]
    features: list[FormulaTerm]
    note: str
    made: dict[str, JsonValue]


class Trial(Record):
    """The weights that were tried and the value of each objective; ``front`` where no other trial is better in all."""

    weights: list[float]
    values: list[float]
    total: float
    front: bool


class FusionSearch(Document):
    """A search for a fusion's weights: every trial and the chosen one."""

    KIND: ClassVar[str] = "a search for the weights of a fusion"
    VERSION_FIELD: ClassVar[str] = "search_version"
    VERSION: ClassVar[int] = 1

    search_version: int
    log: str | None = None
    fusion: FusionFormula | None = None
    objectives: list[SearchObjective]
    factors: list[str]
    features: list[SearchFeature]
    rows: int
    visits: int
    sampler: str
    seed: int
    alone: dict[str, list[float]]
    trials: list[Trial]
    chosen: int
    hypervolume: float


class RankedObjective(Record):
    """What the fused score, an order at random and each prediction alone reach in an objective."""

    fused: float
    random: float
    alone: dict[str, float]


class FusionRanking(Record):
    """How a fusion ranks the visits of a log; ``undefined`` has the reasons by objective."""

    formula: str
    version: int
    visits: int
    objectives: dict[str, RankedObjective]
    undefined: dict[str, str]
