"""What every sharing scheme must do, whichever it is and however it is set."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from manygate.architecture import Architecture, Inputs, find_architecture
from manygate.architecture.pepnet import GateUnit
from manygate.architecture.tensor_factorization import Tucker
from manygate.config import ModelConfig
from manygate.config.names import ARCHITECTURES
from manygate.layers.experts import Experts
from manygate.layers.tower import BiasTower, Towers
from manygate.layers.units import Drawn, Units
from manygate.model.trunk import Trunk
from numpy_reading import all_gates, drawn

INPUTS, TASKS = 7, 3
BASE = {"experts": 4, "expert_hidden": (6,), "bottom_hidden": (8, 8), "tower_hidden": (5,), "dropout": 0.0, "gate_hidden": 9}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "deep": {"expert_hidden": (6, 5), "bottom_hidden": (8, 8, 8), "gate_bias": True, "levels": 3},
    "one layer, one level": {"bottom_hidden": (8,), "levels": 1, "tower_hidden": ()},
    "uneven": {
        "task_experts": "2,1,0/1,2,1",
        "shared_experts": "2,3",
        "level_hidden": "6,4/5",
        "ml_gate_input": "raw",
    },
    "nothing shared": {"task_experts": 2, "shared_experts": 0},
    "only shared": {"task_experts": 0, "shared_experts": 3},
    "topk": {"gate": "topk", "top_k": 2},
    "topk of one, uneven": {"gate": "topk", "top_k": 1, "task_experts": "2,1,0/1,2,1", "shared_experts": "1,2"},
    "dselect_k": {"gate": "dselect_k", "top_k": 2, "gate_bias": True, "temperature": 4.0},
    "dselect_k of one": {"gate": "dselect_k", "top_k": 1, "temperature": 4.0},
    "own experts below alone": {"task_experts": "2,1,1/1,2,0", "shared_experts": "1,2"},
    "norm": {"expert_norm": True, "expert_hidden": (6, 5)},
    "gates read features": {"columns": (1, 4, 5)},
    "means": {"fusion": "mean", "subspaces": 4, "orthogonality": 0.1, "tucker_ranks": (4, 5, 2)},
    "sums": {"stem_gate_input": "sum"},
    "deep gates of sums": {"stem_gate_input": "sum", "stem_gate_hidden": (6, 5), "gate_bias": True},
    "deep gates of features": {"stem_gate_hidden": (6,), "columns": (1, 4, 5)},
    "dropout": {"dropout": 0.3, "gate_dropout": 0.3, "importance_weight": 0.1},
}
GATED = ("omoe", "mmoe", "ml_mmoe", "cgc", "ple", "adatt", "stem")
every = pytest.mark.parametrize("name", list(ARCHITECTURES))


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def build(name: str, setting: str = "plain", seed: int = 0, tasks: int = TASKS) -> Architecture:
    settings = {**BASE, **SETTINGS[setting]}
    columns = settings.pop("columns", ())
    config = ModelConfig(**settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return find_architecture(name).build(Inputs(INPUTS, columns), tasks, config)


def fits(name: str, setting: str) -> bool:
    """Whether the setting changes something for the scheme, and may be given to it."""
    if setting in ("plain", "deep", "one layer, one level", "dropout"):
        return True
    if setting in ("uneven", "nothing shared", "only shared", "topk of one, uneven", "own experts below alone"):
        return name in ("cgc", "ple", "adatt", "stem") and (name, setting) != ("stem", "nothing shared")
    if setting == "means":
        return name not in GATED
    return name in GATED or (name, setting) == ("pepnet", "gates read features")


CASES = [(name, setting) for name in ARCHITECTURES for setting in SETTINGS if fits(name, setting)]
every_case = pytest.mark.parametrize(("name", "setting"), CASES)


ONE_FOR_ALL = ("shared_bottom", "omoe")
"""Schemes that give one representation, which all towers read."""


def tasks_of(scheme: Architecture) -> int:
    return 1 if scheme.one_model_per_task else TASKS


def inputs_of(scheme: Architecture, tasks: int = TASKS) -> int:
    return INPUTS * (tasks + 1) if scheme.own_embeddings else INPUTS


def trunk(name: str, setting: str) -> Trunk:
    scheme, settings = build(name, setting), {**BASE, **SETTINGS[setting]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        towers = Towers(tasks_of(scheme), scheme.output_width, settings["tower_hidden"], settings["dropout"])
        return Trunk(scheme, towers, BiasTower(tasks_of(scheme), 2)).eval()


def given(model: Trunk, rows: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    return draw(rows, inputs_of(model.architecture), seed=seed), draw(rows, 2, seed=seed + 1)


def test_names_are_those_of_the_configuration():
    for scheme in map(find_architecture, ARCHITECTURES):
        assert getattr(scheme, "__final__", False), f"{scheme.__name__} is neither abstract nor final"


@every_case
def test_output_shape(name, setting):
    scheme = build(name, setting).eval()
    for rows in (1, 2, 33):
        h_BTH = scheme(draw(rows, inputs_of(scheme)))
        assert h_BTH.shape == (rows, 1 if name in ONE_FOR_ALL else tasks_of(scheme), scheme.output_width)
        assert h_BTH.dtype == torch.float32
        assert torch.isfinite(h_BTH).all()
    penalty = scheme.penalty(Towers(tasks_of(scheme), scheme.output_width, ()))
    assert penalty.shape == ()
    assert bool(penalty) == (name == "l2_constrained" or (name, setting) == ("sluice_network", "means"))


@every
@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_any_number_of_tasks(name, tasks):
    scheme = build(name, tasks=tasks).eval()
    h_BTH = scheme(draw(4, inputs_of(scheme, tasks)))
    assert h_BTH.shape == (4, 1 if scheme.one_model_per_task or name in ONE_FOR_ALL else tasks, scheme.output_width)
    assert Towers(tasks, scheme.output_width, (3,))(h_BTH).shape == (4, tasks) or scheme.one_model_per_task
    for gate_BTE in scheme.gates(draw(4, inputs_of(scheme, tasks))):
        assert gate_BTE.shape[:2] == (4, tasks)


@every_case
@pytest.mark.parametrize("mode", ["eval", "training"])
def test_a_row_does_not_depend_on_its_batch_mates(name, setting, mode):
    model = trunk(name, setting)
    (x_BD, bias_BC), (other_BD, _) = given(model, 16), given(model, 16, seed=7)
    if mode == "training":
        drawn(model, 16)
    mixed_BD = other_BD.clone()
    mixed_BD[5] = x_BD[5]
    logit_BT = model(x_BD, bias_BC)[0]
    found_T, selects = model(mixed_BD, bias_BC)[0][5], any(gates.selects for gates in all_gates(model))
    if selects and mode == "eval":  # experts run on the rows that selected them, however many these are
        torch.testing.assert_close(found_T, logit_BT[5], rtol=1e-5, atol=1e-6)
    else:
        assert torch.equal(found_T, logit_BT[5])
    whole = [module for module in model.modules() if isinstance(module, Drawn) and module.active and mode == "training"]
    numbers = [module.drawn for module in whole]
    alone, several = [], [0, 5, 6, 15]
    for i in several:
        for module, value in zip(whole, numbers, strict=True):
            module.drawn = value[i : i + 1]
        alone.append(model(x_BD[i : i + 1], bias_BC[i : i + 1])[0])
    torch.testing.assert_close(torch.cat(alone), logit_BT[several], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(logit_BT[5], logit_BT[6]), "rows do matter"


def watched(model: torch.nn.Module, scale: float) -> list[Tensor]:
    """What every gate of every level gives when what it reads is so much larger."""
    seen: list[Tensor] = []

    def larger(_: Any, inputs: tuple[Tensor]) -> tuple[Tensor]:
        (linear_BU,) = inputs
        spread = linear_BU.float().abs().amax() if linear_BU.numel() else torch.ones(())
        return (linear_BU if scale == 1 else (linear_BU * (scale / spread)).to(linear_BU.dtype),)

    def keep(_: Any, __: Any, gate_BGE: Tensor) -> None:
        seen.append(gate_BGE.detach())

    for gates in all_gates(model):
        gates.register_forward_pre_hook(larger)
        gates.register_forward_hook(keep)
    return seen


@every_case
@pytest.mark.parametrize("mode", ["eval", "training"])
def test_gates_of_every_level_sum_to_one(name, setting, mode):
    for scale, autocast in zip((1.0, 1e4), (False, True) if mode == "eval" else (True, False), strict=True):
        model = trunk(name, setting)
        with torch.no_grad():
            for parameter in model.parameters():  # top-k gates start at zero
                parameter += 0.1 * draw(*parameter.shape, seed=8)
        if mode == "training":
            drawn(model, 40)
        seen = watched(model, scale)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logit_BT, _ = model(*given(model, 40))
        assert torch.isfinite(logit_BT).all()
        assert len(seen) == len(all_gates(model))
        assert bool(seen) == (name in GATED)
        for gate_BGE in seen:
            assert gate_BGE.dtype == torch.float32
            assert (gate_BGE >= 0).all()
            torch.testing.assert_close(gate_BGE.sum(dim=-1), torch.ones(gate_BGE.shape[:2]), rtol=0, atol=2e-6)


@pytest.mark.parametrize(("name", "setting"), [case for case in CASES if case[0] in GATED])
def test_gates_shown_are_the_tasks_gates_used(name, setting):
    scheme = build(name, setting).eval()
    seen = watched(scheme, 1.0)
    x_BD = draw(40, inputs_of(scheme))
    scheme(x_BD)
    used = list(seen)
    levels = scheme.gates(x_BD)
    assert levels
    for gate_BTE, used_BGE in zip(levels, used[-len(levels) :], strict=True):
        assert gate_BTE.shape[1] == TASKS
        torch.testing.assert_close(gate_BTE, used_BGE[:, :TASKS].expand_as(gate_BTE))


def trained(model: Trunk, rows: int = 512, tasks: list[int] | None = None) -> dict[str, Tensor]:
    """Parameter -> gradient of a loss of some tasks and of the penalty; no unit dead on every row by chance."""
    model.zero_grad()
    x_BD, bias_BC = given(model, rows)
    logit_BT, penalty = model(x_BD, bias_BC)
    apart = (logit_BT - draw(*logit_BT.shape, seed=4)) ** 2
    ((apart if tasks is None else apart[:, tasks]).sum() + (penalty if tasks is None else 0.0)).backward()
    return {key: torch.zeros_like(p) if p.grad is None else p.grad.clone() for key, p in model.named_parameters()}


def awake(model: Trunk) -> None:
    """Small weights and biases of one, so that no unit is dead on every row by chance."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, Experts) and module.bias is not None:
                module.weight[..., : module.first_units] *= 0.1
                module.bias += 1.0
            elif isinstance(module, Tucker):
                module.core *= 0.1
                module.bias += 1.0
            elif isinstance(module, Units | GateUnit):
                for weight, bias in zip(module.weights, module.biases, strict=True):
                    weight *= 0.1
                    bias += 1.0


@every_case
def test_gradient_reaches_every_parameter(name, setting):
    model = trunk(name, setting)
    awake(model)
    drawn(model, 512)
    for key, grad in trained(model).items():
        assert (grad != 0).all(), f"{key} has numbers that no row trains"


# A level's gate is made even where nothing above reads what it mixes: no expert, and no gate with something to choose.
UNREAD = {
    "a task that sees one shared expert above": ("ple", {"task_experts": "1,1,1/1,1,0", "shared_experts": "1"}),
    "a task without experts above, gates that read features": ("ple", {"task_experts": "1/0", "columns": (1, 4)}),
    "nothing shared in between, gates that read features": ("ple", {"shared_experts": "2,0,2", "levels": 3, "columns": (1, 4)}),
    "an AdaTT unit without experts above": ("adatt", {"task_experts": "1,1,1/1,1,0", "columns": (1, 4)}),
}


@pytest.mark.parametrize("case", UNREAD)
def test_no_gate_is_made_that_nothing_reads(case, monkeypatch):
    name, settings = UNREAD[case]
    monkeypatch.setitem(SETTINGS, "unread", settings)
    model = trunk(name, "unread")
    awake(model)
    assert all((grad != 0).all() for grad in trained(model).values())


@every_case
def test_training_goes_on_after_inference(name, setting):
    """What is kept between passes must not be what inference mode made."""
    model = trunk(name, setting)
    with torch.inference_mode():
        model(*given(model, 4))
    drawn(model, 4)
    x_BD, bias_BC = given(model, 4)
    logit_BT, penalty = model(x_BD.requires_grad_(), bias_BC)
    (logit_BT.sum() + penalty).backward()
    assert torch.isfinite(x_BD.grad).all()


@every_case
def test_what_several_tasks_train_is_shared(name, setting):
    model = trunk(name, setting)
    awake(model)
    drawn(model, 512)
    shared = model.architecture.shared_parameters()
    own = {id(parameter) for parameter in model.architecture.parameters()}
    assert {id(parameter) for parameter in shared} <= own
    assert len({id(parameter) for parameter in shared}) == len(shared)
    assert bool(shared) != (name in ("single_task", "l2_constrained"))
    by_task = [trained(model, tasks=[t]) for t in range(tasks_of(model.architecture))]
    for key, parameter in model.named_parameters():
        tasks = sum((grads[key] != 0).int() for grads in by_task)
        if (tasks > 1).any():
            assert any(parameter is other for other in shared), f"{key} is trained by several tasks"


@every_case
def test_a_seed_decides_the_weights(name, setting):
    one, two, other = (build(name, setting, seed).eval() for seed in (3, 3, 4))
    state, again, different = one.state_dict(), two.state_dict(), other.state_dict()
    assert all(torch.equal(state[key], again[key]) for key in state)
    assert any(not torch.equal(state[key], different[key]) for key in state)
    x_BD = draw(5, inputs_of(one))
    assert torch.equal(one(x_BD), two(x_BD))


@every
def test_learning_rates_name_parameters(name):
    scheme = build(name)
    assert set(scheme.learning_rates()) <= {key for key, _ in scheme.named_parameters()}


@every_case
def test_shapes_are_known_without_values(name, setting):
    """Building on the meta device draws nothing, and gives the shapes of the real one."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in build(name, setting).named_parameters()}
    assert shapes == {key: value.shape for key, value in build(name, setting).named_parameters()}


@every
def test_building_and_training_leave_the_global_random_states_alone(name, encoded, trainer, settings):
    log = encoded()
    config = settings(architecture=name, replicas=2, dropout=0.2, bias_dropout=0.2, epochs=1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    trainer(log, config).fit()
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert before[2] == random.getstate()


@every
def test_the_global_seed_does_not_matter(name, encoded, trainer, settings):
    log, config = encoded(), settings(architecture=name, dropout=0.2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        one = trainer(log, config).model.parameters
        torch.manual_seed(2)
        two = trainer(log, config).model.parameters
    assert all(torch.equal(one[key], two[key]) for key in one)
