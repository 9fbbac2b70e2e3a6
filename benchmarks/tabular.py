"""What the settings for tabular data cost a training step, beside the same model without them.

    .venv/bin/python benchmarks/tabular.py --data census --clock cpu

Cross layers, an average of the weights, numbers as ids and target statistics, each alone and all together: an MMoE with the default
sizes on census, and on the made-up log with sparse gradients. The models take turns, some steps at a time, round after round, and
every ratio is taken within a round. Id dropout is a part of a step, and an evaluation is not.
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
from manygate.config.data_settings import LARGE_LOG
from manygate.config.settings import PLAIN
from manygate.data.batches import Split
from manygate.data.encoded import EncodedLog
from manygate.evaluation.monitor import Monitor
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.runs.preflight import prepare
from manygate.training.packs import replica_bytes
from manygate.training.trainer import Trainer

BAR = 3 / 2
"""The time of a step with the defaults, one replica on census: the speed must not fall by more than a third."""
DEFAULTS: dict[str, Any] = {"cross_layers": None, "weight_average": 0.999, "number_ids": None, "target_statistics": None}
NAMES = ("cross layers", "average", "numbers as ids", "target statistics")
SETTINGS = {"none": PLAIN, **{words: PLAIN | {name: DEFAULTS[name]} for words, name in zip(NAMES, DEFAULTS, strict=True)}}
SETTINGS["default"] = DEFAULTS


class Steps:
    """A trainer; a call is some training steps, on the batches after those of the last call."""

    def __init__(self, log: EncodedLog, config: RunConfig):
        splits = {part: Split(rows) for part, rows in log.parts.items()}
        model = MultiTaskModel(Problem.of(log.encoder, config), config)
        monitor = Monitor(config.monitor, model.problem, log.parts["valid"], splits["valid"])
        self.trainer = Trainer(model, splits["train"], monitor)
        self.size, self.batches = config.batch_rows, iter(())
        self.megabytes = {
            "encoded rows": sum(rows.nbytes for rows in log.parts.values()) / 1e6,
            "training": replica_bytes(model.problem, config) * config.replicas / 1e6,
        }
        self.width = model.embedding.width

    def __call__(self, steps: int) -> None:
        trainer = self.trainer
        for _ in range(steps):
            batch = next(self.batches, None)
            if batch is None or len(batch) < self.size:
                self.batches = trainer.train.batches(0, 0, self.size)
                batch = next(self.batches)
            trainer._step(trainer.id_dropout(batch, trainer.state.step))
            trainer.state.step += 1


def measure(source: str, base: RunConfig, options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a step with every setting, the ratio to none within each round, and the memory."""
    runs = {}
    for name in options.names:
        config = base.replace(**SETTINGS[name])
        log = prepare(source, config)
        runs[name] = Steps(log, config.for_rows(len(log.parts["train"])))
        runs[name](4)
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
        "others_median": statistics.median(others),
        "milliseconds": {name: spread([times[name] for times in rounds]) for name in runs},
        "ratio": {name: spread([times[name] / times["none"] for times in rounds]) for name in runs},
        "width": {name: run.width for name, run in runs.items()},
        "megabytes": {name: run.megabytes for name, run in runs.items()},
    }


def table(title: str, found: dict[str, Any]) -> list[str]:
    lines = [
        f"## {title}\n",
        f"Cores used by others, median: {found['others_median']:.2f}.\n",
        "| settings | width of x | ms a step | times none | MB of encoded rows | MB in training |\n|---|---|---|---|---|---|",
    ]
    for name, ratio in found["ratio"].items():
        memory = found["megabytes"][name]
        lines.append(
            f"| {name} | {found['width'][name]} | {shown(found['milliseconds'][name])} | {shown(ratio)} | "
            f"{memory['encoded rows']:.0f} | {memory['training']:.0f} |"
        )
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the folder of manygate dataset census")
    parser.add_argument("--names", default=",".join(SETTINGS), help="none among them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="steps of each model in a round")
    parser.add_argument("--replicas", type=int, default=4, help="of the part with several")
    parser.add_argument("--parts", default="census,replicas,log")
    add_machine_options(parser, "tabular")
    options = parser.parse_args()
    options.names = options.names.split(",")
    options.threads = 1 if options.clock == "cpu" else options.threads
    torch.set_num_threads(options.threads)
    document: dict[str, Any] = {"machine": machine(options.threads, options.clock), "parts": {}}
    config = RunConfig(threads=options.threads)
    tables: list[str] = []
    for part, replicas in (("census", 1), ("replicas", options.replicas)):
        if part in options.parts.split(","):
            document["parts"][part] = measure(options.data, config.replace(replicas=replicas), options)
            tables += table(f"census, {replicas} replica{'s' if replicas > 1 else ''}", document["parts"][part])
    if "log" in options.parts.split(","):
        with tempfile.TemporaryDirectory() as folder:
            datasets.impressions(Path(folder) / "log", rows=2 * LARGE_LOG)
            document["parts"]["log"] = measure(str(Path(folder) / "log"), config.replace(sparse_gradients=True), options)
        tables += table("made-up log, sparse gradients", document["parts"]["log"])
    document["machine"]["load_average_after"] = os.getloadavg()
    lines = ["# What the settings for tabular data cost a step\n", *machine_lines(document["machine"])]
    lines += [
        f"* {options.rounds} rounds of {options.steps} steps each, in turns; median (minimum to maximum); ratios within a round.",
        "* Memory in training is an estimate of parameters, optimizer, kept weights and a batch's activations.",
        f"* Bar: the defaults take at most {BAR:.2f} times none on census, one replica. {verdict(document)}\n",
    ]
    write_results(options.results, options.name, document, [*lines, *tables])


def verdict(document: dict[str, Any]) -> str:
    ratio = document["parts"].get("census", {"ratio": {}})["ratio"].get("default")
    return "Not measured." if ratio is None else f"{'Met' if ratio['median'] <= BAR else 'Missed'}: {ratio['median']:.2f}."


if __name__ == "__main__":
    main()
