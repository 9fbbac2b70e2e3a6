"""``torch.cat`` and ``index_select`` for networks that are traced with all their members at once.

Under ``torch.vmap``, PyTorch 2.13 traces both for the number of rows of the example alone, and the graph would accept no other. So
``torch.cat`` becomes an operator with a rule for ``torch.vmap`` of its own, which is a ``Concat`` in the graph, and
``index_select`` becomes an index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


@torch.library.custom_op("manygate::concatenate", mutates_args=())
def concatenate(tensors: Sequence[Tensor], dim: int) -> Tensor:
    """Return ``torch.cat(tensors, dim)`` of two tensors or more.

    >>> concatenate([torch.zeros(2), torch.ones(1)], 0)
    tensor([0., 0., 1.])
    """
    return torch.concat(list(tensors), dim)


@concatenate.register_fake
def _shape(tensors: Sequence[Tensor], dim: int) -> Tensor:
    return torch.concat(list(tensors), dim)


@concatenate.register_vmap
def _for_members(info: Any, in_dims: tuple[Any, ...], tensors: Sequence[Tensor], dim: int) -> tuple[Tensor, int]:
    members = [
        tensor.expand(info.batch_size, *tensor.shape) if axis is None else tensor.movedim(axis, 0)
        for tensor, axis in zip(tensors, in_dims[0], strict=True)
    ]
    return concatenate(members, dim if dim < 0 else dim + 1), 0


class AnyRows(TorchFunctionMode):
    """Replaces the calls whose traces hold for one number of rows alone.

    >>> with AnyRows():
    ...     torch.cat([torch.zeros(1, 1), torch.ones(1, 2)], dim=-1).index_select(-1, torch.tensor([2, 0]))
    tensor([[1., 0.]])
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        return _REPLACED.get(func, func)(*args, **(kwargs or {}))


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    return concatenate(list(tensors), dim) if len(tensors) > 1 else tensors[0]


def _index_select(value: Tensor, dim: int, index: Tensor) -> Tensor:
    before = dim if dim >= 0 else value.ndim + dim
    return value[(slice(None),) * before + (index,)]


_REPLACED = {torch.cat: _cat, torch.Tensor.index_select: _index_select}
