"""Gates: the linear columns of a level -> one row of weights over the experts for each gate, every row summing to one.

Shape suffixes: B batch, G gates, E experts of the level, U linear columns, C experts that a gate sees, N selectors, K codes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, final

import torch
from torch import Tensor, nn

from manygate.errors import InputError, setting
from manygate.layers.units import Dropout, Noise, glorot


@dataclass(frozen=True)
class GateSettings:
    """How the gates of a scheme choose. The defaults are equation 8 of MMoE: a softmax without bias."""

    kind: Literal["softmax", "topk", "dselect_k"] = "softmax"
    bias: bool = False
    temperature: float = 1.0
    k: int = 2
    dropout: float = 0.0
    importance_weight: float = 0.0
    load_weight: float = 0.0
    entropy_weight: float = 0.0


class GateKind(nn.Module, ABC):
    """G gates that each see C experts. A class is abstract or final."""

    def __init__(self, gates: int, experts: int, settings: GateSettings):
        super().__init__()
        self.gates, self.experts, self.settings = gates, experts, settings

    @property
    @abstractmethod
    def units(self) -> int:
        """Linear columns of one gate."""

    @abstractmethod
    def initial(self, inputs: int) -> Tensor:
        """Initial weights of one gate's columns, (D, units)."""

    @abstractmethod
    def forward(self, linear_BGU: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """linear_BGU -> gate_BGC; the expected load load_GC and an entropy to be kept low, where the kind has them."""


@final
class Certain(GateKind):
    """A gate without a choice: of the one expert that it sees the weight is 1; seeing none (nothing reads it) it has no weights."""

    @property
    def units(self) -> int:
        return 0

    def initial(self, inputs: int) -> Tensor:
        return torch.empty(inputs, 0)

    def forward(self, linear_BGU: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        gate_BGC = nn.functional.pad(linear_BGU, (0, self.experts), value=1.0)
        return gate_BGC, gate_BGC.sum(dim=0) if self.training and self.settings.kind == "topk" else None, None


@final
class Softmax(GateKind):
    """g(x) = softmax(W x / temperature) (MMoE equation 8, where the temperature is 1)."""

    @property
    def units(self) -> int:
        return self.experts

    def initial(self, inputs: int) -> Tensor:
        return glorot(inputs, self.experts)

    def forward(self, linear_BGU: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        warmth = self.settings.temperature
        z_GCB = (linear_BGU if warmth == 1.0 else linear_BGU / warmth).permute(1, 2, 0).contiguous()
        return z_GCB.softmax(dim=1).permute(2, 0, 1).contiguous(), None, None  # over a short last axis softmax is 5 times slower


@final
class TopK(GateKind):
    """Noisy top-k gating: Shazeer et al., "Outrageously Large Neural Networks", ICLR 2017, equations 3 to 5 and appendix A.

    H(x)_i = (x W_g)_i + N(0, 1) softplus((x W_noise)_i),  G(x) = softmax(KeepTopK(H(x), k)).
    W_g and W_noise start at zero, so that all experts are alike at first; noise is drawn while training only. The temperature
    divides H. The first C columns are W_g, the others W_noise. With k = 1 the softmax is 1 whatever the logits, so that the gate
    learns through the load loss alone.
    """

    def __init__(self, gates: int, experts: int, settings: GateSettings):
        super().__init__(gates, experts, settings)
        self.noise = Noise((gates, experts), active=True)

    @property
    def units(self) -> int:
        return 2 * self.experts

    def initial(self, inputs: int) -> Tensor:
        return torch.zeros(inputs, self.units)

    def forward(self, linear_BGU: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        clean_BGC, raw_BGC = linear_BGU.split(self.experts, dim=-1)
        scale_BGC = nn.functional.softplus(raw_BGC)
        noisy_BGC = self.noise(clean_BGC, scale_BGC)
        top, index = noisy_BGC.topk(self.settings.k, dim=-1)
        kept_BGC = torch.full_like(noisy_BGC, -torch.inf).scatter(-1, index, top)
        load_GC = self._load(clean_BGC, noisy_BGC, scale_BGC).sum(dim=0) if self.training else None
        return (kept_BGC / self.settings.temperature).softmax(dim=-1), load_GC, None

    def _load(self, clean_BGC: Tensor, noisy_BGC: Tensor, scale_BGC: Tensor) -> Tensor:
        """P(x, i), equation 9: the chance that expert i is among the k when its own noise alone is drawn again."""
        k = self.settings.k
        if k == self.experts:
            return torch.ones_like(clean_BGC)
        best = noisy_BGC.topk(k + 1, dim=-1).values
        kth, next_ = best[..., k - 1 : k], best[..., k:]
        excluding = torch.where(noisy_BGC >= kth, next_, kth)
        return torch.special.ndtr((clean_BGC - excluding) / scale_BGC.clamp(min=1e-6))


@final
class DSelectK(GateKind):
    """DSelect-k: Hazimeh et al., "DSelect-k: Differentiable Selection in the Mixture of Experts", NeurIPS 2021.

    k selectors, each a row of m = ceil(log2 C) smooth-step bits that multiply out to weights over the 2^m codes, mixed by a
    softmax: q(x) = sum_i softmax(a(x))_i r(S(z_i(x))). The entropy of each selector, times ``entropy_weight``, drives the bits to
    0 or 1. The smooth step S is 0 below -1/2, 1 above 1/2 and -2 t^3 + 3/2 t + 1/2 between (the paper's gamma = 1).

    Departure: where C is no power of two, a code c >= C stands for expert c - C, so that weights sum to one exactly; the paper
    punishes such codes; the entropy is that of the folded weights, a mean over rows. The temperature divides the bits, not the
    selectors' softmax. The first k m columns are the bits', the last k (for k > 1) the selectors' softmax.
    """

    def __init__(self, gates: int, experts: int, settings: GateSettings):
        super().__init__(gates, experts, settings)
        self.bits = (experts - 1).bit_length()
        self.mixed = settings.k if settings.k > 1 else 0

    @property
    def units(self) -> int:
        return self.settings.k * self.bits + self.mixed

    def initial(self, inputs: int) -> Tensor:
        """Small bits, so that every expert is chosen about alike at first, and a Glorot softmax."""
        k, weight = self.settings.k, torch.empty(inputs, self.units)
        weight[:, : k * self.bits].uniform_(-0.01, 0.01)
        weight[:, k * self.bits :] = glorot(inputs, self.mixed)
        return weight

    def forward(self, linear_BGU: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        k = self.settings.k
        z_BGNb = linear_BGU[..., : k * self.bits].unflatten(-1, (k, self.bits)) if self.bits else None
        code_BGNK = linear_BGU.new_ones(*linear_BGU.shape[:-1], k, 1)
        if z_BGNb is not None:
            step_BGNb = smooth_step(z_BGNb / self.settings.temperature)
            for bit in range(self.bits):  # bit b of a code is its b-th digit, the lowest first
                on = step_BGNb[..., bit : bit + 1]
                code_BGNK = torch.cat([code_BGNK * (1 - on), code_BGNK * on], dim=-1)
        weight_BGN1 = (linear_BGU[..., -k:].softmax(dim=-1) if self.mixed else linear_BGU.new_ones(1)).unsqueeze(-1)
        select_BGNC = code_BGNK[..., : self.experts]
        beyond = code_BGNK[..., self.experts :]
        select_BGNC = select_BGNC + nn.functional.pad(beyond, (0, self.experts - beyond.shape[-1]))
        entropy = -torch.special.xlogy(select_BGNC, select_BGNC.clamp(min=1e-12)).sum(dim=-1).mean(dim=0).sum()
        return (weight_BGN1 * select_BGNC).sum(dim=-2), None, entropy


def smooth_step(t: Tensor) -> Tensor:
    """0 below -1/2, 1 above 1/2, a cubic between (DSelect-k, equation 4 with gamma = 1).

    >>> smooth_step(torch.tensor([-1.0, 0.0, 0.25, 1.0]))
    tensor([0.0000, 0.5000, 0.8438, 1.0000])
    """
    t = t.clamp(-0.5, 0.5)
    return -2 * t**3 + 1.5 * t + 0.5


KINDS: dict[str, type[GateKind]] = {"softmax": Softmax, "topk": TopK, "dselect_k": DSelectK}


class Gates(nn.Module):
    """G gates over the E experts of a level; gate g sees the experts ``sees[g]`` and gives all others exactly zero.

    A gate that sees none gives zeros and has no parameters: it stands for one whose mixture nothing would read.

    **Shape**: linear_BU -> gate_BGE. The columns of the gates lie one after the other. In ``penalty`` lies what the last forward
    pass adds to the loss: importance and load (Shazeer et al. 2017, equations 7 and 11), summed over the gates, so that every
    expert is used by some task while tasks may differ, and DSelect-k's entropy. CV^2 is the variance (over E, not E - 1) over the
    squared mean, among experts that a gate sees.

    Gate dropout (Zhao et al., "Recommending What Video to Watch Next", RecSys 2019): while training, a gate's weight of an expert
    is zeroed with a probability and the row renormalised; a row of which nothing would be left is kept as it was.
    """

    undecayed = ("bias",)
    penalty: Tensor | None

    def __init__(self, sees: Sequence[Sequence[int]], experts: int, settings: GateSettings):
        super().__init__()
        self.sees, self.experts, self.settings = tuple(tuple(seen) for seen in sees), experts, settings
        for seen in self.sees:
            if settings.kind != "softmax" and settings.k > len(seen) > 0:
                raise InputError(
                    f"{setting('top_k')}: {settings.k} experts cannot be selected where a gate "
                    f"sees {len(seen)}. Choose 1 to {len(seen)}."
                )
        runs = [(count, len(list(gates))) for count, gates in groupby(len(seen) for seen in self.sees)]
        self.kinds = nn.ModuleList(
            (KINDS[settings.kind] if count > 1 else Certain)(gates, count, settings) for count, gates in runs
        )
        self.bias = nn.Parameter(torch.zeros(sum(self.units))) if settings.bias and any(self.units) else None
        self.dropout = Dropout(settings.dropout, (len(self.sees), experts))
        self.everything = tuple(range(experts))
        self._sources: dict[torch.device, Tensor] = {}
        self.penalty = None

    @property
    def units(self) -> tuple[int, ...]:
        """Linear columns of each gate."""
        return tuple(kind.units for kind in self._kinds() for _ in range(kind.gates))

    @property
    def selects(self) -> bool:
        """True when most weights are exactly zero, so that experts may be left out at inference."""
        return self.settings.kind != "softmax"

    def _kinds(self) -> list[GateKind]:
        return [kind for kind in self.kinds if isinstance(kind, GateKind)]

    def initial(self, inputs: int) -> list[Tensor]:
        """Initial weights of each gate's columns, (D, units)."""
        return [kind.initial(inputs) for kind in self._kinds() for _ in range(kind.gates)]

    def forward(self, linear_BU: Tensor) -> Tensor:
        if self.bias is not None:
            linear_BU = linear_BU + self.bias
        if linear_BU.dtype in (torch.bfloat16, torch.float16):
            linear_BU = linear_BU.float()  # rows must sum to one
        parts, loads, entropies = [], [], []
        for kind, run_BU in zip(self._kinds(), linear_BU.split([k.gates * k.units for k in self._kinds()], dim=-1), strict=True):
            gate_BGC, load_GC, entropy = kind(run_BU.unflatten(-1, (kind.gates, kind.units)))
            parts.append(gate_BGC)
            loads.append(load_GC)
            entropies.append(entropy)
        gate_BGE = self._dropped(self._placed(parts))
        self.penalty = self._balance(gate_BGE, loads, entropies) if self.training else None
        return gate_BGE

    def _placed(self, parts: list[Tensor]) -> Tensor:
        """Each gate's weights at the places of the experts that it sees."""
        if all(seen == self.everything for seen in self.sees):
            return parts[0]
        *others, last_BC = (part.flatten(1) for part in parts)
        flat_BP = torch.cat([*others, nn.functional.pad(last_BC, (0, 1))], dim=-1)
        return flat_BP.index_select(-1, self._source_indices(flat_BP.device)).unflatten(-1, (len(self.sees), self.experts))

    def _source_indices(self, device: torch.device) -> Tensor:
        if device not in self._sources:
            nothing, start, sources = sum(map(len, self.sees)), 0, []
            for seen in self.sees:
                sources += [start + seen.index(e) if e in seen else nothing for e in self.everything]
                start += len(seen)
            with torch.inference_mode(False):  # kept for training, too
                self._sources[device] = torch.tensor(sources, device=device)
        return self._sources[device]

    def _dropped(self, gate_BGE: Tensor) -> Tensor:
        kept_BGE = self.dropout(gate_BGE)
        if kept_BGE is gate_BGE:
            return gate_BGE
        total_BG1 = kept_BGE.sum(dim=-1, keepdim=True)
        return torch.where(total_BG1 > 0, kept_BGE / total_BG1.where(total_BG1 > 0, 1.0), gate_BGE)

    def _balance(self, gate_BGE: Tensor, loads: list[Tensor | None], entropies: list[Tensor | None]) -> Tensor | None:
        settings, terms = self.settings, []
        if settings.importance_weight:
            terms.append(settings.importance_weight * variation(gate_BGE.sum(dim=(0, 1))))
        known = [load for load in loads if load is not None]
        if settings.load_weight and known:
            flat = torch.cat([load.flatten() for load in known] + [known[0].new_zeros(1)])
            load_GE = flat.index_select(0, self._source_indices(flat.device)).unflatten(0, (len(self.sees), self.experts))
            terms.append(settings.load_weight * variation(load_GE.sum(dim=0)))
        if settings.entropy_weight:
            terms += [settings.entropy_weight * entropy for entropy in entropies if entropy is not None]
        return torch.stack(terms).sum() if terms else None


def variation(value_E: Tensor) -> Tensor:
    """The squared coefficient of variation: variance (over E) divided by the squared mean.

    >>> variation(torch.tensor([1.0, 3.0]))
    tensor(0.2500)
    """
    return value_E.var(correction=0) / value_E.mean().square().clamp(min=1e-12)
