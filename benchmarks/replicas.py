"""What R replicas in one program cost: the MMoE paper's models on its synthetic data, and the MMoE on census.

An environment for it is that of ``epoch.py``; then::

    .bench/bin/python benchmarks/replicas.py --data census

Part 1, section 5 of Ma et al. 2018 (100 inputs, batch 64, Adam, float32): training steps of all replicas a second, the drawing of
fresh rows included, against R; beside a plain loop over ``nn.Module`` models, and beside the trainers of torch-rechub 0.9.0 and
DeepCTR-Torch 0.3.0 with their MMoE on rows that were drawn before. Part 2, census: a replica among 16 against a lone one at batch
256, in float32 and bf16, and a seed at batch 1024 against a seed with torch-rechub's trainer.

What is compared takes turns, round after round, and every ratio is taken within a round.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from epoch import Columns, fit_rechub, silence, warm_up
from epoch import settings as census_settings
from measure import (
    add_machine_options,
    gigaflops,
    machine,
    machine_lines,
    shown,
    spread,
    timed,
    wait_until_quiet,
    write_results,
)
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import manygate as mg
from manygate.config import RunConfig
from manygate.config.settings import PLAIN
from manygate.data.batches import Split
from manygate.datasets.synthetic import Tasks
from manygate.evaluation.monitor import Monitor
from manygate.evaluation.task_report import task_report
from manygate.model import MultiTaskModel
from manygate.model.logits import predict
from manygate.model.problem import Problem
from manygate.runs.preflight import prepare
from manygate.studies.packs import SquaredError
from manygate.studies.stream import STEPS_AT_ONCE as BLOCK
from manygate.studies.stream import TRAINING, HeldOut, Stream
from manygate.training.memory import keep_freed_memory
from manygate.training.trainer import Trainer

REPLICAS = (1, 10, 25, 50, 100, 200, 400)
BATCH, RATE = 64, 1e-2
BARS = {"plain loop": 12.0, "peers": 20.0, "packs": 1.15, "peak": 0.35, "float32": 0.7, "bf16": 0.5, "seed": 8.0}
PAPER = {"mmoe": {}, "omoe": {}, "shared_bottom": {"bottom_hidden": 113}}


class Ours:
    """A trainer of R replicas on the paper's data, each with rows of its own; a call is some steps."""

    def __init__(self, architecture: str, replicas: int, batch: int = BATCH, width: int = 16, threads: int = 2):
        config = RunConfig(
            architecture=architecture, expert_hidden=(width,), tower_hidden=(8,), dropout=0.0, optimizer="adam",
            learning_rate=RATE, batch_size=batch, replicas=replicas, **PAPER[architecture], **PLAIN,
        )  # fmt: skip
        stream = Stream(Tasks(), range(replicas), [0.5], 1, batch, 1000)
        self.trainer = Trainer(MultiTaskModel(stream.problem, config), stream, SquaredError(HeldOut(stream, 1, 0)))
        self.replicas, self.batch, self.at = replicas, batch, 0

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            rows = torch.arange(self.at * self.batch, (self.at + 1) * self.batch)
            self.trainer._step(self.trainer.train.take(rows))
            self.at += 1


class PlainMMoE(nn.Module):
    """Section 5's MMoE as most would write it: a module an expert, a gate and a tower."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(100, 16), nn.ReLU()) for _ in range(8))
        self.gates = nn.ModuleList(nn.Linear(100, 8, bias=False) for _ in range(2))
        self.towers = nn.ModuleList(nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        expert = torch.stack([expert(x) for expert in self.experts], dim=1)
        mixed = [(gate(x).softmax(dim=-1).unsqueeze(-1) * expert).sum(dim=1) for gate in self.gates]
        return torch.cat([tower(h) for tower, h in zip(self.towers, mixed, strict=True)], dim=-1)


class PlainLoop:
    """Replica after replica: a module, an optimizer and a stream of its own for each; four are enough to time one."""

    def __init__(self, replicas: int = 4):
        self.streams = [Stream(Tasks(), [seed], [0.5], 1, BATCH, 1000) for seed in range(replicas)]
        self.models = [PlainMMoE() for _ in range(replicas)]
        self.optimizers = [torch.optim.Adam(model.parameters(), lr=RATE) for model in self.models]
        self.replicas, self.at = replicas, 0

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            for model, optimizer, stream in zip(self.models, self.optimizers, self.streams, strict=True):
                batch = stream.take(torch.arange(self.at * BATCH, (self.at + 1) * BATCH))
                loss = (model(batch.number_BM[0]) - batch.label_BT[0]).square().mean(dim=0).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            self.at += 1


def rechub_steps(steps: int) -> float:
    """Seconds of a training step of torch-rechub's trainer, with its MMoE."""
    from torch_rechub.basic.features import DenseFeature
    from torch_rechub.models.multi_task import MMOE
    from torch_rechub.trainers import MTLTrainer
    from torch_rechub.utils.data import DataGenerator

    x_ND, y_NK = drawn(steps * BATCH)
    columns = {f"x{d}": np.ascontiguousarray(x_ND[:, d]) for d in range(100)}
    features = [DenseFeature(name) for name in columns]
    loader, _, _ = DataGenerator(columns, y_NK).generate_dataloader(columns, y_NK, columns, y_NK, batch_size=BATCH)
    model = MMOE(features, ["regression"] * 2, 8, {"dims": [16]}, [{"dims": [8]}] * 2)
    with tempfile.TemporaryDirectory() as folder, silence():
        trainer = MTLTrainer(model, ["regression"] * 2, optimizer_params={"lr": RATE}, n_epoch=1, model_path=folder)
        began = time.perf_counter()
        trainer.train_one_epoch(loader)
        return (time.perf_counter() - began) / steps


def deepctr_steps(steps: int) -> float:
    """Seconds of a training step of DeepCTR-Torch's ``fit``, with its MMoE."""
    from deepctr_torch.inputs import DenseFeat
    from deepctr_torch.models import MMOE

    x_ND, y_NK = drawn(steps * BATCH)
    columns = {f"x{d}": x_ND[:, d] for d in range(100)}
    model = MMOE(
        [DenseFeat(name, 1) for name in columns], num_experts=8, expert_dnn_hidden_units=(16,), gate_dnn_hidden_units=(),
        tower_dnn_hidden_units=(8,), task_types=["regression"] * 2, task_names=["y1", "y2"], l2_reg_embedding=0, l2_reg_linear=0,
    )  # fmt: skip
    model.compile(torch.optim.Adam(model.parameters(), RATE), ["mse"] * 2)
    with silence():
        began = time.perf_counter()
        model.fit(columns, y_NK, batch_size=BATCH, epochs=1, verbose=0)
        return (time.perf_counter() - began) / steps


def drawn(rows: int) -> tuple[np.ndarray, np.ndarray]:
    x_SND, y_RNK = Stream(Tasks(), [0], [0.5]).draw(rows, TRAINING)
    return x_SND[0].numpy(), y_RNK[0].numpy()


def flops_of_a_step() -> dict[str, float]:
    """Of the matrix products of section 5's MMoE, one replica, one batch.

    ``usual``: three times those of the forward pass, as is the custom for training (6 a weight and row); ``done``: without the
    gradient of the input, which nobody needs.
    """
    model, x = PlainMMoE(), torch.zeros(BATCH, 100)
    with FlopCounterMode(display=False) as forward:
        model(x)
    with FlopCounterMode(display=False) as whole:
        model(x).sum().backward()
    return {"usual": 3.0 * forward.get_total_flops(), "done": float(whole.get_total_flops())}


def per_step(work: Callable[[int], Any], replicas: int, steps: int) -> float:
    """Microseconds of a step of one replica."""
    began = time.perf_counter()
    work(steps)
    return 1e6 * (time.perf_counter() - began) / (steps * replicas)


def paper_part(options: argparse.Namespace) -> dict[str, Any]:
    """Microseconds a replica-step, ratios, share of the peak."""
    ours = {r: Ours("mmoe", r) for r in REPLICAS}
    others = {name: Ours(name, 200) for name in ("omoe", "shared_bottom")}
    shapes = {f"batch {b}, experts of {w}": Ours("mmoe", 50, b, w) for b, w in ((16, 16), (256, 16), (64, 64))}
    fifties, plain = [Ours("mmoe", 50) for _ in range(4)], PlainLoop()
    for run in (*ours.values(), *others.values(), *shapes.values(), *fifties, plain):
        run(BLOCK)  # rows are drawn a block at a time, so that whole blocks are timed
    rounds: list[dict[str, Any]] = []
    for _ in range(options.rounds):
        wait_until_quiet(options.patience, options.clock)
        one: dict[str, Any] = {"ours": {r: per_step(run, r, BLOCK * max(1500 // r // BLOCK, 1)) for r, run in ours.items()}}
        one["other models, R = 200"] = {name: per_step(run, 200, BLOCK) for name, run in others.items()}
        one["other shapes, R = 50"] = {name: per_step(run, 50, BLOCK) for name, run in shapes.items()}
        one["plain loop"] = per_step(plain, plain.replicas, 2 * BLOCK)
        one["torch-rechub"], one["deepctr-torch"] = 1e6 * rechub_steps(150), 1e6 * deepctr_steps(150)
        packs = [(per_step(ours[200], 200, BLOCK), sum(per_step(run, 200, BLOCK) for run in fifties)) for _ in range(3)]
        one["200 against 4 x 50"] = float(np.median([whole / parts for whole, parts in packs]))
        square = torch.randn(2048, 2048)
        one["peak"] = gigaflops(2.0 * 2048**3, lambda square=square: square @ square, "wall", 6)
        rounds.append(one)
        print({name: value for name, value in one.items() if name != "other models, R = 200"}, flush=True)
    flops = flops_of_a_step()
    best = [min(one["ours"].values()) for one in rounds]
    fastest_peer = [min(one["torch-rechub"], one["deepctr-torch"]) for one in rounds]
    return {
        "rounds": rounds,
        "flops": flops,
        "microseconds": {r: spread([one["ours"][r] for one in rounds]) for r in REPLICAS},
        "other": {
            name: spread([one[part][name] for one in rounds])
            for part in ("other models, R = 200", "other shapes, R = 50")
            for name in rounds[0][part]
        },
        "beside": {name: spread([one[name] for one in rounds]) for name in ("plain loop", "torch-rechub", "deepctr-torch")},
        "times the plain loop": spread([one["plain loop"] / b for one, b in zip(rounds, best, strict=True)]),
        "times the fastest peer": spread([peer / b for peer, b in zip(fastest_peer, best, strict=True)]),
        "200 against 4 x 50": spread([one["200 against 4 x 50"] for one in rounds]),
        "share of the peak": {
            name: spread([1e-3 * count / b / one["peak"] for one, b in zip(rounds, best, strict=True)])
            for name, count in flops.items()
        },
    }


class Census:
    """A trainer of R replicas on census."""

    def __init__(self, options: argparse.Namespace, replicas: int, batch: int, precision: str):
        config = RunConfig.build(
            {**census_settings(options, 0), "batch_size": batch, "replicas": replicas, "precision": precision, "epochs": 1}
        )
        self.log = prepare(str(options.data), config)
        splits = {part: Split(rows) for part, rows in self.log.parts.items()}
        self.tasks, self.test = self.log.schema.tasks, splits["test"]
        self.model = MultiTaskModel(Problem.of(self.log.encoder, config), config)
        monitor = Monitor("mean", self.model.problem, self.log.parts["valid"], splits["valid"])
        self.trainer = Trainer(self.model, splits["train"], monitor)
        self.batch, self.replicas, self.batches = batch, replicas, iter(())

    def __call__(self, steps: int) -> None:
        for _ in range(steps):
            batch = next(self.batches, None)
            if batch is None or len(batch) < self.batch:
                self.batches = self.trainer.train.batches(0, 0, self.batch)
                batch = next(self.batches)
            self.trainer._step(batch)

    def auc(self) -> list[float]:
        """Mean test AUC of each task after one epoch."""
        self.trainer.fit()
        report = task_report(predict(self.model, self.test), self.log.parts["test"], self.model.problem)
        return [report[task.name]["metrics"]["auc"]["mean"] for task in self.tasks]


def census_part(options: argparse.Namespace) -> dict[str, Any]:
    """A replica among 16 against a lone one at batch 256; a seed at batch 1024 against torch-rechub's."""
    runs = {(r, precision): Census(options, r, 256, precision) for r in (1, 16) for precision in ("float32", "bf16")}
    for run in runs.values():
        run(4)
    rounds: list[dict[str, Any]] = []
    for _ in range(options.rounds):
        wait_until_quiet(options.patience, options.clock)
        took = {key: per_step(run, key[0], 40 if key[0] == 1 else 6) for key, run in runs.items()}
        rounds.append(
            {
                "lone": took[1, "float32"],
                "float32": took[16, "float32"] / took[1, "float32"],
                "bf16": took[16, "bf16"] / took[1, "float32"],
                "bf16 against lone bf16": took[16, "bf16"] / took[1, "bf16"],
            }
        )
        print(rounds[-1], flush=True)
    found: dict[str, Any] = {name: spread([one[name] for one in rounds]) for name in rounds[0]}
    found["auc"] = {precision: Census(options, 16, 256, precision).auc() for precision in ("float32", "bf16")}
    found["seeds"] = [seed_costs(options) for _ in range(options.seed_rounds)]
    found["seed"] = spread([one["torch-rechub"] / one["manygate"] for one in found["seeds"]])
    return found


def seed_costs(options: argparse.Namespace) -> dict[str, float]:
    """Seconds a seed at batch 1024, end to end: one epoch in ``fit``, R = 16 of ours and one of torch-rechub's."""
    log = prepare(str(options.data), RunConfig.build(census_settings(options, 0)))
    columns = {part: Columns(log, rows) for part, rows in log.parts.items()}
    wait_until_quiet(options.patience, options.clock)
    with tempfile.TemporaryDirectory() as folder:
        ranker = mg.Ranker(**{**census_settings(options, 0), "replicas": 16})
        ours, _ = timed(lambda: ranker.fit(options.data, out=Path(folder) / "run", progress="none"), options.clock)
    peer, _, _ = fit_rechub(options, columns, 0)
    found = {"manygate": ours.seconds / 16, "torch-rechub": peer.seconds}
    print(found, flush=True)
    return found


def markdown(document: dict[str, Any]) -> list[str]:
    lines = ["# The cost of R replicas in one program", "", *machine_lines(document["machine"]), ""]
    if "paper" in document:
        lines += _paper_lines(document["paper"])
    if "census" in document:
        lines += _census_lines(document["census"])
    return lines


def _paper_lines(one: dict[str, Any]) -> list[str]:
    lines = ["## Section 5 of the MMoE paper: 100 inputs, 8 experts x 16, towers 8, batch 64, Adam, float32", ""]
    lines += [
        f"{len(one['rounds'])} rounds; median (minimum to maximum). The drawing of fresh rows is included, but for the peers.",
        "",
    ]
    lines += ["| | µs a replica-step | replica-steps a second |", "|---|---|---|"]
    rows = {f"Manygate, MMoE, R = {r}": value for r, value in one["microseconds"].items()}
    rows |= {f"Manygate, {name}": value for name, value in one["other"].items()} | one["beside"]
    lines += [f"| {name} | {shown(value, '.1f')} | {1e6 / value['median']:,.0f} |" for name, value in rows.items()]
    peak = spread([r["peak"] for r in one["rounds"]])
    lines += ["", f"* Times the plain loop (bar {BARS['plain loop']:g}): {shown(one['times the plain loop'], '.1f')}"]
    lines += [f"* Times the fastest peer's trainer (bar {BARS['peers']:g}): {shown(one['times the fastest peer'], '.1f')}"]
    lines += [f"* R = 200 against four packs of 50, time (bar {BARS['packs']:g}): {shown(one['200 against 4 x 50'])}"]
    share, flops = one["share of the peak"], {name: f"{count / 1e6:.2f} MFLOP" for name, count in one["flops"].items()}
    lines += [
        f"* Share of the matrix-product peak ({shown(peak, '.0f')} GFLOP/s for `a @ a` of 2048 x 2048; bar {BARS['peak']:.0%}), "
        f"at the quickest R: {shown(share['usual'], '.1%')} by the usual count of training (forward three times: {flops['usual']} "
        f"a replica-step); {shown(share['done'], '.1%')} of what is done, without the gradient of the input ({flops['done']})",
        "",
    ]
    return lines


def _census_lines(one: dict[str, Any]) -> list[str]:
    lines = ["## Census: 8 experts x 64, towers 32, embeddings of 8", "", "At batch 256, a step of a replica among 16:", ""]
    lines += [f"* float32, against a lone one in float32 (bar {BARS['float32']:g}): {shown(one['float32'])}"]
    lines += [f"* bf16, against a lone one in float32 (bar {BARS['bf16']:g}): {shown(one['bf16'])}"]
    lines += [f"* bf16, against a lone one in bf16: {shown(one['bf16 against lone bf16'])}"]
    told = "; ".join(f"{name} {', '.join(f'{value:.4f}' for value in values)}" for name, values in one["auc"].items())
    lines += [f"* Mean test AUC of the 16 after one epoch: {told}", ""]
    lines += ["At batch 1024, seconds a seed for one epoch in `fit`, end to end, R = 16 of ours, one of torch-rechub's:", ""]
    lines += [f"* {seed['manygate']:.2f} against {seed['torch-rechub']:.2f}" for seed in one["seeds"]]
    return [*lines, f"* torch-rechub's over ours (bar {BARS['seed']:g}): {shown(one['seed'])}", ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder written by: manygate dataset census --group income --out DIR")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed-rounds", type=int, default=2)
    parser.add_argument("--only", choices=("paper", "census"))
    add_machine_options(parser, "replicas")
    options = parser.parse_args()
    options.epochs, options.encoding = 1, "piecewise"
    torch.set_num_threads(options.threads)
    document: dict[str, Any] = {"benchmark": "replicas", "machine": machine(options.threads, options.clock)}
    document["settings"] = {key: value for key, value in vars(options).items() if key not in ("data", "results")}
    keep_freed_memory()  # as Trainer.fit does
    warm_up(options)
    if options.only != "census":
        document["paper"] = paper_part(options)
    if options.only != "paper":
        document["census"] = census_part(options)
    document["machine"]["load_average_after"] = os.getloadavg()
    write_results(options.results, options.name, document, markdown(document))


if __name__ == "__main__":
    main()
