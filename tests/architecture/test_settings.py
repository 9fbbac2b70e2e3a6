"""A bad setting of a scheme gives one clear error that names the value and what would do; good ones reach the scheme."""

from __future__ import annotations

import pytest
import torch

from manygate.architecture import Inputs, find_architecture
from manygate.config import RunConfig
from manygate.config.names import ARCHITECTURES
from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem

TASKS = 2


def error(settings: dict, toy_inputs) -> InputError:
    with pytest.raises(InputError) as caught:
        MultiTaskModel(Problem.binary(toy_inputs(), TASKS), RunConfig.build(settings), initialise=False)
    return caught.value


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gate": "topk", "top_k": 9}, ["top_k", "9", "8", "1 to 8"]),
        ({"gate": "dselect_k", "top_k": 9}, ["top_k", "9", "8", "1 to 8"]),
        ({"gate": "topk", "top_k": 9, "architecture": "omoe"}, ["top_k", "9", "1 to 8"]),
        ({"gate": "topk", "top_k": 9, "architecture": "ml_mmoe"}, ["top_k", "9", "1 to 8"]),
        ({"gate": "topk", "top_k": 7, "architecture": "cgc"}, ["top_k", "7", "6", "1 to 6"]),
        ({"gate": "topk", "top_k": 7, "architecture": "ple"}, ["top_k", "7", "6", "1 to 6"]),
        ({"gate": "topk", "top_k": 9, "architecture": "adatt"}, ["top_k", "9", "8", "1 to 8"]),
        ({"gate": "topk", "top_k": 9, "architecture": "stem"}, ["top_k", "9", "8", "1 to 8"]),
        ({"gate": "topk", "top_k": 0}, ["top_k", "1", "0"]),
        ({"gate": "gumbel"}, ["gate", "gumbel", "softmax", "topk", "dselect_k"]),
        ({"temperature": 0.0}, ["temperature", "greater than 0"]),
        ({"experts": 0}, ["experts", "greater than or equal to 1", "0"]),
        ({"expert_hidden": (-3,)}, ["expert_hidden", "greater than or equal to 1", "-3"]),
        ({"expert_hidden": ()}, ["expert_hidden", "at least 1"]),
        ({"bottom_hidden": (8, 0)}, ["bottom_hidden", "greater than or equal to 1", "0"]),
        ({"tower_hidden": (-1,)}, ["tower_hidden", "greater than or equal to 1", "-1"]),
        ({"level_hidden": "8/-2"}, ["level_hidden", "-2"]),
        ({"task_experts": -1}, ["task_experts", "greater than or equal to 0", "-1"]),
        ({"shared_experts": "2,-1"}, ["shared_experts", "-1"]),
        ({"levels": 0, "architecture": "ple"}, ["levels", "greater than or equal to 1", "0"]),
        ({"architecture": "ple", "task_experts": 0, "shared_experts": 0}, ["task_experts", "shared_experts", "level 1", "0, 1"]),
        ({"architecture": "cgc", "task_experts": 0, "shared_experts": 0}, ["task_experts", "shared_experts", "level 1", "0, 1"]),
        ({"architecture": "adatt", "task_experts": 0}, ["task_experts", "level 1"]),
        ({"architecture": "stem", "shared_experts": 0}, ["shared_experts", "STEM"]),
        ({"architecture": "ple", "shared_experts": "1,1,1"}, ["shared_experts", "3 values for 2 levels", "[1, 1, 1]"]),
        ({"architecture": "ple", "task_experts": "1,1,1"}, ["task_experts", "3 values for 2 tasks", "[1, 1, 1]"]),
        ({"architecture": "adatt", "task_expert_hidden": "8/8/8"}, ["task_expert_hidden", "3 values for 2 tasks"]),
        ({"architecture": "cgc", "task_expert_hidden": "8/7"}, ["same width", "[7, 8, 64]"]),
        ({"architecture": "ml_mmoe", "level_hidden": "8/8/8"}, ["level_hidden", "3 levels for 2"]),
        ({"architecture": "asymmetric_sharing", "fusion": "concat"}, ["fusion", "sum or mean", "concat"]),
        ({"architecture": "customized_sharing", "fusion": "max"}, ["fusion", "concat", "sum", "mean", "max"]),
        ({"architecture": "sluice_network", "bottom_hidden": (8, 6)}, ["bottom_hidden", "(8, 6)", "one width"]),
        ({"architecture": "sluice_network", "bottom_hidden": (8, 8), "subspaces": 3}, ["bottom_hidden", "8", "3 subspaces"]),
        ({"architecture": "tensor_factorization", "tucker_ranks": (999, 2, 2)}, ["tucker_ranks", "r1", "999", "Choose 1 to"]),
        ({"architecture": "tensor_factorization", "tucker_ranks": (4, 2, 3)}, ["tucker_ranks", "r3", "3", "1 to 2"]),
        ({"architecture": "tensor_factorization", "tucker_ranks": (4, 2)}, ["tucker_ranks", "three ranks", "[4, 2]"]),
        ({"architecture": "tensor_factorization", "tucker_ranks": (4, 0, 2)}, ["tucker_ranks", "0"]),
        ({"gate_features": "a,zz"}, ["gate_features", "'zz'"]),
        ({"gate_features": "p"}, ["gate_features", "'p'", "They cannot read bias features"]),
        ({"architecture": "stem", "lower_hidden": 8}, ["lower_hidden", "stem"]),
        ({"gate_features": "a", "lower_hidden": 8}, ["lower_hidden", "gate_features"]),
        ({"gate_features": "a", "cross_layers": 2}, ["cross_layers", "gate_features"]),
        ({"cross_layers": -1}, ["cross_layers", "greater than or equal to 0"]),
        ({"cross_layers": 2, "cross_rank": 0}, ["cross_rank", "greater than or equal to 1"]),
        ({"l2_alpha": -0.1, "architecture": "l2_constrained"}, ["l2_alpha", "greater than or equal to 0"]),
        ({"gate_dropout": 1.0}, ["gate_dropout", "less than 1"]),
    ],
    ids=str,
)
def test_a_bad_setting_is_named(settings, words, toy_inputs):
    found = error(settings, toy_inputs)
    assert len(found.problems) == 1, found.problems
    for word in words:
        assert word in str(found), f"{word!r} is not in {str(found)!r}"


def test_settings_of_other_schemes_do_no_harm():
    """A comparison gives every scheme the same settings."""
    config = RunConfig.build(
        {"task_experts": "1,2", "shared_experts": 2, "bottom_hidden": (8, 8), "expert_hidden": (6, 4), "gate_features": "a"}
    )
    for name, scheme in ((name, find_architecture(name)) for name in ARCHITECTURES):
        built = scheme.build(Inputs(7, (0, 1)), TASKS, config)
        assert built.output_width in (4, 8, 16), name


@pytest.mark.parametrize("name", ["omoe", "mmoe", "ml_mmoe", "cgc", "ple", "adatt", "stem", "pepnet"])
def test_gates_read_the_chosen_features_alone(name, toy_inputs, toy_batch, settings):
    """With every gate reading one feature, others change no gate."""
    inputs = toy_inputs(bias=False)
    model = MultiTaskModel(Problem.binary(inputs, TASKS), settings(architecture=name, gate_features="d", levels=1))
    batch, other = toy_batch(inputs, 6, TASKS), toy_batch(inputs, 6, TASKS, seed=1)
    sparse = [i.name for i in inputs if i.kind == "sparse"]
    other.id_BS[:, sparse.index("d")] = batch.id_BS[:, sparse.index("d")]
    before, after = model.gates(batch), model.gates(other)
    assert bool(before) != (name == "pepnet")
    for one, two in zip(before, after, strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(model.logits(batch), model.logits(other))
    other.id_BS[:, sparse.index("d")] = (batch.id_BS[:, sparse.index("d")] + 1) % 4
    for one, two in zip(before, model.gates(other), strict=True):
        assert not torch.equal(one, two)


def test_lower_layers_are_under_the_scheme(toy_inputs, toy_batch, settings):
    """MMoE section 6.4.1: the gates then read what the lower layers give."""
    inputs = toy_inputs(bias=False)
    model = MultiTaskModel(Problem.binary(inputs, TASKS), settings(lower_hidden=(11, 9), dropout=0.0))
    shapes = {name: tuple(value.shape[1:]) for name, value in model.parameters.items()}
    assert shapes["trunk.lower.weight"] == (model.embedding.width, 11)
    assert shapes["trunk.architecture.level.banks.0.weight"] == (9, 3 * 5 + 2 * 3)
    assert model.logits(toy_batch(inputs, 4, TASKS)).shape == (1, 4, TASKS)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_scheme_reads_crossed_inputs(name, toy_inputs, toy_batch, settings):
    """All tasks share the layers, but for single_task, where each model has its own; stem's inputs go through the same."""
    inputs = toy_inputs(bias=False)
    config = settings(architecture=name, cross_layers=2, cross_rank=3, dropout=0.0, bottom_hidden=(6, 6), subspaces=2)
    model = MultiTaskModel(Problem.binary(inputs, TASKS), config)
    members, width = TASKS if name == "single_task" else 1, model.embedding.width
    assert model.parameters["trunk.cross.down"].shape == (members, 2, width, 3)
    batch = toy_batch(inputs, 4, TASKS)
    before = model.logits(batch)
    model.parameters["trunk.cross.bias"].detach().add_(1.0)
    assert not torch.equal(before, model.logits(batch))
