"""A log that is trained day by day: its days, and the checks of its settings and labels before the training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from manygate.config import RunConfig
from manygate.data.days import LogDays, find_days
from manygate.data.encode import Encoder
from manygate.data.encoded import EncodedLog, check_columns, label_problems, part_columns
from manygate.data.encoded_days import EncodedDays
from manygate.data.fingerprint import TableFingerprint
from manygate.data.label_counts import LabelCounts
from manygate.data.labels import LabelScale, encode_labels
from manygate.data.sources import Sources
from manygate.errors import InputError, raise_all, setting
from manygate.results.log_record import LogRecord
from manygate.runs.preflight import open_log, problems_of, unread_rank
from manygate.schema import Schema
from manygate.text import count_of
from manygate.training.progress import Progress

DEFAULTS: dict[str, Any] = {"epochs": 1, "keep": "last", "weight_average": 0.0, "target_statistics": False}
"""The settings that have another default than elsewhere."""
_UNREAD = {
    "valid": "every day but the first is judged",
    "test": "every day but the first is judged",
    "fractions": "the days are the parts",
    "monitor": "nothing is selected",
    "patience": "nothing is selected",
    "calibration": "there are no validation rows; calibrate the finished run on later rows with manygate calibrate",
    "evaluate_every": "each day is judged once",
    "max_steps": "each day is trained on as a whole",
    "schedule": "the stream of days has no end that it could lead to",
    "warmup": "the stream of days has no end that it could lead to",
    "pack": "all replicas train at once",
}
"""The settings that nothing reads, and why."""
_FIXED = {
    "keep": "nothing is selected, so the last weights are kept",
    "weight_average": "the weights themselves go on from day to day",
    "target_statistics": "they would be those of the first day for ever",
}


def progressive_settings(config: RunConfig) -> RunConfig:
    """Return the settings with the defaults of this mode. Raises :class:`InputError` for settings that nothing reads in it.

    >>> settings = progressive_settings(RunConfig(split="progressive"))
    >>> settings.epochs, settings.keep
    (1, 'last')
    """
    config = config.with_defaults(**DEFAULTS)
    at, fields = setting("split", "progressive"), RunConfig.model_fields
    problems = [f"{setting(name)}: {at} does not read it, since {why}. Leave it out." for name, why in _UNREAD.items()
                if getattr(config, name) != fields[name].default]  # fmt: skip
    problems += [f"{setting(name, getattr(config, name))}: not with {at}: {why}. Leave it out." for name, why in _FIXED.items()
                 if (getattr(config, name) or DEFAULTS[name]) != DEFAULTS[name]]  # fmt: skip
    raise_all(problems)
    return config


@dataclass(frozen=True)
class DayLog:
    """A log whose days are known, and whose settings and labels are checked."""

    sources: Sources
    schema: Schema
    days: LogDays
    record: LogRecord
    config: RunConfig

    @property
    def columns(self) -> list[str]:
        """The columns to read."""
        return part_columns(self.schema, "train")

    def encoded(self, fitted: Callable[[Encoder], Encoder] = lambda encoder: encoder) -> EncodedDays:
        """Return the days, to be encoded one after another. ``fitted`` is called with the encoder of the first day."""
        return EncodedDays(self.days, self.schema, self.config, self.columns, self.config.threads, fitted)


def prepare_days(log: Any, config: RunConfig, schema: Schema | None = None, progress: Progress | None = None) -> DayLog:
    """Open a log, find its days, and check the labels of all days and the settings. Problems raise :class:`InputError`."""
    config = progressive_settings(config)
    sources, schema = open_log(log, config, schema)
    name = sources.name
    if sources.folder is not None:
        raise InputError(f"{name}: a data set with parts of its own. Training day by day reads a log in one piece.")
    if schema.time is None:
        raise InputError(
            f"{setting('split', 'progressive')}: the schema names no time column. Write 'time: COLUMN' in the schema, or name it "
            f"with {setting('time', 'COLUMN')}."
        )
    check_columns(sources, schema)
    fingerprint, labels = TableFingerprint(), _DayLabels(schema)

    def observe(location: str, batch: Any, value_B: np.ndarray) -> None:
        fingerprint.add(batch)
        labels.add(*encode_labels(schema, batch, location), value_B)

    days = find_days(sources.train, schema.time, part_columns(schema, "train"), observe)
    if len(days) < 2:
        raise InputError(f"{name}: all rows are of one day ({days.names[0]}). Training day by day needs two days or more.")
    raise_all(labels.problems(name, days))
    table = fingerprint.record("train", sources.train)
    if table.files:
        last = {path for piece, values in days.pieces if values == {days.values[-1]} for path in piece.files()}
        table = table.model_copy(update={"files": {path: size for path, size in table.files.items() if path not in last}})
    record = LogRecord.of([table])
    if progress is not None:
        progress.say(f"{count_of(len(days), 'day')} from {days.names[0]} to {days.names[-1]}; the last one trains nothing")
    found = DayLog(sources, schema, days, record, config)
    raise_all(unread_rank(config, days.rows[0]))
    first = next(iter(found.encoded()))
    parts = {"train": first.train, "valid": first.judged, "test": first.judged}
    raise_all(problems_of(EncodedLog(name, first.encoder, {**parts}), config.for_rows(days.rows[0])))
    return found


class _DayLabels:
    """Counts the labels of each day."""

    def __init__(self, schema: Schema):
        self.schema = schema
        self.by_day: dict[float, list[LabelCounts]] = {}

    def add(self, label_BT: np.ndarray, weight_BT: np.ndarray, value_B: np.ndarray) -> None:
        for value in np.unique(value_B).tolist():
            counts = self.by_day.setdefault(value, [LabelCounts() for _ in self.schema.tasks])
            inside_B = value_B == value
            for t, count in enumerate(counts):
                count.add(label_BT[inside_B, t], weight_BT[inside_B, t], LabelScale())

    def problems(self, name: str, days: LogDays) -> list[str]:
        """Tasks that no day trains, and numbers whose scale the first day cannot give."""
        trained = [self.by_day[value] for value in days.values[:-1]]
        total = [LabelCounts() for _ in self.schema.tasks]
        for counts in trained:
            for whole, count in zip(total, counts, strict=True):
                whole.rows += count.rows
                whole.smallest, whole.largest = min(whole.smallest, count.smallest), max(whole.largest, count.largest)
        found = label_problems(
            self.schema, {"train": sum(days.rows[:-1])}, {"train": total}, {"train": f"{name}, all days but the last"}
        )
        return found + [
            f"{name}: task {task.name!r} has {'no label' if not count.rows else 'one label value alone'} on the first day "
            f"({days.names[0]}), which its scale is fitted on. Leave this day out, or give it more rows."
            for task, count, whole in zip(self.schema.tasks, trained[0], total, strict=True)
            if task.kind == "regression" and (not count.rows or count.constant) and not whole.constant
        ]
