"""Reads and writes the results of own clocks: test logits, best epochs and validation scores.

Shape suffixes: R replicas, M members, N test rows, T tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from manygate.errors import InputError
from manygate.evaluation.monitor import Monitor
from manygate.files import OWN_LOGITS, check_recorded, write_bytes
from manygate.model import MultiTaskModel
from manygate.model.replicas import Member
from manygate.schema import Schema
from manygate.training.state import State


def write_own_logits(folder: Path, own_RNT: np.ndarray) -> None:
    """Write the test logits of each task at the best epoch of its own clock into the folder of a run."""
    write_bytes(folder / OWN_LOGITS, save({"logit_RNT": np.ascontiguousarray(own_RNT)}))


def read_own_logits(folder: Path) -> np.ndarray:
    """Read the file of :func:`write_own_logits` from the folder of a finished run, as the run recorded it."""
    path = folder / OWN_LOGITS
    check_recorded(path)
    try:
        return np.asarray(load_file(path)["logit_RNT"])
    except (OSError, LookupError, ValueError, SafetensorError) as error:
        raise InputError(f"{path}: not the logits of a run ({type(error).__name__}). Restore it from a good copy.") from None


def own_logits(kept_RNT: np.ndarray, own_RNT: np.ndarray, state: State) -> np.ndarray:
    """Return the own logits, and those of the kept weights where a task's best epoch is the kept one.

    Both are of the same weights there. They could differ in the last bit, since a prediction of other replicas was made with them.
    """
    same_RT = np.array([[clock.epoch == kept.epoch for clock in own] for kept, own in zip(state.kept, state.own, strict=True)])
    return np.where(same_RT[:, None], kept_RNT, own_RNT)


def kept_epochs(state: State, model: MultiTaskModel, schema: Schema) -> dict[str, list[float]]:
    """Return the epoch of the weights that the model holds, by task, for each replica."""
    if model.by_task:
        return own_best_epochs(state, schema)
    epochs: dict[str, list[float]] = {name: [] for name in schema.task_names}
    for member, epoch in zip(model.members, state.best_epoch, strict=True):
        for t in member.tasks:
            epochs[schema.task_names[t]].append(epoch)
    return epochs


def own_best_epochs(state: State, schema: Schema) -> dict[str, list[float]]:
    """Return the best epoch of each task's own clock, by task, for each replica."""
    return {name: [clocks[t].epoch for clocks in state.own] for t, name in enumerate(schema.task_names)}


def open_clocks(state: State, members: Sequence[Member], schema: Schema) -> dict[str, int]:
    """Return the number of replicas whose clock of a task had not closed at the end, by task.

    It is the own clock of the task, or that of its model. A clock of a model that diverged does not count.
    """
    counts = dict.fromkeys(schema.task_names, 0)
    for m, member in enumerate(members):
        clocks = state.own[m] or [state.kept[m]] * len(member.tasks)
        for t, clock in zip(member.tasks, clocks, strict=True):
            counts[schema.task_names[t]] += not clock.closed and state.diverged[m] is None
    return counts


def valid_scores(state: State, members: Sequence[Member], monitor: Monitor) -> list[float]:
    """Return the validation score of each replica. NaN if it was never defined.

    It is that of the tasks' own clocks. A model of several tasks without own clocks has the score of its kept weights.
    """
    if not state.tasks and len(members[0].tasks) > 1:
        return [_number(best) for best in state.best]
    own_RT = np.full((1 + max(member.replica for member in members), len(monitor.tasks)), math.nan)
    for m, member in enumerate(members):
        clocks = state.own[m] or [state.kept[m]]
        own_RT[member.replica, list(member.tasks)] = [_number(clock.best) for clock in clocks]
    return monitor.by_replica(own_RT)


def _number(best: float | None) -> float:
    return math.nan if best is None else best
