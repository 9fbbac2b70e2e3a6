"""Settings of a comparison and of replicas, tasks and batches: the forms they are given in, and what is refused."""

from __future__ import annotations

import pytest

from manygate.config import RunConfig
from manygate.config.names import ARCHITECTURES, COMPARED
from manygate.errors import InputError
from manygate.schema import Task


def test_architectures():
    assert RunConfig().architectures == COMPARED
    assert RunConfig(architectures="all").architectures == tuple(ARCHITECTURES)
    assert RunConfig(architectures="mmoe, ple").architectures == ("mmoe", "ple")
    assert RunConfig(architectures=" mmoe").architectures == ("mmoe",)
    assert RunConfig(architectures="all,mmoe,mine:Own").architectures == (*ARCHITECTURES, "mine:Own")
    assert RunConfig(architectures="mmoe").architectures == ("mmoe",)
    assert RunConfig(architectures=["mmoe", "mine:Own"]).architectures == ("mmoe", "mine:Own")


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ("1,1/1,2", ((1.0, 1.0), (1.0, 2.0))),
        ("1,2", ((1.0, 2.0),)),
        ([1, 2], ((1.0, 2.0),)),
        ([[1, 2], "3,4"], ((1.0, 2.0), (3.0, 4.0))),
        ("", ()),
        ([], ()),
    ],
)
def test_weights_of_replicas_as_text_and_as_lists(given, rows):
    assert RunConfig.build({"replica_weights": given}).replica_weights == rows


@pytest.mark.parametrize("given", ["1,,2", "1,2,", ",1", "x", "nan", "inf", "0", "-1", True, [True], [1, "x"]])
def test_rates_of_replicas_that_are_no_positive_numbers_are_refused(given):
    with pytest.raises(InputError, match="replica_rates"):
        RunConfig.build({"replica_rates": given})


@pytest.mark.parametrize("given", ["1,,2", "/", "1,2/", [[1, True]], [True, 1], "1,x", "1,-1"])
def test_weights_of_replicas_with_gaps_or_truths_are_refused(given):
    with pytest.raises(InputError, match="replica_weights"):
        RunConfig.build({"replica_weights": given})


@pytest.mark.parametrize(
    ("name", "given"),
    [("id_dropout", -1), ("id_dropout", 1e7), ("id_dropout", "nan"), ("id_dropout", True), ("replica_id_dropouts", "0,-1")],
)
def test_an_id_dropout_out_of_range_is_refused(name, given):
    with pytest.raises(InputError, match=name):
        RunConfig.build({name: given})
    assert RunConfig.build({"id_dropout": 0, "replica_id_dropouts": "0,5,20"}).replica_id_dropouts == (0.0, 5.0, 20.0)


def test_a_task_is_text_a_task_its_mapping_or_a_list_of_them():
    buy = Task(name="buy", where="click == 1", weight=0.5)
    mapping = {"name": "buy", "where": "click == 1", "weight": 0.5}
    assert RunConfig(task="click").task == ("click",)
    assert RunConfig(task=buy).task == RunConfig(task=mapping).task == (buy,)
    assert RunConfig(task=["click", buy, mapping]).task == ("click", buy, buy)


def test_tasks_come_back_from_yaml_as_they_were(tmp_path):
    config = RunConfig(task=["click:weight=2", Task(name="buy", after="click", note="an order")])
    (tmp_path / "run.yaml").write_text(config.to_yaml(), encoding="utf-8")
    assert RunConfig.load(tmp_path / "run.yaml") == config
    assert config.replace(dim=3).task == config.task


def test_a_mapping_that_is_no_task_is_refused_with_its_number():
    with pytest.raises(InputError, match=r"task 2: nam: unknown name\. Did you mean 'name'\?"):
        RunConfig.build({"task": ["click", {"nam": "buy"}]})


def test_cross_layers_and_the_average_need_many_rows():
    sized = [RunConfig().for_rows(rows) for rows in (10, 99_999, 100_000, 10**9)]
    assert [(config.cross_layers, config.weight_average) for config in sized] == [(0, 0.0), (0, 0.0), (2, 0.999), (2, 0.999)]
    assert RunConfig(gate_features=("user",)).for_rows(100_000).cross_layers == 0
    given = RunConfig(cross_layers=0, weight_average=0.0).for_rows(100_000)
    assert (given.cross_layers, given.weight_average) == (0, 0.0)
    given = RunConfig(cross_layers=1, weight_average=0.9).for_rows(10)
    assert (given.cross_layers, given.weight_average) == (1, 0.9)


@pytest.mark.parametrize(
    ("rows", "size"), [(1, 64), (8_191, 64), (16_383, 64), (16_384, 128), (65_536, 512), (131_072, 1024), (10**8, 1024)]
)
def test_a_batch_is_a_power_of_two_with_128_steps_of_an_epoch(rows, size):
    assert RunConfig().for_rows(rows).batch_size == size
    assert RunConfig(batch_size=300).for_rows(rows).batch_size == 300
    assert (RunConfig().batch_size, RunConfig().batch_rows, RunConfig(batch_size=7).batch_rows) == (None, 1024, 7)
