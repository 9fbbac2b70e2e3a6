"""Hidden units, dropout, noise and normalisation of networks that lie side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from manygate.kernels.onednn import hidden_and_linear
from manygate.randomness import keep_mask, normal_noise


def glorot(*shape: int, generator: torch.Generator | None = None) -> Tensor:
    """Glorot-uniform values for a stack of matrices (..., fan in, fan out): each matrix has its own fans.

    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010, equation 16.
    Initialising the whole stack as one tensor would make every weight sqrt(H) or so too small.
    """
    bound = (6.0 / (shape[-2] + shape[-1])) ** 0.5
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


class Drawn(nn.Module):
    """A module that draws random numbers for every row while training; they come from outside as the buffer ``drawn``.

    So each replica draws from a stream of its own; see :mod:`manygate.randomness`. ``shape`` is that of one row's numbers; a module
    that
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

    undecayed = ("gain", "bias")

    def __init__(self, units: int, width: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(units, width))
        self.bias = nn.Parameter(torch.zeros(units, width))

    def forward(self, x_BNH: Tensor) -> Tensor:
        return F.silu(F.layer_norm(x_BNH, x_BNH.shape[-1:]) * self.gain + self.bias)

    def forward_unit(self, n: int, x_BH: Tensor) -> Tensor:
        """What becomes of the output of unit n alone."""
        return F.silu(F.layer_norm(x_BH, x_BH.shape[-1:]) * self.gain[n] + self.bias[n])


class Units(nn.Module):
    """N MLPs side by side, each reading its own input, or all the same: one product per layer, ReLU after each.

    With ``norm`` the last layer ends in :class:`Norm` and not in ReLU.

    **Shape**: x_BNH, or x_B1H that all N read -> y_BNK, with K the last width (without any layer, x itself).
    """

    undecayed = ("biases",)

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

    def forward_unit(self, n: int, x_BH: Tensor) -> Tensor:
        """MLP n alone, without dropout."""
        for index, (weight_NHK, bias_N1K) in enumerate(zip(self.weights, self.biases, strict=True)):
            x_BH = torch.addmm(bias_N1K[n], x_BH, weight_NHK[n])
            last = index == len(self.weights) - 1
            x_BH = self.norm.forward_unit(n, x_BH) if last and self.norm is not None else x_BH.relu()
        return x_BH
