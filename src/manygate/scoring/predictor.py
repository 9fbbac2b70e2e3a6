"""Rows in, one named column per task out: the mean of the replicas, which is a deep ensemble for free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manygate.data.batches import Split
from manygate.data.column import as_numbers
from manygate.data.encode import Encoder
from manygate.data.frames import like_source
from manygate.data.rows import Rows
from manygate.data.table import Table, open_table
from manygate.errors import InputError, raise_all
from manygate.model import MultiTaskModel
from manygate.model.logits import predict
from manygate.model.targets import Targets
from manygate.scoring.calibration import Calibration
from manygate.scoring.fusion import Fusion
from manygate.scoring.outputs import joint_outputs, outputs


def score_table(
    model: MultiTaskModel,
    encoder: Encoder,
    table: Table,
    keep: Sequence[str] = (),
    calibration: Calibration | None = None,
    fusion: Fusion | None = None,
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Each batch of a table as (place, scores): the columns to keep, one per task, one per task after another, the fusion's score.

    Binary tasks give probabilities, calibrated where there is a calibration, regression tasks values in the label's unit; of a task
    after another they are those given that it happened, and the further column, ``click_buy`` for buy after click, is what is
    expected on any row. Labels, bias features, weights and groups are not read, but for features of the fusion.
    """
    features = [feature.name for feature in encoder.schema.served_features]
    fused = fusion.features if fusion else ()
    if fusion:
        fusion.check(prediction_names(encoder))
    raise_all(
        table.missing(dict.fromkeys([*features, *keep]), "needed to predict")
        + table.missing([name for name in fused if name not in features], "needed by the fusion's score")
    )
    encoder.check(table.arrow_schema, table.name, features)
    for place, batch in table.batches(list(dict.fromkeys([*features, *keep, *fused]))):
        rows = encoder.encode(batch, place, labels=False, bias=False)
        predicted = predictions(model, encoder, rows, calibration)
        columns = {name: batch.column(name) for name in keep}
        columns |= {name: pa.array(value_B) for name, value_B in predicted.items()}
        if fusion and fusion.active:
            number = {name: as_numbers(batch.column(name), name, place) for name in fused}
            columns[fusion.name] = pa.array(fusion.score(predicted, number))
        yield place, pa.record_batch(columns)


def predictions(
    model: MultiTaskModel, encoder: Encoder, rows: Rows, calibration: Calibration | None = None
) -> dict[str, np.ndarray]:
    """Each prediction column of some rows by name, (B,) float64: the mean of the replicas, calibrated where it can be.

    A joint column is the mean of the replicas' products, and with a calibration the product of the columns.
    """
    return prediction_columns(predict(model, Split(rows, model.device)), encoder, calibration)


def prediction_columns(logit_RBT: np.ndarray, encoder: Encoder, calibration: Calibration | None = None) -> dict[str, np.ndarray]:
    """:func:`predictions` from the logits of the rows."""
    schema = encoder.schema
    output_RBT = outputs(logit_RBT, schema.tasks, encoder.labels)
    if calibration:
        mean_BT = output_RBT.mean(axis=0)
        columns = calibration.apply({name: mean_BT[:, t] for t, name in enumerate(schema.task_names)})
        output_RBT = np.stack([columns[name] for name in schema.task_names], axis=1)[None]
    joint_RBT = joint_outputs(output_RBT, Targets.of(schema.tasks).steps)
    found = {name: output_RBT[..., t].mean(axis=0) for t, name in enumerate(schema.task_names)}
    return found | {name: joint_RBT[..., t].mean(axis=0) for t, name in enumerate(schema.joint_names) if name}


def prediction_names(encoder: Encoder) -> list[str]:
    """The names of :func:`predictions`, in their order."""
    return list(encoder.schema.predicted_names)


def output_names(encoder: Encoder, fusion: Fusion | None = None) -> list[str]:
    """The columns that are predicted: :func:`prediction_names` and the fusion's score."""
    return prediction_names(encoder) + ([fusion.name] if fusion and fusion.active else [])


def predict_like(
    model: MultiTaskModel, encoder: Encoder, source: Any, calibration: Calibration | None = None, fusion: Fusion | None = None
) -> Any:
    """Scores in the kind of frame that was given: pandas (with its index), polars, pyarrow, duckdb; a path gives pyarrow."""
    refuse_parts(source)
    table = open_table(source, types=encoder.types)
    batches = [batch for _, batch in score_table(model, encoder, table, (), calibration, fusion)]
    empty = pa.schema([(name, pa.float64()) for name in output_names(encoder, fusion)])
    return like_source(pa.Table.from_batches(batches, None if batches else empty), source)


def refuse_parts(source: Any) -> None:
    """Refuse a data set of several parts where one table is wanted."""
    if isinstance(source, str | Path) and (Path(source) / "train.parquet").is_file():
        raise InputError(f"{source}: a data set with several parts. Choose one, for example {Path(source) / 'test.parquet'}.")
