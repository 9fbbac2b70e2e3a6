"""What a step costs with each weighting, beside fixed weights: an MMoE on census (two tasks) and on the embedded log (four).

    .venv/bin/python benchmarks/weighting.py --data census

8 experts x 64, towers 32, embeddings 8, batch 1024, float32, AdamW. Each weighting trains its own model on the same batches; they
take turns, some steps at a time, round after round, and every ratio is taken within a round. ``--profile NAME`` shows where the
time of one goes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from measure import add_machine_options, machine, machine_lines, shown, spread, timed, wait_until_quiet, write_results

from manygate import datasets
from manygate.config import RunConfig
from manygate.config.names import WEIGHTINGS
from manygate.config.settings import PLAIN
from manygate.data.batches import Split
from manygate.data.encoded import EncodedLog
from manygate.evaluation.monitor import Monitor
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.objective.weighting import find_weighting
from manygate.runs.preflight import prepare
from manygate.training.trainer import Trainer

BAR = 1.3
"""With two tasks, of the methods that read gradients at the shared representation."""


class Steps:
    """A trainer with one weighting; a call is some training steps, on the batches after those of the last call."""

    def __init__(self, log: EncodedLog, config: RunConfig):
        splits = {part: Split(rows) for part, rows in log.parts.items()}
        model = MultiTaskModel(Problem.of(log.encoder, config), config)
        monitor = Monitor(config.monitor, model.problem, log.parts["valid"], splits["valid"])
        self.trainer = Trainer(model, splits["train"], monitor)
        self.size, self.batches = config.batch_rows, iter(())

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            batch = next(self.batches, None)
            if batch is None or len(batch) < self.size:
                self.batches = self.trainer.train.batches(0, 0, self.size)
                batch = next(self.batches)
            self.trainer._step(batch)
            self.trainer.state.step += 1


def chosen(config: RunConfig, name: str) -> RunConfig:
    """Settings of "pcgrad", or of "pcgrad:4", which reads gradients in every fourth step."""
    weighting, _, every = name.partition(":")
    return config.replace(weighting=weighting, balance_every=int(every or 1))


def measure(log: EncodedLog, options: argparse.Namespace, replicas: int) -> dict[str, Any]:
    """Milliseconds a step of every weighting, and the ratio to fixed within each round."""
    config = RunConfig.build({**PLAIN, "replicas": replicas, "dropout": 0.0, "batch_size": 1024, "threads": options.threads})
    runs = {name: Steps(log, chosen(config, name)) for name in options.names}
    for run in runs.values():
        run(3)
    rounds: list[dict[str, float]] = []
    others: list[float] = []
    for _ in range(options.rounds):
        wait_until_quiet(options.patience, options.clock)
        times = {}
        for name, run in runs.items():
            timing, _ = timed(lambda run=run: run(options.steps), options.clock)
            times[name] = 1e3 * timing.seconds / options.steps
            others.append(timing.others)
        rounds.append(times)
    return {
        "tasks": len(log.schema.tasks),
        "replicas": replicas,
        "others_median": statistics.median(others),
        "milliseconds": {name: spread([times[name] for times in rounds]) for name in runs},
        "ratio": {name: spread([times[name] / times["fixed"] for times in rounds]) for name in runs},
    }


def table(title: str, found: dict[str, Any]) -> list[str]:
    lines = [
        f"## {title}: {found['tasks']} tasks, {found['replicas']} replica{'s' if found['replicas'] > 1 else ''}\n",
        f"Cores used by others, median: {found['others_median']:.2f}.\n",
        "| weighting | reads gradients | ms a step | times fixed |\n|---|---|---|---|",
    ]
    for name in found["ratio"]:
        weighting, _, every = name.partition(":")
        reads = "" if not find_weighting(weighting).needs_gradients else f"every {every} steps" if every else "yes"
        lines.append(f"| {name} | {reads} | {shown(found['milliseconds'][name])} | {shown(found['ratio'][name])} |")
    return [*lines, ""]


def profile(log: EncodedLog, name: str, options: argparse.Namespace) -> None:
    """Operations of 20 steps, by the time of their own."""
    plain = RunConfig.build({**PLAIN, "dropout": 0.0, "batch_size": 1024, "threads": options.threads})
    run = Steps(log, plain.replace(weighting=name))
    run(4)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        run(20)
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=45))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the folder of manygate dataset census")
    names = ",".join((*WEIGHTINGS, "pcgrad:2", "pcgrad:4"))
    parser.add_argument("--names", default=names, help="fixed among them; NAME:4 reads gradients in every fourth step")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20, help="steps of each weighting in a round")
    parser.add_argument("--replicas", type=int, default=8, help="of the part with several")
    parser.add_argument("--rows", type=int, default=30_000, help="rows of the embedded log")
    parser.add_argument("--parts", default="census,replicas,log")
    parser.add_argument("--profile", help="show where the time of one weighting goes on census, and end")
    add_machine_options(parser, "weighting")
    options = parser.parse_args()
    options.names = options.names.split(",")
    options.threads = 1 if options.clock == "cpu" else options.threads
    torch.set_num_threads(options.threads)
    document: dict[str, Any] = {"machine": machine(options.threads, options.clock), "parts": {}}
    settings = RunConfig.build({**PLAIN, "threads": options.threads, "dim": 8, "log": options.data})
    census = prepare(options.data, settings)
    if options.profile:
        return profile(census, options.profile, options)
    lines = ["# What a weighting costs a step\n"]
    tables: list[str] = []
    if "census" in options.parts:
        document["parts"]["census"] = measure(census, options, 1)
        tables += table("census", document["parts"]["census"])
    if "replicas" in options.parts:
        document["parts"]["replicas"] = measure(census, options, options.replicas)
        tables += table("census", document["parts"]["replicas"])
    if "log" in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            datasets.impressions(Path(folder) / "log", rows=options.rows)
            log = prepare(str(Path(folder) / "log"), settings.replace(log=None))
            document["parts"]["log"] = measure(log, options, 1)
        tables += table("embedded log", document["parts"]["log"])
    document["machine"]["load_average_after"] = os.getloadavg()
    lines += machine_lines(document["machine"])
    lines += [
        f"* {options.rounds} rounds of {options.steps} steps each, in turns; median (minimum to maximum); ratios within a round.",
        f"* Bar: {BAR} times fixed on census, one replica, for methods that read gradients. Missed by: {missed(document)}.\n",
    ]
    write_results(options.results, options.name, document, [*lines, *tables])


def missed(document: dict[str, Any]) -> str:
    ratios = document["parts"].get("census", {"ratio": {}})["ratio"]
    over = [f"{name} ({found['median']:.2f})" for name, found in ratios.items() if found["median"] > BAR]
    return ", ".join(over) or "none"


if __name__ == "__main__":
    main()
