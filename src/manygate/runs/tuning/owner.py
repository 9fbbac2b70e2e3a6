"""The process that runs a trial: who it is, and whether it is still alive."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BEAT_SECONDS = 15.0
"""The time between two beats of a process that runs a trial."""
STALE_SECONDS = 300.0
"""A process of another machine counts as dead if its beat has not changed for so long."""


@dataclass(frozen=True)
class Owner:
    """A process. ``host`` names the machine, its boot and its namespace of process numbers, so that equal numbers mean one process.

    >>> Owner.current() == Owner.of_tree(Owner.current().tree())
    True
    """

    host: str
    pid: int
    started: str
    """The start of the process in clock ticks since the machine's boot: numbers of processes are used again. Empty if unknown."""

    @classmethod
    def current(cls) -> Owner:
        """Return this process."""
        return cls(_host(), os.getpid(), _started(os.getpid()) or "")

    @classmethod
    def of_tree(cls, tree: Any) -> Owner:
        """Read what :meth:`tree` returned."""
        return cls(str(tree["host"]), int(tree["pid"]), str(tree["started"]))

    def tree(self) -> dict[str, str | int]:
        """Return the process as JSON."""
        return {"host": self.host, "pid": self.pid, "started": self.started}

    def is_dead(self) -> bool | None:
        """Return whether the process has ended. None if only its machine could tell, or the system does not say."""
        if self.host != _host() or not self.started:
            return None
        return _started(self.pid) != self.started


def _host() -> str:
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    parts = [socket.gethostname()]
    parts += [boot.read_text(encoding="ascii").strip()] if boot.exists() else []
    parts += [str(namespace.readlink())] if namespace.exists() else []
    return " ".join(parts)


def _started(pid: int) -> str | None:
    """Return the start time of a process. None if there is none, or if it has ended and its parent has not asked for its end."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split()  # the name in brackets may hold spaces
    return None if state in "ZX" else rest[18]


@dataclass
class Watch:
    """Tells which processes have died. One of another machine is judged by its beats, on the clock of this process alone."""

    stale_seconds: float = STALE_SECONDS
    now: Callable[[], float] = time.monotonic
    _seen: dict[int, tuple[int, float]] = field(default_factory=dict)

    def is_dead(self, key: int, owner: Owner, beat: int) -> bool:
        """Return whether the owner of a trial has died. ``key`` names the trial, ``beat`` is the number of its beats so far.

        >>> clock = [0.0]
        >>> watch, far = Watch(10.0, lambda: clock[0]), Owner("another machine", 1, "1")
        >>> watch.is_dead(0, far, beat=3), clock.append(0), clock.__setitem__(0, 11.0)
        (False, None, None)
        >>> watch.is_dead(0, far, beat=4), watch.is_dead(1, far, beat=4)
        (False, False)
        >>> clock[0] = 22.0
        >>> watch.is_dead(0, far, beat=4), watch.is_dead(1, far, beat=5)
        (True, False)
        """
        known = owner.is_dead()
        if known is not None:
            return known
        before, since = self._seen.get(key, (None, 0.0))
        if before != beat:
            self._seen[key] = (beat, self.now())
            return False
        return self.now() - since > self.stale_seconds
