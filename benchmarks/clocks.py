"""Measure what the own clocks of a comparison cost: more epochs of a sharing model, and time in each epoch.

    python benchmarks/clocks.py --clock cpu --threads 1 --data census

The made-up log is written into a temporary folder. ``--data`` adds the first rows of each part of a folder that
``manygate dataset`` wrote. All is split 80/10/10.

Epochs: a run with own clocks tells both numbers. Without them, a replica would have stopped when the clock of its kept weights
closed.
Time: two runs of a fixed number of epochs take turns, with and without own clocks, and write their checkpoints. The ratio is taken
within each round. Nothing stops early (patience is larger than the number of epochs), so the test rows are predicted in all epochs
in which a task improved. The worst case predicts them for all replicas in every epoch.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from measure import add_machine_options, machine, machine_lines, seconds_of, shown, spread, write_results

from manygate.config import RunConfig
from manygate.data.batches import Split
from manygate.data.encoded import EncodedLog
from manygate.datasets.impressions import impressions
from manygate.evaluation.monitor import Monitor
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.runs.preflight import prepare
from manygate.runs.run import train_one
from manygate.training.kept import own_store
from manygate.training.progress import Progress
from manygate.training.state import State
from manygate.training.trainer import Trainer

ARCHITECTURES = ("shared_bottom", "mmoe", "ple")


def epochs_of(state: State, patience: int) -> tuple[int, int]:
    """Return the epochs that all replicas trained, and those that they would have trained without own clocks."""
    trained = kept = 0
    for clock, own in zip(state.kept, state.own, strict=True):
        kept += clock.epoch + patience if clock.closed else state.epoch
        ends = [one.epoch + patience if one.closed else state.epoch for one in (clock, *own)]
        trained += max(ends)
    return trained, kept


def measure_epochs(log: EncodedLog, config: RunConfig) -> dict[str, Any]:
    """Train with own clocks and count epochs."""
    state = train_one(log, config, None, Progress(), own_clocks=True).state
    trained, kept = epochs_of(state, config.patience)
    ended = sum(not all(clock.closed for clock in own) for own in state.own)
    return {"with": trained, "without": kept, "extra": trained / kept - 1, "replicas_at_the_budget": ended}


class Always:
    """A store that predicts the test rows of all replicas after every epoch, whatever improved."""

    def __init__(self, store: Any):
        self.store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def keep(self, improved_MT: np.ndarray) -> None:
        self.store.keep(np.ones_like(improved_MT))


def fit(log: EncodedLog, config: RunConfig, own: str) -> None:
    """Train from the start, with checkpoints."""
    problem, splits = Problem.of(log.encoder, config), {part: Split(rows) for part, rows in log.parts.items()}
    model = MultiTaskModel(problem, config)
    store = own_store(config, model, splits["test"]) if own else None
    monitor = Monitor(config.monitor, problem, log.parts["valid"], splits["valid"])
    with tempfile.TemporaryDirectory() as folder:
        Trainer(model, splits["train"], monitor, Path(folder), own=Always(store) if own == "always" else store).fit()  # type: ignore[arg-type]


def measure_time(log: EncodedLog, config: RunConfig, rounds: int, clock: str) -> dict[str, Any]:
    """Take turns, and return the share that own clocks add in each round."""
    fit(log, config.replace(epochs=1), "")
    added: dict[str, list[float]] = {"improved": [], "always": []}
    plain = []
    for _ in range(rounds):
        before = seconds_of(lambda: fit(log, config, ""), clock)
        for own, shares in added.items():
            shares.append(seconds_of(lambda own=own: fit(log, config, own), clock) / before - 1)
        plain.append(before / config.epochs)
    return {"seconds_an_epoch": spread(plain), **{own: spread(shares) for own, shares in added.items()}}


def lines_of(document: dict[str, Any]) -> list[str]:
    """Write the results as Markdown."""
    lines = ["# The cost of own clocks", "", *machine_lines(document["machine"])]
    lines += ["", "## Epochs", "", "| log | architecture | patience | with | without | extra | replicas at the budget |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in document["epochs"]:
        counts = f"{row['with']} | {row['without']} | {100 * row['extra']:.0f} % | {row['replicas_at_the_budget']}"
        lines.append(f"| {row['log']} | {row['architecture']} | {row['patience']} | {counts} |")
    lines += ["", f"All together: {100 * document['extra']:.0f} % more epochs.", "", "## Time", ""]
    lines += ["| log | architecture | seconds an epoch without | added | added in the worst case |", "|---|---|---|---|---|"]
    for row in document["time"]:
        shares = (shown(spread([100 * value for value in row[own]["values"]]), ".1f") for own in ("improved", "always"))
        lines.append(
            f"| {row['log']} | {row['architecture']} | {shown(row['seconds_an_epoch'])} | {' | '.join(f'{s} %' for s in shares)} |"
        )
    return lines


def logs(options: argparse.Namespace, folder: Path) -> dict[str, Path]:
    """Write the made-up log and the first rows of the others, and return their folders by name."""
    impressions(folder / "log", rows=options.rows)
    found = {f"made-up log, {options.rows:,} rows": folder / "log"}
    for source in options.data:
        target = folder / source.name
        target.mkdir()
        shutil.copy2(source / "schema.yaml", target)
        for part, share in (("train", 8), ("valid", 1), ("test", 1)):
            rows = pq.read_table(source / f"{part}.parquet").slice(0, options.rows * share // 10)
            pq.write_table(rows, target / f"{part}.parquet")
        found[f"{source.name}, {options.rows:,} rows"] = target
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000, help="rows of each log")
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="more folders of a data set")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--patiences", type=int, nargs="*", default=[2, 3, 5])
    add_machine_options(parser, "clocks")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1 if options.clock == "cpu" else options.threads)
    document: dict[str, Any] = {"machine": machine(torch.get_num_threads(), options.clock), "epochs": [], "time": []}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in logs(options, Path(folder)).items():
            base = RunConfig(replicas=options.replicas, device="cpu")
            log = prepare(path, base)
            for architecture in ARCHITECTURES:
                config = base.replace(architecture=architecture)
                for patience in options.patiences:
                    row = measure_epochs(log, config.replace(patience=patience))
                    document["epochs"].append({"log": name, "architecture": architecture, "patience": patience, **row})
                timed = config.replace(epochs=3, patience=9)
                row = measure_time(log, timed, options.rounds, options.clock)
                document["time"].append({"log": name, "architecture": architecture, **row})
    total, without = (sum(row[key] for row in document["epochs"]) for key in ("with", "without"))
    document["extra"] = total / without - 1
    document["added"] = statistics.median(value for row in document["time"] for value in row["improved"]["values"])
    document["machine"]["load_average_after"] = os.getloadavg()
    write_results(options.results, options.name, document, lines_of(document))


if __name__ == "__main__":
    main()
