"""Training day by day, ``split=progressive``: the regime of a recommender in production, and the metrics that it earns there.

One model goes through the log. It is trained on each day in turn, by default for one epoch, and predicts each day before it is
trained on it ("progressive validation": Blum, Kalai & Langford, "Beating the hold-out: bounds for k-fold and progressive
cross-validation", COLT 1999). So every row but those of the first day is a test row once, of a model that has seen no row of its
day or of a later one.

- The first day fits the encoder. The vocabularies then grow with each day (:mod:`manygate.data.growth`), and the tables with them
  (:mod:`manygate.model.growth`). Scales of numbers and labels stay those of the first day.
- The state of the optimizer and of the weighting, the counts of id dropout, and the streams of random numbers go on.
- Nothing is selected: the last weights are kept, and no row is spent on validation.
- The last day is predicted and trains nothing. So the model that is kept is the one whose metrics of the last day are reported.

A run's folder has a folder for each day, ``days/0000`` and so on. A day has the checkpoints of its training, and its report once
the next day is judged. A run that was killed goes on from there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from manygate.config import RunConfig
from manygate.data.batches import Split
from manygate.data.encode import Encoder
from manygate.data.encoded import FEWER_ROWS, WHILE_ENCODING, EncodedLog
from manygate.data.encoded_days import EncodedDay, EncodedDays
from manygate.data.equal_labels import equal_label_warnings
from manygate.data.inference.infer import asked_about
from manygate.data.leaks import LeakScan, leak_warnings
from manygate.data.log_rows import groupless_warnings
from manygate.data.memory import enough_memory, free_memory, memory_size
from manygate.data.part_alarms import part_alarms
from manygate.data.row_store import RowStore
from manygate.data.rows import Rows
from manygate.data.unseen import cold_rows
from manygate.errors import InputError, setting
from manygate.evaluation.monitor import Judged, Monitor
from manygate.evaluation.task_report import task_report
from manygate.files import check_manifest, read_json, to_json, write_folder, write_manifest, write_text
from manygate.model import MultiTaskModel
from manygate.model.budget import matched
from manygate.model.device import choose_device
from manygate.model.growth import GrownTables, grow_model, keep_widths
from manygate.model.logits import predict
from manygate.model.problem import Problem
from manygate.model.replicas import Member
from manygate.results.comparison import ComparisonDocument
from manygate.results.evaluation import DataWarning, DayReport, RunResult
from manygate.results.log_record import LOG_FILE
from manygate.results.summary import TaskReport
from manygate.runs.day_log import DayLog
from manygate.runs.folder import mark
from manygate.runs.log_check import check_log
from manygate.runs.own import valid_scores
from manygate.runs.run import (
    FREE_SETTINGS,
    Trained,
    close,
    diverged,
    document,
    finished_state,
    out_of_memory,
    run_result,
    write_results,
)
from manygate.schema import Task
from manygate.scoring.bundle import load_bundle, save_bundle
from manygate.scoring.predictor import Predictor
from manygate.training.progress import Progress
from manygate.training.state import State, write_history
from manygate.training.trainer import Trainer


class DayWatch:
    """Judges the model on the next day, and keeps its logits. It stands where other runs have validation rows."""

    def __init__(self, monitor: Monitor):
        self.monitor, self.split = monitor, monitor.split
        self.logit_RNT: np.ndarray | None = None
        """The logits of the newest weights. None before the first evaluation."""

    def name(self, task: Task) -> str:
        """Return the name of a task's metric."""
        return self.monitor.name(task)

    def __call__(self, logit_RNT: np.ndarray, members: Sequence[Member]) -> Judged:
        """Judge the logits of the next day's rows."""
        self.logit_RNT = logit_RNT
        return self.monitor(logit_RNT, members)


@dataclass
class _Stream:
    """What goes on from day to day."""

    model: MultiTaskModel
    trainer: Trainer
    state: State
    watch: DayWatch
    encoder: Encoder


def train_progressive(
    log: DayLog, folder: Path | None, progress: Progress, command: str = ""
) -> tuple[Predictor, ComparisonDocument]:
    """Train and judge a model day by day, and write the run's folder. Return the trained model and its document.

    A finished folder is loaded instead.
    """
    config = log.config.absolute()
    fingerprint = _fingerprint(log, config)
    if folder is not None:
        check_log(folder, log.record)
        if (folder / "DONE").is_file():
            finished_state(folder, fingerprint)
            progress.say(f"{config.architecture}: done before, loaded from {folder}")
            return load_bundle(folder, str(choose_device(config.device))), ComparisonDocument.read(folder / "evaluation.json")
        mark(folder)
        write_text(folder / LOG_FILE, to_json(log.record.to_tree()))
    with enough_memory(log.sources.name, FEWER_ROWS), out_of_memory(config):
        return _DayByDay(log, config, folder, progress, fingerprint, command).train()


def _fingerprint(log: DayLog, config: RunConfig) -> str:
    """Identify the settings, the schema and all rows of the log."""
    text = config.replace(**FREE_SETTINGS).to_yaml() + "day by day\n"
    empty = Encoder(log.schema, {}, {}, {}, {})
    return EncodedLog(log.sources.name, empty, {}, record=log.record).fingerprint(text)


class _DayByDay:
    """A training day by day."""

    def __init__(self, log: DayLog, config: RunConfig, folder: Path | None, progress: Progress, fingerprint: str, command: str):
        self.log, self.folder, self.progress, self.fingerprint, self.command = log, folder, progress, fingerprint, command
        self.device = choose_device(config.device)
        self.config = config.for_rows(log.days.rows[0])
        self.counts: list[Tensor] = []
        self.reports: list[DayReport] = []

    def train(self) -> tuple[Predictor, ComparisonDocument]:
        """Go through all days."""
        days = self.log.encoded(self._fitted)
        store, stream, done = self._store(), None, _done_days(self.folder)
        for day in days:
            store.add("train", day.train)
            split = self._split(day.train)
            if day.number < done - 1:
                self.reports.append(self._read_report(day.number))
            else:
                stream = self._train_day(day, split, stream)
                self.reports.append(self._report(day, stream))
                self._keep_report(day.number)
            self._count(day.encoder, split)
        store.add("test", day.judged)
        assert stream is not None
        encoded = EncodedLog(self.log.sources.name, stream.encoder, store.rows(), record=self.log.record)
        encoded.warnings = self._warnings(encoded, days)
        return self._close(encoded, stream)

    def _fitted(self, encoder: Encoder) -> Encoder:
        """Settle what the first day decides: the widths of embeddings and, with a budget, those of layers."""
        problem = Problem.of(encoder, self.config)
        self.config = matched(problem, self.config)
        return keep_widths(encoder, problem, self.config)

    def _store(self) -> RowStore:
        config = self.config
        limit = free_memory() / WHILE_ENCODING if config.memory is None else memory_size(config.memory)
        return RowStore(("train", "test"), limit, Path(config.rows_folder) if config.rows_folder else None)

    def _split(self, rows: Rows) -> Split:
        return Split(rows, self.device, any(task.trained_by == "pairwise" for task in self.log.schema.tasks))

    def _train_day(self, day: EncodedDay, split: Split, before: _Stream | None) -> _Stream:
        """Train on a day, or load the checkpoint of its training. ``before`` is the stream after the day before.

        It is None on the first day, and where a run is resumed: then the day has a checkpoint.
        """
        problem, folder = Problem.of(day.encoder, self.config), self._folder(day.number)
        if before is None and day.number and not any((folder / "checkpoints").glob("step-*") if folder else ()):
            raise InputError(
                f"{folder}: the checkpoint of this day is missing, so the run cannot continue. Restore it, or start a new run with "
                f"another {setting('out')}."
            )
        first = before is None and day.number == 0
        model = grow_model(before.model, day.encoder) if before else MultiTaskModel(problem, self.config, self.device, first)
        judged = Split(day.judged, self.device)
        watch = DayWatch(Monitor(self.config.monitor, problem, day.judged, judged))
        title = f"{self.config.title} day {self.log.days.names[day.number]}"
        trainer = Trainer(
            model,
            split,
            watch,
            folder,
            self.progress,
            self.fingerprint,
            title,
            begun=replace(before.state, part=0, batch=0, reason="") if before else None,
            earlier=_padded(self.counts, _id_inputs(problem)),
        )
        if before is not None:
            trainer.carry(_grown(before, model))
        return _Stream(model, trainer, trainer.fit(), watch, day.encoder)

    def _folder(self, number: int) -> Path | None:
        if self.folder is None:
            return None
        path = self.folder / "days" / f"{number:04d}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _report(self, day: EncodedDay, stream: _Stream) -> DayReport:
        model, rows, days = stream.model, day.judged, self.log.days
        if stream.watch.logit_RNT is None:  # the day was trained before the run was stopped
            stream.watch(predict(model, stream.watch.split), model.members)
        assert stream.watch.logit_RNT is not None
        cold_N = cold_rows(model.problem.inputs, rows)
        tasks = task_report(stream.watch.logit_RNT, rows, model.problem, cold_N=cold_N)
        return DayReport(
            day=days.names[day.number + 1],
            rows=len(rows),
            trained_rows=sum(days.rows[: day.number + 1]),
            cold_share=float(cold_N.mean()),
            new_ids=day.new,
            tasks={name: _short(report) for name, report in tasks.items()},
        )

    def _keep_report(self, number: int) -> None:
        """Write the report of a day, and remove the checkpoints of the day before, which nothing needs any more."""
        if self.folder is None:
            return
        tree = self.reports[number].to_tree()

        def fill(path: Path) -> None:
            write_text(path / "report.json", to_json(tree))
            write_manifest(path, {"day_version": 1})

        folder = self.folder / "days"
        if not (folder / f"{number:04d}" / "report").is_dir():
            write_folder(folder / f"{number:04d}" / "report", fill)
        shutil.rmtree(folder / f"{number - 1:04d}" / "checkpoints", ignore_errors=True)

    def _read_report(self, number: int) -> DayReport:
        assert self.folder is not None
        path = self.folder / "days" / f"{number:04d}" / "report"
        check_manifest(path)
        return DayReport.model_validate(read_json(path / "report.json"))

    def _count(self, encoder: Encoder, split: Split) -> None:
        """Count the ids of a day that was trained."""
        inputs = _id_inputs(Problem.of(encoder, self.config))
        found = split.id_counts(*inputs)
        earlier = _padded(self.counts, inputs)
        self.counts = [a + b for a, b in zip(found, earlier, strict=True)] if earlier else found

    def _warnings(self, log: EncodedLog, days: EncodedDays) -> list[str | DataWarning]:
        """What must be known of the log before the metrics are believed: the same checks as for other splits."""
        schema, sources = log.schema, self.log.sources
        scan = LeakScan(log.encoder)
        for chunk in log.parts["train"].chunks():
            scan.add(chunk)
        log.separations = scan.results()
        found: list[str | DataWarning] = [
            *leak_warnings(log.separations),
            *sources.questions,
            *equal_label_warnings(schema, log.parts["train"]),
        ]
        found += part_alarms(schema, log.parts, {}, None)
        found += [*sources.unread, *sources.train.warnings_of(asked_about(schema, sources.train)), *days.warnings]
        return found + groupless_warnings(schema.group, {"test": log.parts["test"]})

    def _close(self, log: EncodedLog, stream: _Stream) -> tuple[Predictor, ComparisonDocument]:
        """Write the folder of the run."""
        model, state, folder = stream.model, stream.state, self.folder
        predictor = Predictor(model, log.encoder, log=self.log.record)
        assert stream.watch.logit_RNT is not None
        logit_RNT, split = stream.watch.logit_RNT, stream.watch.split
        assert isinstance(split, Split)
        result: RunResult = run_result(log, predictor, state, logit_RNT, split).model_copy(update={"days": self.reports})
        scores = valid_scores(state, model.trained_members, stream.watch.monitor)
        trained = Trained(predictor, result, logit_RNT, scores, state, self.fingerprint, logit_RNT)
        runs = {self.config.architecture: trained}
        results = document(log, self.config, runs, self.command, diverged(runs))
        if folder is not None:
            save_bundle(folder / "bundle", predictor)
            write_history(folder, state.history)
            write_results(folder, log, results)
            close(folder, state, self.fingerprint)
        return predictor, results


def _grown(before: _Stream, model: MultiTaskModel) -> dict[str, Tensor]:
    """The state of the optimizer and the weighting after the day before, for the tables of a grown model."""
    tables = GrownTables.between(before.model, model)
    return {key: tables.state(key.split("|")[1], value) for key, value in before.trainer.carried().items()}


def _id_inputs(problem: Problem) -> tuple[list[Any], list[Any]]:
    sparse, bags = ([i for i in problem.inputs if i.kind == kind] for kind in ("sparse", "bag"))
    return sparse, bags


def _padded(counts: Sequence[Tensor], inputs: tuple[list[Any], list[Any]]) -> list[Tensor]:
    """Counts of ids with zeros for the ids that are new."""
    sparse, bags = inputs
    return [
        torch.nn.functional.pad(count, (0, i.rows - len(count))) for count, i in zip(counts, [*sparse, *bags], strict=bool(counts))
    ]


def _short(report: TaskReport) -> TaskReport:
    """The report of a task without its calibration curve and its joint event."""
    tree = {name: getattr(report, name) for name in ("kind", "rows", "metrics", "ensemble", "undefined")}
    return TaskReport.model_validate(tree | ({"cold_start": report.cold_start} if report.cold_start else {}))


def _done_days(folder: Path | None) -> int:
    """The number of days that have a report in a run's folder."""
    return 0 if folder is None else len(list(_reports(folder)))


def _reports(folder: Path) -> Iterator[Path]:
    number = 0
    while (path := folder / "days" / f"{number:04d}" / "report").is_dir():
        yield path
        number += 1
