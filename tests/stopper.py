"""A progress that stops its own run in the middle."""

from __future__ import annotations

import os
import signal

from manygate.training.progress import Progress


class Stopper(Progress):
    """It sends this process a signal after some steps, as a user would, and keeps the lines that it was given."""

    def __init__(self, after: int, number: int = signal.SIGINT):
        self.left, self.number, self.said = after, number, []

    def advance(self, rows: int) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)

    def say(self, text: str) -> None:
        self.said.append(text)
