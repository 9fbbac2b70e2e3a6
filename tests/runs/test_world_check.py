"""A run that several processes cannot train together is refused before training."""

from __future__ import annotations

import pytest

from manygate.errors import InputError
from manygate.runs.world_check import check_world
from manygate.training.world import World


class Pair(World):
    size = 2

    def __init__(self, alike: bool = True):
        self.alike = alike

    def same(self, text: str) -> bool:
        return self.alike


def test_different_logs_are_an_error(settings) -> None:
    with pytest.raises(InputError, match="the 2 processes of this run do not read the same log with the same settings"):
        check_world(Pair(alike=False), settings(), "fingerprint")


def test_losses_that_balance_a_batch_need_one_process(settings) -> None:
    config = settings(gate="topk")
    with pytest.raises(InputError, match=r"importance_weight=0\.1: this loss balances") as caught:
        check_world(Pair(), config, "fingerprint")
    assert ["load_weight" in problem for problem in caught.value.marked] == [False, True]
    check_world(Pair(), config.replace(importance_weight=0, load_weight=0), "fingerprint")
    check_world(World(), config, "fingerprint")
