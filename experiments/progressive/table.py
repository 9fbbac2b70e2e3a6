"""Write README.md of this folder from results.json: python experiments/progressive/table.py"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
TASKS = {"click": "AUC", "like": "AUC", "buy": "AUC", "watch_time": "R²"}
HEAD = """# What do ten days earn, and what does a random split say of them?

A made-up log of ten days with about {rows:,} impressions, whose items come and go (`turnover` {turnover:g}), {logs} logs
of different seeds. An MMoE with default settings ({replicas} replicas) is trained day by day (`--split progressive`), and
the same network on a random split of the same rows. `table.py` writes this page from `results.json`, and `run.py` writes
that, in {minutes:.0f} minutes on one core of a busy machine:

```text
python experiments/progressive/run.py
```

Figures are means over the logs, and their ± is the standard deviation over the logs.

## Day by day, one epoch a day

Each day is predicted by the model of all days before it.

| day | rows | rows with an unseen id | new items | click AUC | known ids | an unseen id | like AUC | buy AUC | watch_time R² |
|---|---|---|---|---|---|---|---|---|---|
"""
VARIANTS = """
*New items* got a row of their own on the day before. *Known ids* and *an unseen id* are the AUC of click on these rows alone.

## What a random split says

The random split trains for several epochs and keeps the best one on validation rows. It is made twice: on all ten days,
and on the first nine, whose model then predicts the tenth day. That is the day on which both regimes can be compared: both
have seen the first nine days.

| | click AUC | like AUC | buy AUC | watch_time R² |
|---|---|---|---|---|
"""
FOOT = """
On test rows of the random split {random_unseen:.1%} have an unseen item. In the ten days {unseen_first:.0%} of the rows
have an unseen id on the second day, and {unseen_last:.0%} on the tenth.

## What growth is worth

The mean of the last five days, and the difference from one epoch a day, log by log.

| | click AUC | difference | like AUC | buy AUC | watch_time R² | rows with an unseen id |
|---|---|---|---|---|---|---|
"""


def metric(run: dict[str, Any], task: str, days: slice = slice(None)) -> float:
    """The mean of a task's main metric over some days."""
    return float(np.mean([day["metrics"][task] for day in run["days"][days]]))


def spread(values: list[float], form: str = ".3f") -> str:
    return f"{np.mean(values):{form}} ± {np.std(values, ddof=1):.3f}"


def _of_days(log: dict[str, Any], task: str, name: str, days: slice) -> float:
    return metric(log["by_day"][name], task, days)


def row(name: str, logs: list[dict[str, Any]], read: Callable[[dict[str, Any], str], float]) -> str:
    return f"| {name} | {' | '.join(spread([read(log, task) for log in logs]) for task in TASKS)} |\n"


def page(document: dict[str, Any]) -> str:
    logs = document["logs"]
    one = [log["by_day"]["one epoch a day"] for log in logs]
    seconds = sum(log["random"]["seconds"] + sum(run["seconds"] for run in log["by_day"].values()) for log in logs)
    text = HEAD.format(
        rows=1000 * round(float(np.mean([log["rows"] for log in logs])) / 1000),
        turnover=document["turnover"],
        logs=len(logs),
        replicas=document["settings"]["replicas"],
        minutes=seconds / 60,
    )
    for number in range(len(one[0]["days"])):
        days = [run["days"][number] for run in one]
        apart = [np.mean([day["click"][part] for day in days]) for part in ("warm", "cold")]
        scores = [np.mean([day["metrics"][task] for day in days]) for task in TASKS]
        cells = [f"{np.mean([day['rows'] for day in days]):,.0f}", f"{np.mean([day['cold_share'] for day in days]):.0%}"]
        cells += [f"{np.mean([day['new_items'] for day in days]):.0f}"]
        text += f"| {number + 2} | {' | '.join(cells)} | {' | '.join(f'{v:.3f}' for v in (scores[0], *apart, *scores[1:]))} |\n"
    text += VARIANTS
    text += row("random split of ten days, its test rows", logs, lambda log, task: log["random"]["ten_days"][task])
    text += row("random split of nine days, its test rows", logs, lambda log, task: log["random"]["nine_days"][task])
    text += row("the same model on the tenth day", logs, lambda log, task: log["random"]["nine_days_on_the_tenth"][task])
    for name in ("one epoch a day", "three epochs a day"):
        for words, chosen in (("the tenth day", slice(-1, None)), ("mean of nine days", slice(None))):
            text += row(f"day by day, {name}: {words}", logs, partial(_of_days, name=name, days=chosen))
    colds = [[run["days"][number]["cold_share"] for run in one] for number in (0, -1)]
    text += FOOT.format(
        random_unseen=np.mean([log["random"]["unseen_items"] for log in logs]),
        unseen_first=np.mean(colds[0]),
        unseen_last=np.mean(colds[1]),
    )
    for name in logs[0]["by_day"]:
        runs, last = [log["by_day"][name] for log in logs], slice(-5, None)
        away = [metric(run, "click", last) - metric(base, "click", last) for run, base in zip(runs, one, strict=True)]
        cells = [spread([metric(run, task, last) for run in runs]) for task in TASKS]
        cold = np.mean([day["cold_share"] for run in runs for day in run["days"][last]])
        listed = ", ".join(f"{value:+.4f}" for value in away) if name != "one epoch a day" else ""
        text += f"| {name} | {cells[0]} | {listed} | {' | '.join(cells[1:])} | {cold:.0%} |\n"
    return text + (HERE / "reading.md").read_text(encoding="utf-8")


if __name__ == "__main__":
    (HERE / "README.md").write_text(page(json.loads((HERE / "results.json").read_text(encoding="utf-8"))), encoding="utf-8")
