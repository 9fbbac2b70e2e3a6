"""CGC is the equations of section 4.1 of PLE, and its parameters are as many as they say."""

from __future__ import annotations

import pytest

from manygate.architecture import CGC, Inputs, Level
from manygate.config import ModelConfig
from manygate.layers.mixture import MixtureSettings
from manygate.layers.tower import Towers
from numpy_reading import GATES, Reading, agree, count, rows, shaken, weighted

LEVELS = {
    "two tasks": Level((2, 2), 4, (6,)),
    "uneven": Level((3, 1, 2), 2, (6, 4)),
    "nothing shared": Level((2, 3), 0, (6,)),
    "only shared": Level((0, 0), 3, (6,)),
    "own widths": Level((2, 2), 2, (6, 4), ((5, 4), (4,))),
    "own widths where one task has none": Level((0, 2), 2, (6, 4), ((7, 5), (5, 4))),
}


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
@pytest.mark.parametrize("norm", [False, True], ids=["relu", "norm"])
def test_forward_is_the_paper_s(level, gate, norm):
    model = shaken(CGC(5, level, MixtureSettings(gate, norm=norm)))
    groups, sees = [*level.task_experts, level.shared_experts], level.seen()
    reading = Reading(model.ple.levels[0], groups if level.shared_experts else groups[:-1], sees, gate, own=False)
    x_BD = rows(6, 5)
    h_BTH, (gate_BTE,) = model(x_BD), model.gates(x_BD)
    for b, x in enumerate(x_BD.numpy()):
        for k in range(len(level.task_experts)):
            shared = reading.experts[-1] if level.shared_experts else []
            stacked = [f(x) for f in [*reading.experts[k], *shared]]
            agree(h_BTH[b, k], weighted(reading.gate(k, x), stacked))
            agree(gate_BTE[b, k], reading.row(k, x))


def test_experts_that_a_gate_sees():
    assert Level((2, 0, 1), 2, (6,)).seen() == [(0, 1, 3, 4), (3, 4), (2, 3, 4)]


def test_parameter_count():
    """8 experts of 100 x 16 + 16, and two gates over 2 + 4 experts; towers and heads as in MMoE's section 5."""
    cgc = CGC(100, Level((2, 2), 4, (16,)))
    assert count(cgc) == 12_928 + 2 * 100 * 6 == 14_128
    assert count(Towers(2, cgc.output_width, (8,))) == 290


def test_the_first_level_of_settings_for_more_is_taken():
    config = ModelConfig(shared_experts="2,3", task_experts="1,2/3,3", level_hidden="7/5")
    assert count(CGC.build(Inputs(5), 2, config)) == 5 * (5 * 7 + 7) + 5 * (3 + 4)
