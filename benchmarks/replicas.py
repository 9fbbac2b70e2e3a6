"""What R replicas in one program cost, for R = 1, 2, 4, 8, 16: the small MMoE of the paper's section 5, and the MMoE on census.

Manygate alone is needed::

    manygate dataset census --data-dir downloads --out census
    python benchmarks/replicas.py --data census

The trainers for all R live side by side and take turns, a short burst of training steps each, round after round; the cost of R is
the ratio of its burst to that of R = 1 in the same round.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import add_machine_options, machine, machine_lines, shown, spread, timed, wait_until_quiet, write_results

from manygate.config import RunConfig
from manygate.data.batches import Split
from manygate.data.encode import Input, Rows
from manygate.evaluate import Monitor
from manygate.model import MultiTaskModel
from manygate.run import prepare
from manygate.schema import Task
from manygate.train import Trainer

REPLICAS = (1, 2, 4, 8, 16)


class Burst:
    """A trainer and some steps of it."""

    def __init__(self, inputs: list[Input], tasks: list[Task], rows: Rows, config: RunConfig, steps: int):
        train = Split(rows)
        model = MultiTaskModel(inputs, len(tasks), config)
        self.trainer = Trainer(model, tasks, train, Monitor("mean", tasks, rows, train), config)
        self.order, self.size, self.steps, self.at = train.order(0, 0), config.batch_size, steps, 0

    def __call__(self) -> None:
        for _ in range(self.steps):
            start = self.at * self.size
            self.trainer._step(self.trainer.train.take(self.order[start : start + self.size]))
            self.at = (self.at + 1) % (len(self.order) // self.size)


def small(replicas: int) -> Burst:
    """Section 5 of Ma et al. 2018: 100 numbers in, 8 experts of 16 units, towers of 8, two tasks; batch 64."""
    config = RunConfig(expert_hidden=(16,), tower_hidden=(8,), dropout=0.0, optimizer="adam", batch_size=64, replicas=replicas)
    random, count = np.random.default_rng(0), 64 * 200
    number_NM = random.standard_normal((count, 100)).astype(np.float32)
    label_NT = (random.random((count, 2)) < 0.5).astype(np.float32)
    rows = Rows(np.zeros((count, 0), np.int32), number_NM, [], label_NT, np.ones((count, 2), np.float32), None)
    inputs = [Input(f"x{m}", "dense", bias=False, units=1) for m in range(100)]
    return Burst(inputs, [Task(name="a"), Task(name="b")], rows, config, steps=max(64 // replicas, 8))


def census(replicas: int, data: str, dropout: float) -> Burst:
    """8 experts of 64 units, towers of 32, embeddings of 8; batch 1024; numbers encoded as shipped (piecewise-linear)."""
    config = RunConfig(expert_hidden=(64,), tower_hidden=(32,), dropout=dropout, optimizer="adam", replicas=replicas)
    log = prepare(data, config)
    return Burst(log.encoder.inputs(config.dim), list(log.schema.tasks), log.parts["train"], config, steps=max(16 // replicas, 2))


def costs(bursts: dict[int, Burst], options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a step of each R in each round, and the cost of R against R = 1."""
    rounds: list[dict[int, float]] = []
    noise: list[float] = []
    for burst in bursts.values():
        burst()
    for index in range(options.rounds):
        if index % 10 == 0:
            wait_until_quiet(options.patience, options.clock)
        found, others = {}, 0.0
        for replicas, burst in list(bursts.items())[:: 1 if index % 2 == 0 else -1]:
            timing, _ = timed(burst, options.clock)
            found[replicas], others = timing.seconds / burst.steps, max(others, timing.others)
        rounds.append(found)
        noise.append(others)
    calm = np.argsort(noise, kind="stable")[: max(len(rounds) // 2, 1)]  # the half of the rounds that others disturbed least
    counted = [rounds[index] for index in calm]
    return {
        "rounds": len(rounds),
        "others_cores": {"counted": float(np.mean([noise[index] for index in calm])), "all": float(np.mean(noise))},
        "milliseconds": {r: spread([1e3 * one[r] for one in counted]) for r in bursts},
        "cost": {r: spread([one[r] / one[1] for one in counted]) for r in bursts},
        "cost_all_rounds": {r: spread([one[r] / one[1] for one in rounds]) for r in bursts},
    }


def markdown(document: dict[str, Any]) -> list[str]:
    lines = ["# The cost of R replicas in one program", "", *machine_lines(document["machine"])]
    lines += ["* A step is one batch of training: rows gathered, forward, backward, Adam. Median (minimum to maximum) of the half"]
    lines[-1] += " of the rounds that others disturbed least; the cost is taken within a round."
    for name, one in document["models"].items():
        lines += ["", f"## {name}", ""]
        noise = one["others_cores"]
        lines += [f"{one['rounds']} rounds; others used {noise['counted']:.2f} cores in those counted, {noise['all']:.2f} in all."]
        lines += [
            "",
            "| R | ms a step | ms a replica-step | cost against R = 1 | cheaper than R serial runs by | cost, all rounds |",
        ]
        lines += ["|---|---|---|---|---|---|"]
        for replicas, step in one["milliseconds"].items():
            cost = one["cost"][replicas]
            lines.append(
                f"| {replicas} | {shown(step, '.3f')} | {step['median'] / replicas:.3f} | {shown(cost)} | "
                f"{replicas / cost['median']:.2f} | {shown(one['cost_all_rounds'][replicas])} |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder written by: manygate dataset census --group income --out DIR")
    parser.add_argument("--dropout", type=float, default=0.0, help="of the census model")
    parser.add_argument("--rounds", type=int, default=40)
    add_machine_options(parser, "replicas")
    options = parser.parse_args()
    options.threads = 1 if options.clock == "cpu" else options.threads
    torch.set_num_threads(options.threads)
    document: dict[str, Any] = {"benchmark": "replicas", "machine": machine(options.threads, options.clock), "models": {}}
    document["settings"] = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    models = {
        "Small: 100 numbers, 8 experts x 16, towers 8, batch 64": {r: small(r) for r in REPLICAS},
        "Census: 8 experts x 64, towers 32, embeddings 8, batch 1024": {
            r: census(r, options.data, options.dropout) for r in REPLICAS
        },
    }
    for name, bursts in models.items():
        document["models"][name] = costs(bursts, options)
    document["machine"]["load_average_after"] = os.getloadavg()
    write_results(options.results, options.name, document, markdown(document))


if __name__ == "__main__":
    main()
