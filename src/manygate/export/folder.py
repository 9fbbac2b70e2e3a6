"""Exports a trained model as a folder for ONNX Runtime that takes raw features."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa

from manygate.config import CsvConfig
from manygate.data.rows import NULL_ROW, UNKNOWN_ROW
from manygate.data.table import Table
from manygate.data.type_names import type_name
from manygate.errors import InputError, setting
from manygate.export.encoding import Encoded, encode
from manygate.export.graph import OPSETS, Graph, Value
from manygate.export.hostile_rows import hostile_rows
from manygate.export.log_reference import log_reference
from manygate.export.network import ServedNetwork, trace
from manygate.export.parity import ROUNDING, Parity, compare
from manygate.export.predictions import Predicted, predictions
from manygate.files import write_folder, write_manifest
from manygate.model import MultiTaskModel
from manygate.scoring.bundle import ENCODER_VERSION
from manygate.scoring.exported_model import EXPORT_VERSION, MODEL_FILE, WEIGHTS_FILE, ExportedModel, ids_unlike, is_exported
from manygate.scoring.predictor import Predictor

LARGE_TENSOR = 1024
"""Tensors of so many bytes or more go into ``weights.bin``."""
HOSTILE_ROWS, LOG_ROWS = 2_000, 8_000
"""The hostile rows, and the most rows of a log, on which the graph is compared with the predictor."""


@dataclass(frozen=True)
class Export:
    """What was exported, and how close it is to the predictor."""

    folder: Path
    inputs: list[str]
    outputs: list[str]
    replicas: int
    hostile: Parity
    log: Parity | None
    """None if no rows of a log were given."""
    context: list[str] = field(default_factory=list)
    """The inputs that the candidates of a request share."""
    triton: Path | None = None
    """The model's folder in a Triton repository, if one was asked for."""

    @property
    def largest(self) -> float:
        """The largest difference of any column, on any rows."""
        return max([*self.hostile.largest.values(), *(self.log.largest.values() if self.log else ())])

    @property
    def at_jumps(self) -> int:
        """The rows that differ at a tie of a gate, or at a jump of a calibration."""
        return self.hostile.at_jumps + (self.log.at_jumps if self.log else 0)

    @property
    def rounded(self) -> int:
        """The other rows that differ by more than the limit, as float32 rounds."""
        return self.hostile.rounded + (self.log.rounded if self.log else 0)

    def to_tree(self) -> dict[str, Any]:
        """Return it as a tree of JSON values."""
        return {**asdict(self), "folder": str(self.folder), "triton": None if self.triton is None else str(self.triton)}


def export_model(predictor: Predictor, out: Path, rows: Table | None = None, context: Sequence[str] = ()) -> Export:
    """Write a folder with ``model.onnx``, ``weights.bin`` and ``manifest.json``, completely or not at all.

    The graph has everything from raw features to calibrated predictions and the fused score, for the mean of all replicas. It is
    compared with the predictor before the folder appears.

    Args:
        predictor: The trained model.
        out: The folder. An exported model there is replaced; anything else is an error.
        rows: Rows of a log for the comparison, beside rows that are made to be difficult.
        context: Features that the candidates of a request share, beside those of the schema.

    Raises:
        InputError: ``out`` holds something else, ``context`` names no served feature, the model has no graph, or the graph predicts
            something else.
    """
    refuse_other(out)
    predictor = on_cpu(with_context(predictor, context))
    result: list[Export] = []

    def fill(folder: Path) -> None:
        encoded, further = write_graph(predictor, folder)
        about = {**describe(predictor, encoded), **further}
        write_manifest(folder, about)
        model = ExportedModel.load(folder)
        fused = predictor.fusion.features if predictor.fusion and predictor.fusion.active else ()
        shared = [feature.name for feature in predictor.schema.served_features if feature.context]
        hostile = compare(model, predictor, [hostile_rows(predictor.encoder, HOSTILE_ROWS, fused=fused)], shared, ROUNDING)
        few = None if rows is None else first_rows(rows, predictor, fused)
        log = None if few is None else compare(model, predictor, [few], shared, ROUNDING)
        parity = {"hostile": asdict(hostile), "log": None if log is None else asdict(log)}
        reference = None if few is None else log_reference(model, predictor.encoder, few)
        write_manifest(folder, {**about, "parity": parity, "reference": reference})
        inputs = [entry.name for entry in encoded.inputs.entries]
        context = [entry.name for entry in encoded.inputs.entries if entry.context]
        result.append(Export(out, inputs, predictor.output_names, predictor.model.replicas, hostile, log, context))

    write_folder(out, fill)
    return result[0]


def with_context(predictor: Predictor, names: Sequence[str]) -> Predictor:
    """Return the predictor with these features as context in its schema, beside those that are."""
    encoder = predictor.encoder
    return replace(predictor, encoder=replace(encoder, schema=encoder.schema.with_context(names, setting("context"))))


def on_cpu(predictor: Predictor) -> Predictor:
    """Return the predictor with its model on the CPU, where the comparison runs."""
    model = predictor.model
    if model.device.type == "cpu":
        return predictor
    moved = MultiTaskModel(model.problem, model.config, "cpu", initialise=False, by_task=model.by_task)
    moved.parameters = {name: value.detach().cpu() for name, value in model.parameters.items()}
    return replace(predictor, model=moved)


def refuse_other(out: Path, overwrite: bool = True) -> None:
    """Raise an :class:`InputError` if a path holds anything but an exported model, or one that is not to be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    exported = is_exported(out)
    if exported and overwrite:
        return
    if exported:
        raise InputError(
            f"{setting('out', out)}: an exported model is there. Choose another path, or add {setting('overwrite', True)}."
        )
    raise InputError(f"{setting('out', out)}: exists and is not an exported model, so it is not replaced. Choose another path.")


def write_graph(predictor: Predictor, folder: Path) -> tuple[Encoded, dict[str, Any]]:
    """Write ``model.onnx`` and ``weights.bin``. Return the manifest's entries of the outputs beside the predictions, too."""
    fused = predictor.fusion.features if predictor.fusion and predictor.fusion.active else ()
    graph = Graph(predictor.output_names)
    encoded = encode(graph, predictor.encoder, fused)
    network = ServedNetwork(predictor)
    logit_RBT = graph.inline(trace(network), network_inputs(encoded, network), np.float32)
    predicted = predictions(predictor, logit_RBT, encoded.fused)
    for name, value in predicted.columns.items():
        graph.output(name, value, ["rows"])
    further = further_outputs(graph, encoded, predicted)
    onnx.save_model(
        graph.model(),
        str(folder / MODEL_FILE),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=WEIGHTS_FILE,
        size_threshold=LARGE_TENSOR,
    )
    return encoded, further


def further_outputs(graph: Graph, encoded: Encoded, predicted: Predicted) -> dict[str, Any]:
    """Add the outputs for a server, and return their entries of the manifest."""
    rows = graph.further_output("id_rows", graph.first(encoded.id_BS, len(encoded.ids), 1), ["rows", len(encoded.ids)])
    means = predicted.uncalibrated.items()
    return {
        "uncalibrated": {name: graph.further_output(f"uncalibrated.{name}", mean_B, ["rows"]) for name, mean_B in means},
        "id_rows": {"name": rows, "features": encoded.ids, "unseen": UNKNOWN_ROW, "null": NULL_ROW},
    }


def network_inputs(encoded: Encoded, network: ServedNetwork) -> dict[str, Value]:
    """Return what the traced network reads, by the names of its inputs."""
    given = {"id_BS": encoded.id_BS, "number_BM": encoded.number_BM}
    for n, (rows, holds) in enumerate(encoded.lists.values()):
        given |= {f"rows_{n}": rows, f"holds_{n}": holds}
    if network.shares_lists and encoded.inputs.context_row is not None:
        given["context_row_B"] = encoded.inputs.context_row
    return given


def describe(predictor: Predictor, encoded: Encoded) -> dict[str, Any]:
    """Return the entries of the manifest but those of files and of the comparison."""
    kinds = {task.name: task.kind for task in predictor.problem.tasks}
    calibration, fusion = predictor.calibration, predictor.fusion
    inputs = encoded.inputs
    read = [entry.feature for entry in inputs.entries]
    return {
        "export_version": EXPORT_VERSION,
        "manygate_version": version("manygate"),
        "encoder_version": ENCODER_VERSION,
        "opsets": {name or "ai.onnx": number for name, number in OPSETS.items()},
        "architecture": predictor.model.config.architecture,
        "replicas": predictor.model.replicas,
        "inputs": [{**entry.tree(), **_of_training(predictor, entry.feature, entry.type)} for entry in inputs.entries],
        "types": {name: type_name(kind) for name, kind in predictor.encoder.types.items() if name in read},
        "csv": CsvConfig().over(predictor.csv_settings).model_dump(mode="json"),
        "missing": inputs.candidates.missing_tree(),
        "context": inputs.context_tree(),
        "outputs": [
            {"name": name, "kind": kinds.get(name, "joint" if name in predictor.names else "score")}
            for name in predictor.output_names
        ],
        "calibration": None if calibration is None else json.loads(calibration.to_json()),
        "fusion": None if fusion is None or not fusion.active else fusion.tree(),
        "schema": predictor.schema.model_dump(mode="json"),
    }


def _of_training(predictor: Predictor, feature: str, kind: str) -> dict[str, Any]:
    """Return the type of a feature in training. For ids: what other types may stand for them, and a value that is none of them."""
    fitted, vocabulary = predictor.encoder.types.get(feature), predictor.encoder.vocabularies.get(feature)
    if fitted is None:
        return {}
    fitted = fitted.value_type if pa.types.is_list(fitted) or pa.types.is_large_list(fitted) else fitted
    entry: dict[str, Any] = {"fitted": str(fitted)}
    if vocabulary is None:
        return entry
    entry["true_and_false"] = set(vocabulary.values.slice(0, 3).to_pylist()) <= {0, 1}
    entry |= {"unlike_numbers": reason} if (reason := vocabulary.unlike_numbers()) else {}
    if not vocabulary.buckets and kind != "bool":
        known = vocabulary.values.to_pylist()
        entry["unseen"] = ids_unlike([str(v) for v in known] if kind == "string" else known, kind)
    return entry


def first_rows(table: Table, predictor: Predictor, fused: Iterable[str]) -> pa.RecordBatch | None:
    """Return the first rows of a table, :data:`LOG_ROWS` at most. It is None if the table is empty."""
    needed = [*(feature.name for feature in predictor.schema.served_features), *fused]
    batches, left = [], LOG_ROWS
    for _, batch in table.batches(list(dict.fromkeys(needed))):
        batches.append(batch.slice(0, left))
        left -= batch.num_rows
        if left <= 0:
            break
    together = pa.Table.from_batches(batches).combine_chunks().to_batches() if batches else []
    return together[0] if together else None
