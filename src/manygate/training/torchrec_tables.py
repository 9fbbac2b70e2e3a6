"""Embedding tables that TorchRec spreads over the processes of a run, by rows or by features, or some so and some so.

Each process looks up the vectors of its part of a batch, and gets them from the processes that hold them. In the backward pass
their gradients go back the same way, and FBGEMM's fused row-wise Adagrad updates them there at once. TorchRec (Ivchenko et al.,
"TorchRec: a PyTorch domain library for recommendation systems", RecSys 2022) is imported when tables are made, and nowhere else.

The features of one width are an ``EmbeddingCollection``, and a feature is a table of it. A row of a feature's table is a *vector*
(:mod:`manygate.training.tables`), so that each member has its own sum of squares, as in
:class:`manygate.training.table_optimizers.RowwiseAdagrad`.

FBGEMM needs widths that are multiples of 4. A width d is filled up with zeros to d', and its mean squares are then d / d' of the
true ones. The learning rate and eps are multiplied by sqrt(d / d'), so that the update is the same.

Shape suffixes: V rows of a table, M members, K vectors of a row, n rows or vectors that are read, d width of a vector.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.layers.embedding import Embedding
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.training.processes import exchange
from manygate.training.table_files import StoredTables, file_of, write_list, write_parts
from manygate.training.table_optimizers import ADAGRAD_EPS
from manygate.training.tables import IN_MODEL, Layout, Part, Tables, plan
from manygate.training.torchrec_install import load_torchrec
from manygate.training.world import World

WIDTH_UNIT = 4
"""FBGEMM needs widths that are multiples of this."""


def model_and_tables(
    problem: Problem, config: RunConfig, device: torch.device | str, world: World
) -> tuple[MultiTaskModel, Tables]:
    """Return a new model and its embedding tables. Several processes hold parts of them if the settings say so.

    Raises:
        InputError: TorchRec is needed, and it is not installed or cannot be loaded.
    """
    if config.table_sharding == "none" or world.size == 1:
        return MultiTaskModel(problem, config, device), IN_MODEL
    made: list[TorchRecTables] = []

    def make(embedding: Embedding, members: int) -> TorchRecTables:
        made.append(TorchRecTables(embedding, members, config, world))
        return made[-1]

    return MultiTaskModel(problem, config, device, elsewhere=make), made[0]


class TorchRecTables(Tables):
    """The tables of all widths. Each process holds a part of each."""

    spread = True

    def __init__(self, embedding: Embedding, members: int, config: RunConfig, world: World):
        self.world, self.members = world, members
        self.rate_scale = (config.table_learning_rate or config.learning_rate) / config.learning_rate
        features = [(dim, first, feature.rows) for dim in embedding.dims for feature, first in embedding.features(dim)]
        process = plan([rows * dim for dim, _, rows in features], world.size, config.table_sharding)
        self.widths = {
            dim: Width(
                Layout(dim, embedding.rows[dim], members, embedding.copies, ()),
                [(first, rows, process[i]) for i, (d, first, rows) in enumerate(features) if d == dim],
                world,
            )
            for dim in embedding.dims
        }

    def take(self, member: int, dim: int, first: int, value_nd: Tensor) -> None:
        self.widths[dim].take(member, first, value_nd)

    def read(self, rows: dict[int, list[Tensor]]) -> tuple[dict[int, Tensor], dict[int, list[Tensor]]]:
        tables: dict[int, Tensor] = {}
        places: dict[int, list[Tensor]] = {}
        for dim, parts in rows.items():
            row_n, place_n = torch.cat([part.flatten() for part in parts]).unique(return_inverse=True)
            with _exchange():
                tables[dim] = self.widths[dim].read(row_n)
            split = place_n.split([part.numel() for part in parts])
            places[dim] = [place.view(part.shape) for place, part in zip(split, parts, strict=True)]
        return tables, places

    def set_rate(self, rate: float) -> None:
        for width in self.widths.values():
            width.set_rate(rate * self.rate_scale)

    def updated(self) -> AbstractContextManager[None]:
        return _exchange()

    def keep(self, members: list[int]) -> None:
        for shard, index in self._of(members):
            shard.best[index] = shard.weight[index]

    def load_best(self, members: list[int]) -> None:
        for shard, index in self._of(members):
            shard.weight[index] = shard.best[index]

    def reset_members(self, members: list[int]) -> None:
        for shard, index in self._of(members):
            shard.total[index] = 0.0

    def _of(self, members: list[int]) -> Iterator[tuple[Shard, Tensor]]:
        """Yield the shards of this process, each with true for the vectors of some members."""
        chosen = torch.tensor(members, dtype=torch.long)
        for width in self.widths.values():
            for shard in width.shards:
                yield shard, torch.isin(width.member_of(shard.part), chosen)

    def stores(self, name: str) -> bool:
        return name in {stored for dim in self.widths for stored in _names(dim)}

    def save(self, folder: Path) -> None:
        self.world.largest(0)  # the first process has made the folder
        if not folder.is_dir():
            raise InputError(
                f"{folder}: process {self.world.rank} cannot see this folder of the first process. Tables that are spread over "
                "processes need an output folder that all of them share."
            )
        write_parts(folder, file_of(self.world.rank, self.world.size), self._stored())
        if self.world.leads:
            write_list(folder, dict(self._listed()))
        self.world.largest(0)  # all have written

    def _stored(self) -> Iterator[tuple[str, int, Tensor]]:
        for dim, width in self.widths.items():
            for shard in width.shards:
                values = (shard.weight[:, :dim], shard.best[:, :dim], shard.total * (width.padded / dim))
                for name, value in zip(_names(dim), values, strict=True):
                    yield name, shard.part.first, value

    def _listed(self) -> Iterator[tuple[str, tuple[list[int], list[tuple[str, int, int]]]]]:
        for dim, width in self.widths.items():
            layout = width.layout
            parts = [(file_of(part.process, self.world.size), part.first, part.size) for part in layout.parts]
            model, best, total = _names(dim)
            for name in (model, best):
                yield name, ([layout.rows, layout.members, layout.vectors * dim], parts)
            yield total, ([layout.rows, layout.members, layout.vectors], parts)

    def restore(self, folder: Path) -> None:
        stored = StoredTables(folder)
        for dim, width in self.widths.items():
            for shard in width.shards:
                targets = shard.weight[:, :dim], shard.best[:, :dim], shard.total
                for name, target in zip(_names(dim), targets, strict=True):
                    value = stored.read(name, shard.part.first, shard.part.size, width.layout.in_row)
                    target.zero_() if value is None else target.copy_(value)
                shard.total *= dim / width.padded

    def whole(self, model: MultiTaskModel) -> MultiTaskModel:
        leads = self.world.leads
        whole = MultiTaskModel(model.problem, model.config, model.device, False) if leads else model
        if leads:
            for name, value in model.parameters.items():
                whole.parameters[name].detach().copy_(value)
        for dim, width in self.widths.items():
            held = {shard.part: shard.weight[:, :dim] for shard in width.shards}
            for part in width.layout.parts:
                if leads:
                    vectors = whole.parameters[f"embedding.{dim}"].detach().view(-1, dim)[part.first : part.first + part.size]
                    vectors.copy_(held[part]) if part in held else self.world.to_first(vectors, part.process)
                elif part in held:
                    self.world.to_first(held[part], part.process)
        return whole


class Shard:
    """What this process holds of a part: the weights (n, d'), the best weights, and the sums of mean squares (n,)."""

    def __init__(self, part: Part, weight: Tensor, total: Tensor):
        self.part, self.weight, self.total = part, weight, total
        self.best = torch.zeros_like(weight)


class Width:
    """The tables of the features of one width."""

    def __init__(self, layout: Layout, features: Sequence[tuple[int, int, int | None]], world: World):
        """``features`` have a first row, a number of rows and the process that holds them. Without one, all hold some rows."""
        self.torchrec, in_row = load_torchrec(), layout.in_row
        self.padded = -(-layout.dim // WIDTH_UNIT) * WIDTH_UNIT
        self.scale = math.sqrt(layout.dim / self.padded)
        self.names = [f"feature_{i}" for i in range(len(features))]
        self.start = torch.tensor([first for first, _, _ in features] + [layout.rows])
        vectors = {
            name: (first * in_row, (first + rows) * in_row) for name, (first, rows, _) in zip(self.names, features, strict=True)
        }
        process = {name: process for name, (_, _, process) in zip(self.names, features, strict=True)}
        self.sharded, parts = self._sharded({name: last - first for name, (first, last) in vectors.items()}, process, world)
        moved = [replace(part, first=vectors[name][0] + part.first) for name in self.names for part in parts[name]]
        self.layout = replace(layout, parts=tuple(moved))
        self.shards = list(self._shards(vectors, world.rank))

    def _sharded(self, sizes: dict[str, int], processes: dict[str, int | None], world: World) -> tuple[Any, dict[str, list[Part]]]:
        """Return TorchRec's module of tables, and the parts of each table, by their names.

        ``sizes`` has the number of vectors of each, and ``processes`` the process that holds it, or None.
        """
        torchrec = self.torchrec
        tables = [
            torchrec.EmbeddingConfig(
                name=name,
                num_embeddings=size,
                embedding_dim=self.padded,
                feature_names=[name],
                init_fn=torch.nn.init.zeros_,
            )
            for name, size in sizes.items()
        ]
        collection = torchrec.EmbeddingCollection(device=torch.device("meta"), tables=tables)
        kind, eps = torchrec.EmbOptimType.EXACT_ROWWISE_ADAGRAD, ADAGRAD_EPS * self.scale
        sharder = torchrec.EmbeddingCollectionSharder({"optimizer": kind, "learning_rate": 0.0, "eps": eps})
        fused = {"compute_kernel": "fused"}
        ways = {
            name: torchrec.row_wise(**fused) if process is None else torchrec.table_wise(rank=process, **fused)
            for name, process in processes.items()
        }
        planned = torchrec.construct_module_sharding_plan(
            collection, ways, sharder=sharder, local_size=world.size, world_size=world.size, device_type="cpu"
        )
        # Without DTensor, TorchRec exchanges pickled descriptions of the shards.
        environment = torchrec.ShardingEnv(world.size, world.rank, dist.group.WORLD, output_dtensor=True)
        with torch.random.fork_rng(devices=[]):
            sharded = sharder.shard(collection, planned, environment, torch.device("cpu"))
        return sharded, {name: list(_parts(planned[name])) for name in sizes}

    def _shards(self, vectors: dict[str, tuple[int, int]], rank: int) -> Iterator[Shard]:
        weights = self.sharded.state_dict()
        totals = self.sharded.fused_optimizer.state_dict()["state"]
        for name, (first, last) in vectors.items():
            key = f"embeddings.{name}.weight"
            for part in (part for part in self.layout.parts if part.process == rank and first <= part.first < last):
                (weight,), (total,) = (
                    value.to_local().local_shards() for value in (weights[key], totals[key][f"{name}.momentum1"])
                )
                assert len(weight) == len(total) == part.size, "TorchRec shards as its plan says"
                yield Shard(part, weight.detach(), total.detach())

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the updates of later forward passes. FBGEMM reads it in the forward pass."""
        optimizer = self.sharded.fused_optimizer
        for group in optimizer.param_groups:
            group["lr"] = rate * self.scale
        optimizer.step()  # hands the rate on

    def member_of(self, part: Part) -> Tensor:
        """Return the member of each vector of a part."""
        return (part.first + torch.arange(part.size)) // self.layout.vectors % self.layout.members

    def take(self, member: int, first: int, value_nd: Tensor) -> None:
        """Take rows of a member from row ``first`` on."""
        layout = self.layout
        for shard in self.shards:
            part = shard.part
            low = max(first, part.first // layout.in_row)
            high = min(first + len(value_nd), -(-(part.first + part.size) // layout.in_row))
            if low < high:
                row_nK = (torch.arange(low, high) * layout.members + member).unsqueeze(1) * layout.vectors
                place_n = (row_nK + torch.arange(layout.vectors)).flatten() - part.first
                here_n = (place_n >= 0) & (place_n < part.size)
                vector_nd = value_nd[low - first : high - first].reshape(-1, layout.dim)
                shard.weight[place_n[here_n], : layout.dim] = vector_nd[here_n]

    def read(self, row_n: Tensor) -> Tensor:
        """Return rows of the table, (n, M, K d). They are in order, and each is there once. All processes call this together."""
        layout = self.layout
        bound = torch.searchsorted(row_n, self.start)
        count = bound.diff()
        start_n = torch.repeat_interleave(self.start[:-1], count)
        vector_n = ((row_n - start_n) * layout.in_row).unsqueeze(1) + torch.arange(layout.in_row)
        ids = self.torchrec.KeyedJaggedTensor(keys=self.names, values=vector_n.flatten(), lengths=count * layout.in_row)
        found = self.sharded(ids)
        vector_nd = torch.cat([found[name].values() for name in self.names])
        return vector_nd.view(len(row_n), layout.members, layout.vectors, self.padded)[..., : layout.dim].flatten(2)


def _parts(sharding: Any) -> Iterator[Part]:
    """Return the parts of a feature's table, as TorchRec has planned them."""
    for shard in sharding.sharding_spec.shards:
        if shard.shard_sizes[0]:
            yield Part(shard.placement.rank(), shard.shard_offsets[0], shard.shard_sizes[0])


def _names(dim: int) -> tuple[str, str, str]:
    """Return the names of the weights, the best weights and the sums of mean squares of a width in a checkpoint."""
    return f"model|embedding.{dim}", f"best|embedding.{dim}", f"optimizer|embedding.{dim}|sum"


@contextmanager
def _exchange() -> Iterator[None]:
    """Turn an error of an exchange into one that says what happened. Other errors stay as they are."""
    try:
        yield
    except RuntimeError as error:
        if "gloo" not in str(error):
            raise
        with exchange():
            raise
