"""A document like the ones that ``manygate compare`` writes, made up from a seed."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np

from manygate.config import RunConfig
from manygate.metrics.paired import Measured
from manygate.metrics.uncertainty import interval_note
from manygate.results.summary import JointGain, MetricSummary
from manygate.schema import Feature, Schema, Task
from manygate.verdict.recommendation import recommend
from manygate.verdict.shipping import gains_as_shipped, prices
from manygate.verdict.transfer import transfer

ARCHITECTURES = ("single_task", "shared_bottom", "omoe", "mmoe")
TASKS = (
    Task(name="click"),
    Task(name="like", where="click == 1"),
    Task(name="watch_time", kind="regression", label="watch_seconds", where="click == 1"),
    Task(name="buy", where="click == 1"),
)
FEATURES = (
    Feature(name="user_id", kind="sparse", note="integers with 41,823 values: an id"),
    Feature(name="item_id", kind="sparse", note="integers with 9,120 values, long-tailed: an id"),
    Feature(name="tags", kind="bag", note="lists of strings"),
    Feature(name="price", kind="dense", note="floats with 5,310 values, 12 % zero"),
    Feature(name="hour", kind="sparse", note="integers with 24 values: few enough to learn one row each"),
    Feature(name="position", kind="sparse", bias=True, note="named as a bias feature: known in training, absent at serving"),
)
RATES = {"click": 0.124, "like": 0.218, "buy": 0.031}
LEVELS = {"click": 0.7431, "like": 0.7012, "watch_time": 0.3127, "buy": 0.7688}
GAINS = {
    "shared_bottom": (0.0006, -0.0041, 0.0087, 0.0035),
    "omoe": (0.0019, -0.0012, 0.0048, 0.0051),
    "mmoe": (0.0042, 0.0007, 0.0113, 0.0062),
}
ERRORS = (0.0008, 0.0011, 0.0021, 0.0044)
SPOILED = {("mmoe", "log_loss"): -0.6, ("omoe", "ece"): -0.4}
"""Where a metric of the probabilities loses what AUC gains, and how much of it."""


def compared(tasks: tuple[Task, ...] = TASKS, replicas: int = 8, seed: int = 0, experts: int = 8) -> dict[str, Any]:
    """A comparison of four architectures."""
    draw = random.Random(seed)
    document = {**_frame(tasks), "architectures": list(ARCHITECTURES), "baseline": "single_task"}
    document["command"] = f"manygate compare log/ --replicas {replicas} --out runs/first"
    document["results"] = {name: _result(draw, name, tasks, replicas, experts) for name in ARCHITECTURES}
    main = {task.name: _keys(task)[0] for task in tasks}
    measures = _measures(tasks, replicas, seed)
    flags = transfer(measures, "single_task", main, "mmoe")
    kept = {name: _kept(measures[name], place) for place, name in enumerate(ARCHITECTURES)}
    own = {name: {task: measures[name][task][key] for task, key in main.items()} for name in ARCHITECTURES}
    price = {name: prices(own[name], kept[name], main, looks) for name, looks in flags.looks.items()}
    shipped = {name: gains_as_shipped(kept[name], own["single_task"], main, looks) for name, looks in flags.looks.items()}
    document["price"] = {name: {task: entry.to_tree() for task, entry in row.items()} for name, row in price.items()}
    document["as_shipped"] = {name: {task: entry.to_tree() for task, entry in row.items()} for name, row in shipped.items()}
    document["transfer"] = flags.model_dump(by_alias=True, exclude_unset=True)
    document["verdicts"] = {
        name: {task: {"metric": main[task]} | _verdict(found[main[task]]) for task, found in own.items()}
        for name, own in flags.gains.items()
    }
    valid = {name: _summary(draw, 0.63 + 0.002 * place, 0.001, replicas) for place, name in enumerate(ARCHITECTURES)}
    reason = "mmoe has the best mean validation score over all tasks; shared_bottom, omoe and single_task follow."
    document["valid"] = valid
    document["interval_note"] = interval_note(replicas)
    document["best"] = {"architecture": "mmoe", "monitor": "mean", "valid": valid, "reason": reason}
    scores = {name: MetricSummary.model_validate(summary) for name, summary in valid.items()}
    document["recommendation"] = recommend(flags, shipped, price, scores, "mmoe", "single_task", main).to_tree()
    return document


def trained(tasks: tuple[Task, ...] = TASKS, replicas: int = 1, seed: int = 0, name: str = "mmoe") -> dict[str, Any]:
    """A single training run."""
    document = {**_frame(tasks), "architectures": [name], "baseline": None, "best": None, "verdicts": {}}
    document["command"] = "manygate train log/ --out runs/first"
    document["results"] = {name: _result(random.Random(seed), name, tasks, replicas, 8)}
    return document


def _frame(tasks: tuple[Task, ...]) -> dict[str, Any]:
    rows = {"train": 400_000, "valid": 50_000, "test": 50_000}
    labels = {
        task.name: {
            split: {
                "rows": count if task.where is None else count // 8,
                "mean": _rate(task) if task.kind == "binary" else 31.42,
            }
            for split, count in rows.items()
        }
        for task in tasks
    }
    sizes = {"user_id": (41_825, 8), "item_id": (8_817, 8), "tags": (212, 8), "price": (None, 17), "hour": (26, 8)}
    features = [
        {
            **feature.model_dump(include={"name", "kind", "bias", "note"}),
            "rows": sizes.get(feature.name, (12, 8))[0],
            "columns": sizes.get(feature.name, (12, 8))[1],
            "null_share": 0.0213 if feature.name == "price" else 0.0,
        }
        for feature in FEATURES
    ]
    schema = Schema(tasks=tasks, features=FEATURES, group="user_id", ignored={"row_id": "a different value in every row"})
    return {
        "comparison_version": 2,
        "manygate_version": "0.1.0",
        "config": RunConfig(log="log/", replicas=8).model_dump(mode="json"),
        "schema": schema.model_dump(mode="json"),
        "data": {"log": "log/", "rows": rows, "tasks": labels, "features": features, "warnings": []},
    }


def _rate(task: Task) -> float:
    return RATES.get(task.name, 0.1)


def _level(name: str, place: int, task: Task) -> float:
    return LEVELS.get(task.name, 0.7) + (GAINS[name][place % 4] if name in GAINS else 0.0)


def _summary(draw: random.Random, mean: float, sd: float, replicas: int) -> dict[str, Any]:
    values = [draw.gauss(mean, sd) for _ in range(replicas)]
    centre = math.fsum(values) / replicas
    spread = math.sqrt(math.fsum((value - centre) ** 2 for value in values) / max(replicas - 1, 1))
    half = 2.4 * spread / math.sqrt(replicas)
    return {"mean": centre, "sd": spread, "ci95": [centre - half, centre + half] if replicas > 2 else None, "values": values}


def _result(draw: random.Random, name: str, tasks: tuple[Task, ...], replicas: int, experts: int) -> dict[str, Any]:
    epochs = 9
    alone = name == "single_task"
    best = [draw.randint(5, 7) for _ in range(replicas)]
    return {
        "parameters": 1_634_512 if alone else 431_208 + 1_024 * len(name),
        "network_parameters": 190_066 + 1_024 * len(name),
        "flops": 380_132 + 2_048 * len(name),
        "seconds": 74.2 if alone else 31.9 + len(name),
        "replicas": replicas,
        "tasks": {task.name: _task(draw, name, place, task, replicas) for place, task in enumerate(tasks)},
        "gates": _gates(draw, name, tasks, experts),
        "history": [_epoch(draw, name, tasks, replicas, epoch, best) for epoch in range(1, epochs + 1)],
        "stopped": {
            "best_epoch": {task.name: best for task in tasks},
            "reason": "no better validation score for 3 epochs",
        },
    }


def _task(draw: random.Random, name: str, place: int, task: Task, replicas: int) -> dict[str, Any]:
    level = _level(name, place, task)
    if task.kind == "regression":
        means = {"rmse": 24.8 - level, "mae": 17.1 - level, "r2": level}
    else:
        rate = _rate(task)
        loss = -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))
        means = {"auc": level, "gauc": level - 0.031, "log_loss": loss * 0.91, "normalised_entropy": 0.91}
        means |= {"calibration": 1.012, "ece": 0.0041, "average_precision": rate * 2.9}
    metrics = {key: _summary(draw, mean, 0.0008 if abs(mean) < 2 else 0.06, replicas) for key, mean in means.items()}
    undefined = {}
    if task.name == "buy":
        metrics.pop("gauc")
        undefined["gauc"] = "no user has both a positive and a negative row"
    ensemble = {key: entry["mean"] + (0.0017 if key in ("auc", "gauc", "r2") else -0.0009) for key, entry in metrics.items()}
    bins = _bins(draw, _rate(task)) if task.kind == "binary" else []
    return {"kind": task.kind, "metrics": metrics, "ensemble": ensemble, "undefined": undefined, "calibration": bins}


def _bins(draw: random.Random, rate: float) -> list[dict[str, Any]]:
    shares = (0.18, 0.34, 0.5, 0.68, 0.86, 1.05, 1.27, 1.56, 1.98, 2.9)
    return [
        {"predicted": rate * share, "observed": max(0.0, rate * share * draw.gauss(1.01, 0.05)), "rows": 5_000} for share in shares
    ]


def _gates(draw: random.Random, name: str, tasks: tuple[Task, ...], experts: int) -> list[dict[str, Any]]:
    if name not in ("omoe", "mmoe"):
        return []
    rows, common = [], [draw.gauss(0, 0.9) for _ in range(experts)]
    for task in tasks:
        scores = [score + (draw.gauss(0, 0.9) if name == "mmoe" else 0.0) for score in common]
        total = sum(map(math.exp, scores))
        mean = [math.exp(score) / total for score in scores]
        rows.append({"level": 0, "task": task.name, "mean": mean, "sd": [weight * 0.4 for weight in mean]})
    return rows


def _epoch(draw: random.Random, name: str, tasks: tuple[Task, ...], replicas: int, epoch: int, best: list[int]) -> dict[str, Any]:
    valid: dict[str, list[float | None]] = {}
    loss: dict[str, list[float | None]] = {}
    for place, task in enumerate(tasks):
        going = [epoch <= last + 3 for last in best]
        score = _level(name, place, task) + 0.004 - 0.09 * math.exp(-epoch / 1.6) - 0.0006 * max(0, epoch - 6) ** 1.5
        valid[task.name] = [draw.gauss(score, 0.0013) if go else None for go in going]
        fall = 0.31 + 0.09 * math.exp(-epoch / 2.2) - 0.006 * epoch - 0.004 * len(name) / 10
        loss[task.name] = [draw.gauss(fall, 0.0012) if go else None for go in going]
    return {"epoch": epoch, "step": 100 * epoch, "train_loss": loss, "valid": valid, "weights": {}, "gates": []}


def _keys(task: Task) -> tuple[str, ...]:
    return ("r2",) if task.kind == "regression" else ("auc", "gauc", "log_loss", "calibration", "ece")


def _measures(tasks: tuple[Task, ...], replicas: int, seed: int) -> dict[str, dict[str, dict[str, Measured]]]:
    """Values and influences of every architecture, such that its gains are near GAINS and known to about ERRORS."""
    random = np.random.default_rng(seed + 1)
    found: dict[str, dict[str, dict[str, Measured]]] = {}
    for name in ARCHITECTURES:
        found[name] = {}
        for place, task in enumerate(tasks):
            error, level = ERRORS[place % 4], _level(name, place, task)
            found[name][task.name] = {}
            for key in _keys(task):
                share = SPOILED.get((name, key), 1.0)
                value_R = LEVELS.get(task.name, 0.7) + share * (level - LEVELS.get(task.name, 0.7))
                value_R = value_R + 0.8 * error * random.standard_normal(replicas)
                influence_G = 0.45 * error * random.standard_normal(2_000) / math.sqrt(2_000)
                found[name][task.name][key] = Measured(value_R, influence_G)
    return found


def _kept(measures: dict[str, dict[str, Measured]], place: int) -> dict[str, Measured]:
    """The main metrics with one checkpoint for all tasks: the third task loses a little to it, in every model but the first."""
    main = {task: next(iter(by_metric.values())) for task, by_metric in measures.items()}
    return {
        task: replace(measured, value_R=measured.value_R - (0.0004 * place if at == 2 else 0.0))
        for at, (task, measured) in enumerate(main.items())
    }


def _verdict(gain: JointGain) -> dict[str, Any]:
    return {key: value for key, value in gain.to_tree().items() if key not in ("joint95", "clusters")}
