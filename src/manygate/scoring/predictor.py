"""Predictor: turns raw rows into named predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manygate.config import CsvConfig
from manygate.data.batches import Split
from manygate.data.column import as_numbers
from manygate.data.encode import Encoder
from manygate.data.formats import part_paths
from manygate.data.frames import like_source
from manygate.data.rows import Rows
from manygate.data.table import Table, open_table
from manygate.errors import raise_all
from manygate.model import MultiTaskModel
from manygate.model.logits import predict
from manygate.model.problem import Problem
from manygate.results.log_record import LogRecord
from manygate.schema import Schema
from manygate.scoring.calibration import Calibration
from manygate.scoring.fusion import Fusion
from manygate.scoring.outputs import joint_outputs, outputs


@dataclass(frozen=True)
class Predictor:
    """A trained model with everything that turns raw rows into predictions: encoder, calibration and fusion.

    A prediction is the mean over the replicas, which is a deep ensemble at no further cost. Training, evaluation, prediction and
    inspection all go through this class; nothing else combines the four parts.

    Shape suffixes: R replicas, B rows, T tasks.
    """

    model: MultiTaskModel
    encoder: Encoder
    calibration: Calibration | None = None
    fusion: Fusion | None = None
    log: LogRecord | None = None
    """The tables that the model was trained on. None for a bundle of an earlier version."""
    csv: CsvConfig | None = None
    """How CSV files are read. None stands for the settings of training."""

    @property
    def schema(self) -> Schema:
        """The schema that the model was trained with."""
        return self.encoder.schema

    @property
    def problem(self) -> Problem:
        """The tasks and the scales of their labels."""
        return self.model.problem

    def uncorrected(self) -> Predictor:
        """The same model without calibration and fusion."""
        return replace(self, calibration=None, fusion=None)

    @property
    def names(self) -> list[str]:
        """The names of :meth:`columns`, in their order: the tasks, then the joint events of funnels."""
        return list(self.schema.predicted_names)

    @property
    def output_names(self) -> list[str]:
        """The columns of :meth:`predict`: :attr:`names`, and the fused score where there is one."""
        return self.names + ([self.fusion.name] if self.fusion and self.fusion.active else [])

    def logits(self, rows: Rows) -> np.ndarray:
        """Return the logits of encoded rows, logit_RBT float32."""
        return predict(self.model, Split(rows, self.model.device))

    def columns(self, logit_RBT: np.ndarray) -> dict[str, np.ndarray]:
        """Turn the result of :meth:`logits` into predictions by name, (B,) float64: the calibrated mean of the replicas.

        A joint column is the mean of the replicas' products. With a calibration it is the product of the calibrated columns.
        """
        output_RBT = outputs(logit_RBT, self.problem)
        if self.calibration:
            mean_BT = output_RBT.mean(axis=0)
            columns = self.calibration.apply({name: mean_BT[:, t] for t, name in enumerate(self.schema.task_names)})
            output_RBT = np.stack([columns[name] for name in self.schema.task_names], axis=1)[None]
        joint_RBT = joint_outputs(output_RBT, self.problem.targets.steps)
        predicted = {name: output_RBT[..., t].mean(axis=0) for t, name in enumerate(self.schema.task_names)}
        return predicted | {name: joint_RBT[..., t].mean(axis=0) for t, name in enumerate(self.schema.joint_names) if name}

    def open(self, source: Any) -> Table:
        """Open a table to score: CSV files in the types of training, and with its settings or those of :attr:`csv`."""
        refuse_parts(source)
        return open_table(source, self.encoder.types, self.csv_settings)

    @property
    def csv_settings(self) -> CsvConfig:
        """The settings of CSV files: those of :attr:`csv`, else those of training."""
        return self.csv or self.model.config

    def predict(self, source: Any, observe: Callable[[pa.RecordBatch, Rows], None] | None = None) -> Any:
        """Predict a table or a file. The result is a frame of the same kind: pandas (with its index), polars, pyarrow or duckdb.

        The result of a path is a pyarrow table. ``observe`` is called with each batch, as it was read and encoded.
        """
        table = self.open(source)
        batches = [batch for _, batch in self.score(table, observe=observe)]
        empty = pa.schema([(name, pa.float64()) for name in self.output_names])
        return like_source(pa.Table.from_batches(batches, None if batches else empty), source)

    def score(
        self, table: Table, keep: Sequence[str] = (), observe: Callable[[pa.RecordBatch, Rows], None] | None = None
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield (location in the source, predictions) for each batch of a table.

        The predictions have the columns ``keep``, :attr:`names` and the fused score. Binary tasks have probabilities. Regression
        tasks have values in the label's unit. The column of a task after another is conditional on the task before. The joint
        column (``click_buy`` for buy after click) is for any row. Labels, bias features, weights and groups are not read, unless
        they are features of the fusion. ``observe`` is called with each batch, as it was read and encoded.
        """
        features = [feature.name for feature in self.schema.served_features]
        fused = self.fusion.features if self.fusion else ()
        if self.fusion:
            self.fusion.check(self.names)
        raise_all(
            table.missing(dict.fromkeys([*features, *keep]), "needed to predict")
            + table.missing([name for name in fused if name not in features], "needed by the fusion's score")
        )
        self.encoder.check(table.arrow_schema, table.name, features, table.mismatches)
        for location, batch in table.batches(list(dict.fromkeys([*features, *keep, *fused]))):
            rows = self.encoder.encode(batch, location, labels=False, bias=False)
            if observe is not None:
                observe(batch, rows)
            logit_RBT = self.logits(rows)
            predicted = self.columns(logit_RBT)
            columns = {name: batch.column(name) for name in keep}
            columns |= {name: pa.array(value_B) for name, value_B in predicted.items()}
            if self.fusion and self.fusion.active:
                number = {name: as_numbers(batch.column(name), name, location) for name in fused}
                columns[self.fusion.name] = pa.array(self.fusion.score(predicted, number))
            yield location, pa.record_batch(columns)


def refuse_parts(source: Any) -> None:
    """Raise an :class:`InputError` if the source is a data set of several parts and not one table."""
    if isinstance(source, str | Path):
        part_paths.refuse_parts(source)
