"""Runs: Trains and evaluates a model, and writes a folder. ``DONE`` is written last.

config.yaml   metrics.jsonl   checkpoints/   bundle/   evaluation.json   report.html   run.json   DONE
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from manygate.config import RunConfig
from manygate.data.alarms import by_severity
from manygate.data.encoded import EncodedLog
from manygate.data.file_split import LogSplit, split_of
from manygate.data.unseen import cold_rows
from manygate.errors import InputError, setting
from manygate.evaluation.gates import gate_report
from manygate.evaluation.monitor import Monitor
from manygate.evaluation.task_report import task_report
from manygate.files import check_recorded, read_json, to_json, write_text
from manygate.inspection.look import look_at_run
from manygate.metrics.uncertainty import interval, interval_note
from manygate.model import MultiTaskModel
from manygate.model.budget import matched, measure
from manygate.model.device import choose_device
from manygate.model.logits import predict
from manygate.model.problem import Problem
from manygate.model.start import Start
from manygate.report import write_report
from manygate.results.comparison import ComparisonDocument
from manygate.results.evaluation import DataWarning, Divergence, Epoch, RunResult, Stopped
from manygate.results.log_record import LOG_FILE
from manygate.runs.alarms import id_dropout_alarms, result_alarms
from manygate.runs.folder import mark, record
from manygate.runs.log_check import check_log
from manygate.runs.own import kept_epochs, open_clocks, own_best_epochs, own_logits, read_own_logits, valid_scores, write_own_logits
from manygate.runs.world_check import check_world
from manygate.scoring.bundle import load_bundle, save_bundle
from manygate.scoring.calibration import Calibration
from manygate.scoring.calibration_fit import fit_calibration
from manygate.scoring.predictor import Predictor
from manygate.text import count_of
from manygate.training.callback import OnEpoch
from manygate.training.kept import own_store
from manygate.training.packs import pack_size, train_packs
from manygate.training.progress import Progress
from manygate.training.selection import Fitted
from manygate.training.state import State, check_fingerprint
from manygate.training.torchrec_tables import model_and_tables
from manygate.training.trainer import Trainer
from manygate.training.world import ALONE, World

FREE_SETTINGS = {
    **dict.fromkeys(("continued", "log", "valid", "test", "schema_file", "threads", "baselines", "memory", "rows_folder")),
    "context": (),
    "device": "auto",
    "checkpoint_seconds": 0,
    "table_sharding": "none",
}
"""The settings that change nothing in what is trained. A path may change: rows and schema are compared."""
WIDTHS = ("expert_hidden", "level_hidden", "task_expert_hidden", "bottom_hidden", "tower_hidden")
"""The settings that a budget changes."""


@dataclass
class Trained:
    """A trained model with the values that its report needs."""

    predictor: Predictor
    result: RunResult
    test_logit_RNT: np.ndarray
    """The test logits of the kept weights."""
    valid_score_R: list[float]
    """The validation score of each replica: of its tasks' own clocks, or of its kept weights in a run without own clocks."""
    state: State
    fingerprint: str
    own_test_logit_RNT: np.ndarray
    """The test logits of each task at the best epoch of its own clock.

    They are those of the kept weights for a model of one task, which has one clock, and in a run without own clocks.
    """

    @property
    def model(self) -> MultiTaskModel:
        """The network with all its replicas."""
        return self.predictor.model


class OutOfMemoryError(InputError):
    """A model and its training do not fit in memory."""


@dataclass(frozen=True)
class Material:
    """What an architecture is trained on: the problem, the batches of each part, and the judge of validation rows."""

    config: RunConfig
    problem: Problem
    splits: dict[str, LogSplit]
    monitor: Monitor
    fingerprint: str
    """It identifies the data and the settings."""

    @classmethod
    def of(cls, log: EncodedLog, config: RunConfig, own_clocks: bool = False, start: Start | None = None) -> Material:
        """Put the parts of an encoded log on the run's device."""
        config = config.for_rows(len(log.parts["train"]))
        device, problem = choose_device(config.device), Problem.of(log.encoder, config)
        in_groups = any(task.trained_by == "pairwise" for task in problem.tasks)
        splits = {part: split_of(rows, device, in_groups and part == "train") for part, rows in log.parts.items()}
        monitor = Monitor(config.monitor, problem, log.parts["valid"], splits["valid"])
        begun = f"from weights {start.digest}\n" if start else ""
        fingerprint = log.fingerprint(config.replace(**FREE_SETTINGS).to_yaml() + "own clocks\n" * own_clocks + begun)
        return cls(config, problem, splits, monitor, fingerprint)


@contextmanager
def out_of_memory(config: RunConfig) -> Iterator[None]:
    """Turn an error of memory that ran out into an :class:`InputError` that says which settings to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise OutOfMemoryError(
            f"{config.architecture}: memory ran out. Lower {setting('batch_size')} (now {config.batch_rows:,}), "
            f"{setting('replicas')}, {setting('dim')}, {setting('experts')} or {setting('expert_hidden')}."
        ) from None


def train_one(
    log: EncodedLog,
    config: RunConfig,
    folder: Path | None,
    progress: Progress,
    on_epoch: OnEpoch | None = None,
    own_clocks: bool = False,
    world: World = ALONE,
    start: Start | None = None,
) -> Trained:
    """Train one architecture on an encoded log and evaluate it on the test rows. A finished folder is loaded instead.

    With ``own_clocks``, each task of a model that shares is also judged at the best epoch of its own clock
    (:mod:`manygate.training.kept`). The caller calls :func:`finish` after it has written its own files into the folder.

    In a ``world`` of several processes this is the first one. The others call :func:`follow`. With ``start`` the training begins
    with the weights of another model.
    """
    material = Material.of(log, config, own_clocks, start)
    config, splits, monitor, fingerprint = material.config, material.splits, material.monitor, material.fingerprint
    if folder is not None:
        check_log(folder, log.record)
    done = folder is not None and (folder / "DONE").is_file()
    if world.largest(done):
        assert folder is not None, "a run that is done has a folder"
        state, predictor = finished_state(folder, fingerprint), load_bundle(folder, str(splits["test"].device))
        own_RNT = read_own_logits(folder) if state.tasks and not predictor.model.by_task else None
        progress.say(f"{config.architecture}: done before, loaded from {folder}")
    else:
        if folder is not None:
            mark(folder)
            write_text(folder / LOG_FILE, to_json(log.record.to_tree()))
        test, problem = splits["test"] if own_clocks else None, material.problem
        fitted = fit(problem, splits["train"], test, monitor, config, folder, progress, fingerprint, on_epoch, world, start)
        model, state, own_RNT = fitted.model, fitted.state, fitted.own_logit_RNT
        predictor = Predictor(model, log.encoder, _calibration(model, log, splits["valid"], config.calibration), None, log.record)
        if folder is not None:
            save_bundle(folder / "bundle", predictor)
            if own_RNT is not None:
                write_own_logits(folder, own_RNT)
    logit_RNT = predict(predictor.model, splits["test"])
    result = run_result(log, predictor, state, logit_RNT, splits["test"])
    scores = valid_scores(state, predictor.model.trained_members, monitor)
    own_RNT = logit_RNT if own_RNT is None else own_logits(logit_RNT, own_RNT, state)
    return Trained(predictor, result, logit_RNT, scores, state, fingerprint, own_RNT)


def follow(log: EncodedLog, config: RunConfig, world: World, start: Start | None = None) -> None:
    """Train together with the first process of a world, which calls :func:`train_run` with the same log and settings."""
    found = Material.of(log, config.absolute(), start=start)
    if not world.largest(False):
        train, progress = found.splits["train"], Progress()
        fit(found.problem, train, None, found.monitor, found.config, None, progress, found.fingerprint, None, world, start)


def fit(
    problem: Problem,
    train: LogSplit,
    own: LogSplit | None,
    monitor: Monitor,
    config: RunConfig,
    folder: Path | None,
    progress: Progress,
    fingerprint: str,
    on_epoch: OnEpoch | None,
    world: World = ALONE,
    start: Start | None = None,
) -> Fitted:
    """Train all replicas in packs that fit in memory. A stopped run continues from its checkpoint.

    With the rows of ``own``, each task of a model that shares has a clock of its own, and these rows are predicted at its best
    epoch.

    Raises:
        InputError: The processes of the world read different logs or settings, or a setting needs one process.
    """
    device = train.device
    check_world(world, config, fingerprint)
    with out_of_memory(config):
        sized = matched(problem, config)

        def trainer(part: RunConfig, pack_folder: Path | None, title: str, first: int) -> Trainer:
            whole = part.replicas == sized.replicas
            model, tables = model_and_tables(problem, part, device, world)
            if start is not None:
                start.copy_to(model, first)
            return Trainer(
                model,
                train,
                monitor,
                pack_folder,
                progress,
                fingerprint,
                title,
                first_replica=first,
                whole=whole,
                on_epoch=on_epoch,
                own=own_store(part, model, own),
                world=world,
                tables=tables,
            )

        spread = sized.table_sharding != "none" and world.size > 1
        size = sized.replicas if spread else pack_size(problem, sized, device, len(own) if own is not None else 0)
        return train_packs(trainer, sized, size, folder, world)


def run_result(log: EncodedLog, predictor: Predictor, state: State, logit_RNT: np.ndarray, test: LogSplit) -> RunResult:
    """Return the results of one trained model for the report. A log without validation rows is inspected on its test rows."""
    model, rows = predictor.model, log.parts["test"]
    size = measure(model.problem, model.config, model.by_task)
    return RunResult(
        architecture=model.config.architecture,
        weighting=model.config.weighting,
        parameters=size.parameters,
        network_parameters=size.network_parameters,
        flops=size.flops,
        widths={name: getattr(model.config, name) for name in WIDTHS},
        seconds=round(state.seconds, 3),
        replicas=model.replicas,
        tasks=task_report(logit_RNT, rows, model.problem, predictor.calibration, cold_N=cold_rows(model.problem.inputs, rows)),
        gates=gate_report(model, test),
        inspection=look_at_run(model, log.parts.get("valid", rows)),
        history=[Epoch.model_validate(entry) for entry in state.history],
        stopped=Stopped(
            best_epoch=kept_epochs(state, model, log.schema),
            reason=state.reason,
            own_best_epoch=own_best_epochs(state, log.schema) if state.tasks else None,
            open_clocks=open_clocks(state, model.trained_members, log.schema) if model.config.keep != "last" else None,
        ),
        diverged=_diverged(model, state),
    )


def _calibration(model: MultiTaskModel, log: EncodedLog, split: LogSplit, method: str) -> Calibration | None:
    """Fit the calibrators of a trained model on validation rows."""
    if method == "none":
        return None
    rows_used = f"validation rows of {log.source}"
    return fit_calibration(predict(model, split), log.parts["valid"], model.problem, method, log=rows_used)


def _diverged(model: MultiTaskModel, state: State) -> list[Divergence]:
    """Return the replicas with a model that diverged, and the steps. They count with their best weights from before."""
    steps = zip(model.trained_members, state.diverged, strict=True)
    return [Divergence(replica=member.replica, step=step) for member, step in steps if step is not None]


def finished_state(folder: Path, fingerprint: str) -> State:
    """Return the last state of a finished run. Raises :class:`InputError` if its log or settings differ from the current ones."""
    check_recorded(folder / "state.json")
    saved = read_json(folder / "state.json")
    found = saved.pop("fingerprint", None) if isinstance(saved, dict) else None
    state = State.from_tree(saved, folder / "state.json")
    check_fingerprint(folder, str(found), fingerprint)
    return state


def finish(folder: Path | None, trained: Trained) -> None:
    """Record the files of a run, mark its folder as done and remove its checkpoints."""
    if folder is not None and not (folder / "DONE").is_file():
        close(folder, trained.state, trained.fingerprint)


def close(folder: Path, state: State, fingerprint: str) -> None:
    """Do the same as :func:`finish` for a run that ends in this state."""
    write_text(folder / "state.json", to_json({**asdict(state), "fingerprint": fingerprint}))
    record(folder)
    write_text(folder / "DONE", "")
    for name in ("checkpoints", "packs", "days"):
        shutil.rmtree(folder / name, ignore_errors=True)


def document(
    log: EncodedLog, config: RunConfig, trained: dict[str, Trained], command: str, warnings: Sequence[str | DataWarning] = ()
) -> ComparisonDocument:
    """Build the document of one or several architectures. docs/results.md describes it.

    Its warnings are those of the log, of the results, and ``warnings``; the serious ones come first.
    """
    summary = log.summary()
    alarms = result_alarms({name: run.result for name, run in trained.items()}, log.separations)
    alarms += id_dropout_alarms(config, log.schema, summary.features)
    every = by_severity([*summary.warnings, *alarms, *warnings])
    tree = {
        "comparison_version": ComparisonDocument.VERSION,
        "manygate_version": version("manygate"),
        "torch_version": torch.__version__,
        "command": command,
        "config": config.model_dump(mode="json"),
        "schema": log.schema.model_dump(mode="json"),
        "data": summary.model_copy(update={"warnings": every}),
        "architectures": list(trained),
        "baseline": None,
        "best": None,
        "results": {name: run.result for name, run in trained.items()},
        "verdicts": {},
        "interval_note": interval_note(config.replicas),
        "valid": {name: interval(run.valid_score_R) for name, run in trained.items()},
    }
    return ComparisonDocument.model_validate(tree)


def diverged(trained: dict[str, Trained]) -> list[str]:
    """Return a warning for each architecture with diverged replicas."""
    by_name = {name: run.result.diverged for name, run in trained.items() if run.result.diverged}
    return [
        f"{name}: {count_of(len(entries), 'model')} diverged (replica "
        f"{', '.join(str(entry.replica) for entry in entries)}) and count with their best weights from before. "
        "Try a smaller --learning-rate."
        for name, entries in by_name.items()
    ]


def with_batches(config: RunConfig, log: EncodedLog, progress: Progress) -> RunConfig:
    """Return settings with all that the number of training rows decides, if it was not given. What is chosen is said."""
    rows = len(log.parts["train"])
    sized = config.for_rows(rows)
    if config.batch_size is None:
        steps = count_of(-(-rows // sized.batch_rows), "step")
        progress.say(f"batches of {sized.batch_rows:,} rows, {steps} an epoch (the setting batch_size gives another size)")
    chosen = {"cross_layers": f"{sized.cross_layers} cross layers", "weight_average": "an average of the weights"}
    added = [f"{words} ({name})" for name, words in chosen.items() if getattr(config, name) is None and getattr(sized, name)]
    if added:
        progress.say(f"a large log, so by default with {' and '.join(added)}")
    return sized


def train_run(
    log: EncodedLog,
    config: RunConfig,
    folder: Path | None,
    progress: Progress,
    command: str = "",
    on_epoch: OnEpoch | None = None,
    world: World = ALONE,
    start: Start | None = None,
) -> tuple[Trained, ComparisonDocument]:
    """Train and evaluate a model and write the run's folder. Return the trained model and its document.

    In a ``world`` of several processes this is the first one. The others call :func:`follow`.
    """
    config = with_batches(config.absolute(), log, progress)
    if config.table_sharding != "none" and world.size == 1:
        progress.say(f"{setting('table_sharding', config.table_sharding)} changes nothing here: one process holds all tables")
    trained = train_one(log, config, folder, progress, on_epoch, world=world, start=start)
    runs = {config.architecture: trained}
    results = document(log, config, runs, command, diverged(runs))
    if folder is not None and not (folder / "DONE").is_file():  # the files of a run that is done stay as they are recorded
        write_results(folder, log, results)
    finish(folder, trained)
    return trained, results


def write_results(folder: Path, log: EncodedLog, results: ComparisonDocument) -> None:
    """Write the schema, the results and the report of a run into its folder."""
    write_text(folder / "schema.yaml", log.schema.to_yaml())
    write_text(folder / "evaluation.json", to_json(results.to_tree()))
    write_report(results, folder / "report.html")
