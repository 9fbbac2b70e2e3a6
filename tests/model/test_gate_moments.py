"""Mean and standard deviation of gate weights, by NumPy over all rows at once."""

from __future__ import annotations

import numpy as np
import torch

from manygate.model.gate_moments import GateMoments


def test_moments_over_batches_are_those_of_all_rows_of_each_task() -> None:
    rng = np.random.default_rng(3)
    gate_RBTE = rng.dirichlet(np.ones(4), size=(2, 50, 3))
    inside_BT = rng.random((50, 3)) < 0.5
    inside_BT[:, 2] = False
    moments = GateMoments()
    for part in (slice(0, 20), slice(20, 21), slice(21, 50)):
        gates = [torch.tensor(gate_RBTE[:, part]), torch.tensor(gate_RBTE[:, part, :, :2])]
        moments.add(gates, torch.tensor(inside_BT[part]).unsqueeze(-1))
    for (mean_RTE, sd_RTE), level_RBTE in zip(moments.read(), (gate_RBTE, gate_RBTE[..., :2]), strict=True):
        for t in range(2):
            rows_RBE = level_RBTE[:, inside_BT[:, t], t]
            np.testing.assert_allclose(mean_RTE[:, t], rows_RBE.mean(axis=1), rtol=1e-12)
            np.testing.assert_allclose(sd_RTE[:, t], rows_RBE.std(axis=1), rtol=1e-9)
        assert not mean_RTE[:, 2].any(), "a task without a row"
        assert not sd_RTE[:, 2].any(), "a task without a row"


def test_a_weight_that_is_not_finite_shows() -> None:
    moments = GateMoments()
    moments.add([torch.tensor([[[float("nan"), 1.0]]])], torch.ones(1, 1, 1, dtype=torch.bool))
    assert np.isnan(moments.read()[0][0]).tolist() == [[True, False]]


def test_without_gates_there_is_nothing() -> None:
    moments = GateMoments()
    moments.add([], torch.ones(1, 1, 1, dtype=torch.bool))
    assert moments.read() == []
