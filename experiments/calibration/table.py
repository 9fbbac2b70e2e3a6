"""Write README.md of this folder from results.json: python experiments/calibration/table.py"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
METHODS = ("platt", "temperature", "isotonic")
WANTED = 0.005
HEAD = """# Calibration against a known truth

`manygate dataset impressions` writes the probability that every label was drawn from. A log's labels hide what a calibrator does,
since noise alone moves the rate of a bin of 5,000 rows by some 0.005; here the error is measured against the truth
itself. `table.py` writes this page from `results.json`, and `run.py` writes that, in {minutes} minutes on one thread of a
busy machine:

```text
python experiments/calibration/run.py
```

The parts of a log of {rows:,} impressions are pooled and split anew at random: {train:,} train an MMoE ({epochs} epochs),
{stop:,} stop it, {valid:,} fit the calibrators, {test:,} judge them. like and buy are judged on their sample space, the
clicked rows. ECE is over 15 bins of equal mass; *truth* takes the true probabilities for labels (for click the mean over
positions, `p_click_served`, since the position is not known when serving), *labels* the labels. Last line of each task:
the truth as prediction, what the labels' noise alone makes of a perfect model.
"""
FOOT = """
With all the rows isotonic regression is within {worst:.4f} of the truth on every task of every log; it is under {wanted}
on every task of the first log from {enough:,} impressions on. It has no form of its own, so it needs rows: its error
falls as their number grows, slowest for `like`, whose labels are the noisiest. Platt scaling has two numbers and
temperature one: they are as good as they get with few rows, and stop where their form does, which is now above and now
below {wanted}.
"""


def page(document: dict[str, Any]) -> str:
    first = document["logs"][0]
    about = {**first["rows"], "rows": document["rows"], "epochs": document["settings"]["epochs"]}
    lines = [HEAD.format(minutes=round(document["seconds"] / 60), **about)]
    lines += ["| task | | ECE, truth | ECE, labels | true / predicted | log loss |", "|---|---|---|---|---|---|"]
    for task, found in first["tasks"].items():
        for name in ("raw", *METHODS, "truth itself"):
            one = found[name]
            numbers = f"{one['ece_truth']:.4f} | {one['ece_labels']:.4f} | {one['calibration_truth']:.4f} | {one['log_loss']:.5f}"
            lines.append(f"| {task if name == 'raw' else ''} | {name} | {numbers} |")
    lines += ["", "## How many rows it takes", ""]
    lines += [
        "ECE against the truth by the impressions that the calibrator was fitted on, and the rows of the task among them.",
        "",
    ]
    lines += ["| task | impressions | rows | " + " | ".join(METHODS) + " |", "|---|---|---|" + "---|" * len(METHODS)]
    for task, found in first["tasks"].items():
        for place, row in enumerate(found["by size"]):
            cells = " | ".join(f"{row[method]:.4f}" for method in METHODS)
            lines.append(f"| {'' if place else task} | {row['impressions']:,} | {row['rows']:,} | {cells} |")
    lines += ["", "## Other logs", "", "ECE against the truth on logs of other seeds, with all the rows.", ""]
    lines += ["| seed | task | raw | " + " | ".join(METHODS) + " |", "|---|---|---|" + "---|" * len(METHODS)]
    for one in document["logs"]:
        for task, found in one["tasks"].items():
            cells = " | ".join(f"{found[name]['ece_truth']:.4f}" for name in ("raw", *METHODS))
            lines.append(f"| {one['seed']} | {task} | {cells} |")
    worst = max(found["isotonic"]["ece_truth"] for one in document["logs"] for found in one["tasks"].values())
    lines.append(FOOT.format(worst=worst, wanted=WANTED, enough=_enough(first)))
    return "\n".join(lines)


def _enough(log: dict[str, Any]) -> int:
    """The fewest impressions from which on isotonic regression is good enough on every task."""
    sizes = [row["impressions"] for row in next(iter(log["tasks"].values()))["by size"]]
    worst = [max(found["by size"][place]["isotonic"] for found in log["tasks"].values()) for place in range(len(sizes))]
    return next(size for place, size in enumerate(sizes) if max(worst[place:]) < WANTED)


if __name__ == "__main__":
    (HERE / "README.md").write_text(page(json.loads((HERE / "results.json").read_text(encoding="utf-8"))), encoding="utf-8")
