"""Warnings that follow from counts of an encoded log: rare labels, unseen ids, features that number rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from manygate.data.inference.role_words import INDEXES
from manygate.data.inference.sampled_column import percent
from manygate.data.log_rows import LogRows
from manygate.data.rows import UNKNOWN_ROW
from manygate.errors import InputError
from manygate.metrics.power import FEWEST_TO_JUDGE, auc_known_to
from manygate.results.evaluation import DataSummary, DataWarning, FeatureSummary, LabelSummary
from manygate.schema import Schema
from manygate.text import listed

LEVELS = ("serious", "warning", "note")
UNSEEN_SERIOUS, UNSEEN_WARNING, UNSEEN_NOTE = 0.5, 0.2, 0.05
UNLIKE_PARTS = 0.1
"""The difference between the shares of unseen ids on validation and on test from which there is a warning."""
PART_WORDS = {"train": "training", "valid": "validation", "test": "test"}


def by_severity(warnings: Iterable[DataWarning | str]) -> list[DataWarning]:
    """The warnings, the most severe first; a plain text is a warning.

    >>> [str(warning) for warning in by_severity(["b", DataWarning(level="serious", text="a")])]
    ['a', 'b']
    """
    typed = [_typed(entry) if isinstance(entry, str) else entry for entry in warnings]
    return sorted(typed, key=lambda warning: LEVELS.index(warning.level))


def _typed(text: str) -> DataWarning:
    """A text as a warning, with flags in place of marked settings."""
    return DataWarning(level="warning", text=InputError(text).for_command_line())


def unseen_shares(schema: Schema, rows: LogRows) -> dict[str, float]:
    """The share of rows (of a bag: of ids) with an id that training had not seen, or not often enough."""
    names = [feature.name for kind in ("sparse", "bag") for feature in schema.features if feature.kind == kind]
    single = sum(feature.kind == "sparse" for feature in schema.features)
    unseen, counts = np.zeros(len(names), dtype=np.int64), np.zeros(len(names), dtype=np.int64)
    for chunk in rows.chunks() if names else ():
        for f, id_n in enumerate([*chunk.id_BS.T[:single], *(id_n for id_n, _ in chunk.bags)]):
            unseen[f] += np.count_nonzero(id_n == UNKNOWN_ROW)
            counts[f] += len(id_n)
    return {name: float(unseen[f] / counts[f]) for f, name in enumerate(names) if counts[f]}


def data_alarms(summary: DataSummary) -> list[DataWarning]:
    """What the counts of a log say about what can be learnt and judged from it."""
    warnings = [warning for name, parts in summary.tasks.items() for warning in _rare_labels(name, parts)]
    warnings += [warning for feature in summary.features for warning in _unseen(feature)]
    return warnings + [
        DataWarning(
            level="warning",
            column=feature.name,
            text=f"feature {feature.name!r} is an index that numbers the rows. Take it out of the schema: what a model learns from "
            "it holds for no other row.",
        )
        for feature in summary.features
        if INDEXES.fullmatch(feature.name)
    ]


def _rare_labels(task: str, parts: Mapping[str, LabelSummary]) -> Iterator[DataWarning]:
    """A task with few rows of a label cannot be judged on test, nor its best epoch chosen on validation."""
    for part in ("test", "valid"):
        labels = parts.get(part)
        if labels is None or not labels.rows:
            continue
        rarer, counted = labels.rarer
        within = ""
        if labels.positives is not None:
            counted += f" among {labels.rows:,} labelled rows"
            within = f" With so few an AUC of 0.6 is known to about ± {auc_known_to(rarer):.2f}."
        if rarer >= FEWEST_TO_JUDGE:
            continue
        if part == "test":
            text = f"this task cannot be judged.{within} Give test more rows, or a longer period."
            yield DataWarning(level="serious", task=task, text=f"task {task!r} has {rarer} {counted} on test: {text}")
        else:
            text = "its best epoch is chosen largely by luck. Give validation more rows."
            yield DataWarning(level="warning", task=task, text=f"task {task!r} has {rarer} {counted} on validation: {text}")


def _unseen(feature: FeatureSummary) -> Iterator[DataWarning]:
    """Unseen ids of validation and test rows, with the share of training rows beside them, and parts that differ much in them."""
    known = feature.unknown_shares or {}
    of = "ids" if feature.kind == "bag" else "rows"
    shares = {part: share for part, share in known.items() if share >= UNSEEN_NOTE and part != "train"}
    if not shares:
        return
    largest = max(shares.values())
    parts = listed([f"{percent(share)} of {PART_WORDS[part]} {of}" for part, share in shares.items()])
    has = "are ids" if feature.kind == "bag" else "have an id"
    beside = f" Of the training {of}, {percent(known['train'])} are so." if "train" in known else ""
    yield DataWarning(
        level="serious" if largest >= UNSEEN_SERIOUS else "warning" if largest >= UNSEEN_WARNING else "note",
        column=feature.name,
        text=f"feature {feature.name!r}: {parts} {has} that training has not seen, or too rarely.{beside} There the model "
        "knows no more than that the id is new.",
    )
    valid, test = known.get("valid", 0.0), known.get("test", 0.0)
    if {"valid", "test"} <= known.keys() and abs(valid - test) >= UNLIKE_PARTS:
        yield DataWarning(
            level="warning",
            column=feature.name,
            text=f"feature {feature.name!r}: {percent(valid)} of the validation {of} and {percent(test)} of the test {of} "
            f"{'are' if feature.kind == 'bag' else 'have'} unseen ids. So what validation chooses, the epoch and the architecture, "
            "may not be the best for test. Choose validation rows that are about as far from training as the test rows.",
        )
