"""Rows in, one named column per task out: the mean of the replicas, which is a deep ensemble for free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import narwhals.stable.v2 as nw
import numpy as np
import pyarrow as pa

from manygate.calibration import Calibration
from manygate.data.batches import Split
from manygate.data.column import as_numbers
from manygate.data.encode import Encoder, Rows
from manygate.data.encoded import open_sources
from manygate.data.table import Table, open_table
from manygate.errors import InputError, raise_all
from manygate.evaluate import joint_outputs, outputs, predict, task_labels, task_report
from manygate.fusion import Fusion
from manygate.fusion_search import Judged, judge_fusion
from manygate.model import MultiTaskModel
from manygate.targets import Targets


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


def like_source(table: pa.Table, source: Any) -> Any:
    """A pyarrow table as the kind of frame that ``source`` is; rows must match for a pandas index to carry over."""
    if isinstance(source, str | Path | Table | pa.Table | pa.RecordBatch | list):
        return table
    frame = nw.from_native(source)
    if frame.implementation.is_duckdb():
        import duckdb

        return duckdb.from_arrow(table)
    eager = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    made = nw.from_arrow(table, backend=eager.implementation)
    index = nw.maybe_get_index(eager)
    if index is not None and len(index) == len(made):
        made = nw.maybe_set_index(made, index=[index])
    return made.lazy().to_native() if isinstance(frame, nw.LazyFrame) else made.to_native()


def labelled_table(encoder: Encoder, log: Any, part: Literal["valid", "test"] = "test") -> Table:
    """A labelled log, or of a data set with several parts the one asked for."""
    from manygate.config import DataConfig

    sources = open_sources(log, DataConfig())
    table: Table | None = getattr(sources, part)
    if table is None and sources.folder is not None:
        raise InputError(f"{log}: a data set without a {part} part. Name a file of labelled rows instead.")
    return table or open_table(log, types=encoder.types)


def encode_labelled(encoder: Encoder, table: Table) -> Rows:
    """A labelled table, encoded as serving would see it."""
    columns = encoder.schema.evaluated_columns
    table.require(columns, "needed to evaluate")
    table.require_rows()
    encoder.check(table.arrow_schema, table.name, columns)
    return Rows.concat([encoder.encode(batch, place, bias=False) for place, batch in table.batches(columns)])


def judged_rows(
    model: MultiTaskModel, encoder: Encoder, table: Table, calibration: Calibration | None = None, features: Sequence[str] = ()
) -> Judged:
    """A labelled table as a search for a fusion's weights needs it: predictions, labels, visits, features."""
    if encoder.schema.group is None:
        raise InputError(
            "a fusion is judged by how it ranks the rows of each visit, and the schema names no group column (a user, a query, "
            "a page). Train with --group COLUMN."
        )
    number = feature_numbers(table, features)
    rows = encode_labelled(encoder, table)
    return _judged(rows, encoder, predictions(model, encoder, rows, calibration), number)


def _judged(rows: Rows, encoder: Encoder, columns: dict[str, np.ndarray], number: dict[str, np.ndarray]) -> Judged:
    assert rows.group_B is not None
    own = {name: task_labels(rows, t, encoder.labels[name]) for t, name in enumerate(encoder.schema.task_names)}
    labels, weights = ({name: pair[place] for name, pair in own.items()} for place in (0, 1))
    return Judged(columns, labels, weights, rows.group_B, number)


def feature_numbers(table: Table, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Columns of a table as numbers, NaN for null."""
    table.require(names, "named by a fusion's feature")
    if not names:
        return {}
    parts = [[as_numbers(batch.column(name), name, place) for name in names] for place, batch in table.batches(list(names))]
    return {name: np.concatenate(columns) for name, columns in zip(names, zip(*parts, strict=True), strict=True)}


def evaluate_log(
    model: MultiTaskModel, encoder: Encoder, log: Any, calibration: Calibration | None = None, fusion: Fusion | None = None
) -> dict[str, Any]:
    """Every metric of every task on a log: {log, rows, tasks: {task: {metrics, ensemble, undefined, calibration, calibrated}}}.

    With a fusion and a group column also ``fusion``, how the score ranks the visits: :func:`manygate.fusion_search.judge_fusion`.
    """
    table = labelled_table(encoder, log)
    name, rows, tasks = table.name, encode_labelled(encoder, table), encoder.schema.tasks
    logit_RNT = predict(model, Split(rows, model.device))
    report = task_report(logit_RNT, rows, tasks, encoder.labels, calibration)
    if fusion and fusion.active and encoder.schema.group is not None:
        columns, number = prediction_columns(logit_RNT, encoder, calibration), feature_numbers(table, fusion.features)
        ranked = judge_fusion(_judged(rows, encoder, columns, number), fusion)
        return {"log": name, "rows": len(rows), "replicas": model.replicas, "tasks": report, "fusion": ranked}
    return {"log": name, "rows": len(rows), "replicas": model.replicas, "tasks": report}


def gate_table(model: MultiTaskModel, encoder: Encoder, source: Any) -> pa.Table:
    """Mean and standard deviation over rows of each gate weight: columns replica, level, task, expert, mean, sd."""
    table = open_table(source, types=encoder.types)
    features = [feature.name for feature in encoder.schema.served_features]
    table.require(features, "needed to read the gates")
    sums: dict[int, np.ndarray] = {}
    count = 0
    for place, batch in table.batches(features):
        rows = encoder.encode(batch, place, labels=False, bias=False)
        count += len(rows)
        for part in Split(rows, model.device).slices(8192):
            for level, gate_RBTE in enumerate(model.gates(part)):
                gate = gate_RBTE.double().cpu().numpy()
                sums[level] = sums.get(level, 0.0) + np.stack([gate.sum(axis=1), (gate**2).sum(axis=1)])
    entries = []
    for level, (first_RTE, second_RTE) in sums.items():
        mean_RTE = first_RTE / count
        sd_RTE = np.sqrt(np.maximum(second_RTE / count - mean_RTE**2, 0.0))
        for (r, t, e), mean in np.ndenumerate(mean_RTE):
            task = encoder.schema.task_names[t]
            entries.append({"replica": r, "level": level, "task": task, "expert": e, "mean": mean, "sd": sd_RTE[r, t, e]})
    columns = {"replica": pa.int64(), "level": pa.int64(), "task": pa.string(), "expert": pa.int64(), "mean": pa.float64()}
    return pa.Table.from_pylist(entries, schema=pa.schema([*columns.items(), ("sd", pa.float64())]))
