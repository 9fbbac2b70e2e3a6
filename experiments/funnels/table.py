"""Writes README.md from results-*.json.

python experiments/funnels/table.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from manygate.metrics.uncertainty import interval

HERE = Path(__file__).parent
BASE, FAIR = "clicks only", "conditional"
CONTRAST = """
## ESMM against the same network on clicked rows

`clicks only` shares nothing, so its distance from the others is that of sharing and of the funnel together. `conditional` is the
same MMoE, trained on clicked rows alone. The mean of ESMM minus `conditional` over the logs, with its 95 % interval:
"""
HEAD = """# Which way of training a funnel recovers P(buy | click) on all impressions?

The log of `manygate dataset impressions` is made up, and the probability of a purchase after a click is known for every impression,
clicked or not. Each model predicts it for all test rows of a log of {rows:,} rows (80 % of them to train on, with some {positives}
purchases). A row counts as a positive with the weight of its true probability and as a negative with the rest, so that no luck of
the labels is left. `clicks only` is a model of its own for the purchase (`single_task`), trained on clicked rows; the others are
MMoE with both tasks. The mean of {replicas} replicas predicts. `run.py` makes the results, `table.py` this page. Settings are the
library's defaults but for a learning rate of 0.003 and a patience of 2. The relatedness of 0.9 was chosen, after 0.5, on the pilot
seeds 1 and 2: the more a purchase goes with a click, the less clicked rows are like others. The models were trained before ids were
dropped at random, and before each task had a clock of its own: MMoE predicts with one epoch for both tasks, in all its ways alike.

Ten logs (100 to 109) at a relatedness of 0.9 showed the gain in AUC, and a calibration of ESMM that was better on average but not
clear of zero. So twenty more (110 to 129) were decided on before any of them was run; they stand alone and with the ten.

- **AUC**: of P(buy | click) over all test rows. **Calibration error**: |ln(true mean / predicted mean)|. **ECE**: mean distance
  from the truth over 15 bins of equal mass. **Joint**: the same of P(click and buy), the column `click_buy`.
- A star where the 95 % interval (Student's t over the logs) of the paired difference from `clicks only` is clear of zero; in
  brackets on how many logs it is better than `clicks only`.
"""


def column(results: dict[str, Any], way: str, key: str) -> np.ndarray:
    values = [found["ways"][way][key] for found in results["seeds"].values()]
    return np.abs(np.log(values)) if key.endswith("calibration") else np.array(values)


def cell(results: dict[str, Any], way: str, key: str) -> str:
    own = column(results, way, key)
    text = f"{own.mean():.4f}" if not key.endswith("calibration") else f"{own.mean():.3f}"
    if way == BASE:
        return text
    gain = interval(list(own - column(results, BASE, key)))
    better = 1 if key.endswith("auc") else -1
    wins = int((better * (own - column(results, BASE, key)) > 0).sum())
    star = "*" if gain.ci95 and (gain.ci95[0] > 0 or gain.ci95[1] < 0) else ""
    return f"{text}{star} ({wins}/{len(own)})"


def of_seeds(results: dict[str, Any], first: int, last: int) -> dict[str, Any]:
    """The results of some seeds alone."""
    return results | {"seeds": {seed: found for seed, found in results["seeds"].items() if first <= int(seed) <= last}}


def section(results: dict[str, Any]) -> str:
    seeds = sorted(map(int, results["seeds"]))
    keys = ("auc", "calibration", "ece", "joint_auc", "joint_calibration", "joint_ece")
    best = {name: np.mean([found["best"][name] for found in results["seeds"].values()]) for name in ("auc", "joint_auc")}
    lines = [
        f"\n## Relatedness {results['settings']['relatedness']:g}, {len(seeds)} logs ({seeds[0]} to {seeds[-1]})\n",
        "| way | AUC | calibration error | ECE | joint AUC | joint calibration error | joint ECE |",
        "|---|---|---|---|---|---|---|",
    ]
    ways = list(next(iter(results["seeds"].values()))["ways"])
    lines += [f"| {way} | " + " | ".join(cell(results, way, key) for key in keys) + " |" for way in ways]
    lines += [f"| truth | {best['auc']:.4f} | 0 | 0 | {best['joint_auc']:.4f} | 0 | 0 |", ""]
    return "\n".join(lines)


def contrast(parts: list[dict[str, Any]]) -> str:
    """ESMM against ``conditional``: the same network, so that the difference is the way of training and not sharing."""
    keys = {
        "auc": "AUC",
        "calibration": "calibration error",
        "joint_auc": "joint AUC",
        "joint_calibration": "joint calibration error",
    }
    lines = [CONTRAST, "| relatedness | logs | " + " | ".join(keys.values()) + " |", "|---" * (len(keys) + 2) + "|"]
    for results in parts:
        seeds = sorted(map(int, results["seeds"]))
        cells = [_difference(column(results, "esmm", key) - column(results, FAIR, key)) for key in keys]
        lines.append(f"| {results['settings']['relatedness']:g} | {seeds[0]} to {seeds[-1]} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _difference(values: np.ndarray) -> str:
    found = interval(list(values))
    assert found.ci95 is not None
    return f"{found.mean:+.4f} ({found.ci95[0]:+.4f} to {found.ci95[1]:+.4f})"


def main() -> None:
    at_09, at_05 = (json.loads((HERE / f"results-{relatedness}.json").read_text()) for relatedness in ("0.9", "0.5"))
    settings = at_09["settings"]
    rows = settings["rows"]
    head = HEAD.format(rows=rows, positives=f"{round(rows * 0.8 * 0.17 * 0.065 / 10) * 10:,}", replicas=settings["replicas"])
    parts = [at_09, of_seeds(at_09, 110, 129), of_seeds(at_09, 100, 109), at_05]
    (HERE / "README.md").write_text(head + "".join(map(section, parts)) + contrast(parts) + (HERE / "reading.md").read_text())


if __name__ == "__main__":
    main()
