"""Reads what torchrun tells a process that it started.

torchrun is PyTorch's starter of several processes, on one machine or on many: https://docs.pytorch.org/docs/stable/elastic/run.html
"""

from __future__ import annotations

import os


def world_size() -> int:
    """Return the number of processes that torchrun started, 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if under_torchrun() else 1


def rank() -> int:
    """Return the number of this process among all that torchrun started."""
    return int(os.environ["RANK"]) if under_torchrun() else 0


def local_rank() -> int:
    """Return the number of this process on its machine."""
    return int(os.environ["LOCAL_RANK"]) if under_torchrun() else 0


def attempt() -> int:
    """Return how often torchrun has started the processes anew, because one of them was lost."""
    return int(os.environ["TORCHELASTIC_RESTART_COUNT"]) if under_torchrun() else 0


def under_torchrun() -> bool:
    """Return whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ
