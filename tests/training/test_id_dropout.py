"""Id dropout: its probabilities, its draws, and the ids that it leaves alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from manygate.config import RunConfig
from manygate.data.batches import Batch, Resampled, Split
from manygate.data.rows import NULL_ROW, UNKNOWN_ROW, Input, Rows
from manygate.model import MultiTaskModel
from manygate.randomness import DROPPED_IDS
from manygate.training.id_dropout import IdDropout, Unchanged
from manygate.training.trainer import Trainer

quick = hypothesis_settings(max_examples=25, deadline=None, derandomize=True)
ITEM = Input("item", "sparse", False, rows=5, dim=2, can_be_unseen=True)
SHOP = Input("shop", "sparse", False, rows=4, dim=2, can_be_unseen=True)
TAGS = Input("tags", "bag", False, rows=5, dim=2, can_be_unseen=True)
ITEMS = [2, 3, 3, 3, 0, 1, 4, 4]
SHOPS = [3, 3, 3, 3, 3, 3, 3, 2]
BAGS = [[2, 2], [], [3], [0, 1, 2], [4], [], [], [4]]


def split(items: list[int] = ITEMS, shops: list[int] = SHOPS, bags: list[list[int]] = BAGS, weight: float = 1.0) -> Split:
    """Rows of the three features and one label."""
    ids = np.array([items, shops], dtype=np.int32).T
    offset = np.append(0, np.cumsum([len(bag) for bag in bags])).astype(np.int64)
    label, none = np.zeros((len(items), 1), np.float32), np.zeros((len(items), 0), np.float32)
    bag = (np.array(list(chain(*bags)), np.int32), offset)
    return Split(Rows(ids, none, [bag], label, np.full_like(label, weight)))


def ids_and_bags(batch: Batch) -> tuple[list[list[int]], list[int]]:
    return batch.id_BS.tolist(), batch.bags[0][0].tolist()


def by_hand(batch: Batch, count: dict[str, Counter[int]], c: dict[str, float], key: tuple[int, ...]) -> tuple[list, list]:
    """Replace ids one after another, each with a draw of its own, as the paper says."""

    def replaced(name: str, value: int, draw: float) -> int:
        is_id = value not in (NULL_ROW, UNKNOWN_ROW)
        return UNKNOWN_ROW if is_id and draw < c[name] / (c[name] + count[name][value]) else value

    def draws(*last: int) -> np.random.Generator:
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence((*key, *last))))

    cells, bag = draws(0), draws(1)
    ids = [
        [replaced(name, value, cells.random(dtype=np.float32)) for name, value in zip(("item", "shop"), row, strict=True)]
        for row in batch.id_BS.tolist()
    ]
    return ids, [replaced("tags", value, bag.random(dtype=np.float32)) for value in batch.bags[0][0].tolist()]


@pytest.mark.parametrize(("config", "shop"), [(RunConfig(id_dropout=2.0, shuffle_seed=7), None), (RunConfig(shuffle_seed=3), 0.5)])
def test_ids_are_replaced_as_by_hand(config, shop):
    train = split(weight=0.0)
    dropout = IdDropout.of(train, [ITEM, replace(SHOP, id_dropout=shop), TAGS], config)
    count = {"item": Counter(ITEMS), "shop": Counter(SHOPS), "tags": Counter(chain(*BAGS))}
    c = {"item": config.id_dropout, "shop": config.id_dropout if shop is None else shop, "tags": config.id_dropout}
    order, changed = torch.tensor([5, 0, 3, 3, 4, 7]), 0
    for step in range(20):
        batch = train.take(order)
        found = ids_and_bags(dropout(batch, step))
        assert found == by_hand(batch, count, c, (DROPPED_IDS, config.shuffle_seed, step))
        changed += found != ids_and_bags(batch)
    assert changed > 15


def test_an_id_seen_n_times_is_replaced_with_probability_c_by_c_plus_n():
    """Item 2 occurs once, 3 three times, 4 twice. Each share is within four standard deviations of c / (c + n)."""
    train, draws = split(), 20_000
    dropout = IdDropout.of(train, [ITEM, SHOP, TAGS], RunConfig(id_dropout=1.0))
    for item, n in ((2, 1), (3, 3), (4, 2)):
        row_B = torch.full((draws,), ITEMS.index(item))
        share = (dropout(train.take(row_B), item).id_BS[:, 0] == UNKNOWN_ROW).float().mean().item()
        p = 1 / (1 + n)
        assert share == pytest.approx(p, abs=4 * (p * (1 - p) / draws) ** 0.5), item


@quick
@given(data=st.data(), low=st.floats(0, 50), more=st.floats(0, 50), step=st.integers(0, 2**40))
def test_a_larger_c_replaces_the_same_ids_and_more(data, low, more, step):
    row_B = torch.tensor(data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=12)))
    train = split()
    batch = train.take(row_B)
    before = torch.cat([batch.id_BS.flatten(), batch.bags[0][0]])
    found = []
    for c in (low, low + more):
        changed = IdDropout.of(train, [ITEM, SHOP, TAGS], RunConfig(id_dropout=c))(batch, step)
        found.append(torch.cat([changed.id_BS.flatten(), changed.bags[0][0]]))
        assert changed.bags[0][1] is batch.bags[0][1]
    for value in found:
        assert set(value[value != before].tolist()) <= {UNKNOWN_ROW}
        assert torch.equal(value == NULL_ROW, before == NULL_ROW)
    assert set((found[0] != before).nonzero().flatten().tolist()) <= set((found[1] != before).nonzero().flatten().tolist())


def test_ids_that_cannot_be_unseen_stay():
    """Hashed ids have no row for unseen ids, and prediction sees no bias feature."""
    train, strong = split(), RunConfig(id_dropout=1e6)
    fixed = replace(SHOP, can_be_unseen=False)
    changed = IdDropout.of(train, [ITEM, fixed, TAGS], strong)(train.take(torch.arange(8)), 1)
    assert changed.id_BS[:, 1].tolist() == SHOPS
    assert changed.id_BS[:, 0].tolist() == [1, 1, 1, 1, 0, 1, 1, 1]
    assert changed.bags[0][0].tolist() == [1, 1, 1, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("config", "inputs"),
    [
        (RunConfig(id_dropout=0.0), [ITEM, SHOP, TAGS]),
        (RunConfig(replica_id_dropouts=(0.0, 0.0), replicas=2), [ITEM, SHOP, TAGS]),
        (RunConfig(), [replace(feature, can_be_unseen=False) for feature in (ITEM, SHOP, TAGS)]),
        (RunConfig(), [replace(feature, id_dropout=0.0) for feature in (ITEM, SHOP, TAGS)]),
    ],
)
def test_without_anything_to_replace_a_batch_is_passed_on(config, inputs):
    dropout, batch = IdDropout.of(split(), inputs, config), split().take(torch.arange(8))
    assert isinstance(dropout, Unchanged)
    assert dropout(batch, 1) is batch


def test_a_row_counts_once_where_replicas_draw_samples():
    inputs = [ITEM, SHOP, TAGS]
    once, drawn = (IdDropout.of(rows, inputs, RunConfig()) for rows in (split(), Resampled(split(), [0, 1], bootstrap=True)))
    assert isinstance(once, IdDropout)
    assert isinstance(drawn, IdDropout)
    assert torch.equal(once.count_V, drawn.count_V)
    assert all(map(torch.equal, once.bag_counts, drawn.bag_counts))


def of_replica(batch: Batch, replica: int) -> tuple[list[list[int]], list[int]]:
    value, offset = batch.bags[0]
    size = len(batch)
    return batch.id_BS[replica].tolist(), value[offset[replica * size] : offset[(replica + 1) * size]].tolist()


def test_replicas_that_differ_in_c_compare_the_same_draw():
    train, strengths = split(), (0.0, 1.0, 30.0)
    both = IdDropout.of(train, [ITEM, SHOP, TAGS], RunConfig(replicas=4, replica_id_dropouts=strengths))
    for step in range(10):
        batch = train.take(torch.tensor([0, 1, 3, 7, 6]))
        together = both(batch, step)
        assert together.replicas == 4
        for r in range(4):
            alone = IdDropout.of(train, [ITEM, SHOP, TAGS], RunConfig(id_dropout=strengths[r % 3]))
            assert of_replica(together, r) == ids_and_bags(alone(batch, step))
            assert torch.equal(together.label_BT[r], batch.label_BT)


@pytest.mark.parametrize("bootstrap", [False, True])
def test_rows_of_each_replica_get_the_draw_that_they_get_alone(bootstrap):
    train = split()
    dropout = IdDropout.of(train, [ITEM, SHOP, TAGS], RunConfig(id_dropout=2.0))
    together, apart = Resampled(train, [5, 9], bootstrap), [Resampled(train, [seed], bootstrap) for seed in (5, 9)]
    lengths = set()
    each = zip(together.batches(0, 0, 3), *(alone.batches(0, 0, 3) for alone in apart), strict=True)
    for step, (batch, *single) in enumerate(each):
        changed = dropout(batch, step)
        for r, alone in enumerate(single):
            found = of_replica(changed, r)
            assert found == of_replica(dropout(alone, step), 0)
            lengths.add((step, len(found[1])))
    assert len(lengths) > 3, "the case is about bags of unlike lengths"


def steps_of(training: Trainer, monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """Train, and return the batches of all steps."""
    batches: list[Batch] = []
    step = Trainer._step
    monkeypatch.setattr(Trainer, "_step", lambda self, batch: (batches.append(batch), step(self, batch))[1])
    training.fit()
    monkeypatch.undo()
    return batches


def test_every_architecture_and_replica_sees_the_same_ids(encoded, trainer, settings, monkeypatch):
    log = encoded()
    first, *others = [
        steps_of(trainer(log, settings(architecture=name, epochs=2, replicas=replicas, seed=seed)), monkeypatch)
        for name, replicas, seed in (("mmoe", 1, 0), ("single_task", 1, 0), ("ple", 2, 5))
    ]
    plain = steps_of(trainer(log, settings(epochs=2, id_dropout=0.0)), monkeypatch)
    for other in others:
        assert all(torch.equal(a.id_BS, b.id_BS) for a, b in zip(first, other, strict=True))
    assert sum(not torch.equal(a.id_BS, b.id_BS) for a, b in zip(first, plain, strict=True)) == len(first)
    half = len(first) // 2
    assert any(not torch.equal(a.id_BS, b.id_BS) for a, b in zip(first[:half], first[half:], strict=True))


def test_validation_and_prediction_see_every_id(encoded, trainer, settings, monkeypatch):
    log, seen = encoded(), []
    logits = MultiTaskModel.logits
    monkeypatch.setattr(MultiTaskModel, "logits", lambda self, batch, *more: (seen.append(batch), logits(self, batch, *more))[1])
    training = trainer(log, settings(epochs=2, id_dropout=1e6))
    training.fit()
    rows = log.parts["valid"]
    assert len(seen) >= 2
    assert torch.equal(torch.cat([batch.id_BS for batch in seen]), torch.from_numpy(np.concatenate([rows.id_BS] * 2)))
