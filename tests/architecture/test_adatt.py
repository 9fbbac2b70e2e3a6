"""AdaTT adds to each unit's gated mixture of all experts a plain weighted sum of its own."""

from __future__ import annotations

import pytest
import torch

from manygate.architecture import AdaTT, Inputs, Level
from manygate.architecture.adatt import Native
from manygate.config import ModelConfig
from manygate.layers.mixture import MixtureSettings
from numpy_reading import GATES, Reading, agree, array, rows, shaken, weighted

LEVELS = {
    "one level": [Level((2, 2), 0, (6,))],
    "two levels": [Level((2, 2), 0, (6,)), Level((1, 1), 0, (5,))],
    "shared units, uneven, deep": [Level((2, 1, 3), 2, (6, 4)), Level((1, 2, 1), 1, (5,)), Level((3, 1, 2), 2, (4, 7))],
    "no own experts for a task": [Level((2, 0), 2, (6, 4)), Level((0, 2), 2, (5, 4)), Level((2, 1), 0, (4, 3))],
    "shared on the first level alone": [Level((2, 2), 2, (6, 4)), Level((2, 3), 0, (5, 4))],
    "shared on the last level alone": [Level((2, 2), 0, (6, 4)), Level((1, 2), 2, (5, 4))],
    "shared at both ends": [Level((2, 2), 2, (6, 4)), Level((2, 3), 0, (5, 4)), Level((1, 1), 3, (4, 3))],
    "own widths for each task": [Level((2, 1), 2, (6, 4), ((4,), (5, 3, 4))), Level((1, 2), 1, (5,), ((6, 5), (5,)))],
}
every_level = pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)


def adatt(x, model, levels, gate, chosen=()):
    tasks = len(levels[0].task_experts)
    f, weights = [x] * (tasks + 1), []
    for j, level in enumerate(levels):
        shared_above = any(later.shared_experts for later in levels[j + 1 :])
        units = tasks + shared_above
        groups = [*level.task_experts, level.shared_experts]
        groups = groups if shared_above or level.shared_experts else groups[:-1]
        read = Reading(model.levels[j], groups, [range(level.experts)] * units, gate, own=j > 0)
        e = [[net(f[s]) for net in nets] for s, nets in enumerate(read.experts)]
        everything = [output for group in e for output in group]
        kept = model.natives[j].native
        native, new, weights = [] if kept is None else list(array(kept)), [], []
        for u in range(units):
            weights.append(read.gate(u, x[list(chosen)] if chosen else f[u]))
            fused = weighted(weights[u], everything)
            for output in [] if read.blank[u] else e[u]:
                fused = fused + native.pop(0) * output
            new.append(fused)
        assert not native
        f = new
    return f[:tasks], weights[:tasks]


@every_level
@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
@pytest.mark.parametrize("chosen", [(), (1, 4)], ids=["gates read f", "gates read columns"])
def test_forward_is_the_paper_s(levels, gate, chosen):
    model = shaken(AdaTT(5, levels, MixtureSettings(gate, chosen)))
    x_BD = rows(6, 5)
    h_BTH, gates = model(x_BD), model.gates(x_BD)
    for b, x in enumerate(x_BD.numpy()):
        f, weights = adatt(x, model, levels, gate, chosen)
        agree(h_BTH[b], f)
        agree(gates[-1][b], weights)


def test_forward_with_normalised_experts():
    levels = LEVELS["shared units, uneven, deep"]
    model = shaken(AdaTT(5, levels, MixtureSettings(norm=True)))
    x_BD = rows(6, 5)
    for b, x in enumerate(x_BD.numpy()):
        agree(model(x_BD)[b], adatt(x, model, levels, GATES["softmax"])[0])


def test_native_weights_start_at_the_mean_of_a_unit_s_own_experts():
    native = Native([2, 0, 4, 1], [True, True, True])
    expected = [[0.5, 0.5, 0, 0, 0, 0, 0], [0] * 7, [0, 0, 0.25, 0.25, 0.25, 0.25, 0]]
    assert native().tolist() == expected


def test_a_unit_that_nothing_reads_has_no_native_weights():
    native = Native([2, 2], [False, True])
    assert native().tolist() == [[0] * 4, [0, 0, 0.5, 0.5]]
    assert Native([2, 2], [False, False])() == 0.0


def test_only_a_unit_s_own_native_weights_are_trained_by_it():
    """Gate and native weights of the last level: the task's own. Experts: every task's, since each gate sees all."""
    model = shaken(AdaTT(5, [Level((2, 2), 2, (6,))]))
    for t in range(2):
        model.zero_grad()
        model(rows(64, 5))[:, t].sum().backward()
        assert (model.natives[0].native.grad != 0).tolist() == [t == 0] * 2 + [t == 1] * 2
        experts, gates = model.levels[0].banks[0].weight.grad.split([36, 12], dim=1)
        assert (experts != 0).any(dim=0).view(6, 6).any(dim=1).all()
        assert [bool((gate != 0).any()) for gate in gates.split(6, dim=1)] == [t == 0, t == 1]


def test_native_weights_are_the_difference_from_a_plain_mixture():
    """With v at zero, only the gated mixture is left."""
    levels = LEVELS["one level"]
    model = shaken(AdaTT(5, levels))
    with torch.no_grad():
        model.natives[0].native.zero_()
    read = Reading(model.levels[0], [2, 2], [range(4)] * 2, GATES["softmax"], own=False)
    x_BD = rows(6, 5)
    for b, x in enumerate(x_BD.numpy()):
        outputs = [net(x) for nets in read.experts for net in nets]
        agree(model(x_BD)[b], [weighted(read.gate(t, x), outputs) for t in range(2)])


def test_by_default_nothing_is_shared():
    model = AdaTT.build(Inputs(5), 2, ModelConfig(experts=4, expert_hidden=(6,)))
    assert [level.experts for level in model.levels] == [4, 4]
    assert [len(level.gates.sees) for level in model.levels] == [2, 2]
