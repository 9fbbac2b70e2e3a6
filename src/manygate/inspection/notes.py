"""The rules of this module raise notes: alarms about facts that a user may want to know and that are no faults."""

from __future__ import annotations

from collections.abc import Iterator

from manygate.inspection.alarms import alarm, gate_numbers, grouped, level_name, level_words, on_own_expert, top_expert
from manygate.inspection.thresholds import CHANCE_ERRORS, COLLAPSED_WEIGHT, FEWEST_ROWS, SAME_MIXTURE
from manygate.results.inspection import Alarm, Inspection
from manygate.text import count_of, decimals


def own_experts_only(inspection: Inspection) -> Iterator[Alarm]:
    """Raise a note for each task whose gate gives nearly all weight to the task's own expert, which PLE allows."""
    uses = [(entry, use) for entry in inspection.gates or [] for use in entry.tasks]
    alone = [(entry, use) for entry, use in uses if max(use.mean) > COLLAPSED_WEIGHT and on_own_expert(entry, use)]
    for task, group in grouped(alone, lambda pair: pair[1].task):
        yield alarm(
            "own_expert_only",
            "note",
            f"{task} uses hardly any shared expert",
            f"Its gate gives nearly all weight to an expert of this task alone: {level_words(group, top_expert)}.",
            "This is no fault: the shared experts have little to give to the task. More --task-experts may help it.",
            task=task,
            gates=[gate_numbers(entry, use) for entry, use in group],
        )


def same_mixtures(inspection: Inspection) -> Iterator[Alarm]:
    """Raise a note for each pair of tasks whose gates are alike."""
    alike = [
        (entry, pair)
        for entry in inspection.gates or []
        if any(pair.by_row for pair in entry.distances)  # else the tasks share one gate
        for pair in entry.distances
        if pair.of_means < SAME_MIXTURE and (pair.by_row or 0.0) < SAME_MIXTURE
    ]
    for pair, group in grouped(alike, lambda level_and_pair: " and ".join(level_and_pair[1].tasks)):
        where = "; ".join(level_name(entry.replica, entry.level) for entry, _ in group)
        yield alarm(
            "same_mixture",
            "note",
            f"{pair} use the same mixture",
            f"The total variation between their gates is below {SAME_MIXTURE:g}: {where}.",
            "This is no fault: a single gate (omoe) or a shared bottom may do as well.",
            gates=[{"replica": entry.replica, "level": entry.level, **pair.to_tree()} for entry, pair in group],
        )


def few_rows(inspection: Inspection) -> Iterator[Alarm]:
    """Raise a note that replaces most alarms when there are too few rows."""
    yield alarm(
        "few_rows",
        "note",
        "Too few rows to look for faults",
        f"The inspection read {count_of(inspection.rows, 'row')}. It judges gates and units from {FEWEST_ROWS} rows on.",
        "Give a larger log, or a larger --rows.",
        rows=inspection.rows,
    )


def lonely_tasks(inspection: Inspection) -> Iterator[Alarm]:
    """Raise a note for each task whose gradient steps help no other task."""
    entries = [affinity for affinity in inspection.affinity or [] if affinity.of != affinity.on]
    known = [affinity for affinity in entries if affinity.se is not None]
    for task, group in grouped(known, lambda affinity: affinity.of):
        if all(affinity.se is not None and affinity.mean + CHANCE_ERRORS * affinity.se < 0 for affinity in group):
            effects = ", ".join(f"{affinity.on} {_percent(affinity.mean)}" for affinity in group)
            yield alarm(
                "helps_no_task",
                "note",
                f"A step for {task} helps no other task",
                f"After a small step along its gradient, the loss of every other task rises: {effects}.",
                "If the others lose by sharing with it, train it in a separate model.",
                task=task,
                on=group,
            )


def _percent(fall: float) -> str:
    """Write the rise of a loss that fell by a negative share."""
    rise = -100 * fall
    return f"{rise:+{decimals(abs(rise), 2)}} %"
