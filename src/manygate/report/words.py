"""This module reads names and verdicts from a comparison, and writes the sentence that answers the user's question."""

from __future__ import annotations

from manygate.metrics.table import MAIN_METRIC, metric_label
from manygate.metrics.task import Kind
from manygate.results.comparison import ComparisonDocument, TaskGain
from manygate.text import count_of, listed
from manygate.verdict.outside import headline_words
from manygate.verdict.transfer import sure

CLASSES = {1: "helps", -1: "hurts", 0: "unsure"}
"""The class of a gain in the page's style sheet, by the side of zero on which its joint interval lies."""


def architectures(document: ComparisonDocument) -> list[str]:
    """List the architectures that have results, in the document's order."""
    return [name for name in document.architectures if name in document.results]


def task_names(document: ComparisonDocument) -> list[str]:
    """List the tasks that have results, in the order of the first architecture."""
    return list(dict.fromkeys(task for name in architectures(document) for task in document.results[name].tasks))


def task_kind(document: ComparisonDocument, task: str) -> Kind:
    """Return ``binary`` or ``regression``."""
    reports = (result.tasks.get(task) for result in document.results.values())
    return next((report.kind for report in reports if report), "binary")


def main_metric(document: ComparisonDocument, task: str) -> str:
    """Return the metric that verdicts and learning curves use for a task."""
    for verdicts in document.verdicts.values():
        if task in verdicts:
            return verdicts[task].metric
    return MAIN_METRIC[task_kind(document, task)]


def chosen(document: ComparisonDocument) -> str | None:
    """Return the architecture that validation chose, if there was a choice."""
    return document.best.architecture if document.best else None


def judged(document: ComparisonDocument) -> list[str]:
    """List the architectures that have verdicts: the chosen architecture first, then the others in order."""
    names = [name for name in architectures(document) if document.verdicts.get(name)]
    return sorted(names, key=lambda name: name != chosen(document))


def outcome(document: ComparisonDocument, name: str, task: str) -> str:
    """Return a verdict, with "likely" before it if ``ci95`` does not contain zero but the joint interval does.

    The joint intervals hold for the whole table of models and tasks at once, and ``ci95`` for one cell alone.
    """
    entry = document.verdicts[name][task]
    if document.transfer is None or entry.verdict == "cannot tell":
        return entry.verdict
    gain = document.transfer.gains.get(name, {}).get(task, {}).get(entry.metric)
    if gain is None:
        return entry.verdict
    return entry.verdict if sure(gain) else f"likely {entry.verdict}"


def priced(document: ComparisonDocument) -> bool:
    """Return True if the one checkpoint of some model costs a task something, or gains it something by chance."""
    return any(entry.price for by_task in (document.price or {}).values() for entry in by_task.values())


def as_shipped(document: ComparisonDocument, name: str, task: str) -> TaskGain | None:
    """Return a task's gain with the checkpoint that is kept, where the price of one checkpoint is not zero."""
    price = (document.price or {}).get(name, {}).get(task)
    return (document.as_shipped or {}).get(name, {}).get(task) if price is not None and price.price else None


def headline(document: ComparisonDocument) -> str:
    """Write the answer in plain text: how sharing did, and where a model from outside is ahead of the chosen network."""
    against = document.against_baselines
    return f"{_answer(document)} {headline_words(against.gains, against.model) if against else ''}".strip()


def _answer(document: ComparisonDocument) -> str:
    """Write the answer in a sentence of plain text: that of the recommendation, if there is one."""
    if document.recommendation is not None and document.recommendation.headline:
        return document.recommendation.headline
    names, best, baseline = architectures(document), chosen(document), document.baseline
    if not names:
        return "There are no results yet."
    if best is not None and best == baseline and judged(document):
        keep = "Keep one model per task: " if baseline == "single_task" else ""
        return f"{keep}{best} did best on validation."
    if best in judged(document):
        return _outcome(document, str(best))
    if judged(document):
        return " ".join(_outcome(document, name) for name in judged(document))
    if best is not None and len(names) > 1:
        return f"{best} did best on validation, of {len(names)} architectures."
    if len(names) > 1:
        return f"{len(names)} architectures were trained; validation chose none of them."
    return _scores(document, names[0])


def _outcome(document: ComparisonDocument, name: str) -> str:
    """Write how many tasks an architecture helps and hurts, compared with the baseline."""
    verdicts, baseline = document.verdicts[name], document.baseline
    helped = [task for task in verdicts if outcome(document, name, task) == "helps"]
    hurt = [task for task in verdicts if outcome(document, name, task) == "hurts"]
    subject, tail = ("Sharing", f" with {name}") if baseline == "single_task" else (name, f" against {baseline}")
    if len(verdicts) == 1:
        (task,) = verdicts
        verb = "helps" if helped else "hurts" if hurt else "makes no clear difference to"
        return f"{subject} {verb} {task}{tail}."
    total = count_of(len(verdicts), "task")
    if len(helped) == len(verdicts):
        return f"{subject} helps all {total}{tail}."
    if not helped and not hurt:
        return f"{subject} makes no clear difference to any of {total}{tail}."
    harm = f" and hurts {len(hurt)} ({listed(hurt)})" if 0 < len(hurt) < 3 else f" and hurts {len(hurt)}" if hurt else ""
    return f"{subject} helps {len(helped) or 'none'} of {total}{tail}{harm or '; none is clearly hurt'}."


def _scores(document: ComparisonDocument, name: str) -> str:
    """Write the main metrics of an architecture on the test rows."""
    scores: dict[str, list[tuple[float, str]]] = {}
    for task, report in document.results[name].tasks.items():
        key = main_metric(document, task)
        summary = report.metrics.get(key)
        if summary is not None and summary.mean is not None:
            scores.setdefault(key, []).append((summary.mean, task))
    if not scores:
        return f"{name} was trained; its main metrics are undefined on the test rows."
    if sum(map(len, scores.values())) <= 3:
        parts = [f"{metric_label(key)} {value:.3f} for {task}" for key, values in scores.items() for value, task in values]
    else:
        parts = [_range(metric_label(key), values) for key, values in scores.items()]
    days = document.results[name].days
    return f"{name} reaches {listed(parts)} on {f'the last day, {days[-1].day}' if days else 'the test rows'}."


def _range(label: str, values: list[tuple[float, str]]) -> str:
    (low, worst), (high, top) = min(values), max(values)
    return f"{label} {low:.3f} for {worst}" if len(values) == 1 else f"{label} from {low:.3f} ({worst}) to {high:.3f} ({top})"
