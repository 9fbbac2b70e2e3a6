"""Settings of schemes and gates: the forms they are given in, and what is refused."""

from __future__ import annotations

import re

import pytest

from manygate.config import RunConfig
from manygate.config.names import ARCHITECTURES, COMPARED
from manygate.data.rows import Input
from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.schema import Task

NUMBERS = [Input("x", "dense", False, units=10), Input("y", "dense", False, units=3)]


@pytest.mark.parametrize(
    ("setting", "given", "found"),
    [
        ("task_experts", 2, ((2,),)),
        ("task_experts", "2,3", ((2, 3),)),
        ("task_experts", "2,3/1,1", ((2, 3), (1, 1))),
        ("task_experts", [2, 0], ((2, 0),)),
        ("task_experts", [[2, 3], [1, 1]], ((2, 3), (1, 1))),
        ("shared_experts", "4,2", (4, 2)),
        ("shared_experts", 0, (0,)),
        ("level_hidden", "128,64/64", ((128, 64), (64,))),
        ("level_hidden", "64", ((64,),)),
        ("tucker_ranks", "8,16,2", (8, 16, 2)),
        ("lower_hidden", 32, (32,)),
    ],
)
def test_rows_of_numbers(setting, given, found):
    config = RunConfig.build({setting: given})
    assert getattr(config, setting) == found
    assert RunConfig.build(config.model_dump()) == config


def test_architectures():
    assert RunConfig().architectures == COMPARED
    assert RunConfig(architectures="all").architectures == tuple(ARCHITECTURES)
    assert RunConfig(architectures="mmoe, ple").architectures == ("mmoe", "ple")
    assert RunConfig(architectures=" mmoe").architectures == ("mmoe",)
    assert RunConfig(architectures="all,mmoe,mine:Own").architectures == (*ARCHITECTURES, "mine:Own")
    assert RunConfig(architectures="mmoe").architectures == ("mmoe",)
    assert RunConfig(architectures=["mmoe", "mine:Own"]).architectures == ("mmoe", "mine:Own")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"experts": 0}, "experts"),
        ({"expert_hidden": -4}, "expert_hidden"),
        ({"expert_hidden": "64,x"}, "expert_hidden"),
        ({"expert_hidden": 10**20}, "expert_hidden"),
        ({"gate": "soft"}, "gate"),
        ({"temperature": 0}, "temperature"),
        ({"top_k": 0}, "top_k"),
        ({"gate_dropout": 1}, "gate_dropout"),
        ({"task_experts": "2,-1"}, "task_experts"),
        ({"shared_experts": ""}, "shared_experts"),
        ({"tucker_ranks": "4,4"}, "tucker_ranks: three ranks"),
        ({"match_parameters": 0}, "match_parameters"),
        ({"l2_alpha": -1}, "l2_alpha"),
        ({"levels": 0}, "levels"),
        ({"subspaces": 0}, "subspaces"),
    ],
)
def test_values_out_of_range_are_named(settings, problem):
    with pytest.raises(InputError, match=re.escape(problem)) as caught:
        RunConfig.build(settings)
    assert len(caught.value.problems) == 1


NUMERIC = [
    name
    for name, field in RunConfig.model_fields.items()
    if name not in ("config_version", "sparse_gradients") and re.search(r"\b(int|float)\b", str(field.annotation))
]


@pytest.mark.parametrize("name", NUMERIC)
@pytest.mark.parametrize("value", [True, False, [True], [[1, True]]])
def test_true_is_no_number(name, value):
    with pytest.raises(InputError, match=f"^{name}: expected a number; found {re.escape(repr(value))}"):
        RunConfig.build({name: value})
    with pytest.raises(InputError, match=f"run.yaml: {name}: expected a number"):
        RunConfig.build({name: value}, "run.yaml")


def test_every_true_that_is_no_number_is_listed_and_switches_take_it():
    with pytest.raises(InputError) as caught:
        RunConfig.build({"replicas": True, "learning_rate": False, "dim": 4})
    assert len(caught.value.problems) == 2
    assert len(NUMERIC) > 40
    switches = RunConfig.build({"gate_bias": True, "expert_norm": True, "sparse_gradients": False})
    assert (switches.gate_bias, switches.expert_norm, switches.sparse_gradients) == (True, True, False)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"architecture": "mmoe", "gate": "topk", "top_k": 9},
            "top_k: 9 experts cannot be selected where a gate sees 8. Choose 1 to 8.",
        ),
        ({"architecture": "cgc", "gate": "dselect_k", "top_k": 7}, "where a gate sees 6"),
        ({"architecture": "cgc", "task_experts": 0, "shared_experts": 0}, "leaves task 0, 1 (counted from 0) without any expert"),
        ({"architecture": "ple", "task_experts": "1,2,3"}, "task_experts: 3 values for 2 tasks"),
        ({"architecture": "ple", "shared_experts": "1,2,3"}, "shared_experts: 3 values for 2 levels"),
        ({"architecture": "ple", "level_hidden": "8/8/8"}, "level_hidden: widths of 3 levels for 2"),
        ({"architecture": "cgc", "task_expert_hidden": "8/9"}, "experts of one level must end in the same width"),
        ({"architecture": "stem", "shared_experts": 0}, "STEM needs at least one"),
        ({"architecture": "tensor_factorization", "tucker_ranks": "99,4,2"}, "r1 is 99 for a layer of 13 inputs. Choose 1 to 13."),
        ({"architecture": "tensor_factorization", "tucker_ranks": "4,4,3"}, "r3 is 3 for a layer of 2 tasks"),
        ({"architecture": "sluice_network", "bottom_hidden": "8,4"}, "they have one width; found (8, 4)"),
        ({"architecture": "sluice_network", "bottom_hidden": "9"}, "a width of 9 cannot be split in 2 subspaces"),
        ({"architecture": "asymmetric_sharing", "fusion": "concat"}, "takes sum or mean"),
        ({"gate_features": "z"}, "gate_features: 'z' is no feature that gates can read"),
        ({"gate_features": "y", "lower_hidden": 8}, "lower_hidden: not together with gate_features"),
        ({"architecture": "stem", "lower_hidden": 8}, "lower_hidden: not together with stem"),
    ],
)
def test_settings_that_do_not_fit_the_model_are_named_with_their_range(settings, problem):
    with pytest.raises(InputError, match=re.escape(problem)) as caught:
        MultiTaskModel(Problem.binary(NUMBERS, 2), RunConfig.build(settings))
    assert len(caught.value.problems) == 1


def test_gates_read_the_chosen_features():
    model = MultiTaskModel(Problem.binary(NUMBERS, 2), RunConfig(gate_features="y", expert_hidden=4, experts=3))
    assert model.parameters["trunk.architecture.level.gate_weight"].shape == (1, 3, 2 * 3)
    assert model.parameters["trunk.architecture.level.banks.0.weight"].shape == (1, 13, 3 * 4)


def test_lower_layers_lie_under_the_scheme():
    model = MultiTaskModel(Problem.binary(NUMBERS, 2), RunConfig(lower_hidden=(7, 5), expert_hidden=4, experts=3))
    assert model.parameters["trunk.lower.weight"].shape == (1, 13, 7)
    assert model.parameters["trunk.architecture.level.banks.0.weight"].shape == (1, 5, 3 * 4 + 2 * 3)


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


@pytest.mark.parametrize(
    ("rows", "size"), [(1, 64), (8_191, 64), (16_383, 64), (16_384, 128), (65_536, 512), (131_072, 1024), (10**8, 1024)]
)
def test_a_batch_is_a_power_of_two_with_128_steps_of_an_epoch(rows, size):
    assert RunConfig().for_rows(rows).batch_size == size
    assert RunConfig(batch_size=300).for_rows(rows).batch_size == 300
    assert (RunConfig().batch_size, RunConfig().batch_rows, RunConfig(batch_size=7).batch_rows) == (None, 1024, 7)
