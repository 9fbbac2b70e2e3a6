"""The network from encoded rows to logits, in the form that ``torch.export`` can trace.

It is the network of :class:`manygate.model.MultiTaskModel` with all its members as one batched program. Two things differ from
:meth:`MultiTaskModel.logits`: lists come padded, because ONNX has no efficient form for lists of several lengths, and bias features
are absent, as they are at serving.

Shape suffixes: B rows, S features of one id, M numbers, L places of a padded list, C columns of one part of the input, F features
with a target statistic, T tasks, R replicas, K copies, d width of an embedding.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import onnx
import torch
from onnxscript import opset20 as op
from torch import Tensor, nn

from manygate.errors import InputError
from manygate.export.graph import OPSETS
from manygate.export.traceable import AnyRows
from manygate.layers.embedding import Embedding, look_up
from manygate.scoring.predictor import Predictor

Bag = tuple[Tensor, Tensor]
"""A padded list feature: the rows of its ids, (B, L) int64, and true where a place holds an id, (B, L)."""
Column = TypeVar("Column")
LOGGERS = ("torch.onnx", "torch.export", "torch.fx", "torch._dynamo", "onnxscript", "onnx_ir")
EXAMPLE_ROWS, EXAMPLE_PLACES = 11, 5
"""The rows of the example that is traced, and the places of its first list. The graph takes any number of both."""


class ServedNetwork(nn.Module):
    """Computes the logits of encoded rows.

    The inputs are the columns of the features that are there at serving: id_BS int64 (those of numbers whose values are ids come
    last), number_BM float32 (NaN for null), and for each list feature its rows (B, L) and where it holds an id (B, L).

    **Shape**: id_BS, number_BM, rows_BL, holds_BL, ... -> logit_RBT.
    """

    def __init__(self, predictor: Predictor):
        super().__init__()
        self.model, self.encoder = predictor.model, predictor.encoder
        served = [(feature.kind, not feature.bias) for feature in self.encoder.schema.features]
        self.has_ids = [there for kind, there in served if kind == "sparse"] + [True] * len(self.encoder.number_ids)
        self.has_number = [there for kind, there in served if kind == "dense"]
        self.has_bag = [there for kind, there in served if kind == "bag"]
        self._set_statistics()

    def forward(self, id_BS: Tensor, number_BM: Tensor, *lists: Tensor) -> Tensor:
        none_B1 = id_BS.new_zeros(id_BS.shape[0], 1)
        bags = filled(list(zip(lists[::2], lists[1::2], strict=True)), self.has_bag, (none_B1, none_B1 > 0))
        id_BS, number_BM = with_absent(id_BS, self.has_ids, 0), with_absent(number_BM, self.has_number, torch.nan)
        inputs = (id_BS, torch.cat([number_BM, *self._statistics(id_BS, bags)], dim=-1), bags)
        x_MBD = self._embedded(self.model.embedding, "embedding", *inputs)
        bias_MBC = self._embedded(self.model.bias_embedding, "bias_embedding", *inputs)
        with AnyRows():
            output_MBO = self.model.run(self.model.trunk_values(), x_MBD, bias_MBC, training=False)[0]
        return self.model.by_replica(self.model.read(output_MBO))

    def _set_statistics(self) -> None:
        """Put the target statistics of all single ids into one table, and keep those of lists by their place among the lists."""
        statistics, features = self.encoder.statistics, self.encoder.schema.features
        tables_VT = dict(statistics.table_VT) if statistics else {}
        singles = [*(f.name for f in features if f.kind == "sparse"), *self.encoder.number_ids]
        lists = [f.name for f in features if f.kind == "bag"]
        known = [name for name in tables_VT if name in singles]
        assert known == list(tables_VT)[: len(known)], "the statistics of lists come after those of single ids"
        offsets = np.cumsum([0, *(len(tables_VT[name]) for name in known)])[:-1]
        self.single_VT = torch.from_numpy(np.concatenate([tables_VT[name] for name in known])) if known else None
        self.single_columns = torch.tensor([singles.index(name) for name in known], dtype=torch.long)
        self.single_offsets = torch.tensor(offsets, dtype=torch.long)
        self.list_tables_VT = {lists.index(n): torch.from_numpy(table).double() for n, table in tables_VT.items() if n in lists}

    def _statistics(self, id_BS: Tensor, bags: Sequence[Bag]) -> list[Tensor]:
        """Return the target statistics, feature after feature and in each the tasks, as tensors (B, ...) float32."""
        parts = []
        if self.single_VT is not None:
            row_BF = id_BS.index_select(-1, self.single_columns) + self.single_offsets
            parts.append(self.single_VT[row_BF].flatten(1))
        for column, table_VT in self.list_tables_VT.items():
            row_BL, holds_BL = bags[column]
            parts.append(pooled(table_VT[row_BL], holds_BL, "mean").float())
        return parts

    def _embedded(self, embedding: Embedding, owner: str, id_BS: Tensor, number_BM: Tensor, bags: Sequence[Bag]) -> Tensor:
        """Do the same as :meth:`Embedding.forward` with padded lists, x_MBD. M are members here."""
        members, copies, count = len(self.model.members), embedding.copies, id_BS.shape[0]
        tables, parts = self.model._tables(owner), []
        for dim in embedding.dims:
            columns, offsets = getattr(embedding, f"columns_{dim}"), getattr(embedding, f"offsets_{dim}")
            if len(columns):
                row_BC = id_BS.index_select(-1, columns) + offsets
                vector_BCMKd = look_up(tables[dim], row_BC.flatten(), False).view(count, len(columns), members, copies, dim)
                parts.append(vector_BCMKd.permute(2, 0, 3, 1, 4).reshape(members, count, copies, len(columns) * dim))
            for column, offset, pooling in embedding.bags[dim]:
                row_BL, holds_BL = bags[column]
                pooled_BMKd = pooled(tables[dim][row_BL + offset], holds_BL, pooling).view(count, members, copies, dim)
                parts.append(pooled_BMKd.transpose(0, 1))
        if len(embedding.source) or len(embedding.flags):
            parts.append(embedding._numbers(number_BM).unsqueeze(-2).expand(members, -1, copies, -1))
        return torch.cat(parts, dim=-1).flatten(2) if parts else number_BM.new_zeros(members, count, 0)


def with_absent(value_BC: Tensor, is_there: Sequence[bool], absent: float) -> Tensor:
    """Put a column of ``absent`` where a feature is absent at serving.

    >>> with_absent(torch.tensor([[1, 2]]), [True, False, True], 0)
    tensor([[1, 0, 2]])
    """
    if all(is_there):
        return value_BC
    absent_B1 = value_BC.new_full((value_BC.shape[0], 1), absent)
    last = sum(is_there)
    places = [sum(is_there[:column]) if there else last for column, there in enumerate(is_there)]
    return torch.cat([value_BC, absent_B1], dim=-1).index_select(-1, torch.tensor(places))


def filled(columns: list[Column], is_there: Sequence[bool], absent: Column) -> list[Column]:
    """Put ``absent`` where a feature is absent at serving.

    >>> filled(["a", "b"], [True, False, True], "-")
    ['a', '-', 'b']
    """
    remaining = iter(columns)
    return [next(remaining) if there else absent for there in is_there]


def pooled(value_BLx: Tensor, holds_BL: Tensor, pooling: str) -> Tensor:
    """Return the sum or the mean of the values at the places that hold an id, (B, ...). It is 0 for an empty list.

    >>> pooled(torch.tensor([[[2.0], [4.0], [9.0]]]), torch.tensor([[True, True, False]]), "mean")
    tensor([[3.]])
    """
    weight_BL = holds_BL.to(value_BLx.dtype)
    total_Bx = (value_BLx * weight_BL.view(*weight_BL.shape, *(1 for _ in value_BLx.shape[2:]))).sum(dim=1)
    if pooling != "mean":
        return total_Bx
    length_B = weight_BL.sum(dim=1).clamp(min=1)
    return total_Bx / length_B.view(-1, *(1 for _ in total_Bx.shape[1:]))


def trace(network: ServedNetwork) -> onnx.ModelProto:
    """Return the graph of a network, with the inputs ``id_BS``, ``number_BM``, ``rows_0``, ``holds_0``, ... and one output.

    Raises :class:`InputError` if the scheme does something that has no graph for all numbers of rows.
    """
    rows, lists = torch.export.Dim("rows"), range(sum(network.has_bag))
    places = [torch.export.Dim(f"places_{n}") for n in lists]
    example = (
        torch.zeros(EXAMPLE_ROWS, sum(network.has_ids), dtype=torch.long),
        torch.zeros(EXAMPLE_ROWS, sum(network.has_number)),
        *(torch.zeros(EXAMPLE_ROWS, EXAMPLE_PLACES + n, dtype=kind) for n in lists for kind in (torch.long, torch.bool)),
    )
    names = ["id_BS", "number_BM", *(f"{name}_{n}" for n in lists for name in ("rows", "holds"))]
    of_lists = tuple({0: rows, 1: places[n]} for n in lists for _ in range(2))
    shapes = ({0: rows}, {0: rows}, *([of_lists] if of_lists else []))
    try:
        with torch.no_grad(), _quiet():
            network(*example)  # what layers keep between passes must not be what tracing made
            program = torch.onnx.export(
                torch.export.export(network, example, dynamic_shapes=shapes, strict=False),
                dynamo=True,
                opset_version=OPSETS[""],
                input_names=names,
                output_names=["logit_RBT"],
                custom_translation_table={torch.ops.manygate.concatenate.default: _concat},
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # a scheme of the user's own may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(
            f"export: architecture {network.model.config.architecture!r} has no graph ({reason}). Write its forward with PyTorch "
            "operations alone. None may depend on the number of rows, or on the values of tensors."
        ) from error
    assert program is not None, "an exporter that was not told to write a file returns its program"
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide warnings of PyTorch's exporter, such as those about libraries that it does not need here. Errors are shown."""
    levels = {logger: logger.level for logger in map(logging.getLogger, LOGGERS)}
    try:
        for logger in levels:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def _concat(tensors: Sequence[Any], dim: int) -> Any:
    return op.Concat(*tensors, axis=dim)
