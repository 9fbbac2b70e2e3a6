"""Measure the milliseconds for 500 candidates and the bytes of exported models. run.py calls it; times.json has the results.

The weights are those of a network that was not trained: they change no time. The graph is the one that ``manygate export`` writes,
without the further outputs for a server.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import torch
from choice import chosen
from study import CANDIDATES, LOGS, RESULTS, SCHEMES, TIMES, encoded, settings

from manygate.data.encoded import EncodedLog
from manygate.data.rows import Rows
from manygate.export.encoding import encode
from manygate.export.folder import describe, network_inputs
from manygate.export.graph import Graph
from manygate.export.network import ServedNetwork, trace
from manygate.export.predictions import predictions
from manygate.files import to_json, write_text
from manygate.model import MultiTaskModel
from manygate.model.budget import measure
from manygate.model.problem import Problem
from manygate.scoring.exported_model import ExportedModel, open_session
from manygate.scoring.predictor import Predictor

ROUNDS, CALLS = 9, 15
ONE_TASK = "one_task"
"""The network of ``single_task`` for the first task alone, under the names of the schemes."""
WHOLE, NETWORK, MANIFEST = "whole.onnx", "network.onnx", "manifest.json"
MACHINE = ("cpu", "cores", "threads", "clock", "python", "torch")
Pair = tuple[str, str]
Case = Callable[[], Any]


def wanted(name: str, log: dict[str, Any]) -> list[Pair]:
    """The schemes and widths whose times the page shows: all at full width, and the cheapest that are equal to the reference."""
    pairs = [(scheme, "1") for scheme in SCHEMES]
    pairs += [(scheme, entry["width"]) for scheme, entry in chosen(name, log).items() if entry is not None]
    pairs += [(ONE_TASK, width) for scheme, width in pairs if scheme == "single_task"]
    return list(dict.fromkeys(pairs))


def untrained(log: EncodedLog, scheme: str, width: str) -> Predictor:
    """A network of one replica as it is before training."""
    name = "single_task" if scheme == ONE_TASK else scheme
    config = settings(name, int(1 / Fraction(width)), replicas=1).for_rows(len(log.parts["train"]))
    return Predictor(MultiTaskModel(Problem.of(log.encoder, config), config), log.encoder)


def of_first_task(source: Any) -> EncodedLog:
    """The encoded rows of a log whose first task is its only one."""
    first = source.schema.tasks[0].model_copy(update={"after": None, "where": None})
    ignored = {task.name: "the graph of one task" for task in source.schema.tasks[1:]}
    return encoded(replace(source, schema=source.schema.model_copy(update={"tasks": (first,), "ignored": ignored})))


def write_graphs(predictor: Predictor, folder: Path) -> None:
    """Write the graph from raw features to predictions, that of the network alone, and what the inputs are."""
    network, graph = ServedNetwork(predictor), Graph(predictor.output_names)
    traced, encoding = trace(network), encode(graph, predictor.encoder)
    logit_RBT = graph.inline(traced, network_inputs(encoding, network), np.float32)
    for name, value in predictions(predictor, logit_RBT, {}).columns.items():
        graph.output(name, value, ["rows"])
    folder.mkdir(parents=True)
    onnx.save_model(graph.model(), str(folder / WHOLE))
    onnx.save_model(traced, str(folder / NETWORK))
    write_text(folder / MANIFEST, to_json(describe(predictor, encoding)))


def network_feed(network: ServedNetwork, rows: Rows) -> dict[str, np.ndarray]:
    """Encoded rows as the inputs of the network alone, with lists of equal length."""
    features = network.encoder.schema.features
    ids = [*(feature.name for feature in features if feature.kind == "sparse"), *network.encoder.number_ids]
    numbers = [feature.name for feature in features if feature.kind == "dense"]
    feed = {
        "id_BS": rows.id_BS[:, [ids.index(name) for name in network.ids]].astype(np.int64),
        "number_BM": rows.number_BM[:, [numbers.index(name) for name in network.numbers]],
    }
    for n, (value, offset) in enumerate(rows.bags):
        length_B = np.diff(offset)
        holds_BL = np.arange(max(int(length_B.max()), 1)) < length_B[:, None]
        feed[f"rows_{n}"] = np.zeros(holds_BL.shape, dtype=np.int64)
        feed[f"rows_{n}"][holds_BL] = value
        feed[f"holds_{n}"] = holds_BL
    return feed


def cases(predictor: Predictor, folder: Path, batch: pa.RecordBatch) -> dict[str, Case]:
    """Return what predicts the batch: from raw features, and from encoded rows."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    whole = ExportedModel(folder, manifest, open_session(folder / WHOLE, 1))
    alone, feed, names = open_session(folder / NETWORK, 1), whole.feed(batch), whole.output_names
    rows = network_feed(ServedNetwork(predictor), predictor.encoder.encode(batch, labels=False, bias=False))
    return {"whole": lambda: whole.session.run(names, feed), "network": lambda: alone.run(None, rows)}


def in_turns(by_pair: dict[Pair, dict[str, Case]]) -> dict[Pair, dict[str, list[float]]]:
    """The milliseconds of a call of each case: the median of each round."""
    from measure import seconds_of

    found: dict[Pair, dict[str, list[float]]] = {pair: {name: [] for name in of_pair} for pair, of_pair in by_pair.items()}
    for _ in range(ROUNDS):
        for pair, of_pair in by_pair.items():
            for name, run in of_pair.items():
                run()  # what the last case left in the caches
                middle = statistics.median(seconds_of(run, "cpu") for _ in range(CALLS))
                found[pair][name].append(round(1e3 * middle, 4))
    return found


def measured(name: str, pairs: list[Pair], data: Path, folder: Path) -> list[dict[str, Any]]:
    """The size and the times of schemes and widths of a log, all measured in turns. What the folder has is not made again."""
    source = LOGS[name](data)
    log, first = encoded(source), of_first_task(source)
    (batch,) = source.parts["test"].slice(0, CANDIDATES).combine_chunks().to_batches()
    entries: dict[Pair, dict[str, Any]] = {}
    by_pair: dict[Pair, dict[str, Case]] = {}
    for scheme, width in pairs:
        predictor = untrained(first if scheme == ONE_TASK else log, scheme, width)
        place, size = folder / name / f"{scheme}-{Fraction(width).denominator}", measure(predictor.problem, predictor.model.config)
        if not (place / MANIFEST).is_file():
            write_graphs(predictor, place)
        entries[scheme, width] = {
            "embeddings": size.parameters - size.network_parameters,
            "dense": size.network_parameters,
            "flops": size.flops,
            "bytes": (place / WHOLE).stat().st_size,
        }
        by_pair[scheme, width] = cases(predictor, place, batch)
    times = in_turns(by_pair)
    return [{"scheme": pair[0], "width": pair[1], **entry, **times[pair]} for pair, entry in entries.items()]


def measure_missing(data: Path, folder: Path, results: Path = RESULTS, times: Path = TIMES) -> None:
    """Measure a log anew if a time that the page shows is missing."""
    from measure import machine

    torch.set_num_threads(1)
    found = json.loads(times.read_text(encoding="utf-8")) if times.is_file() else {}
    for name, log in json.loads(results.read_text(encoding="utf-8")).items():
        pairs = wanted(name, log)
        if set(pairs) <= {(entry["scheme"], entry["width"]) for entry in found.get(name, {}).get("models", [])}:
            continue
        about = {key: value for key, value in machine(1, "cpu").items() if key in MACHINE}
        about |= {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "load_average": os.getloadavg()}
        found[name] = {"machine": about, "models": measured(name, pairs, data, folder)}
        write_text(times, written(found))


def written(found: dict[str, Any]) -> str:
    """The times as JSON with a model on each line."""
    parts = []
    for name, log in found.items():
        lines = ",\n   ".join(json.dumps(entry) for entry in log["models"])
        parts.append(f' {json.dumps(name)}: {{"machine": {json.dumps(log["machine"])}, "models": [\n   {lines}]}}')
    return "{\n" + ",\n".join(parts) + "\n}\n"
