"""A sweep: runs of one scheme at its correlations and learning rates, and what came of them.

Shape suffixes: R runs of a correlation and learning rate, P correlations, L learning rates, T tasks, E epochs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch

from manygate.config import RunConfig
from manygate.config.settings import PLAIN
from manygate.datasets.synthetic import Tasks
from manygate.files import to_json
from manygate.model.budget import matched
from manygate.studies.stream import Stream

QUICKEST = 200
"""Runs in a program beyond which a run becomes no cheaper (benchmarks/replicas.py)."""
FALLING = 0.05
"""A mean training loss has not come to rest if it fell by more than this share over the last sixth of the steps."""


@dataclass(frozen=True)
class Protocol:
    """The settings that all sweeps of a study have in common; the papers leave open batch, steps and rows.

    With ``sines``, every run draws as many frequencies and phases from N(0, 1); otherwise they are those of ``tasks``.
    """

    tasks: Tasks
    batch: int = 64
    steps: int = 30_000
    steps_an_epoch: int = 500
    validation_rows: int = 1_000
    test_rows: int = 4_000
    first_seed: int = 0
    sines: int = 0

    @property
    def epochs(self) -> list[int]:
        """The steps after each epoch; the last epoch may be shorter.

        >>> Protocol(Tasks(), steps=12, steps_an_epoch=5).epochs
        [5, 10, 12]
        """
        return [min(step + self.steps_an_epoch, self.steps) for step in range(0, self.steps, self.steps_an_epoch)]


@dataclass(frozen=True)
class Sweep:
    """One scheme, with ``runs`` runs of it at each correlation and each of its learning rates.

    ``rates`` has a row of equally many rates for each correlation. Run r has the seed ``first_seed + offset + r``.
    """

    name: str
    settings: dict[str, object]
    correlations: tuple[float, ...]
    rates: tuple[tuple[float, ...], ...]
    runs: int
    offset: int = 0
    tasks: int = 2

    @property
    def architecture(self) -> str:
        return str(self.settings["architecture"])

    @property
    def cells(self) -> list[tuple[float, float]]:
        """The correlation and learning rate of each run of a seed, in the order of the program's replicas."""
        return [(p, rate) for p, row in zip(self.correlations, self.rates, strict=True) for rate in row]

    def stream(self, protocol: Protocol, seeds: Iterable[int], device: torch.device | str = "cpu") -> Stream:
        """Return the rows of the runs of some seeds."""
        tasks, (rates,) = replace(protocol.tasks, tasks=self.tasks), {len(row) for row in self.rates}
        batch, steps, sines = protocol.batch, protocol.steps_an_epoch, protocol.sines
        return Stream(tasks, tuple(seeds), self.correlations, rates, batch, steps, device, sines)

    def config(self, protocol: Protocol) -> RunConfig:
        """Return the settings of a pack, but for its replicas and seed: Adam with its default moments, no decay, no dropout.

        The papers' networks have neither cross layers nor an average of the weights.
        """
        rates, epochs = [rate for _, rate in self.cells], len(protocol.epochs)
        base: dict[str, Any] = {
            "keep": "last",
            "optimizer": "adam",
            "weight_decay": 0.0,
            "dropout": 0.0,
            "batch_size": protocol.batch,
            "checkpoint_seconds": 60.0,
            "max_steps": protocol.steps,
            "epochs": epochs,
            "patience": epochs,
            "learning_rate": max(rates),
            "replica_rates": tuple(rate / max(rates) for rate in rates),
            "device": "auto",
        }
        return _model(to_json(self.settings), protocol.tasks.inputs, self.tasks).replace(**base)

    def packs(self, protocol: Protocol) -> list[range]:
        """Return the seeds of each pack, whatever the memory, so that a study goes on anywhere; a run takes a megabyte or so."""
        each = -(-self.runs // -(-self.runs // max(QUICKEST // len(self.cells), 1)))
        first = protocol.first_seed + self.offset
        last = first + self.runs
        return [range(start, min(start + each, last)) for start in range(first, last, each)]

    def rows(self, protocol: Protocol) -> int:
        """Return the number of training rows of all runs, for progress."""
        return self.runs * len(self.cells) * protocol.steps * protocol.batch


@cache
def _model(settings: str, inputs: int, tasks: int) -> RunConfig:
    """Return the settings of a model, with the widths that meet its budget; the search for them takes up to seconds."""
    problem = Stream(Tasks(0.0, tasks, inputs), [0], [0.0]).problem
    return matched(problem, RunConfig.build({**PLAIN, "expert_hidden": 16, "tower_hidden": 8, **json.loads(settings)}))


@dataclass(frozen=True)
class Runs:
    """The runs at one correlation and learning rate: final losses on test and validation rows, and training losses by epoch."""

    test_RT: np.ndarray
    validation_R: np.ndarray
    diverged_R: np.ndarray
    dead_R: np.ndarray
    """The number of dead towers of each run."""
    curve_ER: np.ndarray

    def losses(self, task: int | None = None) -> np.ndarray:
        """Return every run's final loss on test rows, the mean of its tasks or that of one; NaN where it diverged."""
        loss_R = self.test_RT.mean(axis=-1) if task is None else self.test_RT[:, task]
        return np.where(self.diverged_R, np.nan, loss_R)

    @property
    def validation(self) -> float:
        """The mean validation loss of the runs that did not diverge; infinite if there are none."""
        validation_R = self.validation_R[~self.diverged_R]
        return float(validation_R.mean()) if validation_R.size else np.inf

    @property
    def mean_curve(self) -> np.ndarray:
        """The mean training loss of the runs that did not diverge; NaN if there are none."""
        curve_ER = self.curve_ER[:, ~self.diverged_R]
        return curve_ER.mean(axis=1) if curve_ER.shape[1] else np.full(len(curve_ER), np.nan)

    @property
    def at_rest(self) -> bool:
        """Whether the mean training loss has come to rest."""
        return at_rest(self.mean_curve)


def at_rest(curve_E: np.ndarray) -> bool:
    """Return whether a mean training loss has come to rest: it hardly fell over the last sixth of the epochs.

    >>> at_rest(np.array([2.0, 1.5, 1.2, 1.1, 1.05, 1.0])), at_rest(np.array([2.0, 1.5, 1.2, 1.1, 1.06, 1.0]))
    (True, False)
    """
    sixth = -(-len(curve_E) // 6)
    return bool(len(curve_E) > sixth and curve_E[-1] >= (1 - FALLING) * curve_E[-1 - sixth])


@dataclass(frozen=True)
class Outcome:
    """What came of a sweep: its runs by correlation and learning rate, and the size of a model."""

    sweep: Sweep
    parameters: int
    flops: int
    widths: dict[str, list[int]]
    steps: list[int]
    """The steps after each epoch."""
    seconds: float
    cells: dict[tuple[float, float], Runs]

    def rates(self, p: float) -> list[float]:
        """Return the learning rates of a correlation, from the lowest to the highest."""
        return sorted(rate for correlation, rate in self.cells if correlation == p)

    def best_rate(self, p: float) -> float:
        """Return the rate at which the fewest runs diverged and, among those, the mean validation loss of the rest is least."""

        def order(rate: float) -> tuple[int, float]:
            runs = self.cells[p, rate]
            return int(runs.diverged_R.sum()), runs.validation

        return min(self.rates(p), key=order)

    def at(self, p: float, rate: float | None = None) -> Runs:
        """Return the runs of a correlation at a learning rate; it may be left out where there is only one."""
        (only,) = self.rates(p) if rate is None else [rate]
        return self.cells[p, only]

    def joined(self, other: Outcome) -> Outcome:
        """Return the outcome with the runs of another sweep of the same scheme, at other rates or correlations."""
        assert not self.cells.keys() & other.cells.keys()
        return replace(self, seconds=self.seconds + other.seconds, cells={**self.cells, **other.cells})


class Trained(NamedTuple):
    """A model's pilots, and its long runs at the rates that the pilots chose."""

    pilots: Outcome
    long: Outcome

    def rate(self, p: float) -> float:
        """Return the rate that the pilots chose at a correlation."""
        return self.pilots.best_rate(p)
