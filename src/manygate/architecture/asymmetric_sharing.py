"""Asymmetric Sharing: one of the simple ways to share in PLE's overview (Tang et al., RecSys 2020, section 2.1 and Figure 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self, final

import torch
from torch import Tensor, nn

from manygate.architecture.base import Architecture, Inputs, of_several
from manygate.architecture.shared_bottom import bottom_widths
from manygate.config import ModelConfig
from manygate.errors import InputError, setting
from manygate.layers.experts import Experts


@final
class AsymmetricSharing(Architecture):
    """A bottom network for each task, and what task k's tower reads is fixed beforehand: y_k = h_k(fuse_{j in reads(k)} f_j(x)).

    By default task k reads its own bottom and those of the tasks before it in the schema (the first task reads its own alone), so
    that knowledge flows one way. ``fusion`` is ``sum`` or ``mean``. Departure: the paper also names concatenation, which would give
    each tower another width.

    **Shape**: x_BD -> h_BTH.

    >>> import torch
    >>> AsymmetricSharing(inputs=100, tasks=2, hidden=(16,))(torch.zeros(4, 100)).shape
    torch.Size([4, 2, 16])
    """

    widths: ClassVar[str] = "bottom_hidden"

    def __init__(
        self,
        inputs: int,
        tasks: int,
        hidden: Sequence[int],
        reads: Sequence[Sequence[int]] | None = None,
        fusion: Literal["sum", "mean"] = "sum",
        dropout: float = 0.0,
    ):
        super().__init__()
        self.output_width, self.fusion = hidden[-1], fusion
        self.reads = tuple(tuple(row) for row in reads or [range(t + 1) for t in range(tasks)])
        unread = set(range(tasks)) - {j for row in self.reads for j in row}
        if len(self.reads) != tasks or unread or not all(self.reads) or not all(0 <= j < tasks for row in self.reads for j in row):
            raise InputError(
                f"reads: each of {tasks} tasks reads at least one bottom, and each bottom is read; found {self.reads}."
            )
        self.bottoms = Experts(inputs, tasks, hidden, dropout=dropout)

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        fusion = config.fusion or "sum"
        if fusion == "concat":
            raise InputError(
                f"{setting('fusion')}: asymmetric_sharing takes sum or mean, since tasks "
                "read different numbers of bottoms; found concat."
            )
        return cls(inputs.width, tasks, bottom_widths(inputs, tasks, config), None, fusion, config.dropout)

    def forward(self, x_BD: Tensor) -> Tensor:
        bottom_BTH, _ = self.bottoms(x_BD)
        reads = [[float(j in row) for j in range(len(self.reads))] for row in self.reads]
        reads_TT = torch.tensor(reads, dtype=bottom_BTH.dtype, device=x_BD.device)
        if self.fusion == "mean":
            reads_TT = reads_TT / reads_TT.sum(dim=1, keepdim=True)
        return reads_TT @ bottom_BTH

    def shared_layer(self) -> nn.Module:
        return self.bottoms

    def shared_units(self) -> tuple[int, ...]:
        return of_several(self.reads)

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.parameters())
