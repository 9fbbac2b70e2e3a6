"""Every gate's rows sum to one whatever it reads; each kind is its paper's, and so are the losses it asks for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from manygate.errors import InputError
from manygate.layers.gate import Gates, GateSettings, smooth_step
from numpy_reading import gate_weights, selectors, softplus, units_of, variation

SEES = {
    "all alike": [range(4)] * 3,
    "one gate": [range(5)],
    "own and shared": [(0, 1, 4), (2, 3, 4), (0, 1, 2, 3, 4)],
    "one sees one": [(0, 1, 3), (3,), (2, 3)],
    "each sees one": [(0,), (1,)],
}
KINDS = {
    "softmax": GateSettings(),
    "softmax, warm, bias": GateSettings(temperature=3.0, bias=True),
    "topk": GateSettings(kind="topk", k=1),
    "topk, cold, bias": GateSettings(kind="topk", k=1, temperature=0.5, bias=True),
    "dselect_k": GateSettings(kind="dselect_k", k=1),
    "dselect_k, cold, bias": GateSettings(kind="dselect_k", k=1, temperature=0.5, bias=True),
}
every_kind = pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
every_sees = pytest.mark.parametrize("sees", SEES.values(), ids=SEES)


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def experts_of(sees) -> int:
    return 1 + max(max(seen) for seen in sees)


def built(sees, settings: GateSettings) -> Gates:
    gates = Gates(sees, experts_of(sees), settings).double().eval()
    if gates.bias is not None:
        with torch.no_grad():
            gates.bias.copy_(draw(len(gates.bias), seed=5))
    return gates


def parts(gates: Gates, linear_BU: Tensor) -> list[np.ndarray]:
    """The columns of each gate, bias added."""
    whole = linear_BU.detach().numpy() + (0.0 if gates.bias is None else gates.bias.detach().numpy())
    return np.split(whole, np.cumsum(gates.units)[:-1], axis=1)


def training(gates: Gates, rows: int) -> list[list[np.ndarray | float]]:
    """Training with noise set by hand; the noise of each row and gate, over the experts that the gate sees."""
    gates.train()
    noise: list[list[np.ndarray | float]] = [[] for _ in range(rows)]
    for number, kind in enumerate(gates.kinds):
        has = hasattr(kind, "noise")
        if has:
            kind.noise.drawn = draw(rows, kind.gates, kind.experts, seed=20 + number)
        for b in range(rows):
            noise[b] += [kind.noise.drawn[b, g].numpy() if has else 0.0 for g in range(kind.gates)]
    return noise


@every_kind
@every_sees
def test_each_gate_is_its_paper_s(sees, settings):
    gates = built(sees, settings)
    assert list(gates.units) == [units_of(settings, len(seen)) for seen in sees]
    linear_BU = draw(7, sum(gates.units))
    gate_BGE = gates(linear_BU).detach().numpy()
    for g, seen in enumerate(sees):
        expected = np.zeros((7, experts_of(sees)))
        for b, row in enumerate(parts(gates, linear_BU)[g]):
            expected[b, list(seen)] = gate_weights(settings, row, len(seen))
        np.testing.assert_allclose(gate_BGE[:, g], expected, rtol=1e-10, atol=1e-12)


@every_kind
@every_sees
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mode", ["eval", "training"])
def test_rows_sum_to_one(sees, settings, scale, dtype, mode):
    gates = built(sees, settings).float()
    if mode == "training":
        training(gates.double(), 50)
        gates.float()
    linear_BU = (scale * draw(50, sum(gates.units))).to(dtype).requires_grad_()
    gate_BGE = gates(linear_BU)
    assert gate_BGE.dtype == torch.float32
    assert (gate_BGE >= 0).all()
    torch.testing.assert_close(gate_BGE.sum(dim=-1), torch.ones(50, len(sees)), rtol=0, atol=2e-6)
    unseen = torch.tensor([[e not in seen for e in range(experts_of(sees))] for seen in sees])
    assert (gate_BGE[:, unseen] == 0).all(), "what a gate does not see is exactly zero"
    if linear_BU.shape[1]:
        gate_BGE.square().sum().backward()
        assert torch.isfinite(linear_BU.grad).all()


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_topk_keeps_the_k_largest_and_with_all_it_is_the_dense_softmax(k, temperature):
    gates = built([range(5)], GateSettings(kind="topk", k=k, temperature=temperature))
    linear_BU = draw(40, 10)
    gate_BE = gates(linear_BU)[:, 0]
    assert ((gate_BE != 0).sum(dim=1) == k).all()
    dense = (linear_BU[:, :5] / temperature).softmax(dim=-1)
    kept = torch.zeros_like(dense).scatter(1, dense.topk(k).indices, 1.0) * dense
    torch.testing.assert_close(gate_BE, kept / kept.sum(dim=1, keepdim=True))
    if k == 5:
        assert torch.equal(gate_BE, dense)


@every_sees
@pytest.mark.parametrize("k", [1, 2])
def test_noise_is_added_while_training_alone(sees, k):
    if k > min(map(len, sees)):
        return
    settings = GateSettings(kind="topk", k=k)
    gates = built(sees, settings)
    linear_BU = draw(6, sum(gates.units))
    noise = training(gates, 6)
    gate_BGE = gates(linear_BU).detach().numpy()
    for b in range(6):
        for g, seen in enumerate(sees):
            row = gate_weights(settings, parts(gates, linear_BU)[g][b], len(seen), noise[b][g])
            np.testing.assert_allclose(gate_BGE[b, g, list(seen)], row, rtol=1e-10, atol=1e-12)
    gates.eval()
    quiet = gates(linear_BU).detach().numpy()
    if any(gates.units):
        assert not np.allclose(quiet, gate_BGE) or k == max(map(len, sees)) == 1


def phi(z: float) -> float:
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("sees", [[range(4)] * 2, [(0, 1, 4, 5), (2, 3, 4, 5), range(6)], [(0, 1, 2)], [(0, 1, 3), (3,), (2, 3)]])
def test_importance_and_load(sees, k):
    """Shazeer et al. 2017: equations 6 and 7, and 8 to 11, summed over the gates; CV^2 with the variance over E."""
    if k > min(map(len, sees)):
        with pytest.raises(InputError, match=rf"top_k: {k} experts cannot be selected where a gate sees {min(map(len, sees))}\."):
            built(sees, GateSettings(kind="topk", k=k))
        return
    settings, experts = GateSettings(kind="topk", k=k, importance_weight=0.3, load_weight=0.7, bias=True), experts_of(sees)
    gates = built(sees, settings)
    linear_BU = draw(9, sum(gates.units))
    noise = training(gates, 9)
    gates(linear_BU)
    importance, load = [0.0] * experts, [0.0] * experts
    for g, seen in enumerate(sees):
        for b, row in enumerate(parts(gates, linear_BU)[g]):
            n = len(seen)
            weights = gate_weights(settings, row, n, noise[b][g])
            clean, spread = row[:n], softplus(row[n:])
            h = clean + noise[b][g] * spread if n > 1 else np.zeros(1)
            for i, e in enumerate(seen):
                importance[e] += weights[i]
                others = sorted((h[j] for j in range(n) if j != i), reverse=True)
                load[e] += phi((clean[i] - others[k - 1]) / spread[i]) if k < n else 1.0
    expected = 0.3 * variation(importance) + 0.7 * variation(load)
    assert expected > 1e-3
    np.testing.assert_allclose(gates.penalty.item(), expected, rtol=1e-9)
    gates.eval()
    gates(linear_BU)
    assert gates.penalty is None


@pytest.mark.parametrize("weights", [{"importance_weight": 0.3}, {"load_weight": 0.7}])
def test_balanced_gates_cost_nothing(weights):
    gates = built([range(4)] * 2, GateSettings(kind="topk", k=4, **weights))
    training(gates, 6)
    gates(torch.zeros(6, sum(gates.units), dtype=torch.float64))
    for kind in gates.kinds:
        kind.noise.drawn.zero_()
    gates(torch.zeros(6, sum(gates.units), dtype=torch.float64))
    assert gates.penalty.item() == pytest.approx(0.0, abs=1e-20)


def test_load_is_what_makes_topk_with_one_expert_learn():
    """With k = 1 the kept weight is 1, so that outputs give W_g no gradient, as in Shazeer et al.; the load loss does."""
    for load, learns in ((0.0, False), (0.1, True)):
        gates = built([range(4)], GateSettings(kind="topk", k=1, load_weight=load))
        training(gates, 8)
        linear_BU = draw(8, 8).requires_grad_()
        total = (gates(linear_BU) * draw(8, 1, 4, seed=3)).sum() + (gates.penalty if load else 0.0)
        total.backward()
        assert bool((linear_BU.grad != 0).any()) == learns


@pytest.mark.parametrize("sees", [[range(4)] * 2, [range(5)], [(0, 1, 2), (2, 3), (3,)]])
@pytest.mark.parametrize("k", [1, 2])
def test_entropy_of_the_selectors(sees, k):
    """The mean over rows of each selector's entropy, summed over selectors and gates."""
    if k > min(map(len, sees)):
        return
    settings = GateSettings(kind="dselect_k", k=k, entropy_weight=0.4, bias=True)
    gates = built(sees, settings).train()
    linear_BU = 0.3 * draw(6, sum(gates.units))
    gates(linear_BU)
    expected = 0.0
    for g, seen in enumerate(sees):
        if len(seen) == 1:
            continue
        for row in parts(gates, linear_BU)[g]:
            chosen = selectors(settings, row, len(seen))
            expected += -sum(p * math.log(p) for p in chosen.flatten() if p > 0) / 6
    assert expected > 0.1
    np.testing.assert_allclose(gates.penalty.item(), 0.4 * expected, rtol=1e-9)


@pytest.mark.parametrize(("experts", "k"), [(2, 1), (3, 2), (4, 2), (5, 3), (8, 4)])
def test_dselect_k_with_settled_bits_selects_at_most_k_experts(experts, k):
    gates = built([range(experts)], GateSettings(kind="dselect_k", k=k))
    gate_BE = gates(10 * draw(200, sum(gates.units)).sign())[:, 0]
    assert ((gate_BE != 0).sum(dim=1) <= k).all()
    assert (gate_BE != 0).any(dim=0).all(), "each expert can be reached"


def test_smooth_step_is_a_cubic_between_two_constants():
    """S(-1/2) = 0, S(0) = 1/2, S(1/2) = 1, with slopes 0, 3/2 and 0 (gamma = 1)."""
    t = torch.tensor([-9.0, -0.5, -0.25, 0.0, 0.25, 0.5, 9.0], dtype=torch.float64, requires_grad=True)
    value = smooth_step(t)
    torch.testing.assert_close(value.detach(), torch.tensor([0.0, 0, 0.15625, 0.5, 0.84375, 1, 1], dtype=torch.float64))
    value.sum().backward()
    torch.testing.assert_close(t.grad, torch.tensor([0.0, 0, 1.125, 1.5, 1.125, 0, 0], dtype=torch.float64))


@every_kind
def test_gate_dropout_renormalises_and_keeps_a_row_of_which_nothing_would_be_left(settings):
    from dataclasses import replace

    gates = built(SEES["own and shared"], replace(settings, dropout=0.5))
    training(gates, 12)
    linear_BU = draw(12, sum(gates.units))
    gates.dropout.drawn = torch.ones(12, 3, 5, dtype=torch.float64)
    plain = gates(linear_BU).detach().numpy()
    mask = (draw(12, 3, 5, seed=8) > 0).double() * 2
    mask[0] = 0
    gates.dropout.drawn = mask
    found = gates(linear_BU).detach().numpy()
    for b, g in np.ndindex(12, 3):
        kept = plain[b, g] * (mask[b, g].numpy() > 0)
        expected = kept / kept.sum() if kept.sum() > 0 else plain[b, g]
        np.testing.assert_allclose(found[b, g], expected, rtol=1e-12, atol=1e-15)
    assert not np.allclose(found, plain) or (settings.k == 1 and settings.kind == "topk")
    gates.eval()
    calm = gates(linear_BU)
    torch.testing.assert_close(calm.sum(dim=-1), torch.ones(12, 3, dtype=torch.float64))


def test_initial_columns():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        soft, top, dselect = (Gates([range(8)] * 2, 8, GateSettings(kind=kind)) for kind in ("softmax", "topk", "dselect_k"))
        one, other = soft.initial(200)
        assert one.shape == (200, 8)
        assert not torch.equal(one, other)
        assert one.var().item() == pytest.approx(2 / 208, rel=0.1)
        assert all((columns == 0).all() for columns in top.initial(200)), "as Shazeer et al. start"
        (columns, _) = dselect.initial(200)
        assert columns.shape == (200, 2 * (3 + 1))
        gate_BGE = dselect(draw(100, 200, dtype=torch.float32) @ torch.cat([columns, columns], dim=1))
        assert (gate_BGE.mean(dim=0) - 1 / 8).abs().max() < 0.02, "every expert is chosen about alike at first"


@pytest.mark.parametrize("kind", ["softmax", "topk", "dselect_k"])
def test_a_bias_changes_nothing_at_first(kind):
    with torch.random.fork_rng(devices=[]):
        biased, plain = (Gates([range(4)] * 2, 4, GateSettings(kind=kind, bias=bias)).eval() for bias in (True, False))
    linear_BU = draw(9, sum(plain.units))
    assert biased.bias is not None
    assert plain.bias is None
    assert torch.equal(biased(linear_BU), plain(linear_BU))


def test_gates_that_cannot_be():
    assert Gates([(0, 1), ()], 2, GateSettings())(torch.ones(3, 2))[:, 1].tolist() == [[0.0, 0.0]] * 3  # nothing reads it
    with pytest.raises(InputError, match=r"top_k: 3 experts cannot be selected where a gate sees 2\. Choose 1 to 2\."):
        Gates([range(4), (0, 1)], 4, GateSettings(kind="dselect_k", k=3))
