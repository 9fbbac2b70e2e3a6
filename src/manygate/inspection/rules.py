"""What is wrong, in plain words: each rule reads what was measured, and raises alarms by the thresholds beside this file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from manygate.inspection.alarms import (
    SEVERITIES,
    alarm,
    gate_numbers,
    grouped,
    level_name,
    level_words,
    named,
    numbered,
    on_own_expert,
    percent,
    polarised_rows,
    top_expert,
)
from manygate.inspection.notes import few_rows, lonely_tasks, own_experts_only, same_mixtures
from manygate.inspection.thresholds import (
    CHANCE_ERRORS,
    COLLAPSED_RANK,
    COLLAPSED_WEIGHT,
    CONFLICT,
    CONFLICT_BATCHES,
    DEAD_UNITS,
    FEWEST_DIMENSIONS,
    FEWEST_ROWS,
    IDENTICAL,
    MOSTLY_ZERO,
    POLARISED_ROWS,
    POLARISED_WEIGHT,
    UNUSED_WEIGHT,
)
from manygate.metrics.table import metric_label
from manygate.results.inspection import Alarm, Inspection
from manygate.text import count_of


def collapsed_gates(found: Inspection) -> Iterator[Alarm]:
    """A task whose gate gives nearly all weight to one expert, on most rows."""
    uses = [(entry, use) for entry in found.gates or [] for use in entry.tasks if use.polarised is not None]
    for task, group in grouped(uses, lambda pair: pair[1].task):
        group = [(entry, use) for entry, use in group if not on_own_expert(entry, use)]
        fallen = [(entry, use) for entry, use in group if max(use.mean) > COLLAPSED_WEIGHT]
        split = [(e, u) for e, u in group if (u.polarised or 0.0) > POLARISED_ROWS and max(u.mean) <= COLLAPSED_WEIGHT]
        if fallen:
            yield alarm(
                "collapsed_gate",
                "serious",
                f"The gate of {task} has collapsed",
                f"It gives nearly all its weight to one expert: {level_words(fallen, top_expert)}. The task has in effect "
                "one expert, and the others learn nothing from it.",
                "Try --gate-dropout 0.1 (Zhao et al. 2019), a --temperature of 2 or more, a smaller --learning-rate, or "
                "--importance-weight 0.1.",
                task=task,
                gates=[gate_numbers(entry, use) for entry, use in fallen],
            )
        if split and found.gate == "softmax":
            yield alarm(
                "polarised_gate",
                "warning",
                f"The gate of {task} is polarised",
                f"On most rows a single expert has more than {percent(POLARISED_WEIGHT)} of the weight: "
                f"{level_words(split, polarised_rows)}. Which one differs from row to row.",
                "That may be what you want (--gate topk does it on purpose and saves time). If not: --gate-dropout 0.1, or a "
                "--temperature of 2 or more.",
                task=task,
                gates=[gate_numbers(entry, use) for entry, use in split],
            )


def unused_experts(found: Inspection) -> Iterator[Alarm]:
    """Experts that no task uses."""
    idle = [entry for entry in found.gates or [] if entry.unused]
    if idle:
        most = max(entry.unused_share or 0.0 for entry in idle)
        told = "; ".join(f"{level_name(entry.replica, entry.level)} {numbered('expert', entry.unused)}" for entry in idle)
        yield alarm(
            "unused_expert",
            "serious" if most >= 0.5 else "warning",
            "Experts that no task uses",
            f"Their mean weight is below {UNUSED_WEIGHT:g} in every task's gate that may use them: {told}. They cost time and "
            "memory, and change little.",
            "Train with fewer --experts, or keep them in use: --gate-dropout 0.1, --importance-weight 0.1.",
            levels=[{"replica": entry.replica, "level": entry.level, "experts": entry.unused} for entry in idle],
        )


def dead_units(found: Inspection) -> Iterator[Alarm]:
    """Networks most of whose units are zero on every row, or nearly always."""
    if found.dead is None:
        return
    gone = {(tower.replica, f"tower of {tower.task}") for tower in found.dead.towers}
    networks = [
        (layer, network)
        for layer in found.dead.layers
        for network in layer.networks
        if network.dead >= DEAD_UNITS or network.zeros > MOSTLY_ZERO
        if (layer.replica, network.name) not in gone
    ]
    for part, group in grouped(networks, lambda layer_and_network: layer_and_network[0].part):
        told = "; ".join(
            f"replica {layer.replica + 1}, {network.name}: {percent(network.dead)} of {network.units} units are zero on every row, "
            f"{percent(network.zeros)} of all its outputs"
            for layer, network in group[:6]
        )
        more = f"; and {len(group) - 6} more" if len(group) > 6 else ""
        yield alarm(
            "dead_units",
            "serious" if any(network.dead > MOSTLY_ZERO for _, network in group) else "warning",
            f"Dead units in {named(part)}",
            f"{told}{more}. What is zero on every row learns no more (HoME saw more than {percent(MOSTLY_ZERO)} of zeros in "
            "collapsed experts).",
            "Try --expert-norm (HoME's remedy: normalised experts with Swish), a smaller --learning-rate, --clip-norm 1, or "
            "--warmup 0.05.",
            networks=[
                {"replica": layer.replica, "part": layer.part, "layer": layer.layer, **network.to_tree()}
                for layer, network in group
            ],
        )


def dead_towers(found: Inspection) -> Iterator[Alarm]:
    """Tasks that get the same prediction on every row."""
    for task, group in grouped(found.dead.towers if found.dead else [], lambda tower: tower.task):
        why = "; ".join(f"replica {tower.replica + 1}: {tower.why}" for tower in group)
        yield alarm(
            "dead_tower",
            "serious",
            f"The tower of {task} is dead",
            f"It predicts the same for every row ({why}).",
            "Train again with another --seed, a smaller --learning-rate, --clip-norm 1, or wider --tower-hidden.",
            task=task,
            towers=group,
        )


def identical_experts(found: Inspection) -> Iterator[Alarm]:
    """Experts of one level that give the same outputs."""
    pairs = [
        (entry, a, b)
        for entry in found.experts or []
        for a, row in enumerate(entry.cka)
        for b, cka in enumerate(row[:a])
        if (cka or 0) > IDENTICAL and (entry.cosine[a][b] or 0) > IDENTICAL
    ]
    if pairs:
        told = "; ".join(f"{level_name(entry.replica, entry.level)} {numbered('expert', [b, a])}" for entry, a, b in pairs[:6])
        more = f"; and {len(pairs) - 6} more pairs" if len(pairs) > 6 else ""
        yield alarm(
            "identical_experts",
            "warning",
            "Experts that do the same",
            f"Their outputs agree on every row looked at (linear CKA and cosine above {IDENTICAL:g}): {told}{more}. One of them "
            "would do.",
            "Train with fewer --experts, or set them apart: --dropout, another --seed, a larger --learning-rate at the start.",
            pairs=[
                {
                    "replica": entry.replica,
                    "level": entry.level,
                    "experts": [a, b],
                    "cka": entry.cka[a][b],
                    "cosine": entry.cosine[a][b],
                }
                for entry, a, b in pairs
            ],
        )


def noise_tasks(found: Inspection) -> Iterator[Alarm]:
    """Tasks that are predicted no better than by chance."""
    for task in found.noise or []:
        if task.verdict == "better":
            continue
        noise = task.verdict == "noise"
        value = "undefined"
        if task.value is not None and task.se is not None:
            value = f"{metric_label(task.metric)} {task.value:.4f} ± {CHANCE_ERRORS * task.se:.4f}"
        yield alarm(
            "noise_task" if noise else "too_few_rows",
            "serious" if noise else "note",
            f"{task.task} is predicted no better than by chance" if noise else f"Too few rows to judge {task.task}",
            f"On its {count_of(task.rows, 'row')}: {value}, and chance is {task.chance:g}. "
            + (
                "Its labels look like noise to this model, and what it teaches the shared layers may disturb the other tasks."
                if noise
                else "With so few rows a fair model could look like chance."
            ),
            "Check the label's column, its where and its delay; if nothing is wrong, drop the task or lower its weight."
            if noise
            else "Look at more rows: a larger log, or a larger --rows.",
            **task.to_tree(),
        )


def conflicts(found: Inspection) -> Iterator[Alarm]:
    """Pairs of tasks that pull shared parameters apart."""
    strong = [one for one in found.conflict or [] if one.mean < CONFLICT and one.below_zero >= CONFLICT_BATCHES]
    for pair, group in grouped(strong, lambda one: " and ".join(one.tasks)):
        told = ", ".join(f"{one.layer} {one.mean:.2f}" for one in group)
        yield alarm(
            "conflict",
            "warning",
            f"{pair} pull against each other",
            f"Their gradients point apart on nearly every batch; mean cosine by layer: {told}.",
            "Give tasks experts of their own (--architecture ple), more --task-experts, or embeddings of their own (stem); "
            "see what each gains alone with manygate compare.",
            layers=group,
        )


def collapsed_embeddings(found: Inspection) -> Iterator[Alarm]:
    """Tables that lie in a few of their dimensions."""
    fallen = [
        one
        for one in found.embeddings or []
        if one.possible >= FEWEST_DIMENSIONS and max(one.plain.share or 0.0, one.by_use.share or 0.0) < COLLAPSED_RANK
    ]
    for feature, group in grouped(fallen, lambda one: one.feature):
        told = "; ".join(
            f"replica {one.replica + 1}{'' if one.of == 'shared' else ', ' + one.of}: {one.plain.rank:.1f} of {one.possible}"
            for one in group
        )
        yield alarm(
            "collapsed_embedding",
            "warning",
            f"The embedding of {feature} has collapsed",
            f"Its vectors lie in few of their dimensions (effective rank {told}).",
            "A smaller --dim would do; or try a smaller --learning-rate, less --weight-decay, or embeddings of their own for the "
            "tasks (--architecture stem).",
            feature=feature,
            tables=[
                {
                    "replica": one.replica,
                    "feature": one.feature,
                    "of": one.of,
                    "dim": one.dim,
                    "possible": one.possible,
                    "rank": one.plain.rank,
                }
                for one in group
            ],
        )


Rule = Callable[[Inspection], Iterator[Alarm]]
RULES: tuple[Rule, ...] = (
    noise_tasks,
    dead_towers,
    collapsed_gates,
    dead_units,
    unused_experts,
    identical_experts,
    conflicts,
    collapsed_embeddings,
    own_experts_only,
    same_mixtures,
    lonely_tasks,
)


def raise_alarms(found: Inspection) -> list[Alarm]:
    """Every alarm that the measured parts of a document give, the most severe first."""
    rules = RULES if found.rows >= FEWEST_ROWS else (few_rows, noise_tasks)
    alarms = [alarm for rule in rules for alarm in rule(found)]
    return sorted(alarms, key=lambda alarm: SEVERITIES.index(alarm.severity))
