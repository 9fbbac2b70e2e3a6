"""A document like the ones that ``manygate tune`` writes, made up from a seed."""

from __future__ import annotations

import random
from typing import Any

from documents import filled
from manygate.config import RunConfig, TuneConfig
from manygate.report.tuning.words import headline
from manygate.results.comparison import TaskGain
from manygate.results.tuning import TuningDocument
from sample_runs import TASKS, compared

SPACE = {
    "learning_rate": {"log": [2e-4, 2e-2]},
    "experts": {"int": [2, 16]},
    "expert_hidden": {"log_int": [16, 256]},
    "batch_size": {"ordered": [64, 128, 256, 512]},
    "gate": {"choice": ["softmax", "topk"]},
    "dropout": {"uniform": [0.0, 0.5]},
}
DEFAULTS = {"learning_rate": 2e-3, "experts": 8, "expert_hidden": [64], "batch_size": 256, "gate": "softmax", "dropout": 0.1}
MEAN = {"name": "mean", "task": None, "metric": None, "better": "higher"}
PAIR = [
    {"name": "click", "task": "click", "metric": "auc", "better": "higher"},
    {"name": "buy/log_loss", "task": "buy", "metric": "log_loss", "better": "lower"},
]
GAINS = {"click": (0.0061, 0.0018), "like": (-0.0049, 0.0016), "watch_time": (0.0113, 0.0041), "buy": (0.0012, 0.0093)}


def tuned(objectives: int = 1, trials: int = 40, seed: int = 0, better: bool = True) -> TuningDocument:
    """A search for settings of mmoe. With two objectives it has a front; without ``better`` the defaults win."""
    draw = random.Random(seed)
    named = [MEAN] if objectives == 1 else PAIR
    entries = [_trial(draw, number, objectives) for number in range(trials)]
    complete = [entry for entry in entries if entry["state"] == "complete"]
    best = max(complete, key=lambda entry: entry["values"][0]) if better else entries[0]
    for entry in complete:
        ahead = [
            all(a >= b for a, b in zip(other["values"], entry["values"], strict=True)) for other in complete if other is not entry
        ]
        entry["front"] = not any(ahead)
    sample = compared()
    gains = {task: _gain(task, *GAINS[task]) for task in GAINS} if better else None
    runs = {"default": sample["results"]["shared_bottom"], "tuned": sample["results"]["mmoe"]}
    valid = {"default": sample["valid"]["shared_bottom"], "tuned": sample["valid"]["mmoe"]}
    names = list(runs) if better else ["default"]
    config = RunConfig(log="log/", replicas=2).model_dump(mode="json")
    search = {**TuneConfig(trials=trials).model_dump(mode="json"), "space": SPACE, "sampler": "gp"}
    return filled(
        TuningDocument,
        {
            "tuning_version": 1,
            "manygate_version": "0.1.0",
            "torch_version": "2.13.0",
            "optuna_version": "5.0.0",
            "command": f"manygate tune log/ --trials {trials} --out runs/tuned",
            "architecture": "mmoe",
            "config": config,
            "tuning": {**search, "objective": [entry["name"] for entry in named] if objectives > 1 else []},
            "schema": sample["schema"],
            "data": sample["data"],
            "headline": headline("mmoe", gains),
            "objectives": named,
            "defaults": DEFAULTS,
            "trials": entries,
            "repeated": 1,
            "importance": dict(zip(SPACE, (0.46, 0.21, 0.14, 0.11, 0.06, 0.02), strict=True)),
            "chosen": {"number": best["number"], "settings": best["settings"], "rule": "the best value on validation rows"},
            "final": {
                "replicas": 8,
                "seed": 2,
                "results": {name: runs[name] for name in names},
                "valid": {name: valid[name] for name in names},
                "gains": None if gains is None else {task: gain.to_tree() for task, gain in gains.items()},
                "interval_note": None,
            },
            "seconds": 1234.5,
        },
    )


def _trial(draw: random.Random, number: int, objectives: int) -> dict[str, Any]:
    rate, experts = 10 ** draw.uniform(-3.7, -1.7), draw.randint(2, 16)
    settings: dict[str, Any] = {
        "learning_rate": rate,
        "experts": experts,
        "expert_hidden": draw.randint(16, 256),
        "batch_size": draw.choice([64, 128, 256, 512]),
        "gate": draw.choice(["softmax", "topk"]),
        "dropout": draw.uniform(0, 0.5),
    }
    settings = dict(DEFAULTS) if number == 0 else settings
    quality = 8 - 4 * abs(rate - 0.004) / 0.02 - 0.02 * abs(experts - 9) + draw.gauss(0, 0.15) + 0.02 * number
    values = [quality] if objectives == 1 else [0.70 + 0.005 * quality, -0.14 - 0.002 * draw.gauss(quality, 1.0)]
    state = "failed" if number in (7, 19) else "pruned" if objectives == 1 and number % 9 == 8 else "complete"
    entry: dict[str, Any] = {"number": number, "state": state, "settings": settings, "front": False, "diverged": int(number == 11)}
    if state == "failed":
        return {**entry, "values": [], "reason": "mmoe: the loss of task 'click' became nan in epoch 1, batch 3 of 98 (step 3)"}
    tasks = {task.name: {"metric": "r2" if task.kind == "regression" else "auc", "mean": 0.7} for task in TASKS}
    entry |= {"values": values, "scores": [[value, value] for value in values], "noise": [0.0004] * objectives, "tasks": tasks}
    return {**entry, "curve": [[1, quality - 1], [2, quality]], "epochs": 6, "seconds": draw.uniform(20, 45)}


def _gain(task: str, gain: float, half: float) -> TaskGain:
    verdict = "helps" if gain > half else "hurts" if gain < -half else "cannot tell"
    return TaskGain(
        metric="r2" if task == "watch_time" else "auc",
        gain=gain,
        ci95=(gain - 0.8 * half, gain + 0.8 * half),
        joint95=(gain - half, gain + half),
        sd_replicas=0.002,
        se_test=0.0008,
        verdict=verdict,
        clusters=5000,
    )
