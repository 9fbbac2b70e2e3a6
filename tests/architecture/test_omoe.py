"""OMoE is equation 5: one gate for all tasks."""

from __future__ import annotations

import pytest

from manygate.architecture import OMoE
from manygate.layers.mixture import MixtureSettings
from numpy_reading import GATES, Reading, agree, rows, shaken, weighted

deep = pytest.mark.parametrize("hidden", [(6,), (6, 4)], ids=["one layer", "two layers"])
every_gate = pytest.mark.parametrize("gate", GATES.values(), ids=GATES)


@deep
@every_gate
@pytest.mark.parametrize("norm", [False, True], ids=["relu", "norm"])
@pytest.mark.parametrize("tasks", [1, 3])
def test_omoe_is_equation_5(hidden, gate, norm, tasks):
    model = shaken(OMoE(5, tasks, 4, hidden, MixtureSettings(gate, (0, 3), norm=norm)))
    reading = Reading(model.level, [4], [range(4)], gate, own=False)
    x_BD = rows(7, 5)
    h_BTH, (gate_BTE,) = model(x_BD), model.gates(x_BD)
    for b, x in enumerate(x_BD.numpy()):
        g = reading.row(0, x[[0, 3]])
        agree(h_BTH[b], [weighted(g, [f(x) for f in reading.experts[0]])])
        for t in range(tasks):
            agree(gate_BTE[b, t], g)
