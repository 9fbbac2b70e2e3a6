"""The time of a training step by the number of rows of the embedding tables, and the rows/s beside what others do.

An environment with the two others (see ``benchmarks/epoch.py``), then::

    .bench/bin/python benchmarks/tables.py --clock cpu --threads 1

The log is made up: 8 id features and 2 labels. The network is that of ``benchmarks/epoch.py`` on census: MMoE with 8 experts of 64
and towers of 32, batch 1,024, but with embeddings of 16. A table of V rows has V / 8 ids of each feature. Ids are drawn uniformly,
so that nearly every id of a batch misses the caches, or with a probability of 1 / rank, as ids of real logs nearly are.

Sizes: models that differ in the number of rows alone take turns, some steps at a time, and the ratio is taken within a round. Every
page of every tensor was touched before the first round: tables and copies are written when they are made, and the optimizer's
state in the first of the steps that are not timed. The page faults of the timed steps are counted. A step is what the trainer
does for a batch: take the rows, id dropout, look up, forward and backward pass, optimizer, average of the weights. Its parts are
timed by the same clock; what remains of a step is the rest.

Others: the same model at one size, trained with the gradients of this package, with dense gradients in this package, and by
torch-rechub and DeepCTR-Torch, whose gradients are dense. Every trainer loops over the same encoded rows. Validation is not timed.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from epoch import BATCH, EXPERTS, HIDDEN, RATE, TOWER, silence
from measure import add_machine_options, machine, machine_lines, seconds_of, shown, spread, wait_until_quiet, write_results

from manygate.config import RunConfig
from manygate.config.settings import PLAIN
from manygate.data.batches import Split
from manygate.data.rows import FIRST_ROW, Input, Rows
from manygate.evaluation.monitor import Monitor
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.training import trainer as training
from manygate.training.forward import BatchLosses
from manygate.training.memory import keep_freed_memory
from manygate.training.trainer import Trainer

FEATURES, DIM, TASKS = 8, 16, 2
SIZES = (20_000, 1_000_000, 20_000_000)
SIZE_TARGET, OTHERS_TARGET = 1.3, 4.0
ADAM: dict[str, Any] = {"optimizer": "adam", "weight_decay": 0.0}
AVERAGE: dict[str, Any] = {"weight_average": 0.999}
ROWWISE: dict[str, Any] = {"table_optimizer": "rowwise_adagrad"}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "Adam, uniform ids": ("uniform", ADAM),
    "Adam, ids by 1 / rank": ("rank", ADAM),
    "Adam and average of the weights, uniform ids": ("uniform", ADAM | AVERAGE),
    "row-wise Adagrad, uniform ids": ("uniform", ADAM | ROWWISE),
    "row-wise Adagrad and average of the weights, uniform ids": ("uniform", ADAM | ROWWISE | AVERAGE),
}


def made_up(rows: int, table: int, draw: str, seed: int = 0) -> Rows:
    """Draw encoded rows of a log whose features have ``table`` rows of the embedding table together."""
    generator, ids = np.random.default_rng(seed), table // FEATURES - FIRST_ROW
    share_NF = generator.random((rows, FEATURES))
    rank_NF = (share_NF * ids if draw == "uniform" else np.exp(share_NF * np.log(ids + 1)) - 1).astype(np.int64)
    place_NF = (rank_NF * 2_654_435_761) % ids if draw == "rank" else rank_NF  # frequent ids stand anywhere in the table
    id_NF = (FIRST_ROW + np.minimum(place_NF, ids - 1)).astype(np.int32)
    label_NT = (generator.random((rows, TASKS)) < 0.3).astype(np.float32)
    return Rows(id_NF, np.zeros((rows, 0), np.float32), [], label_NT, np.ones_like(label_NT))


def inputs_of(table: int) -> list[Input]:
    names = [f"id{number}" for number in range(FEATURES)]
    return [Input(name, "sparse", False, rows=table // FEATURES, dim=DIM, can_be_unseen=True) for name in names]


class Steps:
    """A trainer. A call is some training steps on the next batches."""

    def __init__(self, table: int, rows: Rows, changes: dict[str, Any], clock: str):
        network = {"architecture": "mmoe", "experts": EXPERTS, "expert_hidden": (HIDDEN,), "tower_hidden": (TOWER,), "dim": DIM}
        run = {"learning_rate": RATE, "batch_size": BATCH, "dropout": 0.0, "device": "cpu"}
        config = RunConfig.build({**PLAIN, **network, **run, **changes})
        problem = Problem.binary(inputs_of(table), TASKS)
        few = rows.where(np.arange(len(rows)) < BATCH)
        model = MultiTaskModel(problem, config)
        self.trainer = Trainer(model, Split(rows), Monitor("mean", problem, few, Split(few)))
        self.order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
        self.at, self.seconds, self.clock = 0, dict[str, float](), clock
        self._watch()

    def _watch(self) -> None:
        """Time the parts of a step. A part that runs within another is taken off it."""
        trainer = self.trainer
        self._time(trainer.train, "take", "take the rows")
        self._time(trainer, "id_dropout", "id dropout")
        self._time(trainer.model, "embed", "look up")
        self._time(trainer, "forward", "forward", within="look up")
        self._time(trainer.average, "before", "average of the weights")
        self._time(trainer.average, "after", "average of the weights")
        tables, *others = trainer.optimizer.parts
        self._time(tables, "step", "optimizer of the tables" if others else "optimizer")
        for part in others:
            self._time(part, "step", "optimizer of the trunk")

    def _time(self, owner: Any, name: str, part: str, within: str = "") -> None:
        work, seconds = getattr(owner, name), self.seconds
        seconds.setdefault(part, 0.0)

        def call(*arguments: Any) -> Any:
            inner, result = seconds.get(within, 0.0), []
            taken = seconds_of(lambda: result.append(work(*arguments)), self.clock)
            seconds[part] += taken - (seconds.get(within, 0.0) - inner)
            return result[0]

        setattr(owner, name, call)

    def __call__(self, steps: int) -> float:
        """Train some steps and return the seconds of one."""
        size, seconds = BATCH, self.seconds
        shared = {"backward": (BatchLosses, "backward"), "sum of equal ids": (training, "add_up_rows")}
        before = {part: getattr(owner, name) for part, (owner, name) in shared.items()}
        for part, (owner, name) in shared.items():
            self._time_shared(owner, name, part, before[part])

        def train() -> None:
            for _ in range(steps):
                if (self.at + 1) * size > len(self.order):
                    self.at = 0
                trainer = self.trainer
                batch = trainer.train.take(self.order[self.at * size : (self.at + 1) * size])
                trainer._step(trainer.id_dropout(batch, trainer.state.step))
                trainer.state.step, self.at = trainer.state.step + 1, self.at + 1

        whole = seconds_of(train, self.clock)
        for part, (owner, name) in shared.items():
            setattr(owner, name, before[part])
        seconds["whole"] = seconds.get("whole", 0.0) + whole
        return whole / steps

    def _time_shared(self, owner: Any, name: str, part: str, work: Callable[..., Any]) -> None:
        """Time a function that the models share, as long as this model trains."""

        def call(*arguments: Any) -> None:
            taken = seconds_of(lambda: work(*arguments), self.clock)
            self.seconds[part] = self.seconds.get(part, 0.0) + taken

        setattr(owner, name, call)

    def forget(self) -> None:
        for part in self.seconds:
            self.seconds[part] = 0.0


def measure_sizes(draw: str, changes: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Return milliseconds of a step by size, the ratio to the smallest within each round, and the parts of a step."""
    batches = options.warm + options.rounds * (options.steps + options.again)
    runs = {size: Steps(size, made_up(batches * BATCH, size, draw), changes, options.clock) for size in SIZES}
    for run in runs.values():
        run(options.warm)
        run.forget()
    rounds: list[dict[int, float]] = []
    faults, parts = dict.fromkeys(SIZES, 0), {size: dict[str, float]() for size in SIZES}
    for _ in range(options.rounds):
        wait_until_quiet(options.patience, options.clock)
        one = {}
        for size, run in runs.items():
            run(options.again)  # the caches hold another model
            run.forget()
            began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            one[size] = 1e3 * run(options.steps)
            faults[size] += resource.getrusage(resource.RUSAGE_SELF).ru_minflt - began
            for part, seconds in run.seconds.items():
                parts[size][part] = parts[size].get(part, 0.0) + 1e3 * seconds / options.steps / options.rounds
        rounds.append(one)
    for found in parts.values():
        found["rest"] = 2 * found["whole"] - sum(found.values())
    return {
        "milliseconds": {size: spread([one[size] for one in rounds]) for size in SIZES},
        "ratio": {size: spread([one[size] / one[SIZES[0]] for one in rounds]) for size in SIZES},
        "sparse": {size: run.trainer.model.sparse for size, run in runs.items()},
        "gigabytes_in_large_pages": gigabytes_in_large_pages(),
        "page_faults_a_step": {size: faults[size] / options.rounds / options.steps for size in SIZES},
        "parts": parts,
    }


def gigabytes_in_large_pages() -> float:
    """Return the memory of this process that is in pages of 2 MB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages")) / 1e6


def columns_of(rows: Rows) -> tuple[dict[str, np.ndarray], np.ndarray]:
    return {f"id{number}": np.ascontiguousarray(rows.id_BS[:, number]) for number in range(FEATURES)}, rows.label_BT


def train_rechub(table: int, rows: Rows) -> Callable[[], Any]:
    """Return one epoch of torch-rechub's trainer."""
    from torch_rechub.basic.features import SparseFeature
    from torch_rechub.basic.initializers import RandomNormal
    from torch_rechub.models.multi_task import MMOE
    from torch_rechub.trainers import MTLTrainer
    from torch_rechub.utils.data import DataGenerator

    x, y = columns_of(rows)
    features = [SparseFeature(i.name, i.rows, DIM, initializer=RandomNormal(0, 0.1)) for i in inputs_of(table)]
    loader = DataGenerator(x, y).generate_dataloader(x, y, x, y, batch_size=BATCH)[0]
    kinds = ["classification"] * TASKS
    model = MMOE(features, kinds, EXPERTS, {"dims": [HIDDEN]}, [{"dims": [TOWER]}] * TASKS)
    trainer = MTLTrainer(model, kinds, optimizer_params={"lr": RATE}, n_epoch=1)
    return lambda: trainer.train_one_epoch(loader)


def train_deepctr(table: int, rows: Rows) -> Callable[[], Any]:
    """Return ``fit`` of DeepCTR-Torch for one epoch, without validation."""
    from deepctr_torch.inputs import SparseFeat
    from deepctr_torch.models import MMOE

    x, y = columns_of(rows)
    x = {name: value.astype(np.float32) for name, value in x.items()}
    names = [f"y{t}" for t in range(TASKS)]
    model = MMOE(
        [SparseFeat(i.name, i.rows, DIM) for i in inputs_of(table)], num_experts=EXPERTS, expert_dnn_hidden_units=(HIDDEN,),
        gate_dnn_hidden_units=(), tower_dnn_hidden_units=(TOWER,), l2_reg_embedding=0, task_types=["binary"] * TASKS,
        task_names=names,
    )  # fmt: skip
    model.compile(torch.optim.Adam(model.parameters(), RATE), ["binary_crossentropy"] * TASKS)
    return lambda: model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)


def train_here(changes: dict[str, Any]) -> Callable[[int, Rows, str], Callable[[], Any]]:
    def prepared(table: int, rows: Rows, clock: str) -> Callable[[], Any]:
        steps = Steps(table, rows, changes, clock)
        return lambda: steps(len(rows) // BATCH)

    return prepared


def measure_others(options: argparse.Namespace) -> dict[str, Any]:
    """Return the rows/s of each trainer at one size, and how many times those of the first are those of the others."""
    table, rows = options.table, made_up(options.epoch_steps * BATCH, options.table, "rank")
    here = {
        "sparse Adam": ADAM,
        "row-wise Adagrad": ADAM | ROWWISE,
        "dense Adam": ADAM | {"sparse_gradients": False},
    }
    trainers = {name: train_here(changes)(table, rows, options.clock) for name, changes in here.items()}
    if not options.alone:
        with silence():
            trainers |= {"torch-rechub": train_rechub(table, rows), "deepctr-torch": train_deepctr(table, rows)}
    rounds: list[dict[str, float]] = []
    for number in range(options.rounds_beside + 1):  # the first round is not counted
        wait_until_quiet(options.patience, options.clock)
        with silence():
            rounds.append({name: len(rows) / seconds_of(train, options.clock) for name, train in trainers.items()})
        print(number, {name: round(speed) for name, speed in rounds[-1].items()}, flush=True)
    del rounds[0]
    return {
        "rows": table,
        "rows_a_second": {name: spread([one[name] for one in rounds]) for name in trainers},
        "times": {name: spread([one["sparse Adam"] / one[name] for one in rounds]) for name in trainers},
    }


def size_lines(name: str, found: dict[str, Any]) -> list[str]:
    lines = [
        f"## {name}\n",
        "| rows of the table | its gradients | ms a step | times the smallest | page faults a step |\n|---|---|---|---|---|",
    ]
    for size in SIZES:
        kind, faults = "sparse" if found["sparse"][size] else "dense", found["page_faults_a_step"][size]
        milliseconds, ratio = shown(found["milliseconds"][size]), shown(found["ratio"][size])
        lines.append(f"| {size:,} | {kind} | {milliseconds} | {ratio} | {faults:.1f} |")
    lines += ["", f"In pages of 2 MB: {found['gigabytes_in_large_pages']:.2f} GB."]
    parts = [*dict.fromkeys([*(part for size in SIZES for part in found["parts"][size] if part not in ("whole", "rest")), "rest"])]
    lines += ["", f"| ms of a step | {' | '.join(f'{size:,}' for size in SIZES)} |", "|---|" + "---|" * len(SIZES)]
    for part in parts:
        values = [found["parts"][size].get(part, 0.0) for size in SIZES]
        shares = [value / found["parts"][size]["whole"] for value, size in zip(values, SIZES, strict=True)]
        lines.append(f"| {part} | {' | '.join(f'{v:.2f} ({s:.0%})' for v, s in zip(values, shares, strict=True))} |")
    return [*lines, ""]


def other_lines(found: dict[str, Any]) -> list[str]:
    lines = [
        f"## Beside others, {found['rows']:,} rows, ids by 1 / rank\n",
        "| | gradients | rows/s | sparse Adam is faster by |\n|---|---|---|---|",
    ]
    for name, speed in found["rows_a_second"].items():
        kind = "sparse" if name in ("sparse Adam", "row-wise Adagrad") else "dense"
        lines.append(f"| {name} | {kind} | {shown(speed, ',.0f')} | {shown(found['times'][name])} |")
    return [*lines, ""]


def verdicts(document: dict[str, Any]) -> list[str]:
    """Say which targets are met, by the medians."""
    lines = []
    for name, found in document.get("sizes", {}).items():
        ratio = found["ratio"][SIZES[-1]]["median"]
        word = "met" if ratio <= SIZE_TARGET else "missed"
        lines.append(
            f"* {word}: {name}: a step with {SIZES[-1]:,} rows takes at most {SIZE_TARGET} times the smallest: {ratio:.2f}"
        )
    for name, times in document.get("others", {}).get("times", {}).items():
        if name not in ("sparse Adam", "row-wise Adagrad"):
            word = "met" if times["median"] >= OTHERS_TARGET else "missed"
            lines.append(f"* {word}: sparse Adam has at least {OTHERS_TARGET:g} times the rows/s of {name}: {times['median']:.1f}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warm", type=int, default=20, help="steps that are not timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="steps of each model in a round")
    parser.add_argument("--again", type=int, default=2, help="steps before those of a round, which are not timed")
    parser.add_argument("--variants", default=",".join(map(str, range(len(VARIANTS)))), help="their numbers")
    parser.add_argument("--table", type=int, default=1_000_000, help="rows of the table beside others; 0 leaves this part out")
    parser.add_argument("--epoch-steps", type=int, default=40, help="steps of a round beside others")
    parser.add_argument("--rounds-beside", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="without torch-rechub and DeepCTR-Torch")
    add_machine_options(parser, "tables")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    document: dict[str, Any] = {"benchmark": "tables", "machine": machine(options.threads, options.clock), "sizes": {}}
    chosen = [list(VARIANTS)[int(number)] for number in options.variants.split(",") if number]
    for name in chosen:
        document["sizes"][name] = measure_sizes(*VARIANTS[name], options)
        gc.collect()
        print(name, {size: round(found["median"], 2) for size, found in document["sizes"][name]["ratio"].items()}, flush=True)
    if options.table:
        document["others"] = measure_others(options)
    document["machine"]["load_average_after"] = os.getloadavg()
    threads = f"{options.threads} thread{'s' * (options.threads > 1)}"
    lines = ["# Steps with large embedding tables", "", *machine_lines(document["machine"])]
    lines += [
        f"* {FEATURES} id features, embeddings of {DIM}, batch {BATCH:,}, {threads}; median (least to most) of the rounds.",
        "",
    ]
    lines += [*verdicts(document), ""]
    for name, found in document["sizes"].items():
        lines += size_lines(name, found)
    if options.table:
        lines += other_lines(document["others"])
    write_results(options.results, options.name, document, lines)


if __name__ == "__main__":
    main()
