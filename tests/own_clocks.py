"""Own clocks as a loop over the lines of a run's history, apart from the code that trains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manygate.training.state import State

NAN = float("nan")


@dataclass
class Course:
    """The outcome of one clock: its best score and epoch, and the epoch in which it closed, or None."""

    best: float | None
    epoch: float
    closed: float | None


def course(scores: Sequence[float], patience: int, epochs: Sequence[float] = ()) -> Course:
    """Follow one score through the evaluations, whose epochs are 1, 2, 3, ... unless given."""
    best, epoch, waited = NAN, 0.0, 0
    for number, score in zip(epochs or range(1, len(scores) + 1), scores, strict=True):
        if math.isnan(best) or score > best:
            best, epoch, waited = score, number, 0 if not math.isnan(score) else waited + 1
        else:
            waited += 1
        if waited == patience:
            return Course(None if math.isnan(best) else best, epoch, number)
    return Course(None if math.isnan(best) else best, epoch, None)


def metric_of(history: Sequence[Any], task: str, replica: int) -> list[float]:
    """Return the validation metric of a task in each evaluation."""
    return [NAN if (value := entry["valid"][task][replica]) is None else value for entry in history]


def check_clocks(
    state: State, names: Sequence[str], patience: int, guess_T: np.ndarray, error_T: np.ndarray, replicas: Sequence[int] = ()
) -> None:
    """Check that the clocks of a sharing model with ``monitor=mean`` follow from the metrics of its history.

    ``patience`` is a number of evaluations.
    """
    epochs = [entry["epoch"] for entry in state.history]
    defined = [t for t, error in enumerate(error_T) if np.isfinite(error)]
    for r in replicas or range(state.members):
        metric_TE = np.array([metric_of(state.history, name, r) for name in names])
        mean_E = ((metric_TE - guess_T[:, None]) / error_T[:, None])[defined].mean(axis=0)
        found = [state.kept[r], *state.own[r]]
        courses = [course(scores, patience, epochs) for scores in (mean_E.tolist(), *metric_TE.tolist())]
        for clock, expected in zip(found, courses, strict=True):
            assert (clock.epoch, clock.closed) == (expected.epoch, expected.closed is not None)
            assert (clock.best is None) == (expected.best is None)
            assert clock.best is None or math.isclose(clock.best, expected.best or 0.0, rel_tol=1e-12)
        ends = [expected.closed for expected in courses]
        assert state.stopped[r] == all(end is not None for end in ends)
        assert not state.stopped[r] or max(end or 0 for end in ends) <= epochs[-1]
