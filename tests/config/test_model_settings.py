"""Settings of schemes and gates: the forms they are given in, and what is refused."""

from __future__ import annotations

import re

import pytest

from manygate.config import RunConfig
from manygate.data.rows import Input
from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem

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
