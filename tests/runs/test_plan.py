"""The split decides how a log is trained on, and other commands refuse the split by days."""

from __future__ import annotations

import pytest

import manygate as mg
from day_logs import day_log, day_schema
from manygate.errors import InputError
from manygate.runs.plan import DayPlan, WholePlan, plan_run
from manygate.runs.preflight import prepare
from manygate.training.progress import Progress


def test_the_split_decides_how_a_log_is_trained_on(log_table, log_schema, settings) -> None:
    table, schema = day_log(log_table), day_schema(log_schema)
    whole = plan_run(table, settings(), schema)
    assert isinstance(whole, WholePlan)
    assert whole.config == settings()
    by_day = plan_run(table, settings(split="progressive", keep="last", fractions=(0.8, 0.1, 0.1)), schema)
    assert isinstance(by_day, DayPlan)
    assert by_day.config.target_statistics is False
    with pytest.raises(InputError, match="on_epoch"):
        by_day.train(None, Progress(), on_epoch=lambda end: True)


def test_parts_of_their_own_and_other_commands_are_refused(log_table, log_schema, settings) -> None:
    table, schema = day_log(log_table), day_schema(log_schema)
    with pytest.raises(InputError, match="every day but the first is judged"):
        plan_run(table, settings(split="progressive"), schema, valid=table)
    with pytest.raises(InputError, match="for manygate train and"):
        prepare(table, settings(split="progressive"), schema)
    with pytest.raises(InputError, match="for manygate train and"):
        mg.compare(table, schema=schema, split="progressive", threads=1)


def test_a_ranker_trains_day_by_day_and_has_no_validation_rows(log_table, log_schema, tmp_path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(day_log(log_table), tmp_path / "log.parquet")
    ranker = mg.Ranker(split="progressive", schema=day_schema(log_schema), threads=1, dim=3, experts=2, expert_hidden=4)
    ranker.fit(tmp_path / "log.parquet", progress=False)
    assert ranker.document is not None
    days = ranker.document.results["mmoe"].days
    assert days is not None
    assert days[0].day == "2026-01-02"
    assert ranker.config.epochs == 1
    assert len(ranker.predict(tmp_path / "log.parquet")) == 400
    with pytest.raises(InputError, match="there are no validation rows"):
        ranker.calibrate()
