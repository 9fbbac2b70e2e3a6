"""Made-up outcomes of sweeps, with known means and spreads of their losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from manygate.studies.sweep import Outcome, Runs, Sweep, Trained

RESTED, EPOCHS = 1.0, 6
Told = Mapping[float, tuple[float, float]]
"""A mean and a standard deviation of final losses by correlation."""


def sweep(name: str, correlations: Sequence[float] = (0.5,), rates: Sequence[float] = (1e-2,), runs: int = 5, **rest: Any) -> Sweep:
    grid = (tuple(rates),) * len(correlations)
    return Sweep(name, {"architecture": rest.pop("architecture", name)}, tuple(correlations), grid, runs, **rest)


def runs_of(loss_RT: np.ndarray, validation: float = 0.0, falls: bool = False) -> Runs:
    """Runs with these final losses, at rest unless they fall, none diverged; validation losses are theirs and more."""
    count = len(loss_RT)
    curve_E = np.linspace(2.0, 1.0, EPOCHS) if falls else np.ones(EPOCHS)
    validation_R = loss_RT.mean(axis=1) + validation
    return Runs(loss_RT, validation_R, np.zeros(count, dtype=bool), np.zeros(count), np.repeat(curve_E[:, None], count, axis=1))


def outcome(of: Sweep, cells: dict[tuple[float, float], Runs]) -> Outcome:
    return Outcome(of, 10, 20, {"tower_hidden": [8]}, list(range(1, EPOCHS + 1)), 1.5, cells)


def drawn(name: str, told: Told, runs: int) -> dict[float, np.ndarray]:
    """Losses (R, 2) by correlation with exactly these means and deviations. Runs of one seed go together, as with shared data."""
    random = np.random.default_rng([*name.encode()])
    common = np.random.default_rng(1).gamma(8.0, size=runs)
    losses = {}
    for p, (mean, sd) in told.items():
        draws = [common + 0.6 * random.gamma(8.0, size=runs) for _ in range(2)]
        losses[p] = np.stack([mean + sd * (draw - draw.mean()) / draw.std(ddof=1) for draw in draws], axis=1)
    return losses


def trained(name: str, told: Told, rates: Sequence[float] = (1e-3, 1e-2), runs: int = 200) -> Trained:
    """A model whose pilots and long runs have the same losses at every rate; pilots choose the last rate."""
    losses = drawn(name, told, runs)
    grid, chosen = sweep(name, tuple(told), rates, runs), sweep(name, tuple(told), rates[-1:], runs)
    worse = {rate: float(len(rates) - place) for place, rate in enumerate(rates)}
    pilots = outcome(grid, {(p, rate): runs_of(losses[p].copy(), worse[rate]) for p in told for rate in rates})
    return Trained(pilots, outcome(chosen, {(p, rates[-1]): runs_of(losses[p].copy()) for p in told}))
