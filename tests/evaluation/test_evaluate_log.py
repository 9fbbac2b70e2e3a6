"""An evaluation on a log: the metrics of its rows, and how a fused score ranks its visits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from log_folders import PARTS, write_log_folder
from manygate.data.batches import Split
from manygate.errors import InputError
from manygate.evaluation.evaluate_log import evaluate_log, few_labels
from manygate.evaluation.task_report import task_report
from manygate.model.logits import predict
from manygate.schema import Schema
from manygate.scoring.calibration import Calibration, Calibrator
from manygate.scoring.fusion import Fusion
from manygate.scoring.predictor import Predictor


@pytest.fixture(scope="module")
def log(encoded, settings, log_table, log_schema) -> Any:
    return encoded(log_table(300, seed=1), log_schema(), settings(min_count=2))


@pytest.fixture(scope="module", params=["mmoe", "single_task"])
def predictor(log, trainer, settings, request) -> Predictor:
    """Trained a little: two replicas."""
    training = trainer(log, settings(replicas=2, epochs=2, architecture=request.param))
    training.fit()
    return Predictor(training.model, log.encoder)


def test_evaluate_agrees_with_the_report_of_training(log, predictor, log_table):
    table = log_table(200, seed=12)
    rows = log.encoder.encode(table.combine_chunks().to_batches()[0], bias=False)
    own = task_report(predict(predictor.model, Split(rows)), rows, predictor.model.problem)
    found = evaluate_log(predictor, table)
    assert found.rows == 200
    assert found.replicas == 2
    assert _without_cold_start(found) == own
    lean = evaluate_log(predictor, table.drop_columns(["position", "depth"]))
    assert _without_cold_start(lean) == own


def _without_cold_start(found):
    return {name: report.model_copy(update={"cold_start": None}) for name, report in found.tasks.items()}


@pytest.mark.parametrize("gone", [pa.scalar(None, pa.float64()), pa.scalar(float("nan"))])
def test_rows_without_a_group_are_left_out_of_gauc(predictor, log_table, gone):
    """GAUC equals that of the known rows alone, and the evaluation says how many have no group."""
    table = log_table(200, seed=12)
    without = pa.array(np.arange(200) % 4 == 0)
    sessions = pc.if_else(without, gone, table["session"].cast(pa.float64()))
    found = evaluate_log(predictor, table.set_column(table.column_names.index("session"), "session", sessions))
    known = evaluate_log(predictor, table.filter(pc.invert(without)))
    assert found.tasks["click"].ensemble["gauc"] == pytest.approx(known.tasks["click"].ensemble["gauc"], abs=1e-12)
    assert found.tasks["click"].ensemble["auc"] != known.tasks["click"].ensemble["auc"], "all rows count elsewhere"
    assert any("'session' is null in 50 of 200 labelled rows" in warning for warning in found.warnings)
    assert not any("is null in" in warning for warning in known.warnings)


FORMS = [pa.bool_(), pa.float32(), pa.uint64(), pa.decimal128(20, 1)]


@pytest.mark.parametrize(
    ("label", "form"), [("like", pa.string()), *[(label, form) for label in ("click", "like") for form in FORMS]]
)
def test_a_label_of_any_type_has_the_same_metrics(predictor, log_table, label, form):
    """Also where the sample space of another task reads it."""
    table = log_table(200, seed=12)
    other = table.set_column(table.column_names.index(label), label, table[label].cast(pa.int64()).cast(form))
    assert evaluate_log(predictor, other).tasks == evaluate_log(predictor, table).tasks


def test_evaluate_takes_the_test_part_of_a_data_set(predictor, log_table, tmp_path):
    for part, seed in (("train", 1), ("valid", 2), ("test", 3)):
        pq.write_table(log_table(80 + seed, seed), tmp_path / f"{part}.parquet")
    found = evaluate_log(predictor, tmp_path)
    assert found.rows == 83
    assert Path(found.log).name == "test.parquet"
    assert found.tasks == evaluate_log(predictor, tmp_path / "test.parquet").tasks


def test_a_calibration_is_judged_beside_what_it_changes(log, predictor, log_table):
    """Half of the odds on every row: the mean prediction falls, and the order of the rows stays."""
    calibration = Calibration({"click": Calibrator("platt", {"a": 1.0, "b": -np.log(2)})})
    table = log_table(200, seed=12)
    plain = evaluate_log(predictor, table)
    after = evaluate_log(Predictor(predictor.model, log.encoder, calibration), table)
    assert plain.tasks["click"].calibrated is None
    found = after.tasks["click"].calibrated
    assert found.method == "platt"
    assert found.metrics["auc"] == pytest.approx(plain.tasks["click"].ensemble["auc"])
    odds = [bin.predicted / (1 - bin.predicted) for bin in plain.tasks["click"].calibration]
    halved = [bin.predicted / (1 - bin.predicted) for bin in found.calibration]
    np.testing.assert_allclose(halved, np.array(odds) / 2, rtol=0.05)
    assert after.tasks["like"] == plain.tasks["like"]


def test_with_a_fusion_and_a_group_the_score_is_judged_on_the_visits(log, predictor, log_table):
    table = log_table(200, seed=12)
    alone = Fusion({"click": 1.0})
    ranking = evaluate_log(Predictor(predictor.model, log.encoder, None, alone), table).fusion
    assert ranking is not None
    assert ranking.visits == len(set(table["session"].to_pylist()))
    for name, objective in ranking.objectives.items():
        assert objective.fused == pytest.approx(objective.alone["click"]), f"{name}: the score orders as the click does"
    for fusion in (None, Fusion({})):
        assert evaluate_log(Predictor(predictor.model, log.encoder, None, fusion), table).fusion is None


def test_without_a_group_no_fusion_is_judged(encoded, trainer, settings, log_schema, log_table):
    schema = log_schema()
    log = encoded(schema=Schema(features=schema.features, tasks=schema.tasks, weight=schema.weight))
    predictor = Predictor(trainer(log, settings()).model, log.encoder, None, Fusion({"click": 1.0}))
    assert evaluate_log(predictor, log_table(50)).fusion is None


def test_a_log_without_its_labels_is_refused(predictor, log_table):
    with pytest.raises(InputError, match="'click'"):
        evaluate_log(predictor, log_table(50).drop_columns(["click"]))


def test_rows_that_the_model_knows_are_named(encoded, trainer, settings, log_schema, log_table, tmp_path):
    """The log that was split, its training and its validation rows; other rows and the run's test rows give no warning."""
    table = log_table(300, seed=1)
    log = encoded(table, log_schema(), settings(min_count=2))
    model = trainer(log, settings()).model
    (warning, *_) = evaluate_log(Predictor(model, log.encoder, log=log.record), table).warnings
    assert "is the log of the run, and most of its rows trained the model: the metrics are better than on new rows" in warning
    unknown = evaluate_log(Predictor(model, log.encoder, log=log.record), table.slice(0, 299))
    earlier = evaluate_log(Predictor(model, log.encoder), table)
    for report in (unknown, earlier):  # an earlier bundle does not know its rows
        assert not any("trained the model" in text for text in report.warnings)
    tables = {part: log_table(100 + seed, seed) for seed, part in enumerate(PARTS)}
    folder = write_log_folder(tmp_path / "log", {f"{part}.parquet": table for part, table in tables.items()})
    log = encoded(folder, log_schema(), settings(min_count=2))
    predictor = Predictor(trainer(log, settings()).model, log.encoder, log=log.record)
    warnings = {part: evaluate_log(predictor, folder / f"{part}.parquet").warnings for part in PARTS}
    assert "holds the rows that trained the model" in warnings["train"][0]
    assert "holds the run's validation rows, which chose the epoch that was kept" in warnings["valid"][0]
    assert not any("rows" in text and "metrics are better" in text for text in warnings["test"])


def test_tasks_that_the_rows_cannot_judge_are_named(log, predictor, log_table):
    """No labelled row, one class, few of the rarer label; a regression counts its rows. 100 of the rarer label give no warning."""
    table = log_table(400, seed=9)
    place = table.column_names.index("click")

    def warnings(click: list[Any]) -> list[str]:
        changed = table.set_column(place, "click", pa.array(click, pa.int8()))
        return [text for text in evaluate_log(predictor, changed).warnings if "'click'" in text]

    assert "task 'click' has 0 labelled rows, 0 of the rarer label. Too few to judge" in warnings([None] * 400)[0]
    assert "task 'click' has 400 labelled rows, 0 of the rarer label" in warnings([0] * 400)[0]
    assert "task 'click' has 400 labelled rows, 99 of the rarer label" in warnings([1] * 99 + [0] * 301)[0]
    assert "task 'click' has 400 labelled rows, 99 of the rarer label" in warnings([0] * 99 + [1] * 301)[0]
    assert warnings([1] * 100 + [0] * 300) == []
    watch = [text for text in evaluate_log(predictor, table.slice(0, 60)).warnings if "'watch'" in text]
    assert f"task 'watch' has {sum(table['click'].to_pylist()[:60])} labelled rows. Too few" in watch[0]
    assert few_labels(predictor.problem, log.encoder.encode(table.combine_chunks().to_batches()[0]), ["click"]) == []
