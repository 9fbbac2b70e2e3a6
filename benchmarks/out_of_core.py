"""Rows in files: the memory of a training run by the length of its log, and the speed of encoding, reading and training.

    python benchmarks/out_of_core.py --rows 5000000,50000000 --folder /tmp/long --threads 2

The log is made up, 17 columns: 10 of ids (one of them text), 5 numbers, 2 labels. It is written in pieces of a million rows. All
ids are in the first million rows, so the vocabularies of logs of all lengths are the same. Each length is a process of its own:
it encodes the log into files (``memory=0``), reads the training rows of an epoch as batches, and trains for one epoch. The peak is
that of the whole process. A second process of the shortest log keeps the rows in memory, and must end with the same weights.

At last ``manygate predict`` scores the longest log with the model of the shortest, as a process of its own.

Reading is measured with the files in the page cache, on a window of ``--read-rows`` rows of the epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure import add_machine_options, machine, machine_lines, write_results

PIECE = 1_000_000
IDS = (20_000, 10_000, 5_000, 2_000, 1_000, 500, 100, 50, 20)
SETTINGS: dict[str, Any] = {
    "task": ("click", "like"),
    "architecture": "mmoe",
    "experts": 4,
    "expert_hidden": (32,),
    "tower_hidden": (8,),
    "dim": 4,
    "batch_size": 4096,
    "epochs": 1,
    "fractions": (0.98, 0.01, 0.01),
    "encoding": "standard",
    "target_statistics": False,
    "number_ids": 0,
    "cross_layers": 0,
    "weight_average": 0.0,
    "calibration": "none",
    "seed": 0,
}


def piece(number: int) -> pa.Table:
    """A million rows of the made-up log."""
    random = np.random.default_rng(number)
    ids = {f"id{i}": random.integers(0, count, PIECE) for i, count in enumerate(IDS)}
    numbers = {f"x{i}": random.standard_normal(PIECE).astype(np.float32) for i in range(5)}
    score = numbers["x0"] + 0.5 * np.sin(ids["id3"]) + 0.5 * np.cos(ids["id1"])
    labels = {
        "click": (random.random(PIECE) < 1 / (1 + np.exp(1.5 - score))).astype(np.int8),
        "like": (random.random(PIECE) < 1 / (1 + np.exp(2.5 - score - numbers["x1"]))).astype(np.int8),
    }
    country = pa.array([f"c{n:03d}" for n in range(200)]).take(pa.array(random.integers(0, 200, PIECE)))
    return pa.table({**ids, "country": country, **numbers, **labels})


def generate(folder: Path, rows: int) -> list[Path]:
    """Write the files of a log that are not there yet, a million rows each."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number:05d}.parquet" for number in range(-(-rows // PIECE))]
    for number, file in enumerate(files):
        if not file.exists():
            draft = file.with_suffix(".tmp")
            pq.write_table(piece(number), draft, row_group_size=131_072)
            draft.replace(file)
    return files


def kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def measure_one(files: list[str], memory: str, options: argparse.Namespace) -> dict[str, Any]:
    """Encode, read and train one log in this process."""
    import torch

    from manygate.config import RunConfig
    from manygate.data.file_split import split_of
    from manygate.runs.preflight import prepare
    from manygate.runs.run import train_one
    from manygate.scoring.bundle import save_bundle
    from manygate.training.progress import Progress

    torch.set_num_threads(options.threads)
    config = RunConfig.build({**SETTINGS, "memory": memory, "rows_folder": options.rows_folder, "threads": options.threads})
    began = time.perf_counter()
    log = prepare(files, config)
    encoding = time.perf_counter() - began
    after_encoding = kilobytes("VmHWM")
    train, batch = log.parts["train"], config.for_rows(len(log.parts["train"])).batch_rows
    wanted = min(options.read_rows, len(train)) // batch
    seconds = []
    for _ in range(3):
        batches = split_of(train).batches(0, 0, batch)
        began, read = time.perf_counter(), 0
        for part in islice(batches, wanted):
            read += len(part)
        batches.close()
        seconds.append((time.perf_counter() - began) / read)
    began = time.perf_counter()
    trained = train_one(log, config, None, Progress())
    training = time.perf_counter() - began
    if options.bundle:
        save_bundle(Path(options.bundle), trained.predictor)
    weights = sha256(b"".join(value.detach().numpy().tobytes() for value in trained.predictor.model.parameters.values()))
    rows = sum(map(len, log.parts.values()))
    held = 8 * sum(len(log.parts[part]) for part in ("valid", "test")) * 2
    return {
        "rows": rows,
        "training_rows": len(train),
        "memory": memory,
        "in_files": train.files is not None,
        "file_bytes_a_row": 0 if train.files is None else train.files.file_bytes / len(train),
        "encoded_rows_a_second": rows / encoding,
        "read_rows_a_second": 1 / min(seconds),
        "trained_rows_a_second": len(train) / trained.state.seconds,
        "seconds": {"encoding": encoding, "training": training},
        "peak_mb": kilobytes("VmHWM") / 1024,
        "peak_mb_after_encoding": after_encoding / 1024,
        "held_out_mb": held / 2**20,
        "weights": weights.hexdigest()[:16],
        "auc": {name: report.ensemble["auc"] for name, report in trained.result.tasks.items()},
    }


def score(bundle: Path, folder: Path, threads: int) -> dict[str, Any]:
    """Score all files of a folder, and return rows, seconds and the peak of memory."""
    out = folder.parent / "scores.parquet"
    command = [sys.executable, "-m", "manygate", "predict", str(bundle), f"{folder}/*.parquet", "--out", str(out), "--overwrite"]
    began = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, "manygate predict failed"
    seconds, rows = time.perf_counter() - began, pq.ParquetFile(out).metadata.num_rows
    out.unlink()
    return {"rows": rows, "seconds": seconds, "rows_a_second": rows / seconds, "peak_mb": usage.ru_maxrss / 1024}


def run_child(files: list[Path], memory: str, options: argparse.Namespace, bundle: Path | None = None) -> dict[str, Any]:
    arguments = [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in ("threads", "read_rows", "rows_folder")]
    arguments += [f"--bundle={bundle or ''}", f"--memory={memory}", "--child", *map(str, files)]
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(found), flush=True)
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    folder, lengths = Path(options.folder), [int(rows) for rows in options.rows.split(",")]
    document: dict[str, Any] = {
        "benchmark": "out_of_core",
        "machine": machine(options.threads, options.clock),
        "settings": SETTINGS,
    }
    every = {rows: generate(folder, rows) for rows in lengths}
    bundle = folder.parent / f"{folder.name}-bundle"
    document["in_memory"] = run_child(every[lengths[0]], "1000GB", options, bundle)
    document["in_files"] = [run_child(files, "0", options) for files in every.values()]
    document["scoring"] = score(bundle, folder, options.threads)
    return document


def lines(document: dict[str, Any]) -> list[str]:
    """The table of the result."""
    columns = ("rows", "where", "encoding, rows/s", "reading, rows/s", "training, rows/s", "reading / step")
    columns += ("peak MB", "less held-out rows", "weights")
    table = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for run in [document["in_memory"], *document["in_files"]]:
        share = run["trained_rows_a_second"] / run["read_rows_a_second"]
        table.append(
            f"| {run['rows']:,} | {'files' if run['in_files'] else 'memory'} | {run['encoded_rows_a_second']:,.0f} | "
            f"{run['read_rows_a_second']:,.0f} | {run['trained_rows_a_second']:,.0f} | {share:.1%} | {run['peak_mb']:,.0f} | "
            f"{run['peak_mb'] - run['held_out_mb']:,.0f} | {run['weights']} |"
        )
    scored = document["scoring"]
    table += [
        "",
        f"`manygate predict` scored {scored['rows']:,} rows at {scored['rows_a_second']:,.0f} rows/s, with a peak of "
        f"{scored['peak_mb']:,.0f} MB.",
    ]
    return ["# Rows in files", "", *machine_lines(document["machine"]), "", *table]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="5000000,50000000")
    parser.add_argument("--folder", default="/tmp/long")
    parser.add_argument("--read-rows", type=int, default=4_000_000)
    parser.add_argument("--rows-folder", default="")
    parser.add_argument("--memory", default="0", help=argparse.SUPPRESS)
    parser.add_argument("--bundle", default="", help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs="*")
    add_machine_options(parser, "out-of-core")
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(measure_one(options.child, options.memory, options)))
        return
    document = measure(options)
    document["machine"]["load_average_after"] = os.getloadavg()
    write_results(options.results, options.name, document, lines(document))


if __name__ == "__main__":
    main()
