"""Zeros, dead towers and experts that are alike, by hand and by a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from manygate.inspection.units import Zeros, dead_towers, likeness, unit_report


def test_zeros_are_counted_over_batches():
    zeros = Zeros()
    zeros.add(torch.tensor([[[0.0, 1.0]], [[0.0, 0.0]]]))
    zeros.add(torch.tensor([[[0.0, 2.0]]]))
    np.testing.assert_allclose(zeros.share(), [[1.0, 1 / 3]])


def test_dead_is_zero_on_every_row_and_mostly_zero_above_nine_tenths():
    (one, two) = unit_report(np.array([[1.0, 1.0, 0.91, 0.1], [0.9, 0.999, 0.0, 0.5]]), ["expert 1", "expert 2"])
    assert one.to_tree() == {"name": "expert 1", "units": 4, "dead": 0.5, "mostly_zero": 0.75, "zeros": pytest.approx(0.7525)}
    assert two.dead == 0.0
    assert two.mostly_zero == 0.25


def test_a_tower_is_dead_by_its_units_or_by_its_logit():
    logit = np.array([[0.5, 1.0, 2.0], [0.7, 1.0, 2.0], [0.9, 1.0, 2.1]])
    layers = [np.array([[0.2, 1.0], [0.2, 0.2], [1.0, 1.0]])]
    found = dead_towers(logit, layers, ["a", "b", "c"])
    assert [(tower.task, tower.why) for tower in found] == [
        ("b", "its logit is the same on every row"),
        ("c", "every unit of its hidden layer 1 is zero on every row"),
    ]


def test_a_tower_without_hidden_layers_is_judged_by_its_logit():
    assert dead_towers(np.array([[0.5], [0.6]]), [], ["a"]) == []


def cka(x: np.ndarray, y: np.ndarray) -> float:
    """Kornblith et al. 2019 in the other form: HSIC of the Gram matrices over rows."""
    n = len(x)
    centre = np.eye(n) - 1 / n
    k, m = centre @ x @ x.T @ centre, centre @ y @ y.T @ centre
    return float((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))


def test_likeness_is_linear_cka_and_the_cosine_of_the_outputs():
    random = np.random.default_rng(0)
    expert = np.maximum(random.normal(size=(40, 3, 5)) + random.normal(size=(40, 1, 1)), 0)
    found = likeness(torch.from_numpy(expert.astype(np.float32)))
    for a in range(3):
        for b in range(3):
            assert found.cka[a][b] == pytest.approx(cka(expert[:, a], expert[:, b]), abs=1e-4)
            x, y = expert[:, a].ravel(), expert[:, b].ravel()
            assert found.cosine[a][b] == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y), abs=1e-4)
        assert found.scale[a] == pytest.approx(np.sqrt((expert[:, a] ** 2).mean()), rel=1e-5)


def test_a_scaled_copy_is_identical_and_a_rotated_one_only_by_cka():
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32))
    turned = torch.linalg.qr(torch.from_numpy(np.random.default_rng(2).normal(size=(4, 4)).astype(np.float32)))[0]
    found = likeness(torch.stack([x, 3 * x, x @ turned], dim=1))
    assert found.cka[0][1] == pytest.approx(1.0, abs=1e-5)
    assert found.cosine[0][1] == pytest.approx(1.0, abs=1e-5)
    assert found.cka[0][2] == pytest.approx(1.0, abs=1e-4)
    assert abs(found.cosine[0][2]) < 0.9


def test_a_silent_expert_has_no_likeness_and_a_constant_one_no_cka():
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(30, 2)).astype(np.float32))
    found = likeness(torch.stack([x, torch.zeros_like(x), torch.full_like(x, 2.0)], dim=1))
    assert found.cka[0][1] is None
    assert found.cosine[0][1] is None
    assert found.cka[0][2] is None
    assert found.cosine[0][2] is not None
