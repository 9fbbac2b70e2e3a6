"""A run that several processes cannot train together is refused before training."""

from __future__ import annotations

import re
from typing import Any

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


SPREAD = {"table_sharding": "row_wise", "table_optimizer": "rowwise_adagrad"}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another optimizer": ({"table_optimizer": "same"}, "Give table_optimizer='rowwise_adagrad'"),
    "clipping": ({"clip_norm": 1.0}, "clip_norm=1.0: the norm of a gradient is not known"),
    "an average": ({"weight_average": 0.9}, "weight_average=0.9: the weights in spread tables are not averaged"),
    "own rates": ({"replica_rates": (1.0, 0.1)}, "the tables of all replicas have one learning rate"),
    "copies for the tasks": ({"keep": "best-per-task"}, "a copy of the tables for each task is not kept"),
    "packs": ({"pack": 1}, "pack=1: all replicas are trained at once"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_spread_tables_cannot_do_is_refused_in_several_processes_alone(settings, case) -> None:
    changes, words = REFUSED[case]
    config = settings(**{**SPREAD, **changes})
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        check_world(Pair(), config, "fingerprint")
    assert "leave table_sharding out" in str(caught.value)
    check_world(World(), config, "fingerprint")
    check_world(Pair(), config.replace(table_sharding="none"), "fingerprint")
    check_world(Pair(), settings(**SPREAD), "fingerprint")


def test_spread_tables_are_on_cpus(settings) -> None:
    world = Pair()
    world.device_type = "cuda"
    with pytest.raises(InputError, match="tables are spread over processes on CPUs alone"):
        check_world(world, settings(**SPREAD), "fingerprint")
