"""A labelled log is scored batch by batch: the same numbers as at once, and only labels and logits stay in memory."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from encoders import assert_same_rows
from manygate.data.encode import Encoder
from manygate.data.rows import Rows
from manygate.data.table import Table, open_table
from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.scoring import scored
from manygate.scoring.predictor import Predictor
from manygate.scoring.scored import check_room, score_rows, scored_bytes


@pytest.fixture(scope="module")
def log(encoded) -> Any:
    return encoded()


@pytest.fixture(scope="module")
def predictor(log, settings) -> Predictor:
    problem = Problem.of(log.encoder, settings())
    return Predictor(MultiTaskModel(problem, settings(replicas=2)), log.encoder, log=log.record)


def in_batches(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Read tables in batches of some rows."""
    batches = Table.batches
    monkeypatch.setattr(Table, "batches", lambda self, columns=None, _=0: batches(self, columns, rows))


@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
def test_batches_do_not_matter(predictor, log_table, monkeypatch, rows: int) -> None:
    table = log_table(150, seed=4)
    whole = predictor.encoder.encode(table.combine_chunks().to_batches()[0], bias=False)
    in_batches(monkeypatch, rows)
    found = score_rows(predictor, open_table(table), ["age"])
    np.testing.assert_allclose(found.logit_RNT, predictor.logits(whole), rtol=1e-5, atol=1e-6)
    assert found.logit_RNT.dtype == np.float32
    assert_same_rows(found.rows, whole.without_inputs())
    assert found.rows.id_BS.nbytes == found.rows.number_BM.nbytes == len(found.rows.bags) == 0
    np.testing.assert_array_equal(found.number["age"], table["age"].to_numpy())


def test_encoded_rows_do_not_stay(predictor, log_table, monkeypatch) -> None:
    """At any moment the inputs of one batch at most are alive."""
    alive: list[Any] = []
    most = 0
    encode = Encoder.encode

    def watched(self: Encoder, *arguments: Any, **options: Any) -> Rows:
        nonlocal most
        gc.collect()
        most = max(most, sum(reference() is not None for reference in alive))
        rows = encode(self, *arguments, **options)
        alive.append(weakref.ref(rows.id_BS))
        return rows

    in_batches(monkeypatch, 10)
    monkeypatch.setattr(Encoder, "encode", watched)
    gc.freeze()  # so that the collector goes through what the test makes and nothing else
    score_rows(predictor, open_table(log_table(200)))
    gc.unfreeze()
    assert len(alive) == 20
    assert most <= 1


def test_empty_files_between_full_ones_change_nothing(predictor, log_table) -> None:
    table = log_table(60)
    pieces = [table.slice(0, 0), table.slice(0, 20), table.slice(0, 0), table.slice(20), table.slice(0, 0)]
    gaps = pa.Table.from_batches([piece.combine_chunks().to_batches()[0] if piece.num_rows else empty(table) for piece in pieces])
    np.testing.assert_allclose(
        score_rows(predictor, open_table(gaps)).logit_RNT, score_rows(predictor, open_table(table)).logit_RNT, rtol=1e-5, atol=1e-6
    )


def empty(table: pa.Table) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in table.schema], schema=table.schema)


def test_the_rows_of_the_run_are_recognised_in_the_same_pass(predictor, log_table) -> None:
    assert score_rows(predictor, open_table(log_table(500))).run_part == "train"
    assert score_rows(predictor, open_table(log_table(500, seed=8))).run_part is None
    assert score_rows(predictor, open_table(log_table(499))).run_part is None


def test_a_log_too_large_for_the_scores_is_refused_before_it_is_read(predictor, log_table, monkeypatch) -> None:
    needed = scored_bytes(150, replicas=2, tasks=3)
    assert needed == 150 * (2 * 3 * 4 + 3 * 8 + 8 + 2 * 8 + 240)
    table = open_table(log_table(150))
    monkeypatch.setattr(scored, "free_memory", lambda: float(needed))
    check_room(table, 2, 3)
    monkeypatch.setattr(scored, "free_memory", lambda: needed - 1.0)
    monkeypatch.setattr(Table, "batches", lambda *_: pytest.fail("read"))
    with pytest.raises(InputError, match=r"the metrics of 150 rows need about 0\.00 GB of memory, and 0\.00 GB are free") as error:
        score_rows(predictor, table)
    assert "here 2 x rows x 3. Evaluate fewer rows" in str(error.value)


def test_memory_that_runs_out_while_scoring_says_what_to_do(predictor, log_table, monkeypatch) -> None:
    def full(*_: Any, **__: Any) -> Rows:
        raise MemoryError

    monkeypatch.setattr(Encoder, "encode", full)
    with pytest.raises(InputError, match=r"Table \(pyarrow\): memory ran out .* Evaluate fewer rows"):
        score_rows(predictor, open_table(log_table(20)))


def test_a_feature_that_the_table_lacks_is_named(predictor, log_table) -> None:
    with pytest.raises(InputError, match=r"column 'agee' .*named by a fusion's feature.*Did you mean 'age'"):
        score_rows(predictor, open_table(log_table(20)), ["agee"])


def test_numbers_of_several_batches_are_one_column(predictor, log_table, monkeypatch) -> None:
    table = log_table(20)
    in_batches(monkeypatch, 6)
    number = score_rows(predictor, open_table(table), ["price", "age"]).number
    assert list(number) == ["price", "age"]
    np.testing.assert_array_equal(number["age"], table["age"].to_numpy())
    np.testing.assert_array_equal(number["price"], table["price"].to_numpy())
