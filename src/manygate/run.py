"""main(config, output) -> report: data -> model -> train -> evaluate. A training run is a folder; ``DONE`` comes last.

config.yaml   metrics.jsonl   checkpoints/   bundle/   evaluation.json   report.html   DONE
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from operator import mul
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.func import functional_call

from manygate.architecture import find_architecture, import_scheme
from manygate.budget import matched, measure, own_faults
from manygate.bundle import find_bundle, load_bundle, save_bundle
from manygate.calibration import Calibration, read_calibration
from manygate.config import RunConfig
from manygate.data.batches import Split
from manygate.data.encode import Input
from manygate.data.encoded import EncodedLog, encode_log, find_schema, open_sources
from manygate.errors import InputError, raise_all
from manygate.evaluate import Monitor, check_monitor, fit_calibration, gate_report, parse_monitor, predict, task_report
from manygate.files import read_json, to_json, write_text
from manygate.inspection.look import look_at_run
from manygate.memory import all_memory
from manygate.metrics import interval
from manygate.model import MultiTaskModel
from manygate.packs import pack_size, train_packs
from manygate.progress import Progress
from manygate.report import write_report
from manygate.schema import Schema
from manygate.targets import Targets
from manygate.train import State, Trainer, check_fingerprint
from manygate.weighting import check_weighting

DOCUMENT_VERSION = 1
WIDTHS = ("expert_hidden", "level_hidden", "task_expert_hidden", "bottom_hidden", "tower_hidden")
"""Settings that a budget changes."""


@dataclass
class Trained:
    """A trained model with what its report needs."""

    model: MultiTaskModel
    result: dict[str, Any]
    test_logit_RNT: np.ndarray
    valid_score_R: list[float]
    state: State
    fingerprint: str
    calibration: Calibration | None = None


def choose_device(name: str) -> torch.device:
    """The device of a name; ``auto`` is the GPU when there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device {name!r} is unknown. Choose auto, cpu, cuda or cuda:N.") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device {name!r} is not supported. Choose auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise InputError(f"device {name!r}: this machine has {count or 'no'} usable GPU{'s' * (count > 1)}. Choose cpu or auto.")
    return device


def prepare(
    log: Any,
    config: RunConfig,
    schema: Schema | None = None,
    valid: Any = None,
    test: Any = None,
    architectures: Sequence[str] = (),
) -> EncodedLog:
    """Open, split and encode a log; everything that can be wrong with data and settings is found here, before training.

    ``architectures`` are those to be trained, else the configuration's one.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    choose_device(config.device)
    chosen = architectures or [config.architecture]
    for name in chosen:
        if ":" in name:
            import_scheme(name.partition(":")[0])
    raise_all(_unknown(chosen))
    sources = open_sources(log, config, valid, test)
    schema = find_schema(sources, config, schema)
    parse_monitor(config.monitor, schema.tasks, schema.group is not None)
    _check_weights(config, schema)
    encoded = encode_log(sources, schema, config)
    check_monitor(config.monitor, schema.tasks, encoded.parts["valid"])
    raise_all(problem for name in chosen for problem in _problems(encoded, config.replace(architecture=name)))
    return encoded


def _check_weights(config: RunConfig, schema: Schema) -> None:
    if config.funnel.startswith("escm2") and not config.escm2_weight and not config.escm2_joint_weight:
        raise InputError("escm2_weight, escm2_joint_weight: both are 0, so tasks after another learn nothing. Raise one.")
    if config.funnel != "conditional":
        raise_all(
            f"task {task.name!r}: the loss pairwise is not for a task after another with --funnel {config.funnel}. "
            "Leave the loss out, or add --funnel conditional."
            for task in schema.tasks
            if task.after and task.loss == "pairwise"
        )
    for name in ("replica_seeds", "replica_rates", "replica_weights"):
        count = len(getattr(config, name))
        if count > config.replicas:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag}: {count} given, and --replicas is {config.replicas}. Give no more than there are replicas.")
    for row in config.replica_weights:
        if len(row) != len(schema.tasks):
            raise InputError(
                f"replica_weights: {len(row)} numbers in {list(row)}, and {len(schema.tasks)} tasks "
                f"({', '.join(schema.task_names)}). Give one a task, replicas separated by /."
            )
    weights = [task.weight for task in schema.tasks]
    if len(weights) > 1 and not any(weights):
        raise InputError("tasks: every weight is 0, so there is nothing to learn. Give one task more than 0.")
    if not all(any(map(mul, row, weights)) for row in config.replica_weights):
        raise InputError("replica_weights: a replica whose weights are all zero learns nothing. Give one task more than 0.")
    chosen = config.weightings or (config.weighting,)
    for weighting in chosen:
        check_weighting(weighting, len(weights), config)
    decaying = [task.name for task in schema.tasks if task.decay != 1]
    if decaying and "schedule" not in chosen:
        raise InputError(f"task {decaying[0]!r} has a decay; only --weighting schedule reads it, and it is {', '.join(chosen)}.")
    if config.weight_sweep and len(weights) < 2:
        raise InputError("weight_sweep: one task alone has no trade-off to sweep over. Leave it out, or name more tasks.")


def _unknown(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        try:
            find_architecture(name)
        except InputError as error:
            yield from error.problems


def _problems(log: EncodedLog, config: RunConfig) -> list[str]:
    """Why an architecture cannot be trained with these settings, if it cannot."""
    inputs, tasks, targets = log.encoder.inputs(config.dim), len(log.schema.tasks), Targets.of(log.schema.tasks, log.encoder.labels)
    try:
        with own_faults(config.architecture):
            own = matched(inputs, tasks, config, targets)
            check_memory(log, own)
            measure(inputs, tasks, own, targets)
            check_shared_layer(inputs, tasks, own)
    except InputError as error:
        return [problem if config.architecture in problem else f"{config.architecture}: {problem}" for problem in error.problems]
    return []


def check_shared_layer(inputs: Sequence[Input], tasks: int, config: RunConfig) -> None:
    """Refuse a ``shared_layer`` at which no gradient could be read."""
    with torch.device("meta"):
        model = MultiTaskModel(inputs, tasks, config.replace(replicas=1), "meta", False)
        x_BD = torch.empty(2, model.embedding.copies * model.embedding.width)
        bias_BC = torch.empty(2, model.bias_embedding.width)
    trunk = model.trunk.eval()
    if trunk.shared_layer() is None:
        return
    *_, shared = functional_call(trunk, dict(trunk.named_parameters()), (x_BD, bias_BC, False, True))
    if not shared.requires_grad:
        name = type(trunk.architecture).__name__
        raise InputError(f"{name}.shared_layer names a module whose output has no gradient; it is what tasks read.")


def check_memory(log: EncodedLog, config: RunConfig) -> None:
    """Refuse a model that cannot fit: all replicas' weights, and one's gradient and best weights beside them, in float32."""
    with torch.device("meta"):
        one = MultiTaskModel(log.encoder.inputs(config.dim), len(log.schema.tasks), config.replace(replicas=1), "meta", False)
    needed, there = 4 * one.parameter_count() * (config.replicas + 2), _memory(choose_device(config.device))
    if needed > there:
        raise InputError(
            f"{config.architecture} with {config.replicas:,} replicas of {one.parameter_count():,} numbers needs at least "
            f"{needed / 1e9:,.0f} GB of memory, and there are {there / 1e9:,.0f}. Lower --replicas, --dim, --experts or "
            "--expert-hidden, or raise --min-count."
        )


def _memory(device: torch.device) -> float:
    """Bytes of memory in all; infinite where the system does not say."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    return all_memory()


@contextmanager
def _out_of_memory(config: RunConfig) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise InputError(
            f"{config.architecture}: memory ran out. Lower --batch-size (now {config.batch_size:,}), --replicas, --dim, --experts "
            "or --expert-hidden."
        ) from None


def check_folder(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuse an output folder that holds something else; called before any work."""
    try:
        there = folder.exists()
    except OSError as error:
        raise InputError(f"--out {str(folder)[:80]}: cannot be written ({error.strerror}). Choose another --out.") from None
    if there and not folder.is_dir():
        raise InputError(f"--out {folder}: a file of this name exists. Choose another --out.")
    if resume or not folder.is_dir() or not any(folder.iterdir()):
        return
    if not overwrite:
        raise InputError(f"--out {folder} exists. Choose another --out, continue it with --resume {folder}, or add --overwrite.")
    if not (folder / "config.yaml").is_file():
        raise InputError(f"--out {folder}: not a run's folder (no config.yaml), so it is not overwritten. Choose another --out.")


def open_folder(folder: Path, config: RunConfig, resume: bool, overwrite: bool, command: str = "") -> None:
    """Make a run's folder, once its data and settings are known to be good, and write its configuration under its command."""
    check_folder(folder, resume, overwrite)
    try:
        if overwrite and not resume and folder.is_dir():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "config.yaml").is_file():
            head = f"# {command}\n" if command and command.isprintable() else ""
            write_text(folder / "config.yaml", head + config.to_yaml())
    except InputError:
        with suppress(OSError):
            folder.rmdir()  # only if there is nothing in it
        raise
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written ({error.strerror}). Choose another --out.") from None


def train_one(log: EncodedLog, config: RunConfig, folder: Path | None, progress: Progress) -> Trained:
    """Train one architecture on an encoded log, or load it when its folder is done; evaluate it on test.

    The caller calls :func:`finish` when all that it writes there is written.
    """
    device = choose_device(config.device)
    tasks, targets = log.schema.tasks, Targets.of(log.schema.tasks, log.encoder.labels)
    in_groups = any(task.trained_by == "pairwise" for task in tasks)
    splits = {part: Split(rows, device, in_groups and part == "train") for part, rows in log.parts.items()}
    monitor = Monitor(config.monitor, tasks, log.parts["valid"], splits["valid"], log.encoder.labels)
    inputs = log.encoder.inputs(config.dim)
    fingerprint = log.fingerprint(config.replace(log=None, threads=None, device="auto", checkpoint_seconds=0).to_yaml())
    if folder is not None and (folder / "DONE").is_file():
        state = _finished(folder, fingerprint)
        model, _ = load_bundle(folder, str(device))
        calibration = read_calibration(find_bundle(folder))
        progress.say(f"{config.architecture}: done before, loaded from {folder}")
    else:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with _out_of_memory(config):
            own = matched(inputs, len(tasks), config, targets)

            def trainer(part: RunConfig, place: Path | None, title: str, first: int) -> Trainer:
                one, train = MultiTaskModel(inputs, len(tasks), part, device, True, targets), splits["train"]
                whole = part.replicas == own.replicas
                return Trainer(
                    one, tasks, train, monitor, part, place, progress, fingerprint, title, first_replica=first, whole=whole
                )

            model, state = train_packs(trainer, own, pack_size(inputs, len(tasks), own, device, targets), folder)
        calibration = _calibration(model, log, splits["valid"], config.calibration)
        if folder is not None:
            save_bundle(folder / "bundle", model, log.encoder, calibration)
    score_M = np.array([math.nan if best is None else best for best in state.best])
    logit_RNT = predict(model, splits["test"])
    result = {
        "architecture": config.architecture,
        "weighting": config.weighting,
        **asdict(measure(inputs, len(tasks), model.config, targets)),
        "widths": {name: getattr(model.config, name) for name in WIDTHS},
        "seconds": round(state.seconds, 3),
        "replicas": model.replicas,
        "tasks": task_report(logit_RNT, log.parts["test"], tasks, log.encoder.labels, calibration),
        "gates": gate_report(model, splits["test"], tasks),
        "inspection": look_at_run(model, log.parts["valid"], tasks, log.encoder.labels),
        "history": state.history,
        "stopped": {"best_epoch": _best_epochs(model, state, log.schema), "reason": state.reason},
        "diverged": _diverged(model, state),
    }
    return Trained(model, result, logit_RNT, monitor.by_replica(score_M, model.members), state, fingerprint, calibration)


def _calibration(model: MultiTaskModel, log: EncodedLog, split: Split, method: str) -> Calibration | None:
    """The calibrators of a trained model, fitted on validation rows."""
    if method == "none":
        return None
    labels, place = log.encoder.labels, f"validation rows of {log.source}"
    return fit_calibration(predict(model, split), log.parts["valid"], log.schema.tasks, labels, method, log=place)


def _best_epochs(model: MultiTaskModel, state: State, schema: Schema) -> dict[str, list[int]]:
    epochs: dict[str, list[int]] = {name: [] for name in schema.task_names}
    for member, epoch in zip(model.members, state.best_epoch, strict=True):
        for t in member.tasks:
            epochs[schema.task_names[t]].append(epoch)
    return epochs


def _diverged(model: MultiTaskModel, state: State) -> list[dict[str, int]]:
    """Replicas of which a model diverged, and the step; they count with the best weights that they had before."""
    steps = zip(model.members, state.diverged, strict=True)
    return [{"replica": member.replica, "step": step} for member, step in steps if step is not None]


def _finished(folder: Path, fingerprint: str) -> State:
    """The last state of a run that is done; its log and settings must be those of now."""
    saved = read_json(folder / "state.json")
    if not isinstance(saved, dict) or set(saved) != {*State.__dataclass_fields__, "fingerprint"}:
        raise InputError(f"{folder / 'state.json'}: not the state of a run. Restore it, or train again with another --out.")
    check_fingerprint(folder, saved.pop("fingerprint"), fingerprint)
    return State(**saved)


def finish(folder: Path | None, trained: Trained) -> None:
    """Mark a run's folder as done and drop its checkpoints."""
    if folder is None or (folder / "DONE").is_file():
        return
    write_text(folder / "state.json", to_json({**vars(trained.state), "fingerprint": trained.fingerprint}))
    write_text(folder / "DONE", "")
    for name in ("checkpoints", "packs"):
        shutil.rmtree(folder / name, ignore_errors=True)


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


def diverged(trained: dict[str, Trained]) -> list[str]:
    """A warning for each architecture of which replicas diverged."""
    found = {name: one.result["diverged"] for name, one in trained.items() if one.result["diverged"]}
    return [
        f"{name}: {len(lost)} model{'s' if len(lost) > 1 else ''} diverged (replica "
        f"{', '.join(str(one['replica']) for one in lost)}) and count with their best weights from before. "
        "Try a smaller --learning-rate."
        for name, lost in found.items()
    ]


def train_run(
    log: EncodedLog, config: RunConfig, folder: Path | None, progress: Progress, command: str = ""
) -> tuple[Trained, Any]:
    """Train, evaluate and write a whole run's folder; returns the trained model and its document."""
    trained = train_one(log, config, folder, progress)
    results = document(log, config, {config.architecture: trained}, command)
    results["data"]["warnings"] += diverged({config.architecture: trained})
    results["valid"] = {config.architecture: interval(trained.valid_score_R)}
    if folder is not None:
        write_text(folder / "schema.yaml", log.schema.to_yaml())
        write_text(folder / "evaluation.json", to_json(results))
        write_report(results, folder / "report.html")
    finish(folder, trained)
    return trained, results
