"""Pilot runs: they choose the learning rate of each model and correlation, and the length of all runs of a study.

Their seeds are not those of the long runs, so that nothing is selected on the runs that a verdict uses.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from manygate.studies.packs import Total, drop_checkpoints, run_sweep
from manygate.studies.plan import LADDER, Plan
from manygate.studies.sweep import Outcome, Protocol, Sweep


def run_pilots(plan: Plan, folder: Path, progress: Total) -> tuple[Protocol, dict[str, list[Outcome]]]:
    """Train the pilots of all models. Return the protocol of the length that they chose, and their outcomes by group.

    The length is the first of the plan's at which the pilots of every claimed model are at rest at their chosen rates, or the
    longest one. All runs of a study have this length, so that models are compared after as many steps.
    """
    groups = plan.pilots()
    claimed = {group: groups[group] for group in plan.CLAIMED}
    for steps in plan.lengths:
        protocol = replace(plan.protocol, steps=steps)
        if steps > plan.lengths[0]:
            progress.grow(plan.rows(protocol, plan.lengths[plan.lengths.index(steps) - 1]))
        last = steps == plan.lengths[-1]
        outcomes = {
            group: [_pilot(sweep, protocol, folder, progress, last) for sweep in sweeps] for group, sweeps in claimed.items()
        }
        if all(chosen_at_rest(outcome) for group in outcomes.values() for outcome in group):
            break
    for group, sweeps in groups.items():
        if group not in claimed:
            outcomes[group] = [_pilot(sweep, protocol, folder, progress) for sweep in sweeps]
    drop_checkpoints(folder)
    return protocol, {group: outcomes[group] for group in groups}


def chosen_at_rest(outcome: Outcome) -> bool:
    """Return whether the runs at the chosen rate of every correlation are at rest."""
    return all(outcome.at(p, outcome.best_rate(p)).at_rest for p in outcome.sweep.correlations)


def _pilot(sweep: Sweep, protocol: Protocol, folder: Path, progress: Total, last: bool = True) -> Outcome:
    """Train the pilots of a model at the rates of the grid, and beyond either end while the best rate lies there."""
    outcome = run_sweep(sweep, protocol, folder, progress, last)
    for p in sweep.correlations:
        while (rate := next_rate(outcome.rates(p), outcome.best_rate(p))) is not None:
            one = replace(sweep, name=f"{sweep.name}-{p:g}-{rate:g}", correlations=(p,), rates=((rate,),))
            progress.grow(one.rows(protocol))
            outcome = outcome.joined(run_sweep(one, protocol, folder, progress, last))
    return outcome


def next_rate(tried: list[float], best: float) -> float | None:
    """Return the rate to try next: the neighbour beyond the end where the best rate lies, or None.

    >>> next_rate([1e-3, 3e-3, 1e-2], 1e-2), next_rate([1e-3, 3e-3, 1e-2], 3e-3), next_rate([1e-1, 3e-1], 3e-1)
    (0.03, None, None)
    """
    if best == max(tried):
        return next((rate for rate in LADDER if rate > best), None)
    return next((rate for rate in reversed(LADDER) if rate < best), None) if best == min(tried) else None


def on_edge(outcome: Outcome) -> list[float]:
    """Return the correlations whose best rate lies at an end of the tried rates: the ladder ends there."""
    return [p for p in outcome.sweep.correlations if outcome.best_rate(p) in (outcome.rates(p)[0], outcome.rates(p)[-1])]
