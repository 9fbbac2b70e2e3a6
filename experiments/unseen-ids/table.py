"""Write README.md of this folder from results.json: python experiments/unseen-ids/table.py"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from manygate.metrics.uncertainty import interval

HERE = Path(__file__).parent
HEAD = (HERE / "head.md").read_text(encoding="utf-8")
GROUPS = {"short-video": [f"short-video-{cut:g}" for cut in (0.4, 0.5, 0.6, 0.7, 0.8)]}
SCHEMES = ("single_task", "shared_bottom", "omoe", "mmoe", "cgc", "ple")
DEFAULT = 3.0
"""The default of id dropout."""
REGRESSIONS = ("stars", "watch_time")
Estimate = tuple[float, float]
"""A value and half of its 95 % interval."""


def groups(results: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """The logs of each row of the table: the five cuts of the short-video log count as one."""
    grouped = {name for names in GROUPS.values() for name in names}
    for name in results:
        if name not in grouped:
            yield name, [name]
    for name, members in GROUPS.items():
        if found := [member for member in members if member in results]:
            yield name, found


def best_scheme(log: dict[str, Any]) -> str:
    """The scheme of the default comparison that validation chooses."""
    return max((name for name in SCHEMES if name in log["models"]), key=lambda name: float(np.mean(log["models"][name]["valid"])))


def difference(results: dict[str, Any], logs: list[str], model: str, other: str, task: str, side: str) -> Estimate | None:
    """Mean gain of a model over LightGBM over some logs, and half of its interval; the logs have test rows of their own."""
    gains = []
    for log in logs:
        name = best_scheme(results[log]) if model == "best" else model
        found = results[log].get("gains", {}).get(name, {}).get(other)
        if found is None:
            return None
        gains.append(found[task][side])
    half = math.sqrt(sum(((gain["ci95"][1] - gain["ci95"][0]) / 2) ** 2 for gain in gains)) / len(gains)
    return float(np.mean([gain["gain"] for gain in gains])), half


def value(results: dict[str, Any], logs: list[str], model: str, task: str, side: str) -> float:
    names = [best_scheme(results[log]) if model == "best" else model for log in logs]
    return float(np.mean([results[log]["models"][name]["tasks"][task][side] for log, name in zip(logs, names, strict=True)]))


def lines_of(results: dict[str, Any], model: str, other: str, side: str) -> list[str]:
    """A table with a line for each log and task, and the mean over the binary tasks of each log."""
    lines = [f"| log | task | {other} | {model} | difference |", "|---|---|---|---|---|"]
    for name, logs in groups(results):
        means = []
        for task in results[logs[0]]["models"][other]["tasks"] if other in results[logs[0]]["models"] else ():
            found = difference(results, logs, model, other, task, side)
            if found is None:
                continue
            if task not in REGRESSIONS:
                means.append(found[0])
            label = f"{task} (R2)" if task in REGRESSIONS else task
            numbers = f"{value(results, logs, other, task, side):.4f} | {value(results, logs, model, task, side):.4f}"
            lines.append(f"| {name} | {label} | {numbers} | {found[0]:+.4f} ± {found[1]:.4f} |")
        if means:
            lines.append(f"| {name} | *mean of the binary tasks* | | | **{np.mean(means):+.4f}** |")
    return lines


def dropout_lines(results: dict[str, Any]) -> list[str]:
    """MMoE by the id dropout c: each task's test metric with c = 0, and its change; mean over replicas and logs."""
    models = {0.0: "mmoe c=0", DEFAULT: "mmoe"}
    models |= {float(name.split("c=")[1]): name for log in results.values() for name in log["models"] if name.startswith("mmoe c=")}
    rates = sorted(models)
    lines = ["| log | task | " + " | ".join(f"c = {rate:g}" for rate in rates) + " |", "|---" * (len(rates) + 2) + "|"]
    for name, logs in groups(results):
        if not all("mmoe c=0" in results[log]["models"] for log in logs):
            continue
        have = {rate: model for rate, model in models.items() if all(model in results[log]["models"] for log in logs)}
        changes: dict[str, dict[float, np.ndarray]] = {}
        for task in results[logs[0]]["models"]["mmoe"]["tasks"]:
            changes[task] = {rate: _changes(results, logs, model, task) for rate, model in have.items() if rate}
            cells = [
                _change(changes[task], rate) if rate else f"{value(results, logs, 'mmoe c=0', task, 'own'):.4f}" for rate in rates
            ]
            lines.append(f"| {name} | {task} | " + " | ".join(cells) + " |")
        mean = {
            rate: np.mean([changes[task][rate] for task in changes if task not in REGRESSIONS], axis=0) for rate in have if rate
        }
        cells = [_change(mean, rate) if rate else "" for rate in rates]
        lines.append(f"| {name} | *mean of the binary tasks* | " + " | ".join(cells) + " |")
    return lines


def _changes(results: dict[str, Any], logs: list[str], model: str, task: str) -> np.ndarray:
    """The change of each replica, (R,): the mean over the logs."""
    pairs = [[results[log]["models"][name]["tasks"][task]["own"] for name in (model, "mmoe c=0")] for log in logs]
    return np.mean([np.subtract(after, before) for after, before in pairs], axis=0)


def _change(changes: dict[float, np.ndarray], rate: float) -> str:
    """The mean change over replicas, and half of its 95 % interval by Student's t."""
    if rate not in changes:
        return ""
    found = interval(changes[rate].tolist())
    half = "" if found.ci95 is None or found.mean is None else f" ± {found.ci95[1] - found.mean:.4f}"
    return f"{found.mean:+.4f}{half}"


def main() -> None:
    results = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    parts = [HEAD.rstrip("\n")]
    titles = {
        ("mmoe", "lightgbm"): "The default MMoE against the baseline of a comparison",
        ("mmoe", "lightgbm-statistics"): "The default MMoE against LightGBM with target statistics",
        ("mmoe", "lightgbm-native"): "The default MMoE against LightGBM as it comes",
        ("best", "lightgbm-tuned"): "The best of the default comparison, by validation, against tuned LightGBM",
    }
    for (model, other), title in titles.items():
        lines = lines_of(results, model, other, "own")
        parts += ["", f"## {title}", "", *lines] if len(lines) > 2 else []
    parts += [
        "",
        "## As shipped, with one checkpoint for all tasks, against LightGBM as it comes",
        "",
        *lines_of(results, "mmoe", "lightgbm-native", "shipped"),
    ]
    dropout = dropout_lines(results)
    parts += ["", "## What id dropout does", "", *dropout] if len(dropout) > 2 else []
    parts.append("")
    (HERE / "README.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
