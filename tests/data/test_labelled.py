"""Labelled rows for a trained model: the run's own validation rows are those of training, or an error says what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from log_folders import write_log_folder
from manygate.data.encoded import EncodedLog, encode_log
from manygate.data.labelled import RunTables, labelled_table, run_part, run_rows
from manygate.data.sources import open_sources
from manygate.data.table import open_table
from manygate.errors import InputError


def encode(log: Any, schema: Any, config: Any) -> EncodedLog:
    return encode_log(open_sources(log, config), schema, config)


SPLITS = {
    "random": {},
    "by group": {"split": "group"},
    "by time": {"split": "time", "time": "day"},
}


@pytest.mark.parametrize("name", SPLITS)
def test_the_validation_rows_are_those_of_training(log_table, log_schema, settings, name: str) -> None:
    table = log_table(400).append_column("day", pa.array(range(400)))
    schema = log_schema().model_copy(update={"time": "day", "group": "user"})
    log = encode(table, schema, settings(**SPLITS[name]))
    again = run_rows(settings(**SPLITS[name]), table, schema, log.record)
    rows = log.encoder.encode(pa.Table.from_batches([b for _, b in again.batches()]).combine_chunks().to_batches()[0], bias=False)
    assert again.name == "validation rows of Table (pyarrow)"
    assert (rows.id_BS == log.parts["valid"].id_BS).all()
    assert (rows.label_BT == log.parts["valid"].label_BT).all()
    assert again.count() == len(log.parts["valid"])


def test_validation_rows_of_another_log_are_refused(log_table, log_schema, settings) -> None:
    log = encode(log_table(400), log_schema(), settings())
    shorter, other = log_table(399), log_table(400, seed=5)
    with pytest.raises(InputError, match="it has 399 rows, and had 400") as error:
        run_rows(settings(), shorter, log_schema(), log.record)
    assert "name labelled rows that trained nothing" in str(error.value)
    with pytest.raises(InputError, match=r"user, country, tags.* have other values"):
        run_rows(settings(), other, log_schema(), log.record)
    with pytest.raises(InputError, match=r"column 'age'.*is missing"):
        run_rows(settings(), log_table(400).drop_columns(["age"]), log_schema(), log.record)


def test_a_validation_table_of_its_own_is_compared_alone(tmp_path: Path, parts, log_table, log_schema, settings) -> None:
    folder = write_log_folder(tmp_path / "log", parts)
    record = encode(folder, log_schema(), settings()).record
    pq.write_table(log_table(77, seed=3), folder / "train.parquet")
    again = run_rows(settings(), folder, log_schema(), record)
    assert again.count() == parts["valid.parquet"].num_rows
    pq.write_table(log_table(77, seed=3), folder / "valid.parquet")
    with pytest.raises(InputError, match=r"valid\.parquet: it has 77 rows"):
        run_rows(settings(), folder, log_schema(), record)


def test_a_table_of_the_run_is_recognised_without_its_bias_features(tmp_path: Path, parts, log_table, log_schema, settings) -> None:
    folder = write_log_folder(tmp_path / "log", parts)
    log = encode(folder, log_schema(), settings())
    for part in ("train", "valid", "test"):
        table = parts[f"{part}.parquet"].drop_columns(["position", "depth"])
        assert run_part(log.record, log.encoder, open_table(table)) == part
        assert run_part(log.record, log.encoder, open_table(table.slice(1))) is None
        assert run_part(None, log.encoder, open_table(table)) is None
    other = log_table(parts["train.parquet"].num_rows, seed=9)
    assert run_part(log.record, log.encoder, open_table(other)) is None


def test_without_rows_of_that_number_nothing_is_hashed(log_table, log_schema, settings) -> None:
    log = encode(log_table(400), log_schema(), settings())
    tables = RunTables(log.record, open_table(log_table(10)))
    tables.add(log_table(10).combine_chunks().to_batches()[0])
    assert tables._fingerprint.rows == 0
    assert tables.part() is None


def test_a_data_set_gives_the_part_that_is_asked_for(tmp_path: Path, parts, log_schema, settings) -> None:
    folder = write_log_folder(tmp_path / "log", parts)
    encoder = encode(folder, log_schema(), settings()).encoder
    assert labelled_table(encoder, folder).count() == parts["test.parquet"].num_rows
    assert labelled_table(encoder, folder, "valid").count() == parts["valid.parquet"].num_rows
    (folder / "valid.parquet").unlink()
    with pytest.raises(InputError, match="without a valid part"):
        labelled_table(encoder, folder, "valid")
    assert labelled_table(encoder, folder / "test.parquet").count() == parts["test.parquet"].num_rows
