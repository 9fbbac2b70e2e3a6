"""The environment of a process that torchrun started."""

from __future__ import annotations

import pytest

from manygate.training.torchrun import attempt, local_rank, rank, under_torchrun, world_size


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")  # set by another program
    monkeypatch.setenv("RANK", "3")
    assert (world_size(), rank(), local_rank(), attempt(), under_torchrun()) == (1, 0, 0, 0, False)


def test_torchrun_tells_the_place_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", "TORCHELASTIC_RESTART_COUNT": "0"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert (world_size(), rank(), local_rank(), attempt(), under_torchrun()) == (4, 3, 1, 0, True)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert attempt() == 1
