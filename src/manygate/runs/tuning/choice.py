"""Chooses the trial whose settings are trained again, by values on validation rows alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from manygate.errors import InputError, setting
from manygate.metrics.pareto import non_dominated
from manygate.results.tuning import ChosenTrial
from manygate.runs.tuning.ledger import Entry


def best_of(entries: Iterable[Entry]) -> Entry | None:
    """Return the complete trial with the highest first objective, of equal ones the first. None without a complete trial."""
    return max(_complete(entries), key=lambda entry: (entry.values[0], -entry.number), default=None)


def front(entries: Iterable[Entry]) -> list[Entry]:
    """Return the complete trials that no other complete trial beats: as good in every objective and better in one."""
    complete = _complete(entries)
    if not complete:
        return []
    on_front = non_dominated(np.array([entry.values for entry in complete]))
    return [entry for entry, is_on in zip(complete, on_front, strict=True) if is_on]


def _complete(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.state == "complete"]


def choose(entries: Mapping[int, Entry], pick: int | None) -> ChosenTrial:
    """Choose a trial: ``pick``, or the best one, or the one of a front that is nearest to the best values of all objectives.

    For the distance, each objective is scaled to the range that it has on the front. Raises :class:`InputError` if no trial is
    complete, or if the picked one is not.
    """
    best = best_of(entries.values())
    if best is None:
        reasons = list(dict.fromkeys(str(entry.about.get("reason")) for entry in entries.values() if entry.state == "failed"))
        raise InputError(["no trial was completed, so there is nothing to choose from.", *reasons[:5]])
    if pick is not None:
        if entries[pick].state != "complete":
            raise InputError(f"{setting('pick', pick)}: this trial is {entries[pick].state}. Choose a complete one.")
        return _chosen(entries[pick], "picked by hand")
    if len(best.values) == 1:
        return _chosen(best, "the best value on validation rows")
    ahead = front(entries.values())
    value_PO = np.array([entry.values for entry in ahead])
    span_O = np.ptp(value_PO, axis=0)
    short_PO = (value_PO.max(axis=0) - value_PO) / np.where(span_O > 0, span_O, 1.0)
    nearest = int(np.argmin(np.square(short_PO).sum(axis=1)))
    rule = "of the trials that no other beats, the nearest to the best values of all objectives, each scaled to its range there"
    return _chosen(ahead[nearest], rule)


def _chosen(entry: Entry, rule: str) -> ChosenTrial:
    return ChosenTrial(number=entry.number, settings=entry.settings, rule=rule)
