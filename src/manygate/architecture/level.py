"""Levels of experts, each task's own and shared ones: what CGC, PLE, AdaTT and STEM are made of, and how they are wired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from manygate.config import ModelConfig
from manygate.errors import InputError, setting
from manygate.layers.mixture import Group, Mixture, MixtureSettings
from manygate.text import count_of

Value = TypeVar("Value")


@dataclass(frozen=True)
class Level:
    """The experts of one level: how many each task has of its own, how many are shared, and their hidden widths.

    ``task_hidden`` has one entry a task where its own experts have other widths than the shared ones; all end in the same width.
    """

    task_experts: tuple[int, ...]
    shared_experts: int
    hidden: tuple[int, ...]
    task_hidden: tuple[tuple[int, ...], ...] = ()

    def groups(self) -> list[Group]:
        """Each task's own experts, then the shared ones."""
        task_hidden = self.task_hidden or (self.hidden,) * len(self.task_experts)
        return [
            *(Group(n, h) for n, h in zip(self.task_experts, task_hidden, strict=True)),
            Group(self.shared_experts, self.hidden),
        ]

    def seen(self) -> list[tuple[int, ...]]:
        """The experts of each task's gate: its own and the shared ones."""
        total, start, sees = sum(self.task_experts), 0, []
        for count in self.task_experts:
            sees.append((*range(start, start + count), *range(total, total + self.shared_experts)))
            start += count
        return sees

    @property
    def experts(self) -> int:
        return sum(self.task_experts) + self.shared_experts


def mixtures(
    inputs: int,
    levels: Sequence[Level],
    sees: Sequence[Sequence[tuple[int, ...]]],
    settings: MixtureSettings,
    dense: bool = False,
) -> list[Mixture]:
    """A :class:`Mixture` for each level; those above the first read what the level below gives to each unit.

    ``sees`` is as in :func:`wiring`.
    """
    widths = [inputs, *(level.hidden[-1] for level in levels)]
    wired = wiring(levels, sees, own_gate_input=bool(settings.gate_columns))
    return [Mixture(widths[j], groups, gates, settings, own_inputs=j > 0, dense=dense) for j, (groups, gates) in enumerate(wired)]


def wiring(
    levels: Sequence[Level], sees: Sequence[Sequence[tuple[int, ...]]], own_gate_input: bool
) -> list[tuple[list[Group], list[tuple[int, ...]]]]:
    """The groups and gates of each level, without what nothing reads.

    A level has a unit for each task and a shared one; ``sees[j][u]`` lists the experts that unit u's gate mixes at level j. What
    unit u gives is read if it is a task's at the last level, or if unit u of the next level has experts, or a gate that reads it
    (no ``own_gate_input``), chooses (it sees two experts or more) and is itself read. A task's unit that is not read keeps its
    place, with a gate that sees nothing; a shared one is left out.
    """
    tasks = len(levels[0].task_experts)
    read = [True] * tasks + [False]
    wired: list[tuple[list[Group], list[tuple[int, ...]]]] = []
    for level, seen in zip(reversed(levels), reversed(sees), strict=True):
        gates = [seen[u] if read[u] else () for u in range(tasks)] + ([seen[tasks]] if read[tasks] else [])
        groups = level.groups()
        read = [group.experts > 0 or (not own_gate_input and read[u] and len(seen[u]) > 1) for u, group in enumerate(groups)]
        wired.append((groups if read[tasks] else groups[:-1], gates))
    return wired[::-1]


def check_levels(levels: Sequence[Level]) -> None:
    """Raise an :class:`InputError` where a task has no expert to mix."""
    for j, level in enumerate(levels):
        lonely = [str(t) for t, seen in enumerate(level.seen()) if not seen]
        if lonely:
            raise InputError(
                f"{setting('task_experts')}, {setting('shared_experts')}: level {j + 1} "
                f"leaves task {', '.join(lonely)} (counted from 0) without any expert. "
                "Give it one of its own, or share one."
            )


def check_experts(levels: Sequence[Level]) -> None:
    """Raise an :class:`InputError` where a level has no expert at all."""
    for j, level in enumerate(levels):
        if not level.experts:
            raise InputError(
                f"{setting('task_experts')}, {setting('shared_experts')}: level {j + 1} has no expert. Give it at least one."
            )


def levels_of(tasks: int, config: ModelConfig, count: int, shared: int | None = None) -> list[Level]:
    """A run's settings as levels. Half of ``experts`` are shared and the tasks divide the rest, unless the settings say otherwise;
    ``shared`` is the number shared where neither says. A scheme of one level reads the first level's settings.
    """
    if config.shared_experts is not None:
        shares = spread("shared_experts", config.shared_experts[: 1 if count == 1 else None], count, "level")
    else:
        shares = (config.experts // 2 if shared is None else shared,) * count
    task_experts = [(max((config.experts - shares[0]) // tasks, 1),) * tasks] * count
    if config.task_experts is not None:
        rows = spread("task_experts", config.task_experts[: 1 if count == 1 else None], count, "level")
        task_experts = [spread("task_experts", row, tasks, "task") for row in rows]
    task_hidden = (
        () if config.task_expert_hidden is None else spread("task_expert_hidden", config.task_expert_hidden, tasks, "task")
    )
    return [
        Level(tuple(o), s, tuple(h), tuple(tuple(w) for w in task_hidden))
        for o, s, h in zip(task_experts, shares, config.hidden_of_levels(count), strict=True)
    ]


def spread(setting: str, given: Sequence[Value], count: int, what: str) -> tuple[Value, ...]:
    """One value for each level or task; a single one serves all."""
    if len(given) == 1:
        return tuple(given) * count
    if len(given) != count:
        raise InputError(
            f"{setting}: {count_of(len(given), 'value')} for {count_of(count, what)}, found {list(given)}. Give one, or {count}."
        )
    return tuple(given)
