"""OMoE is equation 5 with one gate for all tasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reading import mixture

from manygate.architecture import OMoE


@pytest.mark.parametrize("hidden", [(6,), (6, 4)])
@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_forward_is_equation_5(hidden, tasks):
    model = OMoE(5, tasks, 4, hidden, gate_bias=True).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    x_BD = torch.randn(8, 5, generator=generator, dtype=torch.float64)
    h_BTH = model(x_BD).detach().numpy()
    for b, x in enumerate(x_BD.numpy()):
        for t in range(tasks):
            np.testing.assert_allclose(h_BTH[b, t], mixture(x, model.experts, 0), rtol=1e-10, atol=1e-10)


def test_every_task_reads_the_same():
    model = OMoE(5, 3, 4, (6,))
    h_BTH = model(torch.ones(2, 5))
    assert torch.equal(h_BTH[:, 0], h_BTH[:, 2])
    (gate_BTE,) = model.gates(torch.ones(2, 5))
    assert torch.equal(gate_BTE[:, 0], gate_BTE[:, 2])
