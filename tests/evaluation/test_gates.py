"""Gate weights over rows: their means and standard deviations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import manygate as mg
from manygate.data.batches import Split
from manygate.evaluation.gates import gate_report, gate_table
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.scoring.predictor import Predictor


@pytest.mark.parametrize("architecture", ["mmoe", "omoe", "shared_bottom", "single_task"])
def test_gates_are_reported_per_task_over_its_own_rows(encoded, settings, architecture):
    log = encoded()
    config = settings(architecture=architecture, replicas=2)
    model = MultiTaskModel(Problem.of(log.encoder, config), config)
    split = Split(log.parts["test"])
    report = gate_report(model, split)
    if architecture in ("shared_bottom", "single_task"):
        assert report == []
        return
    (batch,) = split.slices(10_000)
    (gate,) = model.gates(batch)
    assert [entry.task for entry in report] == ["click", "like", "watch"]
    for t, entry in enumerate(report):
        own = gate[0, :, t].numpy()[log.parts["test"].weight_BT[:, t] > 0]
        np.testing.assert_allclose(entry.mean, own.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(entry.sd, own.std(axis=0), rtol=1e-3, atol=1e-6)
        assert sum(entry.mean) == pytest.approx(1.0, abs=1e-6)


@pytest.fixture(scope="module")
def log(encoded, settings, log_table, log_schema) -> Any:
    return encoded(log_table(300, seed=1), log_schema(), settings(min_count=2))


@pytest.fixture(scope="module", params=["mmoe", "single_task"])
def ranker(log, trainer, settings, request) -> mg.Ranker:
    """Trained a little, as a Ranker: two replicas."""
    training = trainer(log, settings(replicas=2, epochs=2, architecture=request.param))
    training.fit()
    found = mg.Ranker(architecture=request.param)
    found._predictor = Predictor(training.model, log.encoder)
    return found


@pytest.fixture(scope="module")
def rows(log_table) -> pa.Table:
    """New rows, without labels and bias features."""
    table = log_table(120, seed=8)
    return table.drop_columns(["click", "like", "watch", "position", "depth", "weight", "session"])


def test_gates_of_every_replica_task_and_expert(ranker, log, rows):
    table = gate_table(Predictor(ranker.model, log.encoder), rows)
    assert table.column_names == ["replica", "level", "task", "expert", "mean", "sd"]
    if ranker.config.architecture == "single_task":
        assert len(table) == 0
        return
    assert len(table) == 2 * 3 * 3
    frame = table.to_pandas()
    np.testing.assert_allclose(frame.groupby(["replica", "task"])["mean"].sum(), 1.0, atol=1e-6)
    assert isinstance(ranker.gates(rows.to_pandas()), pd.DataFrame)
    assert isinstance(ranker.gates(pl.from_arrow(rows)), pl.DataFrame)


def test_the_table_has_each_replica_s_mean_and_deviation_over_all_rows(ranker, log, rows):
    """Against the gates of all rows at once; the rows carry no label, and no sample space leaves any out."""
    if ranker.config.architecture == "single_task":
        return
    table = gate_table(Predictor(ranker.model, log.encoder), rows)
    encoded = log.encoder.encode(rows.combine_chunks().to_batches()[0], labels=False, bias=False)
    (batch,) = Split(encoded).slices(10_000)
    (gate_RBTE,) = (gate.numpy() for gate in ranker.model.gates(batch))
    entries = table.to_pylist()
    assert [(entry["replica"], entry["task"], entry["expert"]) for entry in entries[:4]] == [
        (0, "click", 0),
        (0, "click", 1),
        (0, "click", 2),
        (0, "like", 0),
    ]
    for entry in entries:
        t = log.schema.task_names.index(entry["task"])
        weight_B = gate_RBTE[entry["replica"], :, t, entry["expert"]]
        assert entry["mean"] == pytest.approx(weight_B.mean(), rel=1e-5)
        assert entry["sd"] == pytest.approx(weight_B.std(), rel=1e-3, abs=1e-6)


def test_a_table_that_lacks_a_feature_is_refused(ranker, log, rows):
    with pytest.raises(mg.InputError, match=r"'age' \(needed to read the gates\) is missing"):
        gate_table(Predictor(ranker.model, log.encoder), rows.drop_columns(["age"]))
