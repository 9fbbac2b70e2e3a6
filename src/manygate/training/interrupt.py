"""Handles Ctrl-C and SIGTERM: The run finishes its step, saves a checkpoint and prints how to resume."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupted(KeyboardInterrupt):
    """Raised after a signal stopped the run. It is a KeyboardInterrupt, so that no ``except Exception`` catches it.

    ``signal`` is the number of the signal. ``resume`` is a text that explains how to resume.
    """

    def __init__(self, number: int, resume: str = ""):
        self.signal, self.resume = number, resume
        super().__init__(f"stopped by {signal.Signals(number).name}. {resume}".strip())

    @property
    def exit_code(self) -> int:
        """The exit code of the process, 128 + the signal's number: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signal


class Interrupt:
    """Inside its ``with`` block, the first SIGINT or SIGTERM sets ``number``. A second signal stops the run at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            raise Interrupted(number)
        self.number = number
