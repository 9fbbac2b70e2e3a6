"""main(config, output) -> report: data -> model -> train -> evaluate. A training run is a folder; ``DONE`` comes last.

config.yaml   metrics.jsonl   checkpoints/   bundle/   evaluation.json   report.html   DONE
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from manygate.bundle import load_bundle, save_bundle
from manygate.config import RunConfig
from manygate.data.batches import Split
from manygate.data.encoded import EncodedLog, encode_log, find_schema, open_sources
from manygate.errors import InputError
from manygate.evaluate import Monitor, gate_report, parse_monitor, predict, task_report
from manygate.files import read_json, to_json, write_text
from manygate.metrics import interval
from manygate.model import MultiTaskModel
from manygate.progress import Progress
from manygate.report import write_report
from manygate.schema import Schema
from manygate.train import State, Trainer

DOCUMENT_VERSION = 1


@dataclass
class Trained:
    """A trained model with what its report needs."""

    model: MultiTaskModel
    result: dict[str, Any]
    test_logit_RNT: np.ndarray
    valid_score_R: list[float]


def choose_device(name: str) -> torch.device:
    """The device of a name; ``auto`` is the GPU when there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device {name!r} is unknown. Choose auto, cpu, cuda or cuda:N.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name!r}: this machine has no usable GPU. Choose cpu or auto.")
    return device


def prepare(log: Any, config: RunConfig, schema: Schema | None = None, valid: Any = None, test: Any = None) -> EncodedLog:
    """Open, split and encode a log; everything that can be wrong with data and settings is found here, before training."""
    if config.threads:
        torch.set_num_threads(config.threads)
    choose_device(config.device)
    sources = open_sources(log, config, valid, test)
    schema = find_schema(sources, config, schema)
    parse_monitor(config.monitor, schema.tasks, schema.group is not None)
    return encode_log(sources, schema, config)


def check_folder(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuse an output folder that holds something else; called before any work."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: a file of this name exists. Choose another --out.")
    if resume or not folder.is_dir() or not any(folder.iterdir()):
        return
    if not overwrite:
        raise InputError(f"--out {folder} exists. Choose another --out, continue it with --resume {folder}, or add --overwrite.")
    if not (folder / "config.yaml").is_file():
        raise InputError(f"--out {folder}: not a run's folder (no config.yaml), so it is not overwritten. Choose another --out.")


def open_folder(folder: Path, config: RunConfig, resume: bool, overwrite: bool) -> None:
    """Make a run's folder, once its data and settings are known to be good, and write its configuration."""
    check_folder(folder, resume, overwrite)
    try:
        if overwrite and not resume and folder.is_dir():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "config.yaml").is_file():
            write_text(folder / "config.yaml", config.to_yaml())
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written ({error.strerror}). Choose another --out.") from None


def train_one(log: EncodedLog, config: RunConfig, folder: Path | None, progress: Progress) -> Trained:
    """Train one architecture on an encoded log, or load it when its folder is done; evaluate it on test."""
    device = choose_device(config.device)
    splits = {part: Split(rows, device) for part, rows in log.parts.items()}
    tasks = log.schema.tasks
    monitor = Monitor(config.monitor, tasks, log.parts["valid"], splits["valid"])
    if folder is not None and (folder / "DONE").is_file():
        model, _ = load_bundle(folder, str(device))
        state = State(**read_json(folder / "state.json"))
        progress.say(f"{config.architecture}: done before, loaded from {folder}")
    else:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        model = MultiTaskModel(log.encoder.inputs(config.dim), len(tasks), config, device)
        fingerprint = log.fingerprint(config.replace(log=None, threads=None, device="auto", checkpoint_seconds=0).to_yaml())
        state = Trainer(model, tasks, splits["train"], monitor, config, folder, progress, fingerprint).fit()
        if folder is not None:
            save_bundle(folder / "bundle", model, log.encoder)
    _, score_M = monitor(predict(model, splits["valid"]), model.members)
    logit_RNT = predict(model, splits["test"])
    result = {
        "parameters": model.parameter_count(),
        "seconds": round(state.seconds, 3),
        "replicas": model.replicas,
        "tasks": task_report(logit_RNT, log.parts["test"], tasks, log.encoder.labels),
        "gates": gate_report(model, splits["test"], tasks),
        "history": state.history,
        "stopped": {"best_epoch": _best_epochs(model, state, log.schema), "reason": state.reason},
    }
    if folder is not None and not (folder / "DONE").is_file():
        _finish(folder, state)
    return Trained(model, result, logit_RNT, monitor.by_replica(score_M, model.members))


def _best_epochs(model: MultiTaskModel, state: State, schema: Schema) -> dict[str, list[int]]:
    epochs: dict[str, list[int]] = {name: [] for name in schema.task_names}
    for member, epoch in zip(model.members, state.best_epoch, strict=True):
        for t in member.tasks:
            epochs[schema.task_names[t]].append(epoch)
    return epochs


def _finish(folder: Path, state: State) -> None:
    write_text(folder / "state.json", to_json(vars(state)))
    write_text(folder / "DONE", "")
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def document(log: EncodedLog, config: RunConfig, trained: dict[str, Trained], command: str) -> dict[str, Any]:
    """The results of one or several architectures as one JSON-ready document; its form is in docs/results.md."""
    summary = log.summary()
    warnings = summary.pop("warnings")
    return {
        "comparison_version": DOCUMENT_VERSION,
        "manygate_version": version("manygate"),
        "torch_version": torch.__version__,
        "command": command,
        "config": config.model_dump(mode="json"),
        "schema": log.schema.model_dump(mode="json"),
        "data": {**summary, "warnings": warnings},
        "architectures": list(trained),
        "baseline": None,
        "best": None,
        "results": {name: one.result for name, one in trained.items()},
        "verdicts": {},
    }


def train_run(
    log: EncodedLog, config: RunConfig, folder: Path | None, progress: Progress, command: str = ""
) -> tuple[Trained, Any]:
    """Train, evaluate and write a whole run's folder; returns the trained model and its document."""
    trained = train_one(log, config, folder, progress)
    results = document(log, config, {config.architecture: trained}, command)
    results["valid"] = {config.architecture: interval(trained.valid_score_R)}
    if folder is not None:
        write_text(folder / "schema.yaml", log.schema.to_yaml())
        write_text(folder / "evaluation.json", to_json(results))
        write_report(results, folder / "report.html")
    return trained, results
