"""Kills a training run with SIGKILL at random moments, resumes it each time, and compares its end with that of an undisturbed run.

    python benchmarks/kills.py --kills 50

The log is that of ``out_of_core.py``, with 200,000 rows. A run encodes it, trains two replicas for two epochs, and writes a
checkpoint five times a second, so that many kills come inside a write. A third of the kills come while rows are encoded. Runs are
killed until there are enough kills, once with rows in memory and once with rows in files. At the end the newest checkpoint
(weights, best weights, optimizer, average) and ``metrics.jsonl`` must have the bytes of the undisturbed run, all but the seconds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from measure import add_machine_options, machine, machine_lines, write_results
from out_of_core import SETTINGS, piece

from manygate.config import RunConfig
from manygate.data.file_split import split_of
from manygate.evaluation.monitor import Monitor
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.runs.preflight import prepare
from manygate.training.progress import Progress
from manygate.training.trainer import Trainer

ROWS = 200_000
CHANGES = {"epochs": 2, "replicas": 2, "dropout": 0.1, "weight_average": 0.999, "checkpoint_seconds": 0.2, "threads": 1}


class Told(Progress):
    """Writes the lines of a run into a file."""

    def __init__(self, file: Path):
        self.file = file

    def say(self, text: str) -> None:
        with self.file.open("a") as stream:
            stream.write(text + "\n")


def work(log_file: Path, folder: Path, memory: str) -> None:
    """Encode and train, or go on."""
    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    config = RunConfig.build({**SETTINGS, **CHANGES, "memory": memory, "rows_folder": str(folder.parent / "rows")})
    log = prepare(str(log_file), config)
    (folder / "encoded").write_text(str(time.monotonic()))
    problem = Problem.of(log.encoder, config)
    monitor = Monitor(config.monitor, problem, log.parts["valid"], split_of(log.parts["valid"]))
    model = MultiTaskModel(problem, config.for_rows(len(log.parts["train"])))
    Trainer(model, split_of(log.parts["train"]), monitor, folder, Told(folder / "told"), log.fingerprint("kills")).fit()
    (folder / "END").write_text("")


def end_of(folder: Path) -> tuple[bytes, dict[str, Any], bytes]:
    """What a run ends with: tensors, state without seconds, history."""
    newest = max((folder / "checkpoints").glob("step-*"))
    state = json.loads((newest / "state.json").read_text())
    state.pop("seconds")
    return (newest / "state.safetensors").read_bytes(), state, (folder / "metrics.jsonl").read_bytes()


def start(log_file: Path, folder: Path, memory: str) -> Any:
    process = multiprocessing.get_context("fork").Process(target=work, args=(log_file, folder, memory))
    process.start()
    return process


def kill_runs(log_file: Path, above: Path, memory: str, kills: int, random: np.random.Generator) -> dict[str, Any]:
    """Kill runs until there are enough kills, and compare the end of each."""
    began = time.monotonic()
    start(log_file, above / f"whole-{memory}", memory).join()
    whole = time.monotonic() - began
    encoding = float((above / f"whole-{memory}" / "encoded").read_text()) - began
    wanted = end_of(above / f"whole-{memory}")
    found = {"memory": memory, "kills": 0, "while_encoding": 0, "inside_a_checkpoint": 0, "runs": 0, "equal": 0, "damaged": 0}
    while found["kills"] < kills:
        folder, found["runs"] = above / f"run-{memory}-{found['runs']}", found["runs"] + 1
        while not (folder / "END").exists():
            (folder / "encoded").unlink(missing_ok=True)
            early = random.random() < 1 / 3
            started, process = time.time(), start(log_file, folder, memory)
            if not early:  # the wait begins with the training, however busy the machine is
                while process.is_alive() and not (folder / "encoded").exists():
                    process.join(0.01)
            delay = random.uniform(0, encoding if early else (whole - encoding) / 3)
            process.join(delay if found["kills"] < kills else None)
            if process.exitcode is not None:
                assert process.exitcode == 0, (folder / "told").read_text()
                continue
            process.kill()
            process.join()
            found["kills"] += 1
            found["while_encoding"] += not (folder / "encoded").exists()
            drafts = (folder / "checkpoints").glob(".step-*")
            found["inside_a_checkpoint"] += any(draft.stat().st_mtime > started for draft in drafts)
        found["equal"] += end_of(folder) == wanted
        found["damaged"] += (folder / "told").read_text().count("Training goes on from the older checkpoint")
        shutil.rmtree(folder)
    print(found, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    add_machine_options(parser, "kills")
    options = parser.parse_args()
    about, random = machine(1, options.clock), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        above = Path(name)
        pq.write_table(piece(0).slice(0, ROWS), above / "log.parquet")
        every = [kill_runs(above / "log.parquet", above, memory, options.kills, random) for memory in ("1GB", "0")]
    about["load_average_after"] = os.getloadavg()
    table = [
        "| rows | kills | while encoding | inside a checkpoint | runs | runs with equal end | damaged checkpoints met |",
        "|---" * 7 + "|",
    ]
    table += [
        f"| in {'files' if run['memory'] == '0' else 'memory'} | {run['kills']} | {run['while_encoding']} | "
        f"{run['inside_a_checkpoint']} | {run['runs']} | {run['equal']} | {run['damaged']} |"
        for run in every
    ]
    lines = ["# Runs that are killed end as if they had not been", "", *machine_lines(about), "", *table]
    write_results(options.results, options.name, {"machine": about, "settings": {**SETTINGS, **CHANGES}, "runs": every}, lines)


if __name__ == "__main__":
    main()
