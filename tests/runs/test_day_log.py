"""What is wrong with a log or with settings for training day by day is found before the training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from day_logs import DAYS, ROWS, day_log, day_schema
from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.runs.day_log import prepare_days, progressive_settings


def test_a_good_log_has_its_days_and_settings(log_table, log_schema, settings) -> None:
    said: list[str] = []

    class Told:
        def say(self, text: str) -> None:
            said.append(text)

    log = prepare_days(day_log(log_table), _config(settings), day_schema(log_schema), Told())  # type: ignore[arg-type]
    assert log.days.rows == (ROWS,) * DAYS
    assert (log.config.keep, log.config.weight_average, log.config.target_statistics) == ("last", 0.0, False)
    assert said == ["5 days from 2026-01-01 to 2026-01-05; the last one trains nothing"]
    (table,) = log.record.tables
    assert (table.part, table.rows) == ("train", ROWS * DAYS)
    assert {"time", "click", "user"} <= {column.name for column in table.columns}


def _config(settings: Any, **changes: Any) -> RunConfig:
    return settings(**{"split": "progressive", "keep": "last", "fractions": (0.8, 0.1, 0.1), **changes})  # type: ignore[no-any-return]


def test_settings_that_were_not_given_have_defaults_of_their_own() -> None:
    own = progressive_settings(RunConfig(split="progressive"))
    assert (own.epochs, own.keep, own.weight_average, own.target_statistics) == (1, "last", 0.0, False)
    assert progressive_settings(RunConfig(split="progressive", epochs=3)).epochs == 3
    assert progressive_settings(own) == own


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fractions": (0.7, 0.2, 0.1)}, "fractions: .*the days are the parts"),
        ({"monitor": "click"}, "nothing is selected"),
        ({"patience": 5}, "nothing is selected"),
        ({"calibration": "platt"}, "manygate calibrate"),
        ({"valid": "v.parquet"}, "every day but the first is judged"),
        ({"max_steps": 5}, "each day is trained on as a whole"),
        ({"schedule": "cosine"}, "no end"),
        ({"warmup": 0.1}, "no end"),
        ({"pack": 2}, "all replicas train at once"),
        ({"evaluate_every": 0.5}, "each day is judged once"),
        ({"keep": "best"}, "the last weights are kept"),
        ({"weight_average": 0.9}, "the weights themselves"),
        ({"target_statistics": True}, "those of the first day"),
    ],
)
def test_settings_that_nothing_reads_are_refused(changes, told) -> None:
    with pytest.raises(InputError, match=told):
        progressive_settings(RunConfig.build({"split": "progressive", **changes}))


def test_a_log_without_a_time_column_or_with_one_day_is_refused(log_table, log_schema, settings) -> None:
    table = day_log(log_table)
    with pytest.raises(InputError, match="names no time column"):
        prepare_days(table, _config(settings), log_schema())
    day = table["time"].combine_chunks().cast(pa.int64()).to_numpy() // 86_400
    with pytest.raises(InputError, match=r"all rows are of one day \(2026-01-01\)"):
        prepare_days(table.filter(pa.array(day == day.min())), _config(settings), day_schema(log_schema))


def test_labels_of_all_days_are_checked_before_the_training(log_table, log_schema, settings) -> None:
    table = day_log(log_table)
    day = table["time"].combine_chunks().cast(pa.int64()).to_numpy() // 86_400
    last = day == day.max()
    place = table.column_names.index("click")

    def prepared(click: np.ndarray) -> None:
        prepare_days(table.set_column(place, "click", pa.array(click)), _config(settings), day_schema(log_schema))

    click = table["click"].to_numpy().astype(int)
    with pytest.raises(InputError, match="80 values that cannot be labels"):
        prepared(np.where(last, 2, click))
    with pytest.raises(InputError, match="always 0 in train"):
        prepared(np.where(last, click, 0))
    prepared(np.where(last, 0, click))  # the metrics of the last day are undefined, and say why


def test_a_number_needs_labels_on_the_first_day(log_table, log_schema, settings) -> None:
    table = day_log(log_table)
    day = table["time"].combine_chunks().cast(pa.int64()).to_numpy() // 86_400
    place = table.column_names.index("watch")
    watch = pa.array(np.where(day == day.min(), np.nan, 20.0 + np.arange(len(table)) % 7), from_pandas=True)
    with pytest.raises(InputError, match=r"task 'watch' has no label on the first day \(2026-01-01\)"):
        prepare_days(table.set_column(place, "watch", watch), _config(settings), day_schema(log_schema))


def test_a_file_of_the_last_day_alone_counts_as_not_read(log_table, log_schema, settings, tmp_path) -> None:
    """It trains nothing, so a run that is trained on can read it."""
    table = day_log(log_table)
    day = table["time"].combine_chunks().cast(pa.int64()).to_numpy() // 86_400
    for value in np.unique(day):
        pq.write_table(table.filter(pa.array(day == value)), tmp_path / f"{value}.parquet")
    log = prepare_days(tmp_path, _config(settings), day_schema(log_schema))
    (record,) = log.record.tables
    assert record.files is not None
    assert sorted(record.files) == [str(tmp_path / f"{value}.parquet") for value in np.unique(day)[:-1]]
