"""What every sharing scheme must do, whichever it is."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import Tensor

from manygate.architecture import ARCHITECTURES, Architecture
from manygate.config import ARCHITECTURE_NAMES, ModelConfig
from manygate.layers import Experts
from manygate.model import Trunk
from manygate.tower import BiasTower, Towers

INPUTS, TASKS = 7, 3
SMALL = ModelConfig(experts=4, expert_hidden=(6,), bottom_hidden=(9,), tower_hidden=(5,), dropout=0.0)
DEEP = SMALL.model_copy(update={"expert_hidden": (6, 5), "bottom_hidden": (9, 4), "gate_bias": True})
every = pytest.mark.parametrize("name", list(ARCHITECTURES))
each_config = pytest.mark.parametrize("config", [SMALL, DEEP], ids=["shallow", "deep"])


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def build(name: str, config: ModelConfig = SMALL, seed: int = 0) -> Architecture:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ARCHITECTURES[name].build(INPUTS, TASKS, config)


def tasks_of(scheme: Architecture) -> int:
    return 1 if scheme.one_model_per_task else TASKS


def trunk(name: str, config: ModelConfig) -> Trunk:
    scheme = build(name, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        towers = Towers(tasks_of(scheme), scheme.output_width, config.tower_hidden, config.dropout)
        return Trunk(scheme, towers, BiasTower(tasks_of(scheme), 2))


def test_names_are_those_of_the_configuration():
    assert tuple(ARCHITECTURES) == ARCHITECTURE_NAMES
    for scheme in ARCHITECTURES.values():
        assert getattr(scheme, "__final__", False), f"{scheme.__name__} is neither abstract nor final"


@every
@each_config
@pytest.mark.parametrize("rows", [1, 2, 33])
def test_output_shape(name, config, rows):
    scheme = build(name, config)
    h_BTH = scheme(draw(rows, INPUTS))
    assert h_BTH.shape == (rows, tasks_of(scheme), scheme.output_width)
    assert h_BTH.dtype == torch.float32
    assert torch.isfinite(h_BTH).all()
    assert scheme.penalty().shape == ()
    assert scheme.penalty() == 0


@every
@each_config
def test_a_row_does_not_depend_on_its_batch_mates(name, config):
    model = trunk(name, config)
    model.eval()
    x_BD, other_BD, bias_BC = draw(16, INPUTS), draw(16, INPUTS, seed=2), draw(16, 2, seed=3)
    mixed_BD = other_BD.clone()
    mixed_BD[5] = x_BD[5]
    logit_BT = model(x_BD, bias_BC)[0]
    assert torch.equal(logit_BT[5], model(mixed_BD, bias_BC)[0][5])
    alone_BT = torch.cat([model(x_BD[i : i + 1], bias_BC[i : i + 1])[0] for i in range(16)])
    torch.testing.assert_close(alone_BT, logit_BT, rtol=1e-5, atol=1e-6)


@every
@each_config
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_gates_sum_to_one(name, config, scale):
    scheme = build(name, config)
    with torch.no_grad():
        for module in scheme.modules():
            if isinstance(module, Experts) and module.gate_units:
                module.weight[:, module.first_units :] *= scale
    levels = scheme.gates(draw(40, INPUTS))
    assert bool(levels) == (name in ("omoe", "mmoe"))
    for gate_BTE in levels:
        assert gate_BTE.shape == (40, TASKS, config.experts)
        assert (gate_BTE >= 0).all()
        torch.testing.assert_close(gate_BTE.sum(dim=-1), torch.ones(40, TASKS), rtol=0, atol=1e-6)
        if scale > 1:
            assert (gate_BTE.amax(dim=-1) > 0.99).float().mean() > 0.9


@every
@each_config
def test_gradient_reaches_every_parameter(name, config):
    model = trunk(name, config)
    with torch.no_grad():  # no unit may be dead on every row by chance
        for key, parameter in model.named_parameters():
            if "bias" in key.rpartition("architecture.")[2] and "gate" not in key and "bias_tower" not in key:
                parameter += 1.0
    logit_BT, penalty = model(draw(512, INPUTS), draw(512, 2, seed=3))
    (((logit_BT - draw(*logit_BT.shape, seed=4)) ** 2).sum() + penalty).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{key} is not used"
        assert (parameter.grad != 0).all(), f"{key} has numbers that no row trains"


@every
def test_each_task_reads_its_own_output(name):
    """The gradient of one task's output reaches the shared parameters; for a model per task there is nothing shared."""
    scheme = build(name)
    shared = scheme.shared_parameters()
    own = list(scheme.parameters())
    assert all(any(parameter is other for other in own) for parameter in shared)
    assert len({id(parameter) for parameter in shared}) == len(shared)
    assert bool(shared) != scheme.one_model_per_task
    for t in range(tasks_of(scheme)):
        scheme.zero_grad()
        scheme(draw(64, INPUTS))[:, t].sum().backward()
        assert all(parameter.grad is not None for parameter in shared)


@every
@each_config
def test_a_seed_decides_the_weights(name, config):
    one, two, other = build(name, config, 3), build(name, config, 3), build(name, config, 4)
    state, again, different = one.state_dict(), two.state_dict(), other.state_dict()
    assert all(torch.equal(state[key], again[key]) for key in state)
    assert any(not torch.equal(state[key], different[key]) for key in state)
    assert torch.equal(one(draw(5, INPUTS)), two(draw(5, INPUTS)))


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
