"""State: the progress of a training run, and its history file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np

from manygate.errors import InputError, setting
from manygate.files import write_text


class EpochEntry(TypedDict):
    """A line of ``metrics.jsonl``; each list holds a value a replica, ``gates`` has level, task and expert."""

    epoch: int
    step: int
    train_loss: dict[str, list[float | None]]
    valid: dict[str, list[float | None]]
    weights: dict[str, list[float | None]]
    gates: list[list[list[float]]]


@dataclass
class State:
    """The progress of a training run. Checkpoints contain it as JSON. Its lists have an entry for each member."""

    members: int
    """The number of members."""
    epoch: int = 0
    """The number of finished epochs."""
    batch: int = 0
    """The number of finished batches in the current epoch."""
    step: int = 0
    """The number of finished steps."""
    seconds: float = 0.0
    """The time of training so far."""
    best: list[float | None] = field(default_factory=list)
    """The best validation score, or None before the first."""
    best_epoch: list[int] = field(default_factory=list)
    """The epoch of the best score, from 1, or 0 before the first."""
    waited: list[int] = field(default_factory=list)
    """The number of epochs since the best score."""
    stopped: list[bool] = field(default_factory=list)
    """True if the member no longer trains."""
    diverged: list[int | None] = field(default_factory=list)
    """The step at which the member's loss became NaN or infinite."""
    history: list[EpochEntry] = field(default_factory=list)
    """The entries of ``metrics.jsonl``, one for each epoch."""
    reason: str = ""
    """The reason why training ended. Empty before the end."""

    def __post_init__(self) -> None:
        self.best = self.best or [None] * self.members
        self.best_epoch = self.best_epoch or [0] * self.members
        self.waited = self.waited or [0] * self.members
        self.stopped = self.stopped or [False] * self.members
        self.diverged = self.diverged or [None] * self.members

    def update_best(self, m: int, score: float, patience: int, keep_last: bool = False) -> bool:
        """Update the early stopping of member m after an epoch. Return true if its current weights are to be kept.

        They are kept if the score is better than all before it, or always with ``keep_last``. The member stops after ``patience``
        epochs without a better score. A stopped member does not change. A score of NaN is never better.
        """
        if self.stopped[m]:
            return False
        best = self.best[m]
        if keep_last:
            self.best[m], self.best_epoch[m] = None if math.isnan(score) else score, self.epoch
            return True
        if not math.isnan(score) and (best is None or score > best):
            self.best[m], self.best_epoch[m], self.waited[m] = score, self.epoch, 0
            return True
        self.waited[m] += 1
        self.stopped[m] = self.waited[m] >= patience
        return False

    def best_epochs(self) -> str:
        """Return the range of the members' best epochs as text.

        >>> State(2, best_epoch=[1, 3]).best_epochs(), State(2, best_epoch=[2, 2]).best_epochs()
        ('epochs 1 to 3', 'epoch 2')
        """
        low, high = min(self.best_epoch), max(self.best_epoch)
        return f"epoch {low}" if low == high else f"epochs {low} to {high}"


def check_fingerprint(folder: Path | None, saved: str, now: str) -> None:
    """Raise an :class:`InputError` if the data or settings differ from those of the saved run."""
    if ":" in now and ":" not in saved:
        raise InputError(
            f"{folder}: this run was saved by an earlier version of manygate, which recorded only a part of its rows, so it cannot "
            f"continue. Start a new run with another {setting('out')}."
        )
    if saved != now:
        raise InputError(
            f"{folder}: the log or the settings have changed since this run was saved, so it cannot continue. "
            f"Start a new run with another {setting('out')}."
        )


def write_history(folder: Path, history: Sequence[EpochEntry]) -> None:
    """Write ``metrics.jsonl`` with one line for each epoch."""
    write_text(folder / "metrics.jsonl", "".join(_json_line(entry) for entry in history))


def plain(value_R: np.ndarray) -> list[float | None]:
    """Return floats for JSON. NaN becomes None, for example if an epoch had no row of the task."""
    return [float(value) if np.isfinite(value) else None for value in value_R]


def _json_line(entry: EpochEntry) -> str:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"
