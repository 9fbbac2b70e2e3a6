"""Networks that lie side by side: their initial values, dropout, noise and normalisation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from manygate.layers.units import Dropout, Noise, Norm, Units, glorot
from numpy_reading import agree, rows, shaken, unit_nets


def drawn_like(stack: Tensor, bound: float) -> None:
    """Matrices that are uniform within the bound, and no two alike."""
    for matrix in stack:
        assert 0.98 * bound < matrix.abs().max() <= bound
        assert matrix.mean().abs() < 0.1 * bound
        assert matrix.var().item() == pytest.approx(bound**2 / 3, rel=0.15)
    flat = torch.corrcoef(stack.flatten(1)) - torch.eye(len(stack))
    assert flat.abs().max() < 0.2, "two start alike"


def test_glorot_gives_each_matrix_its_own_fans():
    generator = torch.Generator().manual_seed(0)
    drawn_like(glorot(6, 60, 20, generator=generator), (6 / 80) ** 0.5)


@pytest.mark.parametrize("hidden", [(), (6,), (6, 5, 4)])
@pytest.mark.parametrize("norm", [False, True])
def test_units_are_networks_of_their_own(hidden, norm):
    units = shaken(Units(3, 5, hidden, norm=norm))
    x_BNH = rows(21, 5).view(7, 3, 5)
    y_BNK = units(x_BNH)
    if not hidden:
        assert y_BNK is x_BNH
        return
    for n in range(3):
        torch.testing.assert_close(units.forward_unit(n, x_BNH[:, n]), y_BNK[:, n], rtol=1e-12, atol=1e-12)
    if not norm:
        for b in range(7):
            agree(y_BNK[b], [net(x_BNH[b, n].numpy()) for n, net in enumerate(unit_nets(units))])


def test_norm_looks_at_one_row_and_unit_at_a_time():
    norm = shaken(Norm(3, 4))
    x_BNH = rows(15, 4).view(5, 3, 4)
    y_BNH = norm(x_BNH)
    other = rows(15, 4, seed=1).view(5, 3, 4)
    other[2, 1] = x_BNH[2, 1]
    assert torch.equal(norm(other)[2, 1], y_BNH[2, 1])
    for n in range(3):
        torch.testing.assert_close(norm.forward_unit(n, x_BNH[:, n]), y_BNH[:, n])
    x = x_BNH[2, 1]
    z = (x - x.mean()) / (x.var(correction=0) + 1e-5).sqrt() * norm.gain[1] + norm.bias[1]
    torch.testing.assert_close(y_BNH[2, 1], z / (1 + (-z).exp()))


def test_dropout_and_noise_use_what_was_drawn_while_training_alone():
    dropout, noise, x = Dropout(0.5, (3,)), Noise((3,), active=True), rows(4, 3)
    dropout.drawn, noise.drawn = (rows(4, 3, seed=1) > 0) * 2.0, rows(4, 3, seed=2)
    assert torch.equal(dropout(x), x * dropout.drawn)
    torch.testing.assert_close(noise(x, x.abs()), x + x.abs() * noise.drawn)
    assert not Dropout(0.0, (3,)).active
    assert Dropout(0.0, (3,))(x) is x
    assert Noise((3,), active=False)(x, x) is x
    dropout.eval(), noise.eval()
    assert dropout(x) is x
    assert noise(x, x) is x


def test_what_is_drawn_follows_its_key_and_rate():
    key, cpu = (1, 2, 3), torch.device("cpu")
    mask = Dropout(0.25, (50, 4)).draw(200, key, cpu)
    assert mask.shape == (200, 50, 4)
    assert sorted(mask.unique().tolist()) == [0.0, pytest.approx(4 / 3)]
    assert (mask == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.equal(mask, Dropout(0.25, (50, 4)).draw(200, key, cpu))
    assert not torch.equal(mask, Dropout(0.25, (50, 4)).draw(200, (1, 2, 4), cpu))
    normal = Noise((50, 4), active=True).draw(200, key, cpu)
    assert normal.mean().abs() < 0.02
    assert normal.std().item() == pytest.approx(1.0, abs=0.02)
