"""A sweep: one scheme at every correlation and learning rate, many runs of each, in packs that a stopped study goes on from.

Shape suffixes: R runs of a pack, S seeds, P correlations, L learning rates with R = S P L, T tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
import torch

from manygate.config import RunConfig
from manygate.datasets.synthetic import Tasks
from manygate.errors import InputError
from manygate.evaluation.monitor import Judged
from manygate.files import RECORD, check_recorded, read_json, to_json, write_manifest, write_text
from manygate.model import MultiTaskModel
from manygate.model.budget import matched, measure
from manygate.model.device import choose_device
from manygate.model.logits import predict
from manygate.model.replicas import Member, member_axis
from manygate.schema import Task
from manygate.studies.stream import HeldOut, Stream
from manygate.training.checkpoint import load_checkpoint
from manygate.training.progress import Progress
from manygate.training.state import check_fingerprint
from manygate.training.trainer import Trainer

VALIDATION, TEST = 0, 1
QUICKEST = 200
"""Runs in a program beyond which a run becomes no cheaper (benchmarks/replicas.py)."""
CONSTANT = 1e-6
"""A task whose predictions differ by less than this has a dead tower: no unit of it is above zero on any row."""


@dataclass(frozen=True)
class Protocol:
    """What all sweeps of a study have in common; the paper leaves batch, steps and rows open."""

    tasks: Tasks
    batch: int = 64
    steps: int = 3_000
    steps_an_epoch: int = 100
    validation_rows: int = 1_000
    test_rows: int = 4_000
    first_seed: int = 0


@dataclass(frozen=True)
class Sweep:
    """One scheme, ``runs`` runs of it at each correlation and learning rate."""

    name: str
    title: str
    settings: dict[str, object]
    correlations: tuple[float, ...]
    rates: tuple[float, ...]
    runs: int
    tasks: int = 2

    def config(self, protocol: Protocol) -> RunConfig:
        """The settings of a pack, but for its replicas and seed. Adam with its default moments, no decay, no dropout."""
        base = {
            "keep": "last",
            "optimizer": "adam",
            "weight_decay": 0.0,
            "dropout": 0.0,
            "batch_size": protocol.batch,
            "checkpoint_seconds": 60.0,
        }
        epochs = -(-protocol.steps // protocol.steps_an_epoch)
        base |= {"epochs": epochs, "patience": epochs, "learning_rate": max(self.rates), "device": "auto"}
        base |= {"replica_rates": tuple(rate / max(self.rates) for rate in self.rates), "expert_hidden": 16, "tower_hidden": 8}
        stream = Stream(replace(protocol.tasks, tasks=self.tasks), [0], [0.0])
        return matched(stream.problem, RunConfig.build({**base, **self.settings}))

    def packs(self, protocol: Protocol) -> list[range]:
        """The seeds of each pack, whatever the memory, so that a study goes on anywhere; a run of these models takes a megabyte."""
        cells = len(self.correlations) * len(self.rates)
        each = -(-self.runs // -(-self.runs // max(QUICKEST // cells, 1)))
        last = protocol.first_seed + self.runs
        return [range(first, min(first + each, last)) for first in range(protocol.first_seed, last, each)]

    def rows(self, protocol: Protocol) -> int:
        """Training rows of all runs, for progress."""
        return self.runs * len(self.correlations) * len(self.rates) * protocol.steps * protocol.batch


@dataclass
class Outcome:
    """What came of a sweep: arrays over (correlation, rate, run), test losses over tasks, and curves over epochs too."""

    sweep: Sweep
    parameters: int
    flops: int
    steps: list[int]
    test_PLRT: np.ndarray
    validation_PLR: np.ndarray
    diverged_PLR: np.ndarray
    dead_PLR: np.ndarray
    curve_EPLR: np.ndarray
    seconds: float
    widths: dict[str, list[int]]

    def losses(self, p: int, rate: int, task: int | None = None) -> np.ndarray:
        """Every run's final loss on test rows, the mean of its tasks or of one; NaN where it diverged."""
        loss_RT = self.test_PLRT[p, rate]
        loss_R = loss_RT.mean(axis=-1) if task is None else loss_RT[:, task]
        return np.where(self.diverged_PLR[p, rate], np.nan, loss_R)

    def final_losses(self, rate: int = 0) -> np.ndarray:
        """The same at every correlation, (P, runs)."""
        return np.stack([self.losses(p, rate) for p in range(len(self.sweep.correlations))])

    def chosen_rate(self, p: int) -> int:
        """The learning rate at which the fewest runs diverged and, among those, the mean validation loss of the rest is least."""
        validation_LR = np.where(self.diverged_PLR[p], np.nan, self.validation_PLR[p])
        mean_L = [
            values.mean() if values.size else np.inf for values in (values_R[np.isfinite(values_R)] for values_R in validation_LR)
        ]
        lost_L = self.diverged_PLR[p].sum(axis=-1)
        return min(range(len(mean_L)), key=lambda rate: (lost_L[rate], mean_L[rate]))


class PackResult(TypedDict):
    """``pack.json``: the results of a pack; ``curve`` has a list of runs an epoch, ``test`` a list of tasks a run."""

    fingerprint: str
    device: str
    seconds: float
    steps: list[int]
    test: list[list[float | None]]
    validation: list[float | None]
    diverged: list[bool]
    dead: list[int]
    curve: list[list[float | None]]


BY_RUN = {"test", "validation", "diverged", "dead"}
"""The results of a pack that have an entry for each run."""


class SquaredError:
    """What validation watches: every run's own rows."""

    def __init__(self, split: HeldOut):
        self.split = split

    def name(self, task: Task) -> str:
        return "squared error"

    def __call__(self, logit_RNT: np.ndarray, members: Sequence[Member]) -> Judged:
        error_RT = self.split.squared_error(logit_RNT)
        score_M = np.array([-error_RT[member.replica, list(member.tasks)].mean() for member in members])
        return Judged(error_RT, -error_RT, score_M, -error_RT.mean(axis=1))


class Total(Progress):
    """Progress over a whole study: one stage, of which every pack's rows are a part; only losses are told one by one."""

    def __init__(self, inner: Progress):
        self.inner = inner

    def start(self, title: str, total: int, done: int = 0) -> None:
        """A pack's epoch is no stage of its own."""

    def advance(self, rows: int) -> None:
        self.inner.advance(rows)

    def say(self, text: str) -> None:
        if "diverged" in text or "continuing" in text:
            self.inner.say(text)


def run_sweep(sweep: Sweep, protocol: Protocol, folder: Path, progress: Progress) -> Outcome:
    """Train what is not trained yet; every pack's results lie in ``folder`` once it is done."""
    parts = []
    for seeds in sweep.packs(protocol):
        folder_of_pack = folder / f"{sweep.name}-{seeds.start:04d}-{len(seeds):04d}"
        if (folder_of_pack / "pack.json").is_file():
            check_fingerprint(folder_of_pack, _saved(folder_of_pack)["fingerprint"], _fingerprint(sweep, protocol))
            progress.advance(len(seeds) * sweep.rows(protocol) // sweep.runs)
        else:
            folder_of_pack.mkdir(parents=True, exist_ok=True)
            write_text(folder_of_pack / "pack.json", to_json(_train_pack(sweep, protocol, seeds, folder_of_pack, progress)))
            write_manifest(folder_of_pack, {}, RECORD, ["pack.json", "metrics.jsonl"])
        parts.append(_saved(folder_of_pack))
    return _outcome(sweep, protocol, parts)


def _train_pack(sweep: Sweep, protocol: Protocol, seeds: range, folder: Path, progress: Progress) -> PackResult:
    cells = len(sweep.correlations) * len(sweep.rates)
    source = replace(protocol.tasks, tasks=sweep.tasks)
    rates, device = len(sweep.rates), choose_device("auto")
    stream = Stream(source, seeds, sweep.correlations, rates, protocol.batch, protocol.steps_an_epoch, device)
    config = sweep.config(protocol).replace(replicas=len(seeds) * cells, max_steps=protocol.steps)
    model = initial_model(stream, config, seeds)
    held = {part: HeldOut(stream, rows, part) for part, rows in ((0, protocol.validation_rows), (1, protocol.test_rows))}
    fingerprint = _fingerprint(sweep, protocol)
    trainer = Trainer(
        model,
        stream,
        SquaredError(held[VALIDATION]),
        folder,
        Total(progress),
        fingerprint,
        sweep.title,
        count_losses=True,
    )
    saved = load_checkpoint(folder / "checkpoints")
    progress.advance(config.replicas * protocol.batch * saved[1]["step"] if saved else 0)
    state = trainer.fit()
    prediction_RNT = predict(model, held[TEST])
    curve_ER = np.array([np.mean(_numbers(entry["train_loss"]), axis=0) for entry in state.history])
    validation_R = np.mean(_numbers(state.history[-1]["valid"]), axis=0)
    lost_R = np.array(state.diverged, dtype=object).reshape(config.replicas, -1)
    return {
        "fingerprint": fingerprint,
        "device": device.type,
        "seconds": state.seconds,
        "steps": [entry["step"] for entry in state.history],
        "test": [[_known(value) for value in error_T] for error_T in held[TEST].squared_error(prediction_RNT)],
        "validation": [_known(value) for value in validation_R],
        "diverged": [any(step is not None for step in steps) for steps in lost_R],
        "dead": (np.ptp(prediction_RNT, axis=1) < CONSTANT).sum(axis=1).tolist(),
        "curve": [[_known(value) for value in curve_R] for curve_R in curve_ER],
    }


def _saved(folder: Path) -> PackResult:
    """The results of a pack that is done. Raises :class:`InputError` when they are not whole, or changed."""
    try:
        check_recorded(folder / "pack.json")
        part = read_json(folder / "pack.json")
        whole = (
            isinstance(part, dict)
            and set(part) == set(PackResult.__annotations__)
            and len({len(part[name]) for name in BY_RUN}) == 1
        )
    except (ValueError, TypeError):
        whole = False
    if not whole:
        raise InputError(
            f"{folder / 'pack.json'}: damaged. Remove this file and run again: its runs are measured again from the checkpoint."
        )
    pack: PackResult = part
    return pack


def _fingerprint(sweep: Sweep, protocol: Protocol) -> str:
    return to_json({"sweep": asdict(sweep), "protocol": asdict(protocol)})


def _numbers(by_task: dict[str, list[float | None]]) -> np.ndarray:
    return np.array([[np.nan if value is None else value for value in values] for values in by_task.values()])


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def initial_model(stream: Stream, config: RunConfig, seeds: range) -> MultiTaskModel:
    """The runs of one seed start from the same weights, whatever their correlation and learning rate."""
    one_each = config.replace(replicas=len(seeds), seed=seeds.start, replica_rates=())
    base, times = MultiTaskModel(stream.problem, one_each, stream.device), config.replicas // len(seeds)
    model = MultiTaskModel(stream.problem, config.replace(seed=seeds.start), stream.device, initialise=False)
    with torch.no_grad():
        for name, value in model.parameters.items():
            axis = member_axis(name)
            by_seed = base.parameters[name].unflatten(axis, (len(seeds), -1))
            value.copy_(by_seed.repeat_interleave(times, dim=axis).flatten(axis, axis + 1))
    return model


def _outcome(sweep: Sweep, protocol: Protocol, parts: list[PackResult]) -> Outcome:
    shape = (-1, len(sweep.correlations), len(sweep.rates))

    def by_cell(name: Literal["validation", "diverged", "dead"]) -> np.ndarray:
        """(P, L, runs)"""
        values = [np.array(part[name], dtype=np.float64).reshape(shape) for part in parts]
        return np.moveaxis(np.concatenate(values), 0, -1)

    tests = [np.array(part["test"], dtype=np.float64).reshape(*shape, sweep.tasks) for part in parts]
    curves = [np.array(part["curve"], dtype=np.float64).reshape(len(part["curve"]), *shape) for part in parts]
    source = Stream(replace(protocol.tasks, tasks=sweep.tasks), [0], [0.0])
    config = sweep.config(protocol)
    size = measure(source.problem, config)
    return Outcome(
        sweep,
        size.parameters,
        size.flops,
        parts[0]["steps"],
        np.moveaxis(np.concatenate(tests), 0, -2),
        by_cell("validation"),
        by_cell("diverged") > 0,
        by_cell("dead"),
        np.moveaxis(np.concatenate(curves, axis=1), 1, -1),
        sum(part["seconds"] for part in parts),
        {name: list(getattr(config, name) or ()) for name in ("expert_hidden", "bottom_hidden", "tower_hidden")},
    )
