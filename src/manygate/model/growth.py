"""Growth of a trained model: its embedding tables get rows for new ids, and all other weights stay as they are.

The row of a new id starts as the row of unseen ids of its feature. It is what the network has used for that id so far, and id
dropout trains it for ids that are new. So the growth itself changes no prediction: a new id is predicted as before until a batch
trains its row. Rows of different ids part with the first gradients, since each has the gradient of its own training rows.

A table holds the rows of all features of one width, one feature after another. So the rows of a feature move when a feature before
it grows.

Shape suffixes: V rows of a grown table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from manygate.config import RunConfig
from manygate.data.encode import Encoder
from manygate.data.rows import UNKNOWN_ROW
from manygate.layers.embedding import Embedding
from manygate.model.problem import Problem
from manygate.model.replicas import MultiTaskModel


@dataclass(frozen=True)
class GrownRows:
    """Where the rows of a grown table come from."""

    source_V: Tensor
    """The row of the old table that each row starts from."""
    new_V: Tensor
    """True for the row of a new id."""

    def weights(self, table: Tensor) -> Tensor:
        """Return the grown table of weights, (V, ...), from the old one."""
        return table.detach().index_select(0, self.source_V)

    def state(self, table: Tensor) -> Tensor:
        """Return the grown state of an optimizer, (V, ...). It is zero for new rows."""
        return self.weights(table).index_fill_(0, torch.nonzero(self.new_V).flatten(), 0.0)


@dataclass(frozen=True)
class GrownTables:
    """Where the rows of all tables of a grown model come from, by the name of the parameter."""

    rows: Mapping[str, GrownRows]

    @classmethod
    def between(cls, old: MultiTaskModel, new: MultiTaskModel) -> GrownTables:
        """Compare the tables of two models, whose features are the same."""
        pairs = (("embedding", old.embedding, new.embedding), ("bias_embedding", old.bias_embedding, new.bias_embedding))
        found = {f"{owner}.{dim}": _grown_rows(before, after, dim) for owner, before, after in pairs for dim in after.dims}
        return cls({name: GrownRows(rows.source_V.to(new.device), rows.new_V.to(new.device)) for name, rows in found.items()})

    def state(self, name: str, value: Tensor) -> Tensor:
        """Return a tensor of an optimizer's state of the parameter ``name`` for the grown model. It is zero for new rows."""
        return self.rows[name].state(value) if name in self.rows and value.ndim else value


def _grown_rows(old: Embedding, new: Embedding, dim: int) -> GrownRows:
    sources, are_new, first = [], [], 0
    alike = [(before, after) for before, after in zip(old.chosen, new.chosen, strict=True) if after.dim == dim]
    for before, after in alike:
        assert (before.name, before.dim) == (after.name, after.dim), "features and widths stay"
        added = after.rows - before.rows
        sources += [torch.arange(first, first + before.rows), torch.full((added,), first + UNKNOWN_ROW)]
        are_new += [torch.zeros(before.rows, dtype=torch.bool), torch.ones(added, dtype=torch.bool)]
        first += before.rows
    return GrownRows(torch.cat(sources), torch.cat(are_new))


@torch.no_grad()
def grow_model(model: MultiTaskModel, encoder: Encoder) -> MultiTaskModel:
    """Return a model with rows for the ids of a grown encoder. The model that is given stays as it is.

    Args:
        model: A trained model.
        encoder: The grown encoder (:mod:`manygate.data.growth`), with the widths of :func:`keep_widths`.

    >>> from manygate.data.rows import Input
    >>> from manygate.schema import Task
    >>> problem = Problem.binary([Input("item", "sparse", False, rows=4, dim=2)], tasks=1)
    >>> model = MultiTaskModel(problem, RunConfig())
    >>> grown = grown_model(model, replace(problem, inputs=(replace(problem.inputs[0], rows=6),)))
    >>> grown.parameters["embedding.2"].shape, model.parameters["embedding.2"].shape
    (torch.Size([6, 1, 2]), torch.Size([4, 1, 2]))
    """
    return grown_model(model, Problem.of(encoder, model.config))


@torch.no_grad()
def grown_model(model: MultiTaskModel, problem: Problem) -> MultiTaskModel:
    """Do the same as :func:`grow_model` with the problem of the grown encoder."""
    grown = MultiTaskModel(problem, model.config, model.device, False, model.by_task)
    tables = GrownTables.between(model, grown)
    for name, value in model.parameters.items():
        grown.parameters[name].copy_(tables.rows[name].weights(value) if name in tables.rows else value)
    return grown


def keep_widths(encoder: Encoder, problem: Problem, config: RunConfig) -> Encoder:
    """Return an encoder whose schema gives the widths of a model's embeddings, if these follow from the numbers of ids.

    Otherwise a grown vocabulary would ask for wider embeddings than the model has.
    """
    if config.dim_rule == "equal":
        return encoder
    dims = {i.name: i.dim for i in problem.inputs if i.dim and not i.of_number}
    features = tuple(f.model_copy(update={"dim": dims[f.name]}) if f.name in dims else f for f in encoder.schema.features)
    return replace(encoder, schema=encoder.schema.model_copy(update={"features": features}))
