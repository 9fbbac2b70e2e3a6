"""What raw features cost an exported model, and what it saves to give the context of a request once.

    python benchmarks/export_cost.py --data census --clock cpu

An MMoE with the default settings on the folder of ``manygate dataset census``: 38 features, trained for an epoch, since weights do
not matter. All cases take turns, some calls at a time, round after round, and every ratio is taken within a round. Half as many
calls come before those that count, because the first ones after other work take longer. A case is one call of ONNX Runtime from
Python, unless it says otherwise:

- raw: the exported model, with its inputs ready;
- encoded: the same network and predictions, from rows of embedding tables and places on scales, in two matrices;
- encoded by name: the same, with an input for each feature, as a caller has them who encodes each feature;
- inputs alone: a graph with the inputs of the exported model that only asks for their sizes. Python hands over one array a feature,
  and copies text, so this part no graph can spare;
- request: 500 candidates with one context, half of the features, beside rows that repeat it (row-wise);
- feed: arrow columns into inputs; eager: the predictor in PyTorch, from arrow columns.

The rows of a log are scored by ``ExportedModel.columns``, which predicts some rows at a time, and by one call for all, each in a
process of its own that says how much memory it took.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from measure import add_machine_options, machine, machine_lines, seconds_of, shown, spread, wait_until_quiet, write_results

from manygate.export.encoding import turned, under
from manygate.export.folder import export_model
from manygate.export.graph import Graph, Value, concat
from manygate.export.network import ServedNetwork, trace
from manygate.export.predictions import predictions
from manygate.ranker import Ranker
from manygate.scoring.exported_model import ExportedModel, open_session
from manygate.scoring.predictor import Predictor

RAW_BARS, CONTEXT_BAR = {1: 1.35, 512: 1.5}, 1.5
"""The most that raw features may cost, times encoded rows, by batch; and the least that a context once must gain."""
CANDIDATES = 500
LOG_ROUNDS = 3
CALLS = {1: 100, 512: 24, CANDIDATES: 24}
"""The calls of a case in a round, by batch."""
Case = Callable[[], Any]


def saved(graph: Graph, path: Path, threads: int) -> Any:
    """Return a session of a graph."""
    onnx.save_model(graph.model(), str(path))
    return open_session(path, threads)


def encoded_session(predictor: Predictor, path: Path, threads: int) -> Any:
    """Return a session that predicts encoded rows."""
    network, graph = ServedNetwork(predictor), Graph(predictor.output_names)
    given = {
        "id_BS": graph.input("id_BS", np.int64, ["rows", len(network.ids)]),
        "number_BM": graph.input("number_BM", np.float32, ["rows", len(network.numbers)]),
    }
    return predicting(predictor, network, given, path, threads)


def predicting(predictor: Predictor, network: ServedNetwork, given: dict[str, Value], path: Path, threads: int) -> Any:
    """Return a session of the network and its predictions, fed with the ``given`` values."""
    graph = given["id_BS"].graph
    logit_RBT = graph.inline(trace(network), given, np.float32)
    for name, value in predictions(predictor, logit_RBT, {}).columns.items():
        graph.output(name, value, ["rows"])
    return saved(graph, path, threads)


def by_name_session(predictor: Predictor, path: Path, threads: int) -> Any:
    """Return a session that predicts encoded rows, with an input for each of their columns."""
    network, graph = ServedNetwork(predictor), Graph(predictor.output_names)
    rows = [graph.input(f"row.{name}", np.int64, ["rows"]) for name in network.ids]
    places = [graph.input(f"place.{name}", np.float32, ["rows"]) for name in network.numbers]
    count = graph.op("Shape", rows[0], kind=np.int64, start=0, end=1)
    given = {"id_BS": turned(under(rows, count)), "number_BM": turned(under(places, count))}
    return predicting(predictor, network, given, path, threads)


def by_name(predictor: Predictor, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the inputs of :func:`by_name_session`."""
    network, id_SB, number_MB = ServedNetwork(predictor), rows["id_BS"].T, rows["number_BM"].T
    feed = {f"row.{name}": np.ascontiguousarray(row_B) for name, row_B in zip(network.ids, id_SB, strict=True)}
    return feed | {f"place.{name}": np.ascontiguousarray(at_B) for name, at_B in zip(network.numbers, number_MB, strict=True)}


def inputs_session(model: ExportedModel, path: Path, threads: int) -> Any:
    """Return a session with the inputs of a model that computes no more than their sizes."""
    kinds = {"tensor(string)": object, "tensor(int64)": np.int64, "tensor(bool)": bool, "tensor(double)": np.float64}
    graph = Graph(["sizes"])
    given = [graph.input(i.name, kinds[i.type], i.shape) for i in model.session.get_inputs()]
    graph.output("sizes", concat([graph.op("Shape", value, kind=np.int64) for value in given], 0), ["axes"])
    return saved(graph, path, threads)


def encoded_rows(predictor: Predictor, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
    """Return the inputs of :func:`encoded_session`."""
    rows, numbers = predictor.encoder.encode(batch, labels=False, bias=False), len(ServedNetwork(predictor).numbers)
    return {"id_BS": rows.id_BS.astype(np.int64), "number_BM": np.ascontiguousarray(rows.number_BM[:, :numbers])}


def eager(predictor: Predictor, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
    """Predict with PyTorch."""
    return predictor.columns(predictor.logits(predictor.encoder.encode(batch, labels=False, bias=False)))


def cases(folder: Path, predictor: Predictor, table: pa.Table, threads: int) -> dict[int, dict[str, Case]]:
    """Return the cases of each batch size."""
    features = [feature.name for feature in predictor.schema.served_features]
    context = features[::2]
    export_model(predictor, folder / "plain")
    export_model(predictor, folder / "context", context=context)
    plain, shared = (ExportedModel.load(folder / name, threads) for name in ("plain", "context"))
    encoded = encoded_session(predictor, folder / "encoded.onnx", threads)
    named = by_name_session(predictor, folder / "named.onnx", threads)
    inputs = inputs_session(plain, folder / "inputs.onnx", threads)
    names, found = plain.output_names, {}
    for size in RAW_BARS:
        batch = batch_of(table, size)
        feed, rows = plain.feed(batch), encoded_rows(predictor, batch)
        columns = by_name(predictor, rows)
        found[size] = {
            "raw": lambda feed=feed: plain.session.run(names, feed),
            "encoded": lambda rows=rows: encoded.run(names, rows),
            "encoded by name": lambda columns=columns: named.run(names, columns),
            "inputs alone": lambda feed=feed: inputs.run(None, feed),
            "feed": lambda batch=batch: plain.feed(batch),
            "eager": lambda batch=batch: eager(predictor, batch),
        }
    candidates, (request,) = batch_of(table, CANDIDATES), table.select(context).slice(0, 1).to_batches()
    repeated = request.take(pa.array(np.zeros(CANDIDATES, dtype=np.int64)))
    joined = pa.record_batch({name: (repeated if name in context else candidates).column(name) for name in features})
    candidates = candidates.drop_columns(context)
    row_wise, once = plain.feed(joined), shared.feed(candidates, context=request)
    for name, value_B in zip(names, plain.session.run(names, row_wise), strict=True):
        np.testing.assert_allclose(shared.session.run([name], once)[0], value_B, rtol=0, atol=1e-6)
    found[CANDIDATES] = {
        "row-wise": lambda: plain.session.run(names, row_wise),
        "request": lambda: shared.session.run(names, once),
        "row-wise with feed": lambda: plain.columns(joined),
        "request with feed": lambda: shared.columns(candidates, context=request),
        "eager": lambda: eager(predictor, joined),
    }
    return found


SCORE = """
import resource, sys, time
import pyarrow.parquet as pq
from manygate.scoring.exported_model import ExportedModel

folder, log, threads, rows, way = sys.argv[1:]
model = ExportedModel.load(folder, int(threads))
batch = next(pq.ParquetFile(log).iter_batches(int(rows), columns=model.features))
start = time.process_time()
model.columns(batch) if way == "columns" else model.session.run(model.output_names, model.feed(batch))
seconds = time.process_time() - start
print(1e6 * seconds / batch.num_rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
LOG_ROWS = 131_072
"""The rows that a table gives at once."""


def log_cost(folder: Path, log: Path, threads: int, rounds: int) -> tuple[dict[str, Any], list[str]]:
    """Return what it costs to score the rows of a log: microseconds of processor time for a row, and megabytes, by way."""
    ways: dict[str, list[tuple[float, float]]] = {"columns": [], "one call": []}
    for _ in range(rounds):
        for way, found in ways.items():
            words = [sys.executable, "-c", SCORE, str(folder), str(log), str(threads), str(LOG_ROWS), way]
            microseconds, megabytes = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
            found.append((float(microseconds), float(megabytes)))
    figures = {
        way: {"µs a row": spread([us for us, _ in found]), "megabytes": spread([mb for _, mb in found])}
        for way, found in ways.items()
    }
    lines = [
        f"## {LOG_ROWS:,} rows of a log, the first time in a process\n",
        "| way | µs a row | most MB of the process |\n|---|---|---|",
    ]
    lines += [f"| {way} | {shown(each['µs a row'], '.1f')} | {shown(each['megabytes'], '.0f')} |" for way, each in figures.items()]
    return figures, [*lines, ""]


def batch_of(table: pa.Table, rows: int) -> pa.RecordBatch:
    """Return the first rows of a table."""
    (batch,) = table.slice(0, rows).combine_chunks().to_batches()
    return batch


def measure(runs: dict[int, dict[str, Case]], rounds: int, clock: str, patience: float) -> dict[int, list[dict[str, float]]]:
    """Return the milliseconds of a call in each round, by batch and case: the median of the round's calls."""
    found: dict[int, list[dict[str, float]]] = {size: [] for size in runs}
    for _ in range(rounds):
        wait_until_quiet(patience, clock)
        for size, of_size in runs.items():
            found[size].append({})
            for name, run in of_size.items():
                for _ in range(CALLS[size] // 2):  # the last case left the caches and the free memory in another order
                    run()
                calls = [seconds_of(run, clock) for _ in range(CALLS[size])]
                found[size][-1][name] = 1e3 * statistics.median(calls)
    return found


def ratio(rounds: list[dict[str, float]], above: str, below: str) -> dict[str, Any]:
    """Return the spread of a ratio within a round."""
    return spread([times[above] / times[below] for times in rounds])


def tables(found: dict[int, list[dict[str, float]]]) -> tuple[dict[str, Any], list[str]]:
    """Return the figures, and the same as Markdown."""
    figures: dict[str, Any] = {}
    lines: list[str] = []
    for size, rounds in found.items():
        lines += [f"## {size} rows\n", "| case | ms a call |\n|---|---|"]
        figures[str(size)] = {name: spread([times[name] for times in rounds]) for name in rounds[0]}
        lines += [f"| {name} | {shown(times, '.3f')} |" for name, times in figures[str(size)].items()] + [""]
    for size, bar in RAW_BARS.items():
        cost = figures[f"raw at {size}"] = ratio(found[size], "raw", "encoded")
        alone = figures[f"inputs alone at {size}"] = ratio(found[size], "inputs alone", "encoded")
        of_names = figures[f"raw over encoded by name at {size}"] = ratio(found[size], "raw", "encoded by name")
        rest = [(times["raw"] - times["inputs alone"]) / times["encoded"] for times in found[size]]
        figures[f"raw without inputs at {size}"] = spread(rest)
        lines.append(
            f"* Raw features at batch {size}: {shown(cost)} times encoded rows, the inputs alone {shown(alone)} times, and all but "
            f"the inputs {shown(spread(rest))} times. Bar: at most {bar:.2f}, {'met' if cost['median'] <= bar else 'missed'}. "
            f"They cost {shown(of_names)} times encoded rows that come by name."
        )
    gain = figures["context"] = ratio(found[CANDIDATES], "row-wise", "request")
    whole = figures["context with feed"] = ratio(found[CANDIDATES], "row-wise with feed", "request with feed")
    limit = figures["context, limit"] = spread(
        [own["row-wise"] / other["encoded"] for own, other in zip(found[CANDIDATES], found[512], strict=True)]
    )
    lines.append(
        f"* {CANDIDATES} candidates, half of the features in one context: {shown(gain)} times as fast as row-wise, and "
        f"{shown(whole)} times with the feed. Bar: at least {CONTEXT_BAR:.2f}, "
        f"{'met' if gain['median'] >= CONTEXT_BAR else 'missed'}. If encoding and inputs cost nothing at all, it were "
        f"{shown(limit)} times (512 encoded rows)."
    )
    return figures, [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of manygate dataset census")
    parser.add_argument("--bundle", type=Path, help="a run or a bundle on that folder, instead of training one")
    parser.add_argument("--rounds", type=int, default=9)
    add_machine_options(parser, "export-cost")
    parser.set_defaults(threads=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    ranker = Ranker.load(options.bundle) if options.bundle else Ranker(epochs=1, threads=options.threads)
    if not options.bundle:
        ranker.fit(str(options.data))
    document: dict[str, Any] = {"machine": machine(options.threads, options.clock)}
    with tempfile.TemporaryDirectory() as folder:
        runs = cases(Path(folder), ranker.predictor, pq.read_table(options.data / "test.parquet"), options.threads)
        found = measure(runs, options.rounds, options.clock, options.patience)
        scored, of_log = log_cost(Path(folder) / "plain", options.data / "train.parquet", options.threads, LOG_ROUNDS)
    document["figures"], lines = tables(found)
    document["figures"]["log"] = scored
    document["machine"]["load_average_after"] = os.getloadavg()
    head = ["# What an exported model costs\n", *machine_lines(document["machine"])]
    head.append(f"* {options.rounds} rounds, the median of the calls of each; median (minimum to maximum) of the rounds.\n")
    write_results(options.results, options.name, document, [*head, *lines, *of_log])


if __name__ == "__main__":
    main()
