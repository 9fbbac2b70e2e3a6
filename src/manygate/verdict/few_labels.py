"""This module says which undecided tasks have too few labels on test for any answer: no replica and no model makes up for rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from manygate.metrics.power import FEWEST_TO_JUDGE, auc_known_to
from manygate.results.evaluation import LabelSummary
from manygate.text import listed

Labels = Mapping[str, Mapping[str, LabelSummary]]
"""The labels by task and part of the data."""
MANY_TO_JUDGE = 800
"""A number of rows of the rarer label that tells an AUC well enough for most purposes."""


def too_few(labels: Labels, undecided: Collection[str]) -> list[str]:
    """List the undecided tasks with fewer than :data:`manygate.metrics.power.FEWEST_TO_JUDGE` test rows of the rarer label."""
    return [task for task in undecided if task in labels and labels[task]["test"].rarer[0] < FEWEST_TO_JUDGE]


def headline_words(labels: Labels, tasks: Collection[str]) -> str:
    """Write that there is no answer for some tasks, with their numbers of labels; nothing without such a task."""
    if not tasks:
        return ""
    counts, words = zip(*(labels[task]["test"].rarer for task in tasks), strict=True)
    same = len(set(words)) == 1
    numbers = f"{listed([f'{count:,}' for count in counts])} {words[0]}" if same else ""
    numbers = numbers or listed([f"{count:,} {word}" for count, word in zip(counts, words, strict=True)])
    return f"There is no answer for {listed([*tasks])}, which {'has' if len(tasks) == 1 else 'have'} {numbers} on test."


def change_words(labels: Labels, task: str) -> str:
    """Write how much a task's labels tell, what many would tell, and that more could change what is said of it."""
    parts = labels[task]
    count, word = parts["test"].rarer
    whole = sum(_count(part, word) for part in parts.values())
    known = ""
    if parts["test"].positives is not None:
        now, then = (f"to about ± {auc_known_to(rarer):.2f}" for rarer in (count, MANY_TO_JUDGE))
        known = f": with so few an AUC of 0.6 is known {now}, with {MANY_TO_JUDGE} {then}"
    return f"{task} has {count:,} {word} on test, and {whole:,} in the whole log{known}. More could change what is said of it."


def _count(labels: LabelSummary, word: str) -> int:
    """Return the number of the part's rows that a word names."""
    positives = labels.positives or 0
    return {"positives": positives, "negatives": labels.rows - positives}.get(word, labels.rows)
