"""Tests of budgets: Every scheme meets a budget within 2 %, or gives an error. Sizes are those of the trained model."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from manygate.architecture import find_architecture
from manygate.config import RunConfig
from manygate.config.names import ARCHITECTURES
from manygate.data.rows import Input
from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.budget import TOLERANCE, listing, matched, measure
from manygate.model.problem import Problem
from manygate.model.replicas import member_axis

SECTION_5 = [Input("x", "dense", False, units=100)]
PAPER = RunConfig(expert_hidden=(16,), tower_hidden=(8,))
every = pytest.mark.parametrize("name", list(ARCHITECTURES))


def test_the_papers_models():
    sizes = {
        name: measure(Problem.binary(SECTION_5, 2), PAPER.replace(architecture=name))
        for name in ("mmoe", "omoe", "shared_bottom", "cgc")
    }
    assert {name: size.parameters for name, size in sizes.items()} == {
        "mmoe": 14_818,
        "omoe": 14_018,
        "shared_bottom": 13_255,
        "cgc": 14_128 + 290,
    }


def test_flops_of_mmoe_by_hand():
    first, mixed, towers = 100 * (8 * 16 + 2 * 8), 2 * 8 * 16, 2 * (16 * 8 + 8)
    assert measure(Problem.binary(SECTION_5, 2), PAPER).flops == 2 * (first + mixed + towers)


@every
def test_sizes_are_those_of_the_model(name, toy_inputs):
    inputs, config = toy_inputs(), PAPER.replace(architecture=name, replicas=2)
    size, model = measure(Problem.binary(inputs, 3), config), MultiTaskModel(Problem.binary(inputs, 3), config)
    assert size.parameters == model.parameter_count()
    assert size.network_parameters == sum(v.numel() for n, v in model.parameters.items() if member_axis(n) == 0) // 2
    assert 0 < size.network_parameters < size.parameters


@every
@pytest.mark.parametrize(("setting", "budget"), [("match_parameters", 15_000), ("match_flops", 40_000)])
@pytest.mark.parametrize("hidden", [(16,), (24, 12)], ids=["shallow", "deep"])
def test_every_scheme_meets_a_budget(name, setting, budget, hidden, toy_inputs):
    changes = {"architecture": name, setting: budget, "expert_hidden": hidden}
    if name == "sluice_network" and len(hidden) > 1:
        changes["bottom_hidden"] = (12, 12)
    config = matched(Problem.binary(SECTION_5, 2), PAPER.replace(**changes))
    assert config.match_parameters is None
    assert config.match_flops is None
    size = measure(Problem.binary(SECTION_5, 2), config)
    sized = size.network_parameters if setting == "match_parameters" else size.flops
    assert abs(sized / budget - 1) <= TOLERANCE
    built = MultiTaskModel(Problem.binary(SECTION_5, 2), config)
    assert built.parameter_count() == size.parameters


def test_levels_and_tasks_keep_their_proportions():
    config = PAPER.replace(
        architecture="ple",
        level_hidden=((64, 32), (16,)),
        task_expert_hidden=((32, 32), (16, 32)),
        levels=2,
        match_parameters=60_000,
    )
    with pytest.raises(InputError, match="end in the same width"):
        matched(Problem.binary(SECTION_5, 2), config)
    config = config.replace(level_hidden=((64, 32), (64, 32)))
    sized = matched(Problem.binary(SECTION_5, 2), config)
    assert sized.level_hidden is not None
    assert sized.level_hidden[0] == sized.level_hidden[1]
    wide, narrow = sized.level_hidden[0]
    assert abs(wide / narrow - 2) < 0.2


def test_unmatched_settings_are_left_alone():
    assert matched(Problem.binary(SECTION_5, 2), PAPER) is PAPER


@pytest.mark.parametrize(("setting", "budget"), [("match_parameters", 10), ("match_flops", 500)])
def test_a_budget_that_cannot_be_met_is_refused(setting, budget):
    with pytest.raises(
        InputError, match=rf"{setting}: mmoe cannot have {budget} within 2%\. The nearest is [\d,]+ and the least is"
    ):
        matched(Problem.binary(SECTION_5, 2), PAPER.replace(**{setting: budget}))


def test_the_error_of_a_budget_that_is_too_large_gives_advice():
    with pytest.raises(InputError, match=r"within 2%\. The nearest is [\d,]+.*Choose a smaller budget"):
        matched(Problem.binary(SECTION_5, 2), PAPER.replace(match_parameters=10**12))


def test_listed_widths_are_those_that_are_built():
    config = PAPER.replace(architectures=["shared_bottom", "ple"], lower_hidden=(32,), level_hidden=((16,), (8,)))
    rows, _ = listing(config, 100, 2)
    bottom = MultiTaskModel(Problem.binary(SECTION_5, 2), config.replace(architecture="shared_bottom")).parameters[
        "trunk.architecture.bottom.weight"
    ]
    assert [row.hidden for row in rows] == [str(bottom.shape[-1]), "16/8"]


def test_cross_layers_are_a_part_of_the_budget(toy_inputs):
    problem = Problem.binary(toy_inputs(), 2)
    width = MultiTaskModel(problem, PAPER).embedding.width
    plain, crossed = measure(problem, PAPER), measure(problem, PAPER.replace(cross_layers=2, cross_rank=3))
    assert crossed.network_parameters - plain.network_parameters == 2 * (2 * 3 * width + width)
    assert crossed.flops - plain.flops == 2 * 2 * (2 * 3 * width)
    fitted = matched(problem, PAPER.replace(cross_layers=2, cross_rank=3, match_parameters=20_000))
    assert measure(problem, fitted).network_parameters == pytest.approx(20_000, rel=0.02)


def test_two_budgets_are_an_error():
    with pytest.raises(InputError, match="a model has one budget"):
        PAPER.replace(match_parameters=1000, match_flops=1000)


def test_flops_of_a_trunk_are_what_torch_counts(toy_inputs):
    inputs = toy_inputs()
    model = MultiTaskModel(Problem.binary(inputs, 2), PAPER)
    values = {name.removeprefix("trunk."): value[0] for name, value in model.parameters.items() if name.startswith("trunk.")}
    x_BD, bias_BC = torch.zeros(10, model.embedding.width), torch.zeros(10, model.bias_embedding.width)
    with FlopCounterMode(display=False) as counter:
        torch.func.functional_call(
            model.trunk.eval(), {n: v.double() for n, v in values.items()}, (x_BD.double(), bias_BC.double())
        )
    assert measure(Problem.binary(inputs, 2), PAPER).flops == counter.get_total_flops() // 10


def test_the_listing_gives_the_problem_of_a_scheme_that_cannot_be_built():
    rows, title = listing(PAPER.replace(architectures=["mmoe", "pepnet"], match_flops=10_000), 100, 2)
    assert title == "100 numbers, 2 tasks"
    assert [row.problem is None for row in rows] == [True, False]
    assert "KDD 2018" in rows[0].source
    assert rows[0].hidden
    with pytest.raises(InputError, match="columns and labels"):
        listing(PAPER, 0, 2)


def test_every_scheme_has_a_source():
    rows, _ = listing(PAPER.replace(architectures="all"), 20, 2)
    assert [row.name for row in rows] == list(ARCHITECTURES)
    for row in rows:
        assert any(year in row.source for year in ("19", "20")) or "PLE" in row.source or "MMoE" in row.source, row
        assert find_architecture(row.name).__doc__


@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_flops_of_a_model_per_task_are_those_of_all_tasks_and_of_a_shared_bottom_are_not(tasks):
    """Count by hand a network of 100 x 16, and a tower of 16 x 8 and 8 x 1. A product and a sum count as two."""
    config = PAPER.replace(bottom_hidden=(16,))
    bottom, tower = 100 * 16, 16 * 8 + 8
    assert measure(Problem.binary(SECTION_5, tasks), config.replace(architecture="single_task")).flops == 2 * tasks * (
        bottom + tower
    )
    assert measure(Problem.binary(SECTION_5, tasks), config.replace(architecture="shared_bottom")).flops == 2 * (
        bottom + tasks * tower
    )


@every
def test_replicas_are_not_counted_as_cost(name):
    config = PAPER.replace(architecture=name)
    assert measure(Problem.binary(SECTION_5, 3), config) == measure(Problem.binary(SECTION_5, 3), config.replace(replicas=4))
