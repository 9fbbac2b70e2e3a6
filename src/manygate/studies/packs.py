"""Packs: many runs of a sweep as one program, each in a folder that a stopped study goes on from.

A pack's folder has ``checkpoints/`` until its runs need no more steps, and a folder of results for each length that they reached.

Shape suffixes: R runs of a pack, S seeds with R = S x cells of the sweep, T tasks, E epochs, N rows, M members.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch

from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.evaluation.monitor import Judged
from manygate.files import check_manifest, read_json, to_json, write_folder, write_manifest, write_text
from manygate.model import MultiTaskModel
from manygate.model.budget import measure
from manygate.model.device import choose_device
from manygate.model.logits import predict
from manygate.model.replicas import Member, member_axis
from manygate.schema import Task
from manygate.studies.stream import HeldOut, Stream
from manygate.studies.sweep import Outcome, Protocol, Runs, Sweep
from manygate.training.checkpoint import load_checkpoint
from manygate.training.progress import Progress
from manygate.training.state import check_fingerprint
from manygate.training.trainer import Trainer

VALIDATION, TEST = 0, 1
CONSTANT = 1e-6
"""A task whose predictions differ by less than this has a dead tower: no unit of it is above zero on any row."""
FILE = "pack.json"


class PackResult(TypedDict):
    """``pack.json``: the results of a pack; ``curve`` has a list of runs an epoch, ``test`` a list of tasks a run."""

    fingerprint: str
    device: str
    seconds: float
    test: list[list[float | None]]
    validation: list[float | None]
    diverged: list[bool]
    dead: list[int]
    curve: list[list[float | None]]


class SquaredError:
    """The losses that validation watches: those of every run on its own rows."""

    def __init__(self, split: HeldOut):
        self.split = split

    def name(self, task: Task) -> str:
        return "squared error"

    def __call__(self, logit_RNT: np.ndarray, members: Sequence[Member]) -> Judged:
        error_RT = self.split.squared_error(logit_RNT)
        score_M = np.array([-error_RT[member.replica, list(member.tasks)].mean() for member in members])
        return Judged(error_RT, -error_RT, score_M, -error_RT.mean(axis=1))


class Total(Progress):
    """The progress of a whole study, as one stage. Packs count their rows; only lost runs and damaged checkpoints are told."""

    def __init__(self, inner: Progress, title: str, rows: int):
        self.inner, self.title, self.rows, self.done = inner, title, rows, 0
        self._restart()

    def _restart(self) -> None:
        """Begin the stage anew, so that the time left follows from the rows of this process alone."""
        self.inner.start(self.title, self.rows, self.done)

    def grow(self, rows: int) -> None:
        """Add rows to the plan."""
        self.rows += rows
        self._restart()

    def skip(self, rows: int) -> None:
        """Count rows that an earlier process trained."""
        self.done += rows
        self._restart()

    def start(self, title: str, total: int, done: int = 0) -> None:
        """Ignore the stages of a pack: its epochs are no stages of the study."""

    def advance(self, rows: int) -> None:
        self.done += rows
        self.inner.advance(rows)

    def say(self, text: str) -> None:
        if "diverged" in text or "older checkpoint" in text:
            self.inner.say(text)

    def close(self) -> None:
        """End the stage; :meth:`finish` is called after each epoch of a pack."""
        self.inner.finish()


def run_sweep(sweep: Sweep, protocol: Protocol, folder: Path, progress: Total, last: bool = True) -> Outcome:
    """Train what is not trained yet. Every pack's results lie in ``folder`` once it is done.

    With ``last`` the checkpoints of a pack are removed when it is done; without it, a longer ``protocol`` goes on from them.
    """
    parts = []
    for seeds in sweep.packs(protocol):
        pack = folder / f"{sweep.name}-{seeds.start:04d}-{len(seeds):04d}"
        results = pack / f"steps-{protocol.steps}"
        if results.exists():
            check_fingerprint(pack, _saved(results)["fingerprint"], _fingerprint(sweep, protocol))
            progress.skip(len(seeds) * sweep.rows(protocol) // sweep.runs)
        else:
            pack.mkdir(parents=True, exist_ok=True)
            _save(results, _train_pack(sweep, protocol, seeds, pack, progress))
        if last:
            shutil.rmtree(pack / "checkpoints", ignore_errors=True)
        parts.append(_saved(results))
    return _outcome(sweep, protocol, parts)


def drop_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of packs whose runs need no more steps."""
    for checkpoints in folder.glob("*/checkpoints"):
        shutil.rmtree(checkpoints)


def _train_pack(sweep: Sweep, protocol: Protocol, seeds: range, folder: Path, progress: Total) -> PackResult:
    device = choose_device("auto")
    stream = sweep.stream(protocol, seeds, device)
    config = sweep.config(protocol).replace(replicas=len(seeds) * len(sweep.cells))
    held = {part: HeldOut(stream, rows, part) for part, rows in ((0, protocol.validation_rows), (1, protocol.test_rows))}
    fingerprint = _fingerprint(sweep, protocol)
    watch = SquaredError(held[VALIDATION])
    model = initial_model(stream, config, seeds)
    trainer = Trainer(model, stream, watch, folder, progress, fingerprint, sweep.name, count_losses=True)
    saved = load_checkpoint(folder / "checkpoints")
    if saved and saved[1]["step"] > protocol.steps:
        raise InputError(f"{folder}: its results after {protocol.steps:,} steps are missing. Remove this folder and run again.")
    progress.skip(config.replicas * protocol.batch * saved[1]["step"] if saved else 0)
    state = trainer.fit()
    prediction_RNT = predict(model, held[TEST])
    curve_ER = np.full((len(protocol.epochs), config.replicas), np.nan)  # all runs may have diverged before the last epoch
    curve_ER[: len(state.history)] = [np.mean(_numbers(entry["train_loss"]), axis=0) for entry in state.history]
    lost_R = np.array(state.diverged, dtype=object).reshape(config.replicas, -1)
    return {
        "fingerprint": fingerprint,
        "device": device.type,
        "seconds": state.seconds,
        "test": [_known(error_T) for error_T in held[TEST].squared_error(prediction_RNT)],
        "validation": _known(np.mean(_numbers(state.history[-1]["valid"]), axis=0)),
        "diverged": [any(step is not None for step in steps) for steps in lost_R],
        "dead": (np.ptp(prediction_RNT, axis=1) < CONSTANT).sum(axis=1).tolist(),
        "curve": [_known(curve_R) for curve_R in curve_ER],
    }


def _save(path: Path, result: PackResult) -> None:
    def fill(folder: Path) -> None:
        write_text(folder / FILE, to_json(result))
        write_manifest(folder, {})

    write_folder(path, fill)


def _saved(path: Path) -> PackResult:
    """Return the results of a pack. Raises :class:`InputError` when they are not whole, or changed."""
    try:
        check_manifest(path)
        pack: PackResult = read_json(path / FILE)
    except ValueError:
        raise InputError(f"{path}: damaged. Remove the folder {path.parent} and run again: its runs are trained again.") from None
    return pack


def _fingerprint(sweep: Sweep, protocol: Protocol) -> str:
    """Return all that decides a run but its length: a run may be given more steps."""
    common = {name: value for name, value in asdict(protocol).items() if name != "steps"}
    return to_json({"sweep": asdict(sweep), "protocol": common})


def _numbers(by_task: dict[str, list[float | None]]) -> np.ndarray:
    return np.array([[np.nan if value is None else value for value in values] for values in by_task.values()])


def _known(values: np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def initial_model(stream: Stream, config: RunConfig, seeds: range) -> MultiTaskModel:
    """Build the model of a pack: the runs of one seed start from the same weights, whatever their correlation and learning rate."""
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
    test_RT = np.array([error_T for part in parts for error_T in part["test"]], dtype=np.float64)
    validation_R = np.array([value for part in parts for value in part["validation"]], dtype=np.float64)
    diverged_R = np.array([value for part in parts for value in part["diverged"]], dtype=bool)
    dead_R = np.array([value for part in parts for value in part["dead"]])
    curve_ER = np.concatenate([np.array(part["curve"], dtype=np.float64) for part in parts], axis=1)
    cells = {}
    for c, cell in enumerate(sweep.cells):
        of_cell = slice(c, None, len(sweep.cells))
        cells[cell] = Runs(test_RT[of_cell], validation_R[of_cell], diverged_R[of_cell], dead_R[of_cell], curve_ER[:, of_cell])
    config = sweep.config(protocol)
    size = measure(sweep.stream(protocol, [0]).problem, config.replace(replica_rates=()))
    widths = {name: list(getattr(config, name) or ()) for name in ("expert_hidden", "bottom_hidden", "tower_hidden")}
    seconds = sum(part["seconds"] for part in parts)
    return Outcome(sweep, size.parameters, size.flops, widths, protocol.epochs, seconds, cells)
