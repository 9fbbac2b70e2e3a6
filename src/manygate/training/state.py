"""State: where a run stands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from manygate.errors import InputError, setting
from manygate.files import write_text


@dataclass
class State:
    """Where a run stands; goes into checkpoints as JSON."""

    members: int
    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: list[float | None] = field(default_factory=list)
    best_epoch: list[int] = field(default_factory=list)
    waited: list[int] = field(default_factory=list)
    stopped: list[bool] = field(default_factory=list)
    diverged: list[int | None] = field(default_factory=list)
    """The step at which a member's loss became NaN or infinite."""
    history: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""

    def __post_init__(self) -> None:
        self.best = self.best or [None] * self.members
        self.best_epoch = self.best_epoch or [0] * self.members
        self.waited = self.waited or [0] * self.members
        self.stopped = self.stopped or [False] * self.members
        self.diverged = self.diverged or [None] * self.members


def check_fingerprint(folder: Path | None, saved: str, now: str) -> None:
    """Refuse to continue a run with other data or settings."""
    if saved != now:
        raise InputError(
            f"{folder}: the log or the settings have changed since this run was saved, so it cannot continue. "
            f"Start a new run with another {setting('out')}."
        )


def write_history(folder: Path, history: Sequence[dict[str, Any]]) -> None:
    """``metrics.jsonl``: a line an epoch."""
    write_text(folder / "metrics.jsonl", "".join(_json_line(entry) for entry in history))


def plain(value_R: np.ndarray) -> list[float | None]:
    """Floats for JSON; NaN (no row of the task was seen) becomes null."""
    return [float(value) if np.isfinite(value) else None for value in value_R]


def _json_line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"
