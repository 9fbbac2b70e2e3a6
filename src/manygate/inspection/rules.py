"""The rules of this module raise alarms: each rule compares the measured numbers with the thresholds in thresholds.py."""

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
    HIGH_AUC,
    IDENTICAL,
    MOSTLY_ZERO,
    PERFECT_AUC,
    POLARISED_ROWS,
    POLARISED_WEIGHT,
    UNUSED_WEIGHT,
)
from manygate.metrics.table import metric_label
from manygate.results.inspection import Alarm, Inspection
from manygate.text import count_of


def collapsed_gates(inspection: Inspection) -> Iterator[Alarm]:
    """Raise an alarm for each task whose gate gives nearly all weight to one expert, in the mean or on most rows."""
    uses = [(entry, use) for entry in inspection.gates or [] for use in entry.tasks if use.polarised is not None]
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
        if split and inspection.gate == "softmax":
            yield alarm(
                "polarised_gate",
                "warning",
                f"The gate of {task} is polarised",
                f"On most rows a single expert has more than {percent(POLARISED_WEIGHT)} of the weight: "
                f"{level_words(split, polarised_rows)}. Which one differs from row to row.",
                "That may be what you want (--gate topk does it on purpose and saves time). If not, try --gate-dropout 0.1 or a "
                "--temperature of 2 or more.",
                task=task,
                gates=[gate_numbers(entry, use) for entry, use in split],
            )


def unused_experts(inspection: Inspection) -> Iterator[Alarm]:
    """Raise an alarm if there are experts that no task uses."""
    idle = [entry for entry in inspection.gates or [] if entry.unused]
    if idle:
        largest_share = max(entry.unused_share or 0.0 for entry in idle)
        unused = "; ".join(f"{level_name(entry.replica, entry.level)} {numbered('expert', entry.unused)}" for entry in idle)
        yield alarm(
            "unused_expert",
            "serious" if largest_share >= 0.5 else "warning",
            "Experts that no task uses",
            f"Their mean weight is below {UNUSED_WEIGHT:g} in every task's gate that may use them: {unused}. They cost time and "
            "memory, and change little.",
            "Train with fewer --experts, or keep them in use with --gate-dropout 0.1 or --importance-weight 0.1.",
            levels=[{"replica": entry.replica, "level": entry.level, "experts": entry.unused} for entry in idle],
        )


def dead_units(inspection: Inspection) -> Iterator[Alarm]:
    """Raise an alarm for the networks where most units are zero on every row, or nearly all outputs are zero."""
    if inspection.dead is None:
        return
    gone = {(tower.replica, f"tower of {tower.task}") for tower in inspection.dead.towers}
    networks = [
        (layer, network)
        for layer in inspection.dead.layers
        for network in layer.networks
        if network.dead >= DEAD_UNITS or network.zeros > MOSTLY_ZERO
        if (layer.replica, network.name) not in gone
    ]
    for part, group in grouped(networks, lambda layer_and_network: layer_and_network[0].part):
        shares = "; ".join(
            f"replica {layer.replica + 1}, {network.name}: {percent(network.dead)} of {network.units} units are zero on every row, "
            f"and so are {percent(network.zeros)} of all its outputs"
            for layer, network in group[:6]
        )
        more = f"; and {len(group) - 6} more" if len(group) > 6 else ""
        yield alarm(
            "dead_units",
            "serious" if any(network.dead > MOSTLY_ZERO for _, network in group) else "warning",
            f"Dead units in {named(part)}",
            f"{shares}{more}. A unit that is zero on every row learns no more (HoME reports over {percent(MOSTLY_ZERO)} of zeros "
            "in collapsed experts).",
            "Try --expert-norm (HoME's remedy: normalised experts with Swish), a smaller --learning-rate, --clip-norm 1, or "
            "--warmup 0.05.",
            networks=[
                {"replica": layer.replica, "part": layer.part, "layer": layer.layer, **network.to_tree()}
                for layer, network in group
            ],
        )


def dead_towers(inspection: Inspection) -> Iterator[Alarm]:
    """Raise an alarm for each task with the same prediction on every row."""
    for task, group in grouped(inspection.dead.towers if inspection.dead else [], lambda tower: tower.task):
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


def identical_experts(inspection: Inspection) -> Iterator[Alarm]:
    """Raise an alarm if experts of one level give the same outputs."""
    pairs = [
        (entry, a, b)
        for entry in inspection.experts or []
        for a, row in enumerate(entry.cka)
        for b, cka in enumerate(row[:a])
        if (cka or 0) > IDENTICAL and (entry.cosine[a][b] or 0) > IDENTICAL
    ]
    if pairs:
        alike = "; ".join(f"{level_name(entry.replica, entry.level)} {numbered('expert', [b, a])}" for entry, a, b in pairs[:6])
        more = f"; and {len(pairs) - 6} more pairs" if len(pairs) > 6 else ""
        yield alarm(
            "identical_experts",
            "warning",
            "Experts that do the same",
            f"Their outputs agree on every row looked at (linear CKA and cosine above {IDENTICAL:g}): {alike}{more}. One of them "
            "is enough.",
            "Train with fewer --experts, or make them differ: more --dropout, another --seed, a larger --learning-rate at first.",
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


def noise_tasks(inspection: Inspection) -> Iterator[Alarm]:
    """Raise an alarm for each task that the model predicts no better than chance, or that has too few rows to judge."""
    for task in inspection.noise or []:
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
                else "With so few rows, a good model could look like chance."
            ),
            "Check the label's column, its where and its delay; if nothing is wrong, drop the task or lower its weight."
            if noise
            else "Look at more rows: a larger log, or a larger --rows.",
            **task.to_tree(),
        )


def perfect_tasks(inspection: Inspection) -> Iterator[Alarm]:
    """Raise an alarm for each task that is predicted too well to be true, and a note for one that is predicted very well."""
    for task in inspection.noise or []:
        if task.metric != "auc" or task.value is None or task.value <= HIGH_AUC:
            continue
        perfect = task.value > PERFECT_AUC
        yield alarm(
            "perfect_task",
            "serious" if perfect else "note",
            f"{task.task} is predicted {'almost perfectly' if perfect else 'very well'}",
            f"On its {count_of(task.rows, 'row')} the AUC is {int(task.value * 1e4) / 1e4:.4f}. "
            + ("Hardly any honest task is predicted so well." if perfect else "Some tasks are that easy."),
            "Look for a feature that is written after the label is known: the importance of the features names it. Leave it out "
            "with --ignore.",
            **task.to_tree(),
        )


def conflicts(inspection: Inspection) -> Iterator[Alarm]:
    """Raise an alarm for each pair of tasks whose gradients on shared parameters have opposite directions."""
    strong = [entry for entry in inspection.conflict or [] if entry.mean < CONFLICT and entry.below_zero >= CONFLICT_BATCHES]
    for pair, group in grouped(strong, lambda entry: " and ".join(entry.tasks)):
        cosines = ", ".join(f"{entry.layer} {entry.mean:.2f}" for entry in group)
        yield alarm(
            "conflict",
            "warning",
            f"{pair} pull against each other",
            f"Their gradients have opposite directions on nearly every batch. Mean cosine by layer: {cosines}.",
            "Give each task separate experts (--architecture ple, more --task-experts) or separate embeddings (--architecture "
            "stem). manygate compare shows what each task gains alone.",
            layers=group,
        )


def collapsed_embeddings(inspection: Inspection) -> Iterator[Alarm]:
    """Raise an alarm for each feature whose embeddings use only a few of their dimensions."""
    fallen = [
        table
        for table in inspection.embeddings or []
        if table.possible >= FEWEST_DIMENSIONS and max(table.plain.share or 0.0, table.by_use.share or 0.0) < COLLAPSED_RANK
    ]
    for feature, group in grouped(fallen, lambda table: table.feature):
        ranks = "; ".join(
            f"replica {item.replica + 1}{'' if item.of == 'shared' else ', ' + item.of}: {item.plain.rank:.1f} of {item.possible}"
            for item in group
        )
        yield alarm(
            "collapsed_embedding",
            "warning",
            f"The embedding of {feature} has collapsed",
            f"Its vectors use few of their dimensions (effective rank of {ranks}).",
            "A smaller --dim is enough. Or try a smaller --learning-rate, less --weight-decay, or separate embeddings for the "
            "tasks (--architecture stem).",
            feature=feature,
            tables=[
                {
                    "replica": table.replica,
                    "feature": table.feature,
                    "of": table.of,
                    "dim": table.dim,
                    "possible": table.possible,
                    "rank": table.plain.rank,
                }
                for table in group
            ],
        )


Rule = Callable[[Inspection], Iterator[Alarm]]
RULES: tuple[Rule, ...] = (
    noise_tasks,
    perfect_tasks,
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


def raise_alarms(inspection: Inspection) -> list[Alarm]:
    """Raise all alarms for the measured parts of an inspection, the most severe first."""
    rules = RULES if inspection.rows >= FEWEST_ROWS else (few_rows, noise_tasks)
    alarms = [alarm for rule in rules for alarm in rule(inspection)]
    return sorted(alarms, key=lambda alarm: SEVERITIES.index(alarm.severity))
