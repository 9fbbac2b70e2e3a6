"""One level of experts and gates: what OMoE, MMoE, CGC, PLE, ML-MMoE, AdaTT and STEM are made of.

Shape suffixes: B batch, D input, S inputs (one for each group of experts), F gate input, E experts of the level, G gates, U linear
columns, H width of an expert's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn

from manygate.errors import InputError
from manygate.kernels.onednn import side_by_side
from manygate.kernels.without_sympy import beside, stacked
from manygate.layers.experts import Experts
from manygate.layers.gate import Gates, GateSettings

WORTH_SELECTING = 2**23
"""Multiplications to be spared by each expert, on average, for which picking rows out pays."""


class Group(NamedTuple):
    """Experts that read the same input: how many, and their hidden widths."""

    experts: int
    hidden: tuple[int, ...]


@dataclass(frozen=True)
class MixtureSettings:
    """What every scheme with experts and gates can be given: how gates choose, what they read, dropout and norms of experts.

    ``gate_columns`` are the columns of x that the gates read; without any they read what the experts read.
    """

    gate: GateSettings = GateSettings()
    gate_columns: tuple[int, ...] = ()
    dropout: float = 0.0
    norm: bool = False


PLAIN = MixtureSettings()
"""Softmax gates (MMoE equation 8) that read what the experts read, no dropout, ReLU."""


class Mixture(nn.Module):
    """Groups of experts, and gates over all or some of them.

    ``sees[g]`` lists the experts that gate g mixes; experts are numbered in the order of their groups. The groups all read x_BD,
    or, with ``own_inputs``, group s reads x_BSD[:, s], and gate g reads what group g reads. With ``gate_inputs`` F the gates read
    something else, gate_BF, given beside x; F is the number of ``gate_columns`` where the settings have any. With
    ``own_gate_inputs`` gate g reads gate_BGF[:, g]; all gates then see equally many experts.

    All experts of the same widths and all gates that read the same x are one matrix product; groups that read their own x are
    stacked where they are alike. With gates that select few experts, only the rows that selected an expert run through it at
    inference; ``dense`` forbids that.

    **Shape**: x_BD or x_BSD -> expert_BEH, gate_BGE; what the gates do not see or select is exactly 0 in gate_BGE.

    >>> level = Mixture(10, [Group(2, (6,)), Group(3, (6,))], sees=[(0, 1), range(5)])
    >>> expert_BEH, gate_BGE = level(torch.zeros(4, 10))
    >>> expert_BEH.shape, gate_BGE.shape, gate_BGE[0, 0].tolist()
    (torch.Size([4, 5, 6]), torch.Size([4, 2, 5]), [0.5, 0.5, 0.0, 0.0, 0.0])
    """

    watched = False
    """True while :mod:`manygate.inspection` looks at the units: all experts then run on all rows, each bank by itself."""

    def __init__(
        self,
        inputs: int,
        groups: Sequence[Group],
        sees: Sequence[Sequence[int]],
        settings: MixtureSettings = PLAIN,
        own_inputs: bool = False,
        gate_inputs: int | None = None,
        dense: bool = False,
        own_gate_inputs: bool = False,
    ):
        super().__init__()
        gate_inputs = gate_inputs or len(settings.gate_columns) or None
        self.experts, self.own_inputs, self.dense = sum(group.experts for group in groups), own_inputs, dense
        widths = {group.hidden[-1] for group in groups if group.experts}
        if not widths:
            raise InputError("a level has no expert. Give it at least one, shared or a task's own.")
        if len(widths) != 1:
            raise InputError(f"experts of one level must end in the same width, since gates add them up; found {sorted(widths)}.")
        self.output_width = widths.pop()
        self.gates = Gates(sees, self.experts, settings.gate)
        columns = self.gates.initial(gate_inputs or inputs)
        join = stacked if own_gate_inputs else beside
        self.gate_weight = nn.Parameter(join(columns)) if gate_inputs is not None else None
        linear: list[list[Tensor]] = [[] for _ in groups]
        if gate_inputs is None and own_inputs:
            linear = [columns[g : g + 1] for g in range(len(groups))]
        elif gate_inputs is None:
            linear[0] = columns
        self.banks = nn.ModuleList()
        self.readers: list[list[int]] = []
        for run in self._runs(groups, linear):
            first, gates = groups[run[0]], [beside(linear[g]) for g in run if linear[g]]
            count = first.experts if own_inputs else sum(groups[g].experts for g in run)
            if count or any(value.shape[-1] for value in gates):
                self.banks.append(
                    Experts(
                        inputs,
                        count,
                        first.hidden if count else (self.output_width,),
                        (stacked(gates) if own_inputs else gates[0]) if gates else None,
                        inputs_side_by_side=len(run) if own_inputs else 1,
                        dropout=settings.dropout,
                        norm=settings.norm,
                    )
                )
                self.readers.append(run)

    def _runs(self, groups: Sequence[Group], linear: Sequence[Sequence[Tensor]]) -> list[list[int]]:
        """Neighbouring groups that can be one bank: of the same widths, and, with own inputs, of the same numbers."""

        def kind(g: int) -> tuple[object, ...]:
            size = (groups[g].experts, sum(value.shape[-1] for value in linear[g])) if self.own_inputs else ()
            return groups[g].hidden, *size

        return [list(run) for _, run in groupby(range(len(groups)), key=kind)]

    def forward(self, x: Tensor, gate_BF: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if (
            self.gates.selects
            and not self.training
            and not self.dense
            and not self.own_inputs
            and not self.watched
            and not x.is_meta
            and not torch.compiler.is_compiling()
        ):
            return self._selected(x, gate_BF)
        experts, columns = self._first(x)
        expert_BEH = experts[0] if len(experts) == 1 else torch.cat(experts, dim=1)
        return expert_BEH, self.gates(self._columns(columns, gate_BF))

    def _first(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Each bank's experts and linear columns; all first layers at once where the banks read x side by side."""
        banks = self._banks()
        apart = not self.own_inputs or len(banks) == 1 or any(bank.norm is not None for bank in banks)
        if apart or sum(map(len, self.readers)) < x.shape[1]:
            pairs = [bank(self._read(x, reader)) for bank, reader in zip(banks, self.readers, strict=True)]
            return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        hidden_BN, linear_BU = side_by_side(x, [bank.layer() for bank in banks])
        if not self.watched and not any(bank.hidden[1:] or (self.training and bank.dropout.active) for bank in banks):
            return [hidden_BN.unflatten(-1, (self.experts, self.output_width))], [linear_BU]
        parts = hidden_BN.split([bank.side_by_side * bank.first_units for bank in banks], dim=-1)
        return [bank.rest(part) for bank, part in zip(banks, parts, strict=True)], [linear_BU]

    def _banks(self) -> list[Experts]:
        return [bank for bank in self.banks if isinstance(bank, Experts)]

    def _read(self, x: Tensor, reader: list[int]) -> Tensor:
        if not self.own_inputs:
            return x
        return x[:, reader[0]] if len(reader) == 1 else x[:, reader[0] : reader[-1] + 1]

    def _columns(self, columns: list[Tensor], gate_BF: Tensor | None) -> Tensor:
        if self.gate_weight is not None:
            assert gate_BF is not None
            if gate_BF.ndim == 3:
                return (gate_BF.transpose(0, 1) @ self.gate_weight).transpose(0, 1).flatten(1)
            return gate_BF @ self.gate_weight
        return columns[0] if len(columns) == 1 else torch.cat(columns, dim=-1)

    def weights(self, x: Tensor, gate_BF: Tensor | None = None) -> Tensor:
        """The gates alone, gate_BGE."""
        banks = [] if self.gate_weight is not None else zip(self._banks(), self.readers, strict=True)
        gate_BGE: Tensor = self.gates(self._columns([bank.linear(self._read(x, r)) for bank, r in banks], gate_BF))
        return gate_BGE

    def _selected(self, x_BD: Tensor, gate_BF: Tensor | None) -> tuple[Tensor, Tensor]:
        """Each expert runs on the rows that selected it alone; elsewhere its output stays 0, and so is its weight."""
        gate_BGE = self.weights(x_BD, gate_BF)
        chosen_BE = (gate_BGE != 0).any(dim=1)
        weights = sum(bank.expert_weights() for bank in self._banks())
        if int((~chosen_BE).sum()) * weights < WORTH_SELECTING * self.experts**2:
            banks = self._banks()
            return torch.cat([bank(x_BD)[0] for bank in banks], dim=1), gate_BGE
        expert_EBH = x_BD.new_zeros(self.experts, len(x_BD), self.output_width)
        numbered = [(bank, e) for bank in self._banks() for e in range(bank.experts)]
        for number, (bank, e) in enumerate(numbered):
            row_n = chosen_BE[:, number].nonzero().squeeze(-1)
            if len(row_n):
                expert_EBH[number].index_copy_(0, row_n, bank.forward_expert(e, x_BD.index_select(0, row_n)).to(x_BD.dtype))
        return expert_EBH.transpose(0, 1), gate_BGE
