"""The rows of the study: aligned columns, whole test rows, and scores that depend on values and not on their order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from made_up_census import PLAN, write_census
from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.datasets.census import INPUTS, task_schema
from manygate.runs.preflight import prepare
from manygate.runs.run import train_one
from manygate.studies.census.data import CensusData, sample
from manygate.studies.census.plan import Job, Plan
from manygate.training.progress import Progress

TASKS = ("income", "never_married")


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, pa.Table]:
    return CensusData(write_census(tmp_path / "source", monkeypatch), PLAN).tables


def test_the_parts_have_the_same_columns_and_all_labels(tables: dict[str, pa.Table]) -> None:
    names = [*INPUTS, "income", "education", "never_married"]
    assert [table.column_names for table in tables.values()] == [names] * 3
    assert [table.num_rows for table in tables.values()] == [400, 200, 200]


def test_a_sample_takes_training_and_validation_rows_and_leaves_the_test_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tables: dict[str, pa.Table]
) -> None:
    found = CensusData(tmp_path / "source", Plan(trials=1, most_rows=50)).tables
    assert [table.num_rows for table in found.values()] == [50, 50, 200]
    assert found["test"].equals(tables["test"])
    assert sample(tables["train"], 50, 0).equals(sample(tables["train"], 50, 0))
    assert not sample(tables["train"], 50, 0).equals(sample(tables["train"], 50, 1))
    assert sample(tables["train"], 400, 0) is tables["train"]


def test_a_log_has_the_tasks_of_its_job_and_no_other_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = CensusData(write_census(tmp_path / "source", monkeypatch), PLAN)
    log = data.log(Job("single_task", ("never_married",)))
    assert log.schema.task_names == ("never_married",)
    assert "income" not in log.schema.columns
    assert data.log(Job("lightgbm", ("never_married",))) is log
    assert data.log(Job("mmoe", TASKS)).schema.task_names == TASKS


def test_only_the_tabular_method_has_the_default_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs: list[RunConfig] = []

    def prepared(source: object, config: RunConfig, *others: Any) -> EncodedLog:
        configs.append(config)
        return prepare(source, config, *others)

    monkeypatch.setattr("manygate.studies.census.data.prepare", prepared)
    data = CensusData(write_census(tmp_path / "source", monkeypatch), PLAN)
    plain = data.log(Job("mmoe", TASKS))
    assert data.log(Job("ple", TASKS)) is plain
    assert data.log(Job("mmoe_tabular", TASKS)) is not plain
    assert [(config.number_ids, config.target_statistics, config.monitor) for config in configs] == [
        (0, False, "income"),
        (None, None, "income"),
    ]


def logits(tables: dict[str, pa.Table]) -> tuple[EncodedLog, np.ndarray]:
    """Train a small network on the tables, and return the log and its test logits, (N, T)."""
    config = RunConfig.build({"architecture": "mmoe", "epochs": 1, "experts": 2, "threads": 1, "monitor": "income"})
    log = prepare(tables["train"], config, task_schema(TASKS), tables["valid"], tables["test"])
    return log, train_one(log, config, None, Progress()).test_logit_RNT[0]


def test_scores_depend_on_values_and_not_on_the_order_of_rows_columns_or_categories(tables: dict[str, pa.Table]) -> None:
    columns = [*INPUTS, *TASKS]
    plain = {part: table.select(columns) for part, table in tables.items()}
    _, expected_NT = logits(plain)
    order = np.random.default_rng(0).permutation(plain["test"].num_rows)
    shuffled = plain["test"].take(order).select(list(reversed(columns)))
    for name in ("industry", "occupation", "hispanic_origin"):  # the same values, of which the categories stand in another order
        values = shuffled[name].combine_chunks()
        categories = pa.array(sorted(set(values.to_pylist()), reverse=True))
        codes = pa.array([categories.to_pylist().index(value) for value in values.to_pylist()], pa.int32())
        shuffled = shuffled.set_column(shuffled.column_names.index(name), name, pa.DictionaryArray.from_arrays(codes, categories))
    _, found_NT = logits({**plain, "test": shuffled})
    np.testing.assert_allclose(found_NT, expected_NT[order], atol=1e-6)
    assert np.ptp(expected_NT[:, 0]) > 0.1
