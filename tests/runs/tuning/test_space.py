"""The search space: what is refused, what stands for what, and the default space of every architecture."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.config import RunConfig, TuneConfig
from manygate.config.names import ARCHITECTURES
from manygate.data.rows import Input
from manygate.errors import InputError
from manygate.model.budget import measure
from manygate.model.problem import Problem
from manygate.runs.tuning.proposal import propose
from manygate.runs.tuning.space import choices, default_ranges, find_space
from searched import space

INPUTS = (Input("id", "sparse", False, rows=9, dim=8, can_be_unseen=True), Input("x", "dense", False, units=30))
PROBLEM = Problem.binary(INPUTS, tasks=2)
MIXED = {
    "expert_hidden": {"ordered": [[8], [16, 8]]},
    "gate": {"choice": ["softmax", "topk"]},
    "dim": {"log_int": [4, 32]},
    "dropout": {"uniform": [0, 0.5]},
}


@pytest.mark.parametrize(
    ("trees", "problems"),
    [
        ({"nope": {"int": [1, 2]}}, ["nope: unknown name"]),
        ({"expert": {"int": [1, 2]}}, ["expert: unknown name of a setting in the search space. Did you mean 'experts'?"]),
        ({"bins": {"int": [4, 8]}}, ["bins: this setting is the same in every trial"]),
        ({"architecture": {"choice": ["mmoe", "ple"]}}, ["architecture: a search is for one architecture"]),
        ({"experts": {"uniform": [2, 16]}}, ["experts: its range holds", "Choose int for whole numbers"]),
        ({"expert_hidden": {"log": [8, 64]}}, ["expert_hidden: its range holds", "Choose log_int"]),
        ({"dim": {"int": [0, 8]}}, ["dim: its range holds 0, which it refuses", "greater than or equal to 1"]),
        ({"dropout": {"uniform": [0.5, 1.5]}}, ["dropout: its range holds 1.5, which it refuses", "less than 1"]),
        ({"gate": {"choice": ["softmax", "sofmax"]}}, ["gate: its range holds 'sofmax'"]),
        ({"level_hidden": {"int": [8, 16]}}, ["level_hidden: mmoe does not read this setting"]),
        ({"levels": {"int": [1, 3]}}, ["levels: mmoe does not read this setting"]),
        ({"bias_dropout": {"uniform": [0, 0.5]}}, ["bias_dropout: mmoe does not read this setting, given the others and this log"]),
        ({"top_k": {"int": [1, 2]}}, ["top_k: it has an effect only if gate is topk or dselect_k"]),
        ({"cagrad_c": {"uniform": [0, 0.9]}}, ["cagrad_c: it has an effect only if weighting is cagrad"]),
        ({"experts": {"int": [0, 4]}, "levels": {"int": [1, 2]}, "nope": {"int": [1, 2]}}, ["experts", "levels", "nope"]),
    ],
)
def test_a_bad_space_is_refused_with_all_problems(trees: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(InputError) as error:
        find_space(PROBLEM, RunConfig(), TuneConfig(space=trees))
    for problem in problems:
        assert problem in str(error.value)


def test_a_range_that_needs_a_value_of_another_is_taken_with_it() -> None:
    trees = {"gate": {"choice": ["softmax", "topk"]}, "top_k": {"int": [1, 2]}}
    assert list(find_space(PROBLEM, RunConfig(), TuneConfig(space=trees)).ranges) == ["gate", "top_k"]


def test_weightings_are_no_choice_for_models_of_one_task() -> None:
    tuning = TuneConfig(space={"weighting": {"choice": ["fixed", "dwa"]}})
    find_space(PROBLEM, RunConfig(), tuning)
    with pytest.raises(InputError, match="no losses to weigh"):
        find_space(PROBLEM, RunConfig(architecture="single_task"), tuning)


def test_a_budget_chooses_the_widths() -> None:
    config = RunConfig(match_parameters=5000)
    with pytest.raises(InputError, match="expert_hidden: a budget"):
        find_space(PROBLEM, config, TuneConfig(space={"expert_hidden": {"int": [2, 9]}}))
    assert not {"expert_hidden", "tower_hidden"} & set(default_ranges(PROBLEM, config))


def test_too_few_units_for_the_experts_are_refused() -> None:
    tuning = TuneConfig(space={"experts": {"int": [2, 16]}}, max_units=15)
    with pytest.raises(InputError, match=re.escape("max_units=15: too few for 16 experts. Give 16 or more.")):
        find_space(PROBLEM, RunConfig(), tuning)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_has_a_default_space_that_can_be_built_at_its_ends(architecture: str) -> None:
    base = RunConfig(architecture=architecture, batch_size=64)
    found = find_space(PROBLEM, base, TuneConfig())
    assert {"learning_rate", "batch_size", "dim", "dropout", "id_dropout", "weight_decay"} <= set(found.ranges)
    assert 7 <= len(found.ranges) <= 11
    for end in (0, -1):
        config = found.config({name: values.samples()[end] for name, values in found.ranges.items()})
        measure(Problem.binary(INPUTS, tasks=2), config)


def test_what_is_given_is_left_out_of_the_default_space() -> None:
    found = find_space(PROBLEM, RunConfig(experts=3), TuneConfig(), given=("experts", "log"))
    assert "experts" not in found.ranges
    everything = tuple(find_space(PROBLEM, RunConfig(), TuneConfig()).ranges)
    with pytest.raises(InputError, match="nothing is left to search"):
        find_space(PROBLEM, RunConfig(), TuneConfig(), given=everything)


def test_the_defaults_of_a_default_space_are_known_to_the_sampler() -> None:
    found = find_space(PROBLEM, RunConfig(batch_size=256), TuneConfig())
    params = found.params(found.default_settings())
    assert params is not None
    assert params["batch_size"] == 2, "the middle of five sizes"
    assert params["weight_decay"] == 0.01, "what adamw has by default"
    assert found.config(found.settings(params)).model_dump(exclude={"weight_decay"}) == found.base.model_dump(
        exclude={"weight_decay"}
    )


@given(st.integers(0, 2**31), st.integers(0, 30))
def test_settings_and_values_of_a_sampler_stand_for_each_other(seed: int, number: int) -> None:
    searched = space(MIXED)
    params = propose(searched, [], "random", 1, seed, number)
    settings = searched.settings(params)
    assert searched.params(settings) == params
    assert all(values.holds(settings[name]) for name, values in searched.ranges.items())
    assert searched.config(settings).dim == settings["dim"]


def test_settings_outside_the_space_stand_for_no_values() -> None:
    searched = space({"experts": {"int": [2, 4]}})
    assert searched.params({"experts": 8}) is None
    assert space({"expert_hidden": {"ordered": [[8], [16]]}}).params({"expert_hidden": [64]}) is None
    assert space({"expert_hidden": {"int": [8, 64]}}).params({"expert_hidden": [32, 32]}) is None
    assert space({"expert_hidden": {"int": [8, 64]}}).params({"expert_hidden": [32]}) == {"expert_hidden": 32}


def test_widths_are_cut_to_the_largest_layer() -> None:
    trees = {"experts": {"int": [2, 16]}, "expert_hidden": {"ordered": [[64], [256, 128]]}, "tower_hidden": {"int": [8, 4096]}}
    searched = space(trees, max_units=2048)
    cut = searched.settings({"experts": 16, "expert_hidden": 1, "tower_hidden": 4000})
    assert cut == {"experts": 16, "expert_hidden": [128, 128], "tower_hidden": [2048]}
    kept = searched.settings({"experts": 8, "expert_hidden": 1, "tower_hidden": 2048})
    assert kept["expert_hidden"] == [256, 128]
    only_experts = space({"experts": {"int": [2, 64]}}, max_units=2048, expert_hidden=(64,))
    assert only_experts.settings({"experts": 64}) == {"experts": 64, "expert_hidden": [32]}


def test_choices_are_told_apart_by_their_type() -> None:
    searched = space({"weight_decay": {"choice": [None, 0.1]}})
    assert choices(searched.ranges["weight_decay"]) == ["null", "0.1"]
    assert searched.settings({"weight_decay": "null"}) == {"weight_decay": None}
