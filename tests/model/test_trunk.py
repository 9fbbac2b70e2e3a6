"""Tests of the trunk: its cross layers, its lower layers, its scheme, its towers and its bias tower run one after the other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from manygate.architecture import MMoE, SharedBottom
from manygate.errors import InputError
from manygate.layers.cross import CrossLayers
from manygate.layers.experts import Experts
from manygate.layers.tower import BiasTower, Towers
from manygate.model.trunk import Trunk
from numpy_reading import agree, array, nets, rows, shaken, tower


def trunk(lower: bool = False, bias: int = 2, scheme: nn.Module | None = None) -> Trunk:
    scheme = scheme or SharedBottom(4 if lower else 5, (6,))
    return shaken(Trunk(scheme, Towers(2, 6, (3,)), BiasTower(2, bias), Experts(5, 1, (4,)) if lower else None))


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("bias", [0, 2])
def test_a_pass_by_hand(lower: bool, bias: int):
    model = trunk(lower, bias)
    x_BD, bias_BC = rows(6, 5), rows(6, bias, seed=3)
    output_BT, penalty = model(x_BD, bias_BC)
    assert penalty.item() == 0.0
    for b, x in enumerate(x_BD.numpy()):
        below = nets(model.lower)[0](x) if lower else x
        f = nets(model.architecture.bottom)[0](below)
        added = array(bias_BC)[b] @ array(model.bias_tower.weight) if bias else [0.0, 0.0]
        agree(output_BT[b], [tower(f, model.towers, t) + added[t] for t in range(2)])


def test_gates_read_what_the_lower_layers_give():
    model = shaken(Trunk(MMoE(4, 2, 3, (6,)), Towers(2, 6, ()), BiasTower(2, 0), Experts(5, 1, (4,))))
    x_BD = rows(6, 5)
    (gate_BTE,) = model(x_BD, rows(6, 0), gates=True)
    below = torch.tensor([nets(model.lower)[0](x).tolist() for x in x_BD.numpy()], dtype=torch.float64)
    (expected_BTE,) = model.architecture.gates(below)
    torch.testing.assert_close(gate_BTE, expected_BTE)


@pytest.mark.parametrize("lower", [False, True])
def test_cross_layers_come_first(lower: bool):
    experts = Experts(5, 1, (4,)) if lower else None
    scheme = SharedBottom(4 if lower else 5, (6,))
    model = shaken(Trunk(scheme, Towers(2, 6, (3,)), BiasTower(2, 0), experts, cross=CrossLayers(5, 2, 3)))
    x_BD, bias_BC = rows(6, 5), rows(6, 0)
    crossed_BD = model.cross(x_BD)
    below_BD = experts(crossed_BD)[0].squeeze(1) if experts else crossed_BD
    assert torch.equal(model.below(x_BD), below_BD)
    assert not torch.allclose(crossed_BD, x_BD)
    torch.testing.assert_close(model(x_BD, bias_BC)[0], model.towers(scheme(below_BD)), rtol=1e-12, atol=1e-12)


def test_the_output_of_the_shared_layer_comes_third():
    model = trunk()
    x_BD, bias_BC = rows(6, 5), rows(6, 2, seed=3)
    output_BT, _, shared = model(x_BD, bias_BC, shared=True)
    torch.testing.assert_close(output_BT, model(x_BD, bias_BC)[0])
    torch.testing.assert_close(shared, model.architecture.bottom(x_BD)[0])
    assert not model.architecture.bottom._forward_hooks, "no hook is left behind"


def test_without_a_shared_layer_the_lower_layers_are_it():
    class Apart(SharedBottom):
        def shared_layer(self) -> None:
            return None

        def shared_units(self) -> tuple[int, ...]:
            return (0,)

    assert trunk(scheme=Apart(5, (6,))).shared_layer() is None
    assert trunk(scheme=Apart(5, (6,))).shared_units() is None, "there is no shared layer of the scheme"
    lower = trunk(True, scheme=Apart(4, (6,)))
    assert lower.shared_layer() is lower.lower
    crossed = trunk(scheme=Apart(5, (6,)))
    crossed.cross = CrossLayers(5, 1, 2)
    assert crossed.shared_layer() is crossed.cross
    lower.cross = CrossLayers(5, 1, 2)
    assert lower.shared_layer() is lower.lower, "the lower layers lie above the cross layers"


class Pretending(SharedBottom):
    """A scheme with a shared layer that a test can set."""

    layer: nn.Module | None = None

    def shared_layer(self) -> nn.Module | None:
        return self.layer


def test_a_shared_layer_of_another_module_is_named():
    scheme = Pretending(5, (6,))
    scheme.__dict__["layer"] = nn.ReLU()
    with pytest.raises(InputError, match=r"Pretending\.shared_layer returns ReLU\(\), which is not a module of the scheme"):
        trunk(scheme=scheme).shared_layer()


def test_a_shared_layer_that_no_pass_calls_is_named():
    scheme = Pretending(5, (6,))
    scheme.unused = nn.Linear(5, 5)
    scheme.__dict__["layer"] = scheme.unused
    with pytest.raises(InputError, match=r"Pretending\.shared_layer returns a module that a forward pass calls 0 times"):
        trunk(scheme=scheme)(rows(6, 5), rows(6, 2), shared=True)
