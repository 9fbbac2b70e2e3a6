"""Write README.md of this folder from results.json: PYTHONPATH=experiments python experiments/unseen-ids/table.py"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from logs import CUTS, EARLIER_CUTS, MEAN, REGRESSIONS

from manygate.config.names import COMPARED

HERE = Path(__file__).parent
HEAD = (HERE / "head.md").read_text(encoding="utf-8")
GROUPS = {
    "short-video, five cuts": [f"short-video-{cut:g}" for cut in CUTS],
    "movielens-time, four cuts": [*(f"movielens-time-{cut:g}" for cut in EARLIER_CUTS), "movielens-time"],
}
TABLES = (
    ("The default MMoE against LightGBM as it comes", "mmoe", "lightgbm-native", "own"),
    ("The default MMoE against the baseline of a comparison", "mmoe", "lightgbm", "own"),
    ("The best of the default comparison, by validation, against tuned LightGBM", "best", "lightgbm-tuned", "own"),
    ("As shipped, with one checkpoint for all tasks, against LightGBM as it comes", "mmoe", "lightgbm-native", "shipped"),
    ("As shipped, with one checkpoint for all tasks, against the baseline of a comparison", "mmoe", "lightgbm", "shipped"),
    ("What the default id dropout adds to MMoE without it", "mmoe", "mmoe c=0", "own"),
)
RATES = (
    "MMoE without id dropout (c = 0), and what other rates add: means over 3 replicas and, where a log is cut at several times, "
    "over the cuts. `rates.py` makes `rates.json` and reads no test row."
)
Estimate = tuple[float, float]
"""A value and half of its 95 % interval."""


def groups(results: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """The logs of each row of the table: the cuts of a log count as one. The usual cut of MovieLens has rows of its own, too."""
    grouped = {name for names in GROUPS.values() for name in names} - {"movielens-time"}
    for name in results:
        if name not in grouped:
            yield name, [name]
    for name, members in GROUPS.items():
        if all(member in results for member in members):
            yield name, members


def best_scheme(log: dict[str, Any]) -> str | None:
    """The scheme of the default comparison that validation chooses. None if some were not run."""
    if not all(name in log["models"] for name in COMPARED):
        return None
    return max(COMPARED, key=lambda name: float(np.mean(log["models"][name]["valid"])))


def difference(results: dict[str, Any], logs: list[str], model: str, other: str, task: str, side: str) -> Estimate | None:
    """Mean gain of a model over another over some logs, and half of its interval; the logs have test rows of their own."""
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
    """The mean metric of a model over some logs."""
    names = [best_scheme(results[log]) if model == "best" else model for log in logs]
    return float(np.mean([results[log]["models"][name]["tasks"][task][side] for log, name in zip(logs, names, strict=True)]))


def lines_of(results: dict[str, Any], model: str, other: str, side: str) -> list[str]:
    """A table with a line for each log and task, and the mean over the binary tasks of each log."""
    lines = [f"| log | task | {other} | {model} | difference |", "|---|---|---|---|---|"]
    for name, logs in groups(results):
        if difference(results, logs, model, other, MEAN, side) is None:
            continue
        for task in (*results[logs[0]]["models"][other]["tasks"], MEAN):
            gain, half = difference(results, logs, model, other, task, side) or (math.nan, math.nan)
            change = f"{gain:+.4f} ± {half:.4f}"
            if task == MEAN:
                lines.append(f"| {name} | *{MEAN}* | | | **{change}** |")
                continue
            label = f"{task} (R2)" if task in REGRESSIONS else task
            numbers = f"{value(results, logs, other, task, side):.4f} | {value(results, logs, model, task, side):.4f}"
            lines.append(f"| {name} | {label} | {numbers} | {change} |")
    return lines


def epoch_lines(results: dict[str, Any]) -> list[str]:
    """The epochs of each MMoE run, and how many the clock of the kept weights alone would have taken."""
    lines = ["| log | epochs | without own clocks | added |", "|---|---|---|---|"]
    totals = np.zeros(2)
    for name, log in results.items():
        run = log["models"].get("mmoe", {})
        if "epochs_without_own_clocks" in run:
            epochs = np.array([run["epochs"], run["epochs_without_own_clocks"]])
            totals += epochs
            lines.append(f"| {name} | {epochs[0]:g} | {epochs[1]:g} | {epochs[0] / epochs[1] - 1:.0%} |")
    return [*lines, f"| all | {totals[0]:g} | {totals[1]:g} | **{totals[0] / totals[1] - 1:.0%}** |"] if totals.any() else lines


def rate_lines(rates: dict[str, Any]) -> list[str]:
    """The metric of each task on validation rows without id dropout, and its change by rate; means over replicas and cuts."""
    columns = next(iter(rates.values()))["rates"]
    lines = ["| log | task | " + " | ".join(f"c = {rate:g}" for rate in columns) + " |", "|---" * (len(columns) + 2) + "|"]
    cuts: dict[str, list[str]] = {}
    for name in rates:
        cuts.setdefault(name.rsplit("-", 1)[0] if name.startswith(("short", "movielens-time")) else name, []).append(name)
    for name, logs in cuts.items():
        label = f"{name}, {len(logs)} cuts" if len(logs) > 1 else name
        value_C = {task: np.mean([rates[log]["tasks"][task] for log in logs], axis=(0, 2)) for task in rates[logs[0]]["tasks"]}
        lines += [f"| {label} | {task} | {_changes(value)} |" for task, value in value_C.items()]
        mean = np.mean([value for task, value in value_C.items() if task not in REGRESSIONS], axis=0)
        lines.append(f"| {label} | *{MEAN}* | {_changes(mean)} |")
    return lines


def _changes(value_C: np.ndarray) -> str:
    """The first value, and what the others add to it."""
    return " | ".join([f"{value_C[0]:.4f}", *(f"{change:+.4f}" for change in value_C[1:] - value_C[0])])


def main() -> None:
    results = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    rates = json.loads((HERE / "rates.json").read_text(encoding="utf-8"))
    parts = [HEAD.rstrip("\n")]
    for title, model, other, side in TABLES:
        lines = lines_of(results, model, other, side)
        parts += ["", f"## {title}", "", *lines] if len(lines) > 2 else []
    parts += ["", "## Which rate of id dropout: validation rows", "", RATES, "", *rate_lines(rates)]
    parts += ["", "## Epochs that own clocks add", "", *epoch_lines(results)]
    parts.append("")
    (HERE / "README.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
