"""This module builds alarms and the phrases that several alarms use.

An alarm's ``severity`` is ``serious`` (a part of the model or of the data is useless), ``warning`` (look into it) or ``note`` (it
need not be a fault). The text counts replicas, experts and levels from 1; ``numbers`` counts them from 0.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, TypeVar

from pydantic import JsonValue

from manygate.results.base import Record
from manygate.results.inspection import Alarm, GateUse, SeenGates, Severity

SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")
Entry = TypeVar("Entry")
Use = tuple[SeenGates, GateUse]
"""A level of a replica, and the gate of a task at this level."""


def alarm(kind: str, severity: Severity, title: str, message: str, advice: str, **numbers: Any) -> Alarm:
    """Build an alarm; ``numbers`` may hold records."""
    sentence = message[:1].upper() + message[1:]
    plain = {name: to_plain(value) for name, value in numbers.items()}
    return Alarm(kind=kind, severity=severity, title=title, message=sentence, numbers=plain, advice=advice)


def to_plain(value: Any) -> Any:
    """Convert a number, a record or a list of records to JSON values."""
    if isinstance(value, Record):
        return value.to_tree()
    return [to_plain(part) for part in value] if isinstance(value, list) else value


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def grouped(entries: list[Entry], key: Callable[[Entry], str]) -> list[tuple[str, list[Entry]]]:
    """Group entries by their key; the groups come in the order in which their keys first appear."""
    order = {name: index for index, name in enumerate(dict.fromkeys(map(key, entries)))}
    ranked = sorted(entries, key=lambda entry: order[key(entry)])
    return [(name, list(group)) for name, group in groupby(ranked, key)]


def level_name(replica: int, level: str) -> str:
    """Name a replica and its level; the level is left out if the model has only one."""
    return f"replica {replica + 1}{'' if level == 'experts' else f', {level}'}"


def level_words(uses: list[Use], words: Callable[[GateUse], str]) -> str:
    """Write each level, followed by ``words`` about a task's gate at this level."""
    return "; ".join(f"{level_name(entry.replica, entry.level)} {words(use)}" for entry, use in uses)


def top_expert(use: GateUse) -> str:
    """Write the expert with the largest mean weight, and this weight."""
    best = max(use.mean)
    return f"expert {use.mean.index(best) + 1} ({percent(best)})"


def on_own_expert(entry: SeenGates, use: GateUse) -> bool:
    """Return whether a gate gives the largest mean weight to an expert that no other task may use, although it sees several."""
    best = use.mean.index(max(use.mean))
    others = [other for other in entry.tasks if other is not use]
    return len(use.sees) > 1 and bool(others) and not any(best in other.sees for other in others)


def polarised_rows(use: GateUse) -> str:
    """Write the share of polarised rows."""
    return f"{percent(use.polarised or 0.0)} of rows"


def numbered(noun: str, indices: list[int]) -> str:
    """Write a noun with numbers that count from 1.

    >>> numbered("expert", [0, 2])
    'experts 1 and 3'
    """
    shown = [str(index + 1) for index in indices]
    return f"{noun} {shown[0]}" if len(shown) == 1 else f"{noun}s {', '.join(shown[:-1])} and {shown[-1]}"


def named(part: str) -> str:
    return part if part in ("experts", "towers") or part.startswith("shared") else f"the {part}" if " " not in part else part


def gate_numbers(entry: SeenGates, use: GateUse) -> JsonValue:
    """Return the numbers of a gate that go into an alarm."""
    best = max(use.mean)
    return {
        "replica": entry.replica,
        "level": entry.level,
        "expert": use.mean.index(best),
        "weight": best,
        "entropy_share": use.entropy_share,
        "polarised": use.polarised,
    }
