"""The network from encoded rows to logits, in the form that ``torch.export`` can trace.

It is the network of :class:`manygate.model.MultiTaskModel` with all its members as one batched program. Two things differ from
:meth:`MultiTaskModel.logits`: lists come padded, because ONNX has no efficient form for lists of several lengths, and bias features
are absent, as they are at serving.

Shape suffixes: B rows, X rows or contexts, S features of one id, M numbers, L places of a padded list, C columns of one part of the
input, F features with a target statistic, T tasks, R replicas, K copies, V rows of a table, d width of an embedding.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnxscript import opset20 as op
from torch import Tensor, nn

from manygate.data.batches import Batch
from manygate.errors import InputError
from manygate.export.graph import OPSETS
from manygate.export.traceable import AnyRows
from manygate.layers.embedding import look_up
from manygate.scoring.predictor import Predictor

LOGGERS = ("torch.onnx", "torch.export", "torch.fx", "torch._dynamo", "onnxscript", "onnx_ir")
EXAMPLE_ROWS, EXAMPLE_CONTEXTS, EXAMPLE_PLACES = 11, 3, 5
"""The rows and contexts of the example that is traced, and the places of its first list. The graph takes any number of them."""


class ServedNetwork(nn.Module):
    """Computes the logits of encoded rows.

    The inputs are the columns of the features that are there at serving: id_BS int64 (those of numbers whose values are ids come
    last), number_BM float32 (NaN for null), and for each list feature its rows (B, L) and where it holds an id (B, L). The lists of
    context features have C rows, and context_row_B comes last. They are pooled once for each context.

    **Shape**: id_BS, number_BM, rows_BL, holds_BL, ..., [context_row_B] -> logit_RBT.
    """

    def __init__(self, predictor: Predictor):
        super().__init__()
        self.model, self.encoder, schema = predictor.model, predictor.encoder, predictor.schema
        ids, self.numbers = ([f.name for f in schema.served_features if f.kind == kind] for kind in ("sparse", "dense"))
        self.ids = [*ids, *self.encoder.number_ids]
        self.lists = [feature for feature in schema.features if feature.kind == "bag"]
        self.shares_lists = any(feature.context for feature in self.lists)
        self._set_ids()
        self._set_numbers()
        self._set_statistics()

    def forward(self, id_BS: Tensor, number_BM: Tensor, *lists: Tensor) -> Tensor:
        context_row_B = lists[-1] if self.shares_lists else None
        rows_of = {f.name: context_row_B if f.context else None for f in self.lists}
        bags = [
            Bag(row_XL, holds_XL, rows_of[f.name]) for f, row_XL, holds_XL in zip(self.lists, lists[::2], lists[1::2], strict=False)
        ]
        x_MBD = self._embedded(id_BS, number_BM, bags)
        bias_MBC = self._bias_inputs().expand(-1, id_BS.shape[0], -1)
        with AnyRows():
            output_MBO = self.model.run(self.model.trunk_values(), x_MBD, bias_MBC, training=False)[0]
        return self.model.by_replica(self.model.read(output_MBO))

    def _set_ids(self) -> None:
        """Set where the ids of each width stand in id_BS, and where their tables begin."""
        embedding, encoder = self.model.embedding, self.encoder
        names = [*(f.name for f in encoder.schema.features if f.kind == "sparse"), *encoder.number_ids]
        self.picks: dict[int, Tensor] = {}
        for dim in embedding.dims:
            columns = getattr(embedding, f"columns_{dim}").tolist()
            self.picks[dim] = torch.tensor([self.ids.index(names[column]) for column in columns], dtype=torch.long)

    def _set_numbers(self) -> None:
        """Set how the numbers of the features unfold. Target statistics follow them, and are read as they are."""
        embedding, features = self.model.embedding, self.encoder.schema.features
        names = [f.name for f in features if f.kind == "dense"]
        columns = [column for column, source in enumerate(embedding.source.tolist()) if source < len(names)]
        assert columns == list(range(len(columns))), "target statistics come after all numbers"
        source = [self.numbers.index(names[embedding.source[column]]) for column in columns]
        self.flags = torch.tensor([self.numbers.index(names[flag]) for flag in embedding.flags], dtype=torch.long)
        self.shift, self.low, self.high = (value[: len(columns)] for value in (embedding.shift, embedding.low, embedding.high))
        self.unfold_MC = torch.zeros(len(self.numbers), len(columns))
        self.unfold_MC[source, range(len(columns))] = 1.0
        self.unfolds = bool(self.low.isfinite().any()) or source != list(range(len(self.numbers)))

    def _set_statistics(self) -> None:
        """Put the target statistics of all single ids into one table, and keep those of lists by their place among the lists."""
        statistics = self.encoder.statistics
        tables_VT = dict(statistics.table_VT) if statistics else {}
        lists = [feature.name for feature in self.lists]
        known = [name for name in tables_VT if name in self.ids]
        assert known == list(tables_VT)[: len(known)], "the statistics of lists come after those of single ids"
        offsets = np.cumsum([0, *(len(tables_VT[name]) for name in known)])[:-1]
        self.single_VT = torch.from_numpy(np.concatenate([tables_VT[name] for name in known])) if known else None
        self.single_columns = torch.tensor([self.ids.index(name) for name in known], dtype=torch.long)
        self.single_offsets = torch.tensor(offsets, dtype=torch.long)
        self.list_tables_VT = {lists.index(n): torch.from_numpy(table).double() for n, table in tables_VT.items() if n in lists}

    def _statistics(self, id_BS: Tensor, bags: Sequence[Bag]) -> list[Tensor]:
        """Return the target statistics, feature after feature and in each the tasks, as tensors (B, ...) float32."""
        parts = []
        if self.single_VT is not None:
            row_BF = chosen(id_BS, self.single_columns) + self.single_offsets
            width = len(self.single_columns) * self.single_VT.shape[1]
            parts.append(self.single_VT.index_select(0, row_BF.flatten()).view(id_BS.shape[0], width))
        for column, table_VT in self.list_tables_VT.items():
            parts.append(bags[column].pooled(table_VT, 0, "mean").float())
        return parts

    def _numbers(self, number_BM: Tensor, statistics: Sequence[Tensor]) -> list[Tensor]:
        """Return the columns of numbers, of target statistics and of null flags. A product with zeros and ones copies columns."""
        place_BM = number_BM.nan_to_num(nan=0.0) if len(self.flags) else number_BM  # a feature without a flag is never null
        if self.unfolds:
            place_BM = torch.clamp(place_BM @ self.unfold_MC - self.shift, self.low, self.high)
        parts = [place_BM] if self.unfold_MC.shape[1] else []
        flags = [chosen(number_BM, self.flags).isnan().to(number_BM.dtype)] if len(self.flags) else []
        return [*parts, *statistics, *flags]

    def _embedded(self, id_BS: Tensor, number_BM: Tensor, bags: Sequence[Bag]) -> Tensor:
        """Do the same as :meth:`Embedding.forward` with padded lists, x_MBD. M are members here."""
        embedding, members, count = self.model.embedding, len(self.model.members), id_BS.shape[0]
        tables, copies, parts = self.model._tables("embedding"), embedding.copies, []
        for dim in embedding.dims:
            columns = len(self.picks[dim])
            if columns:
                row_BC = chosen(id_BS, self.picks[dim]) + getattr(embedding, f"offsets_{dim}")
                vector_BCMKd = look_up(tables[dim], row_BC.flatten(), False).view(count, columns, members, copies, dim)
                parts.append(vector_BCMKd.permute(2, 0, 3, 1, 4).reshape(members, count, copies, columns * dim))
            for column, offset, pooling in embedding.bags[dim]:
                pooled_BMKd = bags[column].pooled(tables[dim], offset, pooling).view(count, members, copies, dim)
                parts.append(pooled_BMKd.transpose(0, 1))
        numbers = self._numbers(number_BM, self._statistics(id_BS, bags))
        parts += [number_BC.view(1, count, 1, -1).expand(members, -1, copies, -1) for number_BC in numbers]
        return torch.cat(parts, dim=-1).flatten(2) if parts else number_BM.new_zeros(members, count, 0)

    def _bias_inputs(self) -> Tensor:
        """Return what the bias features are on any row at serving, where they are absent, x_M1C."""
        embedding, encoder = self.model.bias_embedding, self.encoder
        kinds = [feature.kind for feature in encoder.schema.features]
        null = Batch(
            id_BS=torch.zeros(1, kinds.count("sparse") + len(encoder.number_ids), dtype=torch.long),
            number_BM=torch.full((1, kinds.count("dense")), torch.nan),
            bags=[],
            label_BT=torch.zeros(1, 0),
            weight_BT=torch.zeros(1, 0),
        )
        return embedding(self.model._tables("bias_embedding"), null, len(self.model.members))


@dataclass(frozen=True)
class Bag:
    """A padded list feature: the rows of its ids, (X, L) int64, and true where a place holds an id, (X, L).

    X are contexts if ``context_row_B`` is given, and rows otherwise.
    """

    row_XL: Tensor
    holds_XL: Tensor
    context_row_B: Tensor | None = None

    def pooled(self, table_Vx: Tensor, offset: int, pooling: str) -> Tensor:
        """Return the pooled rows of a table, (B, ...)."""
        value_Xx = pooled(table_Vx[self.row_XL + offset], self.holds_XL, pooling)
        return value_Xx if self.context_row_B is None else value_Xx.index_select(0, self.context_row_B)


def chosen(value_BC: Tensor, columns: Tensor) -> Tensor:
    """Return some columns. All of them in their order cost nothing.

    >>> chosen(torch.tensor([[1, 2]]), torch.tensor([1, 0]))
    tensor([[2, 1]])
    """
    if columns.tolist() == list(range(value_BC.shape[1])):
        return value_BC
    return value_BC.index_select(-1, columns)


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

    If a list belongs to the context, ``context_row_B`` is the last input.

    Raises :class:`InputError` if the scheme does something that has no graph for all numbers of rows.
    """
    example, names, shapes = _example(network)
    try:
        with torch.no_grad(), _quiet():
            network(*example)  # what layers keep between passes must not be what tracing made
            program = torch.onnx.export(
                torch.export.export(network, example, dynamic_shapes=shapes, strict=False),
                dynamo=True,
                opset_version=OPSETS[""],
                input_names=names,
                output_names=["logit_RBT"],
                custom_translation_table=TRANSLATED,
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


def _example(network: ServedNetwork) -> tuple[tuple[Tensor, ...], list[str], tuple[Any, ...]]:
    """Return example inputs of a network, their names, and their free axes."""
    rows, contexts = torch.export.Dim("rows"), torch.export.Dim("contexts")
    count = {rows: EXAMPLE_ROWS, contexts: EXAMPLE_CONTEXTS}
    example = [
        torch.zeros(EXAMPLE_ROWS, len(network.ids), dtype=torch.long),
        torch.zeros(EXAMPLE_ROWS, len(network.numbers)),
    ]
    names, further = ["id_BS", "number_BM"], []
    for n, feature in enumerate(network.lists):
        axis, places = contexts if feature.context else rows, torch.export.Dim(f"places_{n}")
        example += [torch.zeros(count[axis], EXAMPLE_PLACES + n, dtype=kind) for kind in (torch.long, torch.bool)]
        names += [f"rows_{n}", f"holds_{n}"]
        further += [{0: axis, 1: places}] * 2
    if network.shares_lists:
        example.append(torch.zeros(EXAMPLE_ROWS, dtype=torch.long))
        names.append("context_row_B")
        further.append({0: rows})
    return tuple(example), names, ({0: rows}, {0: rows}, *([tuple(further)] if further else []))


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


def _log_sigmoid(x: Any) -> Any:
    return op.Neg(op.Softplus(op.Neg(x)))


def _log1p(x: Any) -> Any:
    """Return log(1 + x), exact near zero (Higham, "Accuracy and Stability of Numerical Algorithms", problem 1.5)."""
    constant: Any = op.Constant(value_float=1.0)
    one = op.CastLike(constant, x)
    larger = op.Add(one, x)
    step = op.Sub(larger, one)
    same = op.Equal(larger, one)
    return op.Where(same, x, op.Div(op.Mul(op.Log(larger), x), op.Where(same, one, step)))


TRANSLATED: dict[Any, Any] = {
    torch.ops.manygate.concatenate.default: _concat,
    torch.ops.aten.log_sigmoid.default: _log_sigmoid,
    torch.ops.aten.log1p.default: _log1p,
}
"""Operations with a form in ONNX of their own. PyTorch writes the logarithms as Log(Sigmoid(x)) and Log(1 + x), which are wrong for
small probabilities, and infinite for the smallest."""
