"""Tensor-Factorization: Yang & Hospedales, "Deep Multi-task Representation Learning: A Tensor Factorisation Approach", ICLR
2017."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self, final

import torch
from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs
from manygate.architecture.shared_bottom import bottom_widths
from manygate.config import ModelConfig
from manygate.errors import InputError, setting
from manygate.layers.units import Dropout

Init = Literal["balanced", "naive"]


class Tucker(nn.Module):
    """A dense layer for each of T tasks, whose weights are one Tucker-factorised tensor (MMoE section 6.2):

    W[a,b,t] = sum_{ijk} S[i,j,k] U1[a,i] U2[b,j] U3[t,k], with S of r1 x r2 x r3, U1 of m x r1, U2 of n x r2, U3 of T x r3.

    W itself is never formed: x goes through U1, then S and U3, then U2. With ``init="balanced"`` the four factors are drawn so that
    the variance of W is Glorot's, 2 / (m + n). With ``init="naive"`` each factor has Glorot's variance for its own shape, as
    TensorFlow gives it to a variable, and the variance of W is far smaller (:func:`naive_variances`). :meth:`decompose` starts from
    given weights.

    **Shape**: x_Bm or x_BTm -> y_BTn.

    >>> Tucker(inputs=10, outputs=6, tasks=3, ranks=(4, 5, 2))(torch.zeros(7, 10)).shape
    torch.Size([7, 3, 6])
    """

    undecayed = ("bias",)

    def __init__(self, inputs: int, outputs: int, tasks: int, ranks: tuple[int, int, int], init: Init = "balanced"):
        super().__init__()
        limits = {"r1": (ranks[0], inputs, "inputs"), "r2": (ranks[1], outputs, "outputs"), "r3": (ranks[2], tasks, "tasks")}
        for name, (rank, limit, what) in limits.items():
            if not min(1, limit) <= rank <= limit:
                raise InputError(f"{setting('tucker_ranks')}: {name} is {rank} for a layer of {limit} {what}. Choose 1 to {limit}.")
        r1, r2, r3 = ranks
        self.core = nn.Parameter(torch.empty(r1, r2, r3).normal_(0.0, (2 / (inputs + outputs)) ** 0.5))
        self.first = nn.Parameter(torch.empty(inputs, r1).normal_(0.0, max(r1, 1) ** -0.5))
        self.second = nn.Parameter(torch.empty(outputs, r2).normal_(0.0, r2**-0.5))
        self.third = nn.Parameter(torch.empty(tasks, r3).normal_(0.0, r3**-0.5))
        self.bias = nn.Parameter(torch.zeros(tasks, outputs))
        if init == "naive":
            factors = (self.core, self.first, self.second, self.third)
            for factor, variance in zip(factors, naive_variances(inputs, outputs, tasks, ranks), strict=True):
                nn.init.normal_(factor, 0.0, variance**0.5)

    def forward(self, x: Tensor) -> Tensor:
        task_Tij = (self.core @ self.third.t()).movedim(-1, 0)
        x_TBm = x if x.ndim == 2 else x.transpose(0, 1)  # rows within tasks: among replicas a factor is copied for each outer index
        y_TBn = x_TBm @ self.first @ task_Tij @ self.second.t()
        return y_TBn.transpose(0, 1) + self.bias

    def weight(self) -> Tensor:
        """W as (T, m, n); for tests and for reading."""
        return torch.einsum("ijk,ai,bj,tk->tab", self.core, self.first, self.second, self.third)

    @torch.no_grad()
    def decompose(self, weight_Tmn: Tensor) -> None:
        """Take the factors from given weights by the higher-order SVD (De Lathauwer et al. 2000): exact at full rank."""
        w_mnT = weight_Tmn.movedim(0, -1)
        factors = []
        for mode, factor in enumerate((self.first, self.second, self.third)):
            unfolded = w_mnT.movedim(mode, 0).flatten(1)
            u, _, _ = torch.linalg.svd(unfolded, full_matrices=unfolded.shape[0] > unfolded.shape[1])
            factor.copy_(u[:, : factor.shape[1]])
            factors.append(factor)
        self.core.copy_(torch.einsum("abt,ai,bj,tk->ijk", w_mnT, *factors))


def naive_variances(inputs: int, outputs: int, tasks: int, ranks: tuple[int, int, int]) -> tuple[float, float, float, float]:
    """Return the variances of S, U1, U2 and U3 if each is drawn as a weight of its own by Glorot's rule, 2 / (fan in + fan out).

    The fans of S are those that TensorFlow gives a tensor of three axes: r1 r2 and r1 r3. The variance of a weight of the layer is
    r1 r2 r3 times the product of the four.

    >>> import math
    >>> variances = naive_variances(1000, 256, 2, (8, 8, 2))
    >>> f"{8 * 8 * 2 * math.prod(variances):.1e}, and Glorot's is {2 / 1256:.1e}"
    "2.4e-05, and Glorot's is 1.6e-03"
    """
    r1, r2, r3 = ranks
    return 2 / max(r1 * (r2 + r3), 1), 2 / (inputs + r1), 2 / (outputs + r2), 2 / (tasks + r3)


@final
class TensorFactorization(Architecture):
    """A network for each task, every layer of which is a :class:`Tucker` layer: y_k = h_k(f_k(x)).

    What is shared and what is a task's own is learned: U1 and U2 are shared, U3 tells tasks apart. ``ranks`` (r1, r2, r3), by
    default (min(m, n), n, T) of each layer; a given rank is cut to what a layer allows in the layers above the first.
    Departures: embedding tables and biases are not factorised, towers are plain. The MMoE paper does not say how it draws the
    factors; ``init`` has a balanced and a naive way.

    **Shape**: x_BD -> h_BTH.

    >>> import torch
    >>> TensorFactorization(inputs=100, tasks=2, hidden=(16, 8), ranks=(10, 16, 2))(torch.zeros(4, 100)).shape
    torch.Size([4, 2, 8])
    """

    widths: ClassVar[str] = "bottom_hidden"

    def __init__(
        self,
        inputs: int,
        tasks: int,
        hidden: Sequence[int],
        ranks: Sequence[int] | None = None,
        dropout: float = 0.0,
        init: Init = "balanced",
    ):
        super().__init__()
        if ranks is not None and len(ranks) != 3:
            raise InputError(f"{setting('tucker_ranks')}: three ranks, of inputs, outputs and tasks; found {list(ranks)}.")
        self.output_width = hidden[-1]
        self.layers, self.dropouts = nn.ModuleList(), nn.ModuleList()
        for j, width in enumerate(hidden):
            below = hidden[j - 1] if j else inputs
            chosen = tuple(ranks) if ranks is not None else (min(below, width), width, tasks)
            if j:
                chosen = (min(chosen[0], below), min(chosen[1], width), chosen[2])
            self.layers.append(Tucker(below, width, tasks, (chosen[0], chosen[1], chosen[2]), init))
            self.dropouts.append(Dropout(dropout, (tasks, width)))

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        hidden = bottom_widths(inputs, tasks, config)
        return cls(inputs.width, tasks, hidden, config.tucker_ranks, config.dropout, config.tucker_init)

    def forward(self, x: Tensor) -> Tensor:
        for layer, dropout in zip(self.layers, self.dropouts, strict=True):
            x = dropout(layer(x).relu())
        return x

    def shared_above(self) -> list[nn.Parameter]:
        """The factors S, U1 and U2 of each layer. The rows of U3 and the biases are a task's own."""
        layers = [layer for layer in self.layers if isinstance(layer, Tucker)]
        return [factor for layer in layers for factor in (layer.core, layer.first, layer.second)]

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.parameters())
