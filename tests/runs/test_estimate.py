"""What a run would take: counted numbers by hand, and rules that extrapolate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manygate.config import RunConfig
from manygate.data.rows import FIRST_ROW, Input
from manygate.errors import InputError
from manygate.model.problem import Problem
from manygate.runs.estimate import Cluster, Estimate, Growth, Rates, StepTimes, estimate, exchanged
from manygate.schema import Feature, Schema, Task

CLICKS = np.random.default_rng(0).integers(0, 2, 600)
LOG = pa.table({"user": [f"u{n % 300}" for n in range(600)], "item": [n * n % 11 for n in range(600)], "click": CLICKS})
SCHEMA = Schema(features=(Feature(name="user", kind="sparse"), Feature(name="item", kind="sparse")), tasks=(Task(name="click"),))
SIZES = {"experts": 2, "expert_hidden": 4, "tower_hidden": 2, "dim": 4, "batch_size": 50, "threads": 1}


@pytest.fixture
def tiny(tmp_path: Path) -> RunConfig:
    (tmp_path / "schema.yaml").write_text(SCHEMA.to_yaml(), encoding="utf-8")
    return RunConfig.build({**SIZES, "schema_file": str(tmp_path / "schema.yaml")})


def test_a_log_of_the_sample_is_counted(tiny) -> None:
    found = estimate(LOG, tiny, Cluster())
    assert (found.rows, found.training_rows, found.batch, found.steps) == (600, 480, 50, 10)
    assert found.tables["user"][0] == found.tables["user"][1]
    assert found.rates.row_bytes * 600 == found.encoded == 600 * 16
    assert found.exchange == 0
    assert found.memory == found.model_memory + found.encoded
    assert 0 < found.step < 60
    assert found.epoch == pytest.approx(10 * found.step)


def test_a_longer_log_has_more_ids_where_the_sample_has_new_ones_to_its_end(tiny) -> None:
    found = estimate(LOG, tiny, Cluster(), rows=60_000)
    assert found.training_rows == 48_000
    sampled, whole = found.tables["user"]
    assert 50 * sampled < whole <= 100 * sampled, "twice the rows have twice the users"
    assert found.tables["item"][0] == found.tables["item"][1], "there are no more items"
    assert found.encoded == pytest.approx(60_000 * found.rates.row_bytes)


RATES = Rates(rows=1000, training_rows=1000, encoding=1e5, reading=1e6, training=1e4, row_bytes=100.0)
SINGLE = Estimate(
    rows=2_000_000,
    training_rows=1_000_000,
    batch=1000,
    replicas=1,
    rates=RATES,
    cluster=Cluster(),
    network_parameters=10,
    table_parameters=10,
    tables={},
    memory=0.0,
    model_memory=0.0,
    exchange=1.25e6,
)


def test_times_by_hand() -> None:
    assert (SINGLE.encoding, SINGLE.steps) == (20.0, 1000)
    assert SINGLE.step == pytest.approx(0.1)
    assert SINGLE.epoch == pytest.approx(100.0)
    assert replace(SINGLE, replicas=3).step == pytest.approx(0.3)


def test_machines_share_the_network_and_not_the_gathering() -> None:
    """99 ms of a step are shared by four machines, 1 ms is not, and 1.25 MB take 1 ms at 10 Gbit/s."""
    four = replace(SINGLE, cluster=Cluster(machines=4))
    assert four.exchanging == pytest.approx(0.001)
    assert four.step == pytest.approx(0.099 / 4 + 0.001 + 0.001)
    two_each = replace(SINGLE, cluster=Cluster(machines=4, processes=2))
    assert two_each.step == pytest.approx(0.099 / 4 + 0.002 + 0.002)
    assert two_each.encoding == 40.0


def test_the_exchange_by_hand() -> None:
    """Three tasks, two replicas, a table of width 4 and a bag of width 8."""
    inputs = [
        Input("a", "sparse", False, rows=9, dim=4),
        Input("b", "bag", False, rows=9, dim=8),
        Input("c", "dense", False, units=1),
    ]
    config = RunConfig(batch_size=100, replicas=2)
    rows, outputs = (4 * 4 * 2 + 8) + (4 * 8 * 2 + 8), 4 * 2 * 3
    expected = 3 / 4 * (2 * 4 * 50 * 2 + 100 * (rows + outputs))
    assert exchanged(Problem.binary(inputs, tasks=3), config, 50, 4) == expected
    assert exchanged(Problem.binary(inputs, tasks=3), config, 50, 1) == 0


def test_rows_of_given_parts_do_not_train(tiny, tmp_path) -> None:
    """A log of 600 rows and 3,000 test rows: a ninth of the 600 is split off for validation."""
    pq.write_table(LOG, tmp_path / "log.parquet")
    pq.write_table(pa.concat_tables([LOG] * 5), tmp_path / "test.parquet")
    found = estimate(tmp_path / "log.parquet", tiny.replace(test=str(tmp_path / "test.parquet")), Cluster())
    assert (found.rows, found.training_rows) == (3600, round(600 * 8 / 9))


def test_a_limit_of_ids_and_widths_by_the_number_of_ids_hold_for_the_longer_log(tiny) -> None:
    limited = estimate(LOG, tiny.replace(max_ids=250), Cluster(), rows=6_000_000)
    assert limited.tables["user"][1] == 250 + FIRST_ROW
    short, longer = (estimate(LOG, tiny.replace(dim_rule="fourth_root"), Cluster(), rows=n) for n in (600, 600 * 10**5))
    rows, more = sum(whole for _, whole in short.tables.values()), sum(whole for _, whole in longer.tables.values())
    assert longer.table_parameters / more > 3 * short.table_parameters / rows, "wider embeddings"


def test_tables_of_each_task_and_lists_are_exchanged() -> None:
    inputs = [Input("a", "bag", False, rows=9, dim=4)]
    config, problem = RunConfig(batch_size=100), Problem.binary(inputs, tasks=3)
    shared = exchanged(problem, config, 0, 2)
    assert shared == (100 * (4 * 4 + 8) + 100 * 12) / 2
    assert exchanged(problem, config, 0, 2, {"a": 5.0}) == (5 * 100 * (4 * 4 + 8) + 100 * 12) / 2
    assert exchanged(problem, config.replace(architecture="single_task"), 0, 2) == (100 * (3 * 4 * 4 + 8) + 100 * 12) / 2


def test_a_run_of_few_steps_takes_no_longer() -> None:
    assert SINGLE.whole(3) == pytest.approx(300.0)
    assert replace(SINGLE, steps_at_most=10).whole(3) == pytest.approx(1.0)


def test_a_plan_is_for_a_log_that_is_trained_as_a_whole(tiny) -> None:
    with pytest.raises(InputError, match="split='progressive': a plan is for a log that is trained as a whole"):
        estimate(LOG, tiny.replace(split="progressive"), Cluster())


@pytest.mark.parametrize(("half", "whole", "power"), [(100, 100, 0.0), (100, 200, 1.0), (100, 90, 0.0), (50, 200, 1.0)])
def test_the_power_of_growth_lies_from_0_to_1(half: int, whole: int, power: float) -> None:
    growth = Growth.of(half, whole)
    assert growth.power == power
    assert growth.at(0.5) == whole, "a shorter log is not extrapolated"


def test_a_step_that_was_interrupted_does_not_count() -> None:
    times = StepTimes()
    times.ends = [0.0]
    for end in (9, 10, 11, 12, 13, 14, 90, 91, 92):
        times.ends.append(float(end))
        times.rows.append(200)
    assert times.rows_a_second() == 200
    times.ends, times.rows = [0.0, 9.0, 11.0], [200, 200]
    assert times.rows_a_second() == 100, "a run of two steps"


def test_a_log_that_does_not_tell_its_rows_needs_a_number(tiny, monkeypatch) -> None:
    monkeypatch.setattr("manygate.data.table.Table.count", lambda table: None)
    with pytest.raises(InputError, match=r"it does not tell how many rows it holds. Give rows=1000000"):
        estimate(LOG, tiny, Cluster())
    assert estimate(LOG, tiny, Cluster(), rows=10**6).rows == 10**6
