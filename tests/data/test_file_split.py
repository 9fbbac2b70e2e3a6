"""Batches of rows in files are those of the same rows in memory, whatever the blocks, the order and the size."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from manygate.data.batches import Batch, Split
from manygate.data.encoded import EncodedLog
from manygate.data.file_split import FileSplit, read_ahead, split_of
from manygate.data.rows import Input
from manygate.errors import InputError
from manygate.model.logits import predict
from stored_rows import in_files, made_up

SPARSE = [Input("item", "sparse", False, rows=12, dim=2), Input("shop", "sparse", False, rows=5, dim=2)]
TAGS = [Input("tags", "bag", False, rows=9, dim=2)]


def same(first: Batch, second: Batch) -> bool:
    assert first.group_B is None
    arrays = zip(
        [first.id_BS, first.number_BM, first.label_BT, first.weight_BT, *(value for bag in first.bags for value in bag)],
        [second.id_BS, second.number_BM, second.label_BT, second.weight_BT, *(value for bag in second.bags for value in bag)],
        strict=True,
    )
    return all(torch.equal(one, other) and one.dtype == other.dtype for one, other in arrays)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("count", [1, 49, 50, 150, 151, 420])
@pytest.mark.parametrize("size", [7, 50, 200, 1000])
def test_batches_and_slices_are_those_in_memory(count, size, tmp_path):
    rows = made_up(count)
    memory, files = Split(rows), FileSplit(in_files(rows, tmp_path))
    assert len(files) == count
    for epoch, first in ((0, 0), (1, 2), (1, 999)):
        pairs = zip(memory.batches(3, epoch, size, first), files.batches(3, epoch, size, first), strict=True)
        assert all(same(*pair) for pair in pairs)
    assert all(same(*pair) for pair in zip(memory.slices(size), files.slices(size), strict=True))
    assert all(map(torch.equal, memory.id_counts(SPARSE, TAGS), files.id_counts(SPARSE, TAGS)))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("bootstrap", [False, True])
def test_each_replica_s_rows_are_those_in_memory(bootstrap, tmp_path):
    rows = made_up(420)
    memory, files = (split.resampled([5, 8], bootstrap) for split in (Split(rows), FileSplit(in_files(rows, tmp_path))))
    pairs = list(zip(memory.batches(3, 1, 64), files.batches(3, 1, 64), strict=True))
    assert len(pairs) == 7
    assert all(same(*pair) for pair in pairs)
    assert pairs[0][0].replicas == 2


def test_training_on_files_gives_the_same_bytes(
    log_table: Callable, encoded: Callable[..., EncodedLog], settings: Callable, trainer: Callable, small_blocks: None
) -> None:
    found = []
    for memory in ("1GB", "0"):
        config = settings(memory=memory, replicas=2, replica_data="bootstrap", dropout=0.1, id_dropout=2.0, batch_size=32)
        log = encoded(log_table(900), config=config)
        run = trainer(log, config)
        state = run.fit()
        logits = predict(run.model, split_of(log.parts["test"]))
        found.append(
            (logits.tobytes(), [value.detach().numpy().tobytes() for value in run.model.parameters.values()], state.history)
        )
    assert found[0] == found[1]


def test_a_loss_of_whole_groups_needs_rows_in_memory(tmp_path, small_blocks):
    assert split_of(in_files(made_up(140), tmp_path / "a"), groups=True).group_N is not None
    with pytest.raises(
        InputError,
        match="a pairwise loss reads whole groups, and the 151 training rows are in files, which are read in another order",
    ):
        split_of(in_files(made_up(151), tmp_path / "b"), groups=True)


def test_rows_in_memory_stay_so():
    split = split_of(made_up(5), groups=True)
    assert isinstance(split, Split)
    assert split.group_N is not None


def test_an_error_while_reading_ahead_reaches_the_reader():
    def items():
        yield 1
        raise InputError("damaged")

    found = []
    with pytest.raises(InputError, match="damaged"):
        found.extend(read_ahead(items()))
    assert found == [1]
