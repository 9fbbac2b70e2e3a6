"""This module detects dead units, dead towers and experts that are alike.

Shape suffixes: B rows of a batch, N rows, E networks side by side, H units, T tasks.

Wang et al., "HoME: Hierarchy of Multi-Gate Experts for Multi-Task Learning at Kuaishou", KDD 2025: some experts had
more than 90 % of their ReLU outputs at zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from manygate.inspection.thresholds import CONSTANT_LOGIT, MOSTLY_ZERO
from manygate.results.inspection import DeadTower, Likeness, NetworkUnits


class Zeros:
    """Counts, over batches, the rows on which each unit of a layer is zero."""

    def __init__(self) -> None:
        self.rows = 0
        self.count_EH: Tensor | float = 0.0

    def add(self, hidden_BEH: Tensor) -> None:
        self.rows += len(hidden_BEH)
        self.count_EH = self.count_EH + (hidden_BEH == 0).sum(dim=0)

    def share(self) -> np.ndarray:
        """Share of rows on which each unit is zero, (E, H)."""
        assert isinstance(self.count_EH, Tensor)
        share_EH: np.ndarray = self.count_EH.double().cpu().numpy() / self.rows
        return share_EH


def unit_report(zero_EH: np.ndarray, names: Sequence[str]) -> list[NetworkUnits]:
    """Report each network of a layer: {name, units, dead, mostly_zero, zeros}.

    ``dead`` is the share of units that are zero on every row, ``mostly_zero`` the share of units that are zero on more than 90 % of
    the rows, and ``zeros`` the share of all outputs that are zero.

    >>> unit_report(np.array([[1.0, 0.5, 0.95, 0.0]]), ["expert 1"])[0].dead
    0.25
    """
    return [
        NetworkUnits(
            name=name,
            units=len(zero_H),
            dead=float((zero_H == 1).mean()),
            mostly_zero=float((zero_H > MOSTLY_ZERO).mean()),
            zeros=float(zero_H.mean()),
        )
        for name, zero_H in zip(names, zero_EH, strict=True)
    ]


def dead_towers(logit_NT: np.ndarray, tower_layers: Sequence[np.ndarray], tasks: Sequence[str]) -> list[DeadTower]:
    """List the tasks with a dead tower: all units of a hidden layer are dead, or the logit is the same on every row.

    ``tower_layers`` holds, for each hidden layer, the share of rows on which each unit is zero, (T, H).
    """
    towers = []
    for t, task in enumerate(tasks):
        logit_N = logit_NT[:, t].astype(np.float64)
        layers = [index + 1 for index, zero_TH in enumerate(tower_layers) if (zero_TH[t] == 1).all()]
        constant = float(np.ptp(logit_N)) <= CONSTANT_LOGIT * (1 + float(np.abs(logit_N).max()))
        if layers or constant:
            dead_layer = f"every unit of its hidden layer {layers[0]} is zero on every row" if layers else ""
            why = dead_layer or "its logit is the same on every row"
            towers.append(DeadTower(task=task, logit=float(logit_N.mean()), why=why))
    return towers


@torch.no_grad()
def likeness(expert_NEH: Tensor) -> Likeness:
    """Compare the outputs of each pair of experts of a level, by linear CKA and by the cosine of the flattened outputs.

    Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019: CKA(X, Y) = |Y'X|^2 / (|X'X| |Y'Y|) of
    centred outputs. A rotation or a scaling does not change it. The cosine sums x . y over rows without centring, and is 1 only if
    one expert is a positive multiple of the other. A cosine is null if all outputs of an expert are zero; a CKA is null if the
    outputs of an expert are constant. ``scale`` is the root mean square of each expert's outputs; HoME reports experts of very
    different scales.
    """
    rows, experts, width = expert_NEH.shape
    scale_E = expert_NEH.double().square().mean(dim=(0, 2)).sqrt()
    x_NEH = expert_NEH / scale_E.clamp(min=1e-30).float().unsqueeze(1)
    flat_EF = x_NEH.transpose(0, 1).flatten(1)
    cosine_EE = flat_EF @ flat_EF.T / (rows * width)
    centred_NEH = x_NEH - x_NEH.mean(dim=0)
    centred_NF = centred_NEH.flatten(1)
    product_EE = torch.stack(
        [(expert_NH.T @ centred_NF).unflatten(1, (experts, width)).square().sum(dim=(0, 2)) for expert_NH in centred_NEH.unbind(1)]
    )
    norm_E = product_EE.diagonal()
    cka_EE = product_EE / (norm_E.unsqueeze(1) * norm_E).sqrt().clamp(min=1e-30)
    zero_E, constant_E = scale_E == 0, norm_E <= (1e-6 * rows) ** 2
    return Likeness(cka=_pairs(cka_EE, constant_E), cosine=_pairs(cosine_EE, zero_E), scale=scale_E.tolist())


def _pairs(value_EE: Tensor, undefined_E: Tensor) -> list[list[float | None]]:
    bad = undefined_E.tolist()
    return [
        [None if bad[a] or bad[b] else min(max(value, -1.0), 1.0) for b, value in enumerate(row)]
        for a, row in enumerate(value_EE.tolist())
    ]
