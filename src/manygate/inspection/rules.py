"""What is wrong, in plain words: each rule reads what was measured, and raises alarms by the thresholds beside this file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from manygate.inspection.alarms import (
    SEVERITIES,
    Alarm,
    alarm,
    gate_numbers,
    grouped,
    named,
    numbered,
    on_own_expert,
    percent,
    place,
    places,
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

Document = dict[str, Any]


def collapsed_gates(found: Document) -> Iterator[Alarm]:
    """A task whose gate gives nearly all weight to one expert, on most rows."""
    uses = [(entry, use) for entry in found.get("gates", []) for use in entry["tasks"] if use["polarised"] is not None]
    for task, group in grouped(uses, lambda pair: str(pair[1]["task"])):
        group = [(entry, use) for entry, use in group if not on_own_expert(entry, use)]
        fallen = [(entry, use) for entry, use in group if max(use["mean"]) > COLLAPSED_WEIGHT]
        split = [(e, u) for e, u in group if u["polarised"] > POLARISED_ROWS and max(u["mean"]) <= COLLAPSED_WEIGHT]
        if fallen:
            yield alarm(
                "collapsed_gate",
                "serious",
                f"The gate of {task} has collapsed",
                f"It gives nearly all its weight to one expert: {places(fallen, top_expert)}. The task has in effect "
                "one expert, and the others learn nothing from it.",
                "Try --gate-dropout 0.1 (Zhao et al. 2019), a --temperature of 2 or more, a smaller --learning-rate, or "
                "--importance-weight 0.1.",
                task=task,
                gates=[gate_numbers(entry, use) for entry, use in fallen],
            )
        if split and found.get("gate", "softmax") == "softmax":
            yield alarm(
                "polarised_gate",
                "warning",
                f"The gate of {task} is polarised",
                f"On most rows a single expert has more than {percent(POLARISED_WEIGHT)} of the weight: "
                f"{places(split, polarised_rows)}. Which one differs from row to row.",
                "That may be what you want (--gate topk does it on purpose and saves time). If not: --gate-dropout 0.1, or a "
                "--temperature of 2 or more.",
                task=task,
                gates=[gate_numbers(entry, use) for entry, use in split],
            )


def unused_experts(found: Document) -> Iterator[Alarm]:
    """Experts that no task uses."""
    idle = [entry for entry in found.get("gates", []) if entry["unused"]]
    if idle:
        most = max(entry["unused_share"] for entry in idle)
        told = "; ".join(f"{place(entry)} {numbered('expert', entry['unused'])}" for entry in idle)
        yield alarm(
            "unused_expert",
            "serious" if most >= 0.5 else "warning",
            "Experts that no task uses",
            f"Their mean weight is below {UNUSED_WEIGHT:g} in every task's gate that may use them: {told}. They cost time and "
            "memory, and change little.",
            "Train with fewer --experts, or keep them in use: --gate-dropout 0.1, --importance-weight 0.1.",
            levels=[{"replica": entry["replica"], "level": entry["level"], "experts": entry["unused"]} for entry in idle],
        )


def dead_units(found: Document) -> Iterator[Alarm]:
    """Networks most of whose units are zero on every row, or nearly always."""
    networks = [
        {"replica": layer["replica"], "part": layer["part"], "layer": layer["layer"], **network}
        for layer in found.get("dead", {}).get("layers", [])
        for network in layer["networks"]
        if network["dead"] >= DEAD_UNITS or network["zeros"] > MOSTLY_ZERO
    ]
    gone = {(tower["replica"], f"tower of {tower['task']}") for tower in found.get("dead", {}).get("towers", [])}
    networks = [network for network in networks if (network["replica"], network["name"]) not in gone]
    for part, group in grouped(networks, lambda network: str(network["part"])):
        told = "; ".join(
            f"replica {one['replica'] + 1}, {one['name']}: {percent(one['dead'])} of {one['units']} units are zero on every row, "
            f"{percent(one['zeros'])} of all its outputs"
            for one in group[:6]
        )
        more = f"; and {len(group) - 6} more" if len(group) > 6 else ""
        yield alarm(
            "dead_units",
            "serious" if any(one["dead"] > MOSTLY_ZERO for one in group) else "warning",
            f"Dead units in {named(part)}",
            f"{told}{more}. What is zero on every row learns no more (HoME saw more than {percent(MOSTLY_ZERO)} of zeros in "
            "collapsed experts).",
            "Try --expert-norm (HoME's remedy: normalised experts with Swish), a smaller --learning-rate, --clip-norm 1, or "
            "--warmup 0.05.",
            networks=group,
        )


def dead_towers(found: Document) -> Iterator[Alarm]:
    """Tasks that get the same prediction on every row."""
    for task, group in grouped(found.get("dead", {}).get("towers", []), lambda tower: str(tower["task"])):
        why = "; ".join(f"replica {tower['replica'] + 1}: {tower['why']}" for tower in group)
        yield alarm(
            "dead_tower",
            "serious",
            f"The tower of {task} is dead",
            f"It predicts the same for every row ({why}).",
            "Train again with another --seed, a smaller --learning-rate, --clip-norm 1, or wider --tower-hidden.",
            task=task,
            towers=group,
        )


def identical_experts(found: Document) -> Iterator[Alarm]:
    """Experts of one level that give the same outputs."""
    pairs = [
        {"replica": entry["replica"], "level": entry["level"], "experts": [a, b], "cka": cka, "cosine": entry["cosine"][a][b]}
        for entry in found.get("experts", [])
        for a, row in enumerate(entry["cka"])
        for b, cka in enumerate(row[:a])
        if (cka or 0) > IDENTICAL and (entry["cosine"][a][b] or 0) > IDENTICAL
    ]
    if pairs:
        told = "; ".join(f"{place(pair)} {numbered('expert', sorted(pair['experts']))}" for pair in pairs[:6])
        more = f"; and {len(pairs) - 6} more pairs" if len(pairs) > 6 else ""
        yield alarm(
            "identical_experts",
            "warning",
            "Experts that do the same",
            f"Their outputs agree on every row looked at (linear CKA and cosine above {IDENTICAL:g}): {told}{more}. One of them "
            "would do.",
            "Train with fewer --experts, or set them apart: --dropout, another --seed, a larger --learning-rate at the start.",
            pairs=pairs,
        )


def noise_tasks(found: Document) -> Iterator[Alarm]:
    """Tasks that are predicted no better than by chance."""
    for task in found.get("noise", []):
        if task["verdict"] == "better":
            continue
        noise = task["verdict"] == "noise"
        known = task["value"] is not None and task["se"] is not None
        value = f"{metric_label(task['metric'])} {task['value']:.4f} ± {CHANCE_ERRORS * task['se']:.4f}" if known else "undefined"
        yield alarm(
            "noise_task" if noise else "too_few_rows",
            "serious" if noise else "note",
            f"{task['task']} is predicted no better than by chance" if noise else f"Too few rows to judge {task['task']}",
            f"On its {task['rows']:,} rows: {value}, and chance is {task['chance']:g}. "
            + (
                "Its labels look like noise to this model, and what it teaches the shared layers may disturb the other tasks."
                if noise
                else "With so few rows a fair model could look like chance."
            ),
            "Check the label's column, its where and its delay; if nothing is wrong, drop the task or lower its weight."
            if noise
            else "Look at more rows: a larger log, or a larger --rows.",
            **task,
        )


def conflicts(found: Document) -> Iterator[Alarm]:
    """Pairs of tasks that pull shared parameters apart."""
    strong = [one for one in found.get("conflict", []) if one["mean"] < CONFLICT and one["below_zero"] >= CONFLICT_BATCHES]
    for pair, group in grouped(strong, lambda one: " and ".join(one["tasks"])):
        told = ", ".join(f"{one['layer']} {one['mean']:.2f}" for one in group)
        yield alarm(
            "conflict",
            "warning",
            f"{pair} pull against each other",
            f"Their gradients point apart on nearly every batch; mean cosine by layer: {told}.",
            "Give tasks experts of their own (--architecture ple), more --task-experts, or embeddings of their own (stem); "
            "see what each gains alone with manygate compare.",
            layers=group,
        )


def collapsed_embeddings(found: Document) -> Iterator[Alarm]:
    """Tables that lie in a few of their dimensions."""
    fallen = [
        {name: one[name] for name in ("replica", "feature", "of", "dim", "possible")} | {"rank": one["plain"]["rank"]}
        for one in found.get("embeddings", [])
        if one["possible"] >= FEWEST_DIMENSIONS
        and max(one["plain"]["share"] or 0.0, one["by_use"]["share"] or 0.0) < COLLAPSED_RANK
    ]
    for feature, group in grouped(fallen, lambda one: str(one["feature"])):
        told = "; ".join(
            f"replica {one['replica'] + 1}{'' if one['of'] == 'shared' else ', ' + one['of']}: "
            f"{one['rank']:.1f} of {one['possible']}"
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
            tables=group,
        )


Rule = Callable[[Document], Iterator[Alarm]]
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


def raise_alarms(found: Document) -> list[Alarm]:
    """Every alarm that the measured parts of a document give, the most severe first."""
    rules = RULES if found["rows"] >= FEWEST_ROWS else (few_rows, noise_tasks)
    alarms = [alarm for rule in rules for alarm in rule(found)]
    return sorted(alarms, key=lambda alarm: SEVERITIES.index(alarm["severity"]))
