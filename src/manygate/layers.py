"""What the sharing schemes are built from, stacked so that all experts and gates of a level are one matrix product.

Shape suffixes: B batch, D input, S inputs side by side, E experts, U linear columns beside them, N units side by side, H hidden,
G gates. Everything is written for one model and one batch; :class:`manygate.model.MultiTaskModel` runs it for many replicas at
once.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manygate.noise import keep_mask, normal_noise
from manygate.product import hidden_and_linear, members_first, side_by_side


def glorot(*shape: int, generator: torch.Generator | None = None) -> Tensor:
    """Glorot-uniform values for a stack of matrices (..., fan in, fan out): each matrix has its own fans.

    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010, equation 16.
    Initialising the whole stack as one tensor would make every weight sqrt(H) or so too small.
    """
    bound = (6.0 / (shape[-2] + shape[-1])) ** 0.5
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


class Drawn(nn.Module):
    """A module that draws random numbers for every row while training; they come from outside as the buffer ``drawn``.

    So each replica draws from a stream of its own; see :mod:`manygate.noise`. ``shape`` is that of one row's numbers; a module that
    needs none has ``active`` false.
    """

    drawn: Tensor

    def __init__(self, shape: Sequence[int], active: bool):
        super().__init__()
        self.shape, self.active = tuple(shape), active
        self.register_buffer("drawn", torch.empty(0), persistent=False)

    def draw(self, rows: int, key: tuple[int, ...], device: torch.device) -> Tensor:
        raise NotImplementedError


class Dropout(Drawn):
    """Inverted dropout: while training, ``drawn`` (B, \\*shape) holds 0 or 1 / (1 - rate). Srivastava et al., JMLR 2014.

    Every hidden layer's units pass through one, whatever the rate: there :mod:`manygate.inspection` looks at them.
    """

    def __init__(self, rate: float, shape: Sequence[int]):
        super().__init__(shape, active=rate > 0)
        self.rate = rate

    def draw(self, rows: int, key: tuple[int, ...], device: torch.device) -> Tensor:
        return keep_mask(self.rate, (rows, *self.shape), key, device)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.drawn if self.training and self.active else x


class Noise(Drawn):
    """Standard normal noise: x + scale * drawn while training, and x when not."""

    def draw(self, rows: int, key: tuple[int, ...], device: torch.device) -> Tensor:
        return normal_noise((rows, *self.shape), key, device)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return x + scale * self.drawn if self.training and self.active else x


class Norm(nn.Module):
    """Each unit's own gain and shift after normalising an expert's output over its units, then Swish.

    HoME (Wang et al., KDD 2025) normalises experts, with Swish for ReLU, so that their outputs have one scale and few dead units.
    Departure: HoME normalises over the batch; here a row's output must not depend on its batch-mates (Ba et al. 2016).

    **Shape**: x_BNH -> y_BNH.
    """

    def __init__(self, units: int, width: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(units, width))
        self.bias = nn.Parameter(torch.zeros(units, width))

    def forward(self, x_BNH: Tensor) -> Tensor:
        return F.silu(F.layer_norm(x_BNH, x_BNH.shape[-1:]) * self.gain + self.bias)

    def one(self, n: int, x_BH: Tensor) -> Tensor:
        """What becomes of the output of unit n alone."""
        return F.silu(F.layer_norm(x_BH, x_BH.shape[-1:]) * self.gain[n] + self.bias[n])


class Units(nn.Module):
    """N MLPs side by side, each reading its own input, or all the same: one product per layer, ReLU after each.

    With ``norm`` the last layer ends in :class:`Norm` and not in ReLU.

    **Shape**: x_BNH, or x_B1H that all N read -> y_BNK, with K the last width (without any layer, x itself).
    """

    def __init__(self, units: int, inputs: int, hidden: Sequence[int], dropout: float = 0.0, norm: bool = False):
        super().__init__()
        widths = [inputs, *hidden]
        shapes = list(zip(widths[:-1], widths[1:], strict=True))
        self.weights = nn.ParameterList(nn.Parameter(glorot(units, fan_in, fan_out)) for fan_in, fan_out in shapes)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(units, 1, fan_out)) for _, fan_out in shapes)
        self.dropouts = nn.ModuleList(Dropout(dropout, (units, fan_out)) for _, fan_out in shapes)
        self.norm = Norm(units, widths[-1]) if norm and hidden else None

    def forward(self, x_BNH: Tensor) -> Tensor:
        for weight_NHK, bias_N1K, dropout in zip(self.weights, self.biases, self.dropouts, strict=True):
            if x_BNH.shape[1] == 1 and self.norm is None:  # all N matrices side by side are one
                y_BN, _ = hidden_and_linear(x_BNH.squeeze(1), weight_NHK.transpose(0, 1).flatten(1), bias_N1K.flatten())
                x_BNH = dropout(y_BN.unflatten(-1, bias_N1K.shape[::2]))
                continue
            y_BNK = (x_BNH.transpose(0, 1) @ weight_NHK + bias_N1K).transpose(0, 1)
            last = weight_NHK is self.weights[-1]
            x_BNH = dropout(self.norm(y_BNK) if last and self.norm is not None else y_BNK.relu())
        return x_BNH

    def one(self, n: int, x_BH: Tensor) -> Tensor:
        """MLP n alone, without dropout."""
        for index, (weight_NHK, bias_N1K) in enumerate(zip(self.weights, self.biases, strict=True)):
            x_BH = torch.addmm(bias_N1K[n], x_BH, weight_NHK[n])
            last = index == len(self.weights) - 1
            x_BH = self.norm.one(n, x_BH) if last and self.norm is not None else x_BH.relu()
        return x_BH


class Experts(nn.Module):
    """E expert networks, and U linear columns (of the gates) beside them, all reading x.

    The first layer of all experts and all linear columns are one matrix product, ``x_BD @ [W_experts | W_linear]``; deeper layers
    are one batched product. Experts are MLPs with ReLU after every layer, the last one included (MMoE section 4.2: "identical
    multilayer perceptrons with ReLU activations"); with ``norm`` the last ends in :class:`Norm` instead. ``linear`` holds the
    initial values of the columns, (D, U), or (S, D, U) for S > 1.

    With ``inputs_side_by_side`` S > 1 there are S inputs, each with E experts and U columns of its own, stacked.

    **Shape**: x_BD -> expert_BEH, linear_BU; for S > 1, x_BSD -> expert_B(SE)H, linear_B(SU).

    >>> experts = Experts(inputs=100, experts=8, hidden=(16,), linear=glorot(100, 16))
    >>> expert_BEH, linear_BU = experts(torch.zeros(4, 100))
    >>> expert_BEH.shape, linear_BU.shape, sum(p.numel() for p in experts.parameters())
    (torch.Size([4, 8, 16]), torch.Size([4, 16]), 14528)
    """

    def __init__(
        self,
        inputs: int,
        experts: int,
        hidden: Sequence[int],
        linear: Tensor | None = None,
        inputs_side_by_side: int = 1,
        dropout: float = 0.0,
        norm: bool = False,
    ):
        super().__init__()
        self.experts, self.hidden, self.side_by_side = experts, tuple(hidden), inputs_side_by_side
        total, self.first_units = inputs_side_by_side * experts, experts * hidden[0]
        columns = 0 if linear is None else linear.shape[-1]
        weight = torch.empty(inputs_side_by_side, inputs, self.first_units + columns)  # torch.cat on meta loads sympy, 2 s
        for s in range(inputs_side_by_side if experts else 0):
            weight[s, :, : self.first_units] = glorot(experts, inputs, hidden[0]).transpose(0, 1).flatten(1)
        if linear is not None:
            weight[:, :, self.first_units :] = linear
        bias = torch.zeros(inputs_side_by_side, self.first_units)
        single = inputs_side_by_side == 1
        self.weight = nn.Parameter(weight[0] if single else weight)
        self.bias = nn.Parameter(bias[0] if single else bias) if experts else None
        self.dropout = Dropout(dropout if experts else 0.0, (total, hidden[0]))
        self.norm = Norm(total, hidden[0]) if norm and experts and len(hidden) == 1 else None
        self.deeper = Units(total, hidden[0], hidden[1:] if experts else (), dropout=dropout, norm=norm)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.norm is not None:
            first_BN, linear_BU = self._unbounded(x)
        elif self.side_by_side > 1 or self.bias is None:
            first_BN, linear_BU = side_by_side(x if x.ndim == 3 else x.unsqueeze(1), [self.layer()])
        else:
            first_BN, linear_BU = hidden_and_linear(x, self.weight, self.bias)
        return self.rest(first_BN), linear_BU

    def layer(self) -> tuple[Tensor, Tensor]:
        """The first layer's weight (S, D, N) and bias (S, H)."""
        weight_SDN = self.weight.unsqueeze(0) if self.side_by_side == 1 else self.weight
        if self.bias is None:
            return weight_SDN, weight_SDN.new_empty(self.side_by_side, 0)
        return weight_SDN, self.bias.unsqueeze(0) if self.side_by_side == 1 else self.bias

    def rest(self, first_BN: Tensor) -> Tensor:
        """What follows the first layer: normalisation, dropout and the deeper layers, expert_BEH."""
        first_BEH = first_BN.unflatten(-1, (self.side_by_side * self.experts, self.hidden[0]))
        expert_BEH: Tensor = self.deeper(self.dropout(first_BEH if self.norm is None else self.norm(first_BEH)))
        return expert_BEH

    def _unbounded(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer without ReLU."""
        weight_SDN, bias_SH = self.layer()
        x_SBD = (x if x.ndim == 3 else x.unsqueeze(1)).transpose(0, 1)
        first_SBH, linear_SBU = (x_SBD @ weight_SDN).split([self.first_units, weight_SDN.shape[-1] - self.first_units], dim=-1)
        return (first_SBH + bias_SH.unsqueeze(1)).transpose(0, 1).flatten(1), linear_SBU.transpose(0, 1).flatten(1)

    def linear(self, x: Tensor) -> Tensor:
        """The linear columns alone, linear_BU."""
        columns = self.weight[..., self.first_units :]
        return x @ columns if self.side_by_side == 1 else (x.transpose(0, 1) @ columns).transpose(0, 1).flatten(1)

    def expert_weights(self) -> int:
        """Weights of all experts' matrices: what a row that runs through all of them is multiplied by."""
        first = self.side_by_side * self.first_units * self.weight.shape[-2]
        return first + sum(weight.numel() for weight in self.deeper.weights)

    def one(self, e: int, x_BD: Tensor) -> Tensor:
        """Expert e alone, without dropout: x_BD -> y_BH. Only for one input (S = 1)."""
        assert self.bias is not None
        columns = slice(e * self.hidden[0], (e + 1) * self.hidden[0])
        first_BH = torch.addmm(self.bias[columns], x_BD, self.weight[:, columns])
        return self.deeper.one(e, first_BH.relu() if self.norm is None else self.norm.one(e, first_BH))


def mix(gate_BGE: Tensor, expert_BEH: Tensor) -> Tensor:
    """Sum of the experts weighted by each gate (MMoE equation 7): h_BGH."""
    device = expert_BEH.device.type
    if device == "meta" or torch.is_autocast_enabled(device) or torch.compiler.is_compiling():
        return gate_BGE @ expert_BEH
    h_BGH: Tensor = _Mix.apply(gate_BGE, expert_BEH)
    return h_BGH


FEW_GATES, MANY_NUMBERS = 4, 2**18
"""For so few gates and so many numbers the experts' gradient is quicker as a sum of G outer products than as a batch of tiny
matrix products."""


class _Mix(torch.autograd.Function):
    """gate (..., G, E) @ expert (..., E, H)."""

    @staticmethod
    def forward(gate: Tensor, expert: Tensor) -> Tensor:
        return weighted_sums(gate, expert)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, h_gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        gate, expert = ctx.saved_tensors
        expert_gradient = None
        if ctx.needs_input_grad[1] and (expert.numel() < MANY_NUMBERS or gate.shape[-2] > FEW_GATES):
            expert_gradient = gate.mT @ h_gradient
        elif ctx.needs_input_grad[1]:
            expert_gradient = gate[..., 0, :, None] * h_gradient[..., 0, None, :]
            for g in range(1, gate.shape[-2]):
                expert_gradient.addcmul_(gate[..., g, :, None], h_gradient[..., g, None, :])
        return h_gradient @ expert.mT if ctx.needs_input_grad[0] else None, expert_gradient

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Tensor) -> tuple[Tensor, int]:
        return _Mix.apply(*members_first(info, in_dims, inputs)), 0


def weighted_sums(gate: Tensor, expert: Tensor) -> Tensor:
    """gate (..., G, E) @ expert (..., E, H), as bags of embeddings where that is quicker.

    A batch of products of 2 x 8 by 8 x 16 numbers runs at some 3 GFLOP/s. To FBGEMM, which PyTorch has on x86, the experts' outputs
    are a table, and a gate's mixture a bag of E of its rows with weights: four times faster.

    >>> weighted_sums(torch.tensor([[0.25, 0.75]]), torch.tensor([[4.0, 8.0], [0.0, 4.0]]))
    tensor([[1., 5.]])
    """
    suits = X86 and gate.device.type == "cpu" and gate.dtype == expert.dtype == torch.float32
    if not (suits and gate.numel() and gate.shape[:-2] == expert.shape[:-2]):
        return gate @ expert
    index, start = _bags(expert.shape[:-2].numel(), *gate.shape[-2:])
    table = expert.reshape(-1, expert.shape[-1])
    return F.embedding_bag(index, table, start, mode="sum", per_sample_weights=gate.reshape(-1)).view(*gate.shape[:-1], -1)


X86 = platform.machine().lower() in ("x86_64", "amd64")
_known_bags: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}


def _bags(rows: int, gates: int, experts: int) -> tuple[Tensor, Tensor]:
    """Which rows of the table each bag holds, and where each bag starts: those of fewer rows are the beginning of more."""
    index, start = _known_bags.get((gates, experts), (torch.empty(0), torch.empty(0)))
    if len(start) < rows * gates:
        with torch.inference_mode(False):  # kept for training, too
            row_BE = torch.arange(rows * experts, dtype=torch.int32).view(rows, 1, experts)
            index = row_BE.expand(rows, gates, experts).flatten()
            start = torch.arange(0, rows * gates * experts, experts, dtype=torch.int32)
        _known_bags[gates, experts] = index, start
    return index[: rows * gates * experts], start[: rows * gates]
