"""Id dropout: training replaces ids by the unseen-id row at random, rare ids more often than frequent ones.

Word dropout of Kiperwasser & Goldberg (TACL 2016): an id that n training rows hold is replaced with probability c / (c + n). So the
row of unseen ids learns what can be said of an id that is new, and the other features learn to do without the id.

Shape suffixes: B batch, R replicas, S sparse features, M numbers, K target statistics, V rows of the sparse features' tables one
after another, n ids of a bag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from manygate.config import RunConfig
from manygate.data.batches import Batch, Source
from manygate.data.rows import FIRST_ROW, UNKNOWN_ROW, Input
from manygate.randomness import DROPPED_IDS, uniform_draws


@dataclass(frozen=True)
class Statistics:
    """The target statistics of sparse features, K columns of the numbers."""

    column_K: Tensor
    sparse_K: Tensor
    """The number of the sparse feature that each is of."""
    unseen_K: Tensor
    """The statistic of an unseen id."""

    @classmethod
    def of(cls, inputs: Sequence[Input], device: torch.device) -> Statistics:
        sparse = [i.name for i in inputs if i.kind == "sparse"]
        dense = [i for i in inputs if i.kind == "dense"]
        found = [(m, sparse.index(i.source), i.unseen) for m, i in enumerate(dense) if i.source in sparse]
        columns, places, values = zip(*found, strict=True) if found else ((), (), ())
        index_K, place_K = (torch.tensor(numbers, dtype=torch.long, device=device) for numbers in (columns, places))
        return cls(index_K, place_K, torch.tensor(values, dtype=torch.float32, device=device))

    def hide(self, number_BM: Tensor, dropped_BS: Tensor) -> Tensor:
        """Copy the numbers, with the statistics of an unseen id where an id is dropped."""
        if not len(self.column_K):
            return number_BM
        kept_BK = number_BM.index_select(-1, self.column_K)
        value_BK = torch.where(dropped_BS.index_select(-1, self.sparse_K), self.unseen_K, kept_BK)
        return number_BM.index_copy(-1, self.column_K, value_BK)


@dataclass(frozen=True)
class IdDropout:
    """Replaces ids of a training batch. Calling it with a batch and the number of the step returns the new batch.

    Each occurrence has a draw of its own. It depends on the shuffle seed, the step and the place in the batch alone, so it is the
    same for every architecture and replica, and for a run that was resumed. Where replicas differ in c, the same draw is compared
    with each replica's own probability.

    Null ids and unseen ids stay. So do ids of bias features, which are null at serving, and hashed ids, which are never unseen. The
    values of a number that are ids are replaced, too: so the row of its other values is trained. With an id its target statistics
    become those of an unseen id, or they would betray it. The statistics of a bag stay.
    """

    count_V: Tensor
    """The number of times that the training rows hold an id, float32; infinite for null and unseen ids, which stay."""
    offset_S: Tensor
    bag_counts: tuple[Tensor, ...]
    strength_RS: Tensor
    """The c of each replica (or of all, where R is 1) and sparse feature; 0 where ids stay."""
    bag_strengths: tuple[Tensor, ...]
    shuffle_seed: int
    replicas: int | None
    """The number of replicas if they differ in c."""
    statistics: Statistics

    @classmethod
    def of(cls, train: Source, inputs: Sequence[Input], config: RunConfig, earlier: Sequence[Tensor] = ()) -> IdDropout | Unchanged:
        """Count the ids of the training rows. A row counts whatever its weights, and once, also where replicas draw samples.

        ``earlier`` has the counts of rows that trained before, in the form of :meth:`manygate.data.batches.Source.id_counts`.
        """
        every = config.replica_id_dropouts or (config.id_dropout,)
        strengths = {i.name: [c if i.id_dropout is None else i.id_dropout for c in every] for i in inputs if i.drops_ids}
        if not any(map(any, strengths.values())):
            return Unchanged()
        sparse, bags = ([i for i in inputs if i.kind == kind] for kind in ("sparse", "bag"))
        found = train.id_counts(sparse, bags)
        counts = [_known(a + b) for a, b in zip(found, earlier, strict=True)] if earlier else [_known(count_V) for count_V in found]
        single = counts[: len(sparse)]
        never = [0.0] * len(every)
        turns = [r % len(every) for r in range(config.replicas if config.replica_id_dropouts else 1)]
        table_SR = torch.tensor([strengths.get(i.name, never) for i in [*sparse, *bags]])[:, turns].to(train.device)
        return cls(
            torch.cat(single) if single else torch.zeros(0, device=train.device),
            torch.tensor([0, *(i.rows for i in sparse)]).cumsum(0)[:-1].to(train.device),
            tuple(counts[len(sparse) :]),
            table_SR[: len(sparse)].t().contiguous(),
            tuple(table_SR[len(sparse) :]),
            config.shuffle_seed,
            config.replicas if config.replica_id_dropouts else None,
            Statistics.of(inputs, train.device),
        )

    def __call__(self, batch: Batch, step: int) -> Batch:
        if self.replicas is not None:
            batch = batch.for_replicas(self.replicas)
        size, key = len(batch), (DROPPED_IDS, self.shuffle_seed, step)
        id_BS, number_BM, bags = batch.id_BS, batch.number_BM, []
        if features := len(self.offset_S):
            draw_BS = uniform_draws(size * features, (*key, 0)).to(id_BS.device).view(size, features)
            count_BS = self.count_V.index_select(0, (id_BS + self.offset_S).flatten()).view(id_BS.shape)
            strength = self.strength_RS.unsqueeze(1) if batch.replicas else self.strength_RS
            dropped_BS = draw_BS < strength / (strength + count_BS)
            id_BS, number_BM = id_BS.masked_fill(dropped_BS, UNKNOWN_ROW), self.statistics.hide(number_BM, dropped_BS)
        for number, (value_n, offset) in enumerate(batch.bags, 1):
            bags.append((self._replace_in_bag(number - 1, value_n, offset[::size], (*key, number)), offset))
        return replace(batch, id_BS=id_BS, number_BM=number_BM, bags=bags)

    def _replace_in_bag(self, bag: int, value_n: Tensor, start: Tensor, key: tuple[int, ...]) -> Tensor:
        """Replace ids of a bag. ``start`` has the place of each replica's first id, and the number of all ids last."""
        length_R = start.diff()
        place_n = torch.arange(len(value_n), device=value_n.device) - torch.repeat_interleave(start[:-1], length_R)
        draw_n = uniform_draws(int(length_R.max()), key).to(value_n.device)[place_n]
        strength_n = torch.repeat_interleave(self.bag_strengths[bag].expand(len(length_R)), length_R)
        return value_n.masked_fill(draw_n < strength_n / (strength_n + self.bag_counts[bag][value_n]), UNKNOWN_ROW)


class Unchanged:
    """Leaves every batch as it is: id dropout that is switched off, or has no id to replace."""

    def __call__(self, batch: Batch, step: int) -> Batch:
        return batch


def _known(count_V: Tensor) -> Tensor:
    """Return counts as float32. The rows of null and unseen ids have an infinite count."""
    known_V = count_V.float()
    known_V[:FIRST_ROW] = torch.inf
    return known_V
