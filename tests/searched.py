"""Small searches for the tests of tuning: a space, a ledger in memory, and a whole search on a small log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from manygate.config import RunConfig, TuneConfig
from manygate.config.ranges import Range
from manygate.runs.tuning.ledger import Ledger
from manygate.runs.tuning.proposal import optuna
from manygate.runs.tuning.run import plan, tune_run
from manygate.runs.tuning.space import Space
from manygate.runs.tuning.storage import open_storage
from manygate.training.progress import Progress

RANGES = {"learning_rate": {"log": [0.003, 0.1]}, "experts": {"int": [2, 4]}, "dropout": {"uniform": [0.0, 0.5]}}


class Said(Progress):
    """Keeps the lines that it was given."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def ranges(trees: dict[str, Any] | None = None) -> dict[str, Range]:
    return {name: Range.model_validate(tree) for name, tree in (RANGES if trees is None else trees).items()}


def space(trees: dict[str, Any] | None = None, max_units: int | None = None, **base: Any) -> Space:
    return Space(RunConfig(**base), ranges(trees), max_units)


def ledger(folder: Path | None = None, url: str | None = None, objectives: int = 1, **what: Any) -> Ledger:
    return Ledger(open_storage(url, folder), "tuning", objectives, what or {"log": "a"})


def claim(book: Ledger, number: int, experts: int = 3) -> Any:
    params = {"learning_rate": 0.01, "experts": experts, "dropout": 0.1}
    return book.claim(number, dict(params), params, ranges())


def searched(log: Any, config: RunConfig, folder: Path | None = None, said: Progress | None = None, **tuning: Any) -> Any:
    """Run a whole search: the document and the models."""
    given = {"trials": 4, "space": RANGES, "final_replicas": 3, **tuning}
    space, tune, objectives = plan(log, config, TuneConfig(**given))
    return tune_run(log, space, tune, objectives, folder, said or Progress(), "manygate tune")


def trials_of(document: Any) -> list[Any]:
    """What must be the same in two searches: numbers, settings, scores and states, to the last bit."""
    return [(trial.number, trial.settings, trial.scores, trial.state, trial.curve) for trial in document.trials]


def states() -> Any:
    return optuna().trial.TrialState
