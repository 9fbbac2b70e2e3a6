"""Sections 3 and 5 of Ma et al., "Modeling Task Relationships in Multi-task Learning with MMoE", KDD 2018, made anew.

What the paper leaves open is chosen here: c = 1, five sines with alpha = 1..5 and beta = i pi / 4, noise of variance 0.01, fresh
rows without end in batches of 64, 3,000 steps, Adam's default moments, Glorot-uniform weights. A run's final loss is its mean
squared error after the last step on 4,000 rows of its own that no training saw, a mean over its tasks, which are symmetric. The
learning rate is chosen from the paper's grid for each model and correlation by mean loss on 1,000 other rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from manygate.datasets.synthetic import Tasks
from manygate.errors import InputError
from manygate.files import read_json, to_json, write_text
from manygate.progress import Progress
from manygate.studies.sweep import Outcome, Protocol, Sweep, run_sweep

CORRELATIONS = (0.5, 0.9, 1.0)
RATES = (1e-4, 1e-3, 1e-2)
COMPARED = ("shared_bottom", "omoe", "mmoe")
FIGURE_2 = tuple(round(0.1 * i, 1) for i in range(11))
FIGURE_3 = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
MANY_TASKS = 4


@dataclass(frozen=True)
class Plan:
    """How much of everything a study trains."""

    protocol: Protocol
    runs: int
    runs_beyond: int
    schemes_beyond: tuple[str, ...]
    trials: int = 100
    trial_rows: int = 10_000

    def sweeps(self) -> list[Sweep]:
        """Every sweep of the study: figure 3, figures 4 and 5, the schemes beyond the paper, four tasks."""
        bottom = {"shared_bottom": {"bottom_hidden": 113}}
        main = [_sweep(name, name, self.runs, **bottom.get(name, {})) for name in COMPARED]
        figure_3 = Sweep(
            "figure-3", "shared_bottom 16", {"architecture": "shared_bottom", "bottom_hidden": 16}, FIGURE_3, (1e-3,), self.runs
        )
        beyond = [_sweep(name, name, self.runs_beyond, match_parameters=14_818) for name in self.schemes_beyond]
        many = [
            Sweep(f"{name}-{MANY_TASKS}-tasks", name, {"architecture": name, **bottom.get(name, {})}, (0.5, 1.0), (1e-3, 1e-2), runs, 4)
            for name in COMPARED
            if (runs := self.runs_beyond)
        ]
        return [figure_3, *main, *beyond, *many]


def _sweep(name: str, architecture: str, runs: int, **settings: Any) -> Sweep:
    return Sweep(name, architecture, {"architecture": architecture, **settings}, CORRELATIONS, RATES, runs)


FULL = Plan(Protocol(Tasks()), 200, 22, ("single_task", "l2_constrained", "cross_stitch", "cgc", "ple"))
QUICK = Plan(Protocol(Tasks(), steps=1_500), 20, 5, ("cross_stitch", "ple"))
