"""State: the progress of a training run, and its history file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from manygate.errors import InputError, setting
from manygate.files import write_text


class EpochEntry(TypedDict):
    """A line of ``metrics.jsonl``; each list holds a value a replica, ``gates`` has level, task and expert.

    The value is None where early stopping ended the replica (or its model of the task) at an earlier evaluation.
    ``epoch`` has a fraction within an epoch, and ``train_loss`` and ``weights`` are then means of the epoch so far.
    """

    epoch: float
    step: int
    train_loss: dict[str, list[float | None]]
    valid: dict[str, list[float | None]]
    weights: dict[str, list[float | None]]
    gates: list[list[list[float]]]


@dataclass
class Clock:
    """Early stopping by one score: of the weights that a member keeps, or of one of its tasks.

    The clock closes after ``patience`` evaluations in a row without a better score. A closed clock never changes.
    """

    best: float | None = None
    """The best score, or None before the first score that is defined."""
    epoch: float = 0
    """The epoch of the best score: the epochs of training before it. It is 0 before the first score."""
    waited: int = 0
    """The number of evaluations since the best score."""
    closed: bool = False
    """True if the clock has closed."""

    def update(self, score: float, epoch: float, patience: int) -> bool:
        """Take in the score of an evaluation. Return true if the weights of this epoch are now the ones to use.

        A tie is not better, and NaN is never better. As long as no score was defined, the newest weights are used: an undefined
        metric says nothing against them.
        """
        if self.closed:
            return False
        better = not math.isnan(score) and (self.best is None or score > self.best)
        if better:
            self.best, self.waited = score, 0
        else:
            self.waited += 1
            self.closed = self.waited >= patience
        newest = better or self.best is None
        self.epoch = epoch if newest else self.epoch
        return newest

    def take(self, score: float, epoch: float) -> None:
        """Take the score of the newest evaluation, better or not. The clock never closes."""
        self.best, self.epoch = None if math.isnan(score) else score, epoch


@dataclass
class State:
    """The progress of a training run. Checkpoints contain it as JSON. Its lists have an entry for each member."""

    members: int
    """The number of members."""
    tasks: int = 0
    """The number of tasks of a member that have a clock of their own. It is 0 in a run without own clocks."""
    epoch: int = 0
    """The number of finished epochs."""
    part: int = 0
    """The number of evaluations in the current epoch."""
    batch: int = 0
    """The number of finished batches in the current epoch."""
    step: int = 0
    """The number of finished steps."""
    seconds: float = 0.0
    """The time of training so far."""
    kept: list[Clock] = field(default_factory=list)
    """The clock of the weights that the member keeps."""
    own: list[list[Clock]] = field(default_factory=list)
    """The clock of each task of the member. Empty without own clocks."""
    stopped: list[bool] = field(default_factory=list)
    """True if the member no longer trains: all its clocks have closed, or it diverged."""
    diverged: list[int | None] = field(default_factory=list)
    """The step at which the member's loss became NaN or infinite. Its clocks stay as they were."""
    history: list[EpochEntry] = field(default_factory=list)
    """The entries of ``metrics.jsonl``, one for each evaluation."""
    reason: str = ""
    """The reason why training ended. Empty before the end."""

    def __post_init__(self) -> None:
        self.kept = self.kept or [Clock() for _ in range(self.members)]
        self.own = self.own or [[Clock() for _ in range(self.tasks)] for _ in range(self.members)]
        self.stopped = self.stopped or [False] * self.members
        self.diverged = self.diverged or [None] * self.members

    @classmethod
    def from_tree(cls, tree: Any, source: Path | None) -> State:
        """Read a state from JSON. ``source`` is the file or folder that an error names."""
        if isinstance(tree, dict) and "best_epoch" in tree and "kept" not in tree:
            raise InputError(
                f"{source}: this run was saved by an earlier version of manygate, in which tasks had no clocks of their own, so it "
                f"cannot continue. Start a new run with another {setting('out')}."
            )
        try:
            if set(tree) == set(cls.__dataclass_fields__):
                kept = [Clock(**clock) for clock in tree["kept"]]
                own = [[Clock(**clock) for clock in clocks] for clocks in tree["own"]]
                return cls(**{**tree, "kept": kept, "own": own})
        except TypeError:
            pass
        raise InputError(f"{source}: not the state of a run. Restore it, or train again with another {setting('out')}.")

    @property
    def best(self) -> list[float | None]:
        """The best score of each member's kept weights."""
        return [clock.best for clock in self.kept]

    @property
    def best_epoch(self) -> list[float]:
        """The epoch of each member's kept weights."""
        return [clock.epoch for clock in self.kept]

    def update(self, m: int, epoch: float, score: float, own_score: Sequence[float], patience: int) -> tuple[bool, list[bool]]:
        """Update the clocks of member m after an evaluation. ``patience`` is a number of evaluations.

        Return true if its current weights are to be kept, and true for each task whose own clock now points to them. The member
        stops when all its clocks have closed. A stopped member does not change.
        """
        if self.stopped[m]:
            return False, [False] * self.tasks
        clocks = [self.kept[m], *self.own[m]]
        kept, *own = [clock.update(value, epoch, patience) for clock, value in zip(clocks, (score, *own_score), strict=True)]
        self.stopped[m] = all(clock.closed for clock in clocks)
        return kept, own

    def keep_newest(self, m: int, epoch: float, score: float) -> bool:
        """Point the clock of member m to the newest weights, whatever their score. Return false if the member has stopped."""
        if not self.stopped[m]:
            self.kept[m].take(score, epoch)
        return not self.stopped[m]

    def best_epochs(self, of_tasks: bool = False) -> str:
        """Return the range of the epochs of the members' kept weights as text, or of their tasks' own best epochs.

        >>> State(2, kept=[Clock(epoch=1), Clock(epoch=3)]).best_epochs(), State(1, kept=[Clock(epoch=2)]).best_epochs()
        ('epochs 1 to 3', 'epoch 2')
        """
        epochs = [clock.epoch for clocks in self.own for clock in clocks] if of_tasks else self.best_epoch
        low, high = min(epochs), max(epochs)
        return f"epoch {low:g}" if low == high else f"epochs {low:g} to {high:g}"


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
    """Write ``metrics.jsonl`` with one line for each evaluation."""
    write_text(folder / "metrics.jsonl", "".join(_json_line(entry) for entry in history))


def plain(value_R: np.ndarray) -> list[float | None]:
    """Return floats for JSON. NaN becomes None, for example if an epoch had no row of the task."""
    return [float(value) if np.isfinite(value) else None for value in value_R]


def _json_line(entry: EpochEntry) -> str:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"
