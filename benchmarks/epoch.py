"""Train the same MMoE on census with Manygate, torch-rechub 0.9.0 and DeepCTR-Torch 0.3.0, in one run, end to end in ``fit``.

An environment for it (DeepCTR-Torch imports ``requests`` without saying so)::

    python -m venv .bench
    .bench/bin/pip install -c constraints.txt -e . torch-rechub==0.9.0 deepctr-torch==0.3.0 requests
    .bench/bin/manygate dataset census --data-dir downloads --out census
    .bench/bin/python benchmarks/epoch.py --data census

8 experts x 64, towers of 32, embeddings of 8, batch 1024, float32, Adam with rate 1e-3, no dropout, no weight decay. The libraries
take turns, round after round, and the ratio is taken within each round, so that a machine that slows down slows them all down.
PyTorch's threads spin while they wait for each other, so any other busy process costs far more than its share: each fit waits for a
quiet moment and is repeated when others disturbed it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from measure import (
    Timing,
    add_machine_options,
    machine,
    machine_lines,
    peaks,
    seconds_of,
    shown,
    spread,
    timed,
    wait_until_quiet,
    write_results,
)

import manygate as mg
from manygate.config import RunConfig
from manygate.config.settings import PLAIN
from manygate.data.batches import Split
from manygate.data.encoded import EncodedLog
from manygate.data.rows import Rows
from manygate.evaluation.monitor import Monitor
from manygate.metrics.task import auc
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.runs.preflight import prepare
from manygate.training.trainer import Trainer

EXPERTS, HIDDEN, TOWER, DIM, BATCH, RATE = 8, 64, 32, 8, 1024, 1e-3
TARGETS = {"torch-rechub": 4.0, "deepctr-torch": 2.5}

INSIDE = {
    "manygate": "`Ranker.fit(DIR, out=...)`, all of it: reading Parquet, fitting the encoder, encoding the three parts, "
    "training, validation after each epoch (exact AUC per task), a checkpoint after each epoch, best weights restored, bundle "
    "with checksums, every metric and the gates on the test rows, evaluation.json and the HTML report.",
    "torch-rechub": "`DataGenerator` + `MMOE` + `MTLTrainer.fit`, given NumPy columns that are already encoded (reading and "
    "encoding are not timed): training, validation AUC per task after each epoch, saving the weights once. No test metrics, "
    "no report.",
    "deepctr-torch": "`MMOE` + `compile` + `fit(validation_data=...)`, given NumPy columns that are already encoded (reading "
    "and encoding are not timed): training, one AUC over both tasks' validation rows together after each epoch; verbose=0, so "
    "no training AUC per batch (it costs time). No saving, no test metrics.",
}
DIFFERENCES = {
    "manygate": "Ends with the weights of the best validation epoch. Gates linear without bias, Glorot per expert, loss is the "
    "sum of the tasks' means, embeddings drawn from N(0, 0.1).",
    "torch-rechub": "BatchNorm after every linear layer of experts, gates and towers (no option to leave it out), gates with a "
    "bias; embeddings from N(0, 0.1) as ours (its default is 0.0001); weight decay 0 as ours (its default is 1e-5); the loss is "
    "the mean over tasks; ends with the last epoch's weights.",
    "deepctr-torch": "gate_dnn_hidden_units=() for linear gates (its default is an MLP of 64 units); l2_reg_embedding=0 (its "
    "default is 1e-5); INIT_STD (its default is 0.0001), the one deviation of embeddings and of every hidden weight; heads "
    "without bias; the loss is a sum over rows; ends with the last epoch's weights.",
}


def settings(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    network = {
        **PLAIN,
        "architecture": "mmoe",
        "experts": EXPERTS,
        "expert_hidden": (HIDDEN,),
        "tower_hidden": (TOWER,),
        "dim": DIM,
    }
    adam = {"optimizer": "adam", "learning_rate": RATE, "batch_size": BATCH, "dropout": 0.0, "weight_decay": 0.0}
    run = {"epochs": options.epochs, "patience": options.epochs, "threads": options.threads, "device": "cpu"}
    return {**network, **adam, **run, "encoding": options.encoding, "seed": seed, "shuffle_seed": seed}


class Columns:
    """The encoded rows as the peers want them: one NumPy column per feature, and their labels."""

    def __init__(self, log: EncodedLog, rows: Rows):
        self.inputs = log.encoder.inputs(DIM)
        columns: dict[str, list[str]] = {kind: [i.name for i in self.inputs if i.kind == kind] for kind in ("sparse", "dense")}
        self.x = {name: np.ascontiguousarray(rows.id_BS[:, s]) for s, name in enumerate(columns["sparse"])}
        for m, name in enumerate(columns["dense"]):
            feature, place_N = next(i for i in self.inputs if i.name == name), rows.number_BM[:, m]
            unfolded = np.clip(place_N[:, None] - np.arange(feature.units, dtype=np.float32), 0, 1)
            self.x[name] = np.ascontiguousarray(unfolded if feature.units > 1 else place_N)
        self.y = np.ascontiguousarray(rows.label_BT)


def fit_manygate(options: argparse.Namespace, columns: dict[str, Columns], seed: int) -> tuple[Timing, list[float], dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        ranker = mg.Ranker(**settings(options, seed))
        began = time.perf_counter()
        timing, _ = timed(lambda: ranker.fit(options.data, out=Path(folder) / "run", progress="none"), options.clock)
        wall = time.perf_counter() - began
    result = ranker.document.results["mmoe"]
    tasks = result.tasks.values()
    share = result.seconds / wall  # of the fit that is the training loop, validation not included
    return timing, [task.metrics["auc"].mean for task in tasks], {"loop_seconds": share * timing.seconds}


def fit_rechub(options: argparse.Namespace, columns: dict[str, Columns], seed: int) -> tuple[Timing, list[float], dict[str, Any]]:
    from torch_rechub.basic.features import DenseFeature, SparseFeature
    from torch_rechub.basic.initializers import RandomNormal
    from torch_rechub.models.multi_task import MMOE
    from torch_rechub.trainers import MTLTrainer
    from torch_rechub.utils.data import DataGenerator

    torch.manual_seed(seed)
    train, valid, test = columns["train"], columns["valid"], columns["test"]

    def fit(folder: str) -> tuple[MTLTrainer, Any]:
        features = [
            SparseFeature(i.name, i.rows, DIM, initializer=RandomNormal(0, 0.1)) if i.dim else DenseFeature(i.name, i.units)
            for i in train.inputs
        ]
        loaders = DataGenerator(train.x, train.y).generate_dataloader(valid.x, valid.y, test.x, test.y, batch_size=BATCH)
        model = MMOE(features, ["classification"] * train.y.shape[1], EXPERTS, {"dims": [HIDDEN]}, [{"dims": [TOWER]}] * 2)
        trainer = MTLTrainer(
            model, ["classification"] * 2, optimizer_params={"lr": RATE}, n_epoch=options.epochs,
            earlystop_patience=options.epochs, model_path=folder,
        )  # fmt: skip
        trainer.fit(loaders[0], loaders[1])
        return trainer, loaders[2]

    with tempfile.TemporaryDirectory() as folder, silence():
        timing, (trainer, loader) = timed(lambda: fit(folder), options.clock)
        return timing, trainer.evaluate(trainer.model, loader), {"parameters": sum(p.numel() for p in trainer.model.parameters())}


def fit_deepctr(options: argparse.Namespace, columns: dict[str, Columns], seed: int) -> tuple[Timing, list[float], dict[str, Any]]:
    from deepctr_torch.inputs import DenseFeat, SparseFeat
    from deepctr_torch.models import MMOE

    train, valid, test = columns["train"], columns["valid"], columns["test"]
    tasks = ["income", "never_married"][: train.y.shape[1]]

    def arrays(part: Columns) -> dict[str, np.ndarray]:
        return {name: value.astype(np.float32) for name, value in part.x.items()}

    inputs = {name: arrays(part) for name, part in columns.items()}

    def fit() -> MMOE:
        features = [SparseFeat(i.name, i.rows, DIM) if i.dim else DenseFeat(i.name, i.units) for i in train.inputs]
        model = MMOE(
            features, num_experts=EXPERTS, expert_dnn_hidden_units=(HIDDEN,), gate_dnn_hidden_units=(),
            tower_dnn_hidden_units=(TOWER,), l2_reg_embedding=0, init_std=options.init_std, seed=seed,
            task_types=["binary"] * len(tasks), task_names=tasks,
        )  # fmt: skip
        model.compile(torch.optim.Adam(model.parameters(), RATE), ["binary_crossentropy"] * len(tasks), metrics=["auc"])
        data = (inputs["valid"], valid.y)
        model.fit(inputs["train"], train.y, batch_size=BATCH, epochs=options.epochs, verbose=0, validation_data=data)
        return model

    with silence():
        timing, model = timed(fit, options.clock)
        score_NT = model.predict(inputs["test"], BATCH)
    count = sum(p.numel() for p in model.parameters())
    return timing, [auc(test.y[:, t], score_NT[:, t]) for t in range(len(tasks))], {"parameters": count}


FITS: dict[str, Callable[..., tuple[Timing, list[float], dict[str, Any]]]] = {
    "manygate": fit_manygate,
    "torch-rechub": fit_rechub,
    "deepctr-torch": fit_deepctr,
}


@contextlib.contextmanager
def silence() -> Any:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def step_flops(width: int, tasks: int, embedded: int) -> float:
    """Floating-point operations per row of forward and backward: experts, gates, mix and towers; embeddings count nothing.

    Backward is two products for each one of forward; the first layer's input gradient is needed only for the embedded columns.
    """
    first = EXPERTS * HIDDEN + tasks * EXPERTS
    later = tasks * EXPERTS * HIDDEN + tasks * (HIDDEN * TOWER + TOWER)
    return 2.0 * (2 * width * first + embedded * first + 3 * later)


class Steps:
    """Our training step alone: batches gathered, forward, backward, Adam; no validation, no encoding."""

    def __init__(self, options: argparse.Namespace, log: EncodedLog):
        config = RunConfig.build(settings(options, 0))
        splits = {part: Split(rows) for part, rows in log.parts.items()}
        self.model = MultiTaskModel(Problem.of(log.encoder, config), config)
        monitor = Monitor("mean", self.model.problem, log.parts["valid"], splits["valid"])
        self.trainer = Trainer(self.model, splits["train"], monitor)
        self(20)

    def __call__(self, steps: int = 100) -> None:
        for batch in islice(self.trainer.train.batches(0, 0, BATCH), steps):
            self.trainer._step(batch)


def warm_up(options: argparse.Namespace) -> None:
    """Import what first fits import (torch._dynamo for torch.optim, matplotlib, the peers): no library is timed for it."""
    log = pa.table({"x": ["a", "b"] * 100, "y": [0, 1] * 100, "z": [1, 0, 0, 1] * 50})
    with tempfile.TemporaryDirectory() as folder, silence():
        mg.Ranker(task=["y", "z"], epochs=1, threads=options.threads).fit(log, out=Path(folder) / "run", progress="none")
        import deepctr_torch  # noqa: F401
        import torch_rechub  # noqa: F401


def measure(options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(options.threads)
    document: dict[str, Any] = {"benchmark": "epoch", "machine": machine(options.threads, options.clock)}
    log = prepare(str(options.data), RunConfig.build(settings(options, 0)))
    columns = {part: Columns(log, rows) for part, rows in log.parts.items()}
    document["rows"] = {part: len(rows) for part, rows in log.parts.items()}
    tasks = list(log.schema.task_names)
    steps = Steps(options, log)
    width, embedded = steps.model.embedding.width, sum(i.dim for i in steps.model.problem.inputs)
    flops = step_flops(width, len(tasks), embedded)
    document |= {"tasks": tasks, "width": width, "flops_per_row": flops, "parameters": {"manygate": steps.model.parameter_count()}}
    document["peaks"], document["step"], rounds = {}, [], []
    warm_up(options)
    for thread in threading.enumerate():  # DeepCTR-Torch asks PyPI for a newer version of itself when imported
        if thread is not threading.current_thread():
            thread.join(timeout=30)
    while len(rounds) < options.most_rounds and sum(one["quiet"] for one in rounds) < options.rounds:
        one: dict[str, Any] = {"seed": len(rounds), "quiet": True, "seconds": {}, "others_cores": {}, "auc": {}, "extra": {}}
        names = list(FITS) if len(rounds) % 2 == 0 else list(FITS)[::-1]
        for name in names:
            timing, score_T, extra = _undisturbed(lambda fit=FITS[name], seed=one["seed"]: fit(options, columns, seed), options)
            one["seconds"][name], one["others_cores"][name] = timing.seconds, timing.others
            one["auc"][name], one["extra"][name] = dict(zip(tasks, score_T, strict=True)), extra
            one["quiet"] &= timing.quiet
            document["parameters"].setdefault(name, extra.pop("parameters", None))
        rounds.append(one)
        wait_until_quiet(options.patience, options.clock)
        for name, value in peaks(BATCH, width, EXPERTS * (HIDDEN + len(tasks)), options.clock).items():
            document["peaks"][name] = max(value, document["peaks"].get(name, 0.0))
        timing, seconds = timed(lambda: [seconds_of(lambda: steps(50), options.clock) / 50 for _ in range(8)])
        document["step"].append({"milliseconds": spread([1e3 * s for s in seconds]), "others_cores": timing.others})
        print(_line(one), flush=True)
    document["rounds"] = rounds
    document["machine"]["load_average_after"] = os.getloadavg()
    return summarise(document, options)


def _undisturbed(fit: Callable[[], tuple[Timing, list[float], dict[str, Any]]], options: argparse.Namespace) -> Any:
    """A fit that others disturbed is done again, up to three times, and the least disturbed one counts, whatever its time."""
    tries = []
    while len(tries) < 3 and not (tries and tries[-1][0].quiet):
        wait_until_quiet(options.patience, options.clock)
        tries.append(fit())
    return min(tries, key=lambda one: one[0].others)


def _line(one: dict[str, Any]) -> str:
    parts = [
        f"{name} {one['seconds'][name]:.2f} s (others {one['others_cores'][name]:.2f}) "
        + "/".join(f"{v:.4f}" for v in one["auc"][name].values())
        for name in FITS
    ]
    return f"round {one['seed']}: " + ", ".join(parts)


def summarise(document: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    rounds = document["rounds"]
    quiet = [one for one in rounds if one["quiet"]]
    counted = quiet if len(quiet) >= 3 else rounds
    rows = document["rows"]["train"] * options.epochs
    document["counted"] = f"the {len(counted)} quiet rounds of {len(rounds)}" if counted is quiet else f"all {len(rounds)} rounds"
    document["rows_per_second"] = {name: spread([rows / one["seconds"][name] for one in counted]) for name in FITS}
    document["ratios"] = {
        name: spread([one["seconds"][name] / one["seconds"]["manygate"] for one in counted]) for name in FITS if name != "manygate"
    }
    document["ratios_all_rounds"] = {
        name: spread([one["seconds"][name] / one["seconds"]["manygate"] for one in rounds]) for name in FITS if name != "manygate"
    }
    document["auc"] = {
        name: {task: spread([one["auc"][name][task] for one in rounds]) for task in document["tasks"]} for name in FITS
    }
    document["loop_rows_per_second"] = spread([rows / one["extra"]["manygate"]["loop_seconds"] for one in counted])
    best_step = min(step["milliseconds"]["min"] for step in document["step"])
    peak = document["peaks"]["2048 x 2048 x 2048"]
    speed = {
        "step alone, fastest": document["flops_per_row"] * BATCH / best_step / 1e6,
        "training loop of fit, median": document["flops_per_row"] * document["loop_rows_per_second"]["median"] / 1e9,
        "fit end to end, median": document["flops_per_row"] * document["rows_per_second"]["manygate"]["median"] / 1e9,
    }
    document["share_of_peak"] = {name: {"gigaflops": value, "share": value / peak} for name, value in speed.items()}
    return document


def markdown(document: dict[str, Any], options: argparse.Namespace) -> list[str]:
    rows, tasks = document["rows"], document["tasks"]
    lines = ["# One MMoE on census: Manygate, torch-rechub 0.9.0, DeepCTR-Torch 0.3.0", "", *machine_lines(document["machine"])]
    lines += [
        f"* {rows['train']:,} training rows, {rows['valid']:,} validation rows, {options.epochs} epochs, "
        f"{document['width']} inputs (numbers: {options.encoding}, the same for all three). ",
        f"* {EXPERTS} experts x {HIDDEN}, towers {TOWER}, embeddings {DIM}, "
        f"batch {BATCH}, float32, Adam {RATE:g}, no dropout. Each round has its own seed.",
        f"* Speed: median (minimum to maximum) of {document['counted']}; ratios are taken within a round.",
        "* AUC: mean over all rounds.",
        "",
        "| | rows/s in fit, end to end | Manygate is faster by | target | " + " | ".join(f"test AUC {t}" for t in tasks)
        + " | parameters |",
        "|---|---|---|---|" + "---|" * len(tasks) + "---|",
    ]  # fmt: skip
    for name in FITS:
        ratio = shown(document["ratios"][name]) if name in document["ratios"] else ""
        scores = " | ".join(f"{np.mean(document['auc'][name][task]['values']):.4f}" for task in tasks)
        target = f"{TARGETS[name]:g}" if name in TARGETS else ""
        speed = shown(document["rows_per_second"][name], ",.0f")
        lines.append(f"| {name} | {speed} | {ratio} | {target} | {scores} | {document['parameters'][name]:,} |")
    lines += ["", f"Manygate's training loop inside fit: {shown(document['loop_rows_per_second'], ',.0f')} rows/s.", ""]
    lines += ["Ratios over every round, the noisy ones too: "]
    lines[-1] += "; ".join(f"{name} {shown(ratio)}" for name, ratio in document["ratios_all_rounds"].items()) + "."
    lines += ["", "## Share of the matrix-product peak", ""]
    lines += ["| float32 matrix product | GFLOP/s, best |", "|---|---|"]
    lines += [f"| {name} | {value:.0f} |" for name, value in document["peaks"].items()]
    flops = document["flops_per_row"] / 1e6
    lines += ["", f"{flops:.3f} MFLOP a row, forward and backward of experts, gates, mix and towers.", ""]
    lines += ["| Manygate | GFLOP/s | share of the 2048 peak |", "|---|---|---|"]
    lines += [f"| {name} | {one['gigaflops']:.0f} | {one['share']:.0%} |" for name, one in document["share_of_peak"].items()]
    for title, texts in (("What is inside each time", INSIDE), ("What differs", DIFFERENCES)):
        lines += ["", f"## {title}", ""]
        lines += [f"* **{name}**: {text.replace('INIT_STD', f'init_std={options.init_std:g}')}" for name, text in texts.items()]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder written by: manygate dataset census --group income --out DIR")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument(
        "--encoding", choices=("minmax", "piecewise"), default="piecewise", help="how numbers are fed, to all three"
    )
    parser.add_argument("--init-std", type=float, default=0.05, help="DeepCTR-Torch's init_std")
    parser.add_argument("--rounds", type=int, default=5, help="quiet rounds to reach")
    parser.add_argument("--most-rounds", type=int, default=8, help="rounds at most")
    add_machine_options(parser, "epoch")
    options = parser.parse_args()
    options.threads = 1 if options.clock == "cpu" else options.threads
    document = measure(options)
    document["settings"] = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    write_results(options.results, options.name, document, markdown(document, options))


if __name__ == "__main__":
    main()
