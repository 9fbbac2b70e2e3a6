"""Write README.md of this folder from results.json and first.json: PYTHONPATH=experiments python experiments/defaults/table.py"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from run import FRESH, HERE, RESULTS

from manygate.metrics.uncertainty import interval

Entries = dict[str, dict[str, Any]]
FIRST = HERE / "first.json"
HEAD = """# Which settings for tabular data are on by default?

Four settings change what a network reads and how it is trained: cross layers (2 of rank 32), an average of the weights (decay
0.999), ids of numbers, and target statistics. This page shows what each does to the default MMoE, beside none of them.

* **default**: cross layers from 100,000 training rows on; ids of a number if its repeated values have 500 training rows on average;
  statistics of a feature if it has 16 ids or more with 500 training rows on average, and at most four tasks; the average always.
* **none** is the default of earlier versions. The other rows switch one setting on or off, or take another value in place of the
  default's. What was tried and not taken: cross layers whatever the rows, ids of all numbers that repeat, statistics of all ids.

A difference is of the main metric (AUC, or R2 of a regression) in the mean of a log's tasks, each at its own best epoch, paired by
seed. ± is half of the 95 % interval over the seeds. The luck of the rows is not in it.

The rules were made on the first six logs: both groups of Census-Income, the made-up log without turnover and with 0.3, and
MovieLens-100K at random and by time. Both columns were in view. One rule goes by test rows: statistics of all ids gain on
validation in the mean, and lose much on the last days of MovieLens-100K. **The logs under "fresh logs" had no part in it**: earlier
cuts of MovieLens-100K by time, and the short-video log. They were run once, after the rules were made.

`run.py` makes `results.json`, `table.py` this page.
"""
BEFORE = """# Before the rules

The first tries had no rules: every number that repeats had ids, every id had statistics, cross layers had random weights in V and
were on whatever the rows. Cross layers hurt on the small logs, statistics of all ids on the last days of MovieLens-100K. From this
came the rules, and that V begins at zero. Four seeds; ± as above.
"""


def differences(entries: Entries, settings: str, part: str) -> np.ndarray:
    """The gain of some settings over none, in the mean of the tasks, by replica; the replicas that both have."""
    mean_R = {name: np.mean(list(entries[name][part].values()), axis=0) for name in (settings, "none")}
    both = min(map(len, mean_R.values()))
    return np.asarray(mean_R[settings][:both] - mean_R["none"][:both])


def shown(value_R: np.ndarray) -> str:
    summary = interval([float(value) for value in value_R])
    half = "" if summary.ci95 is None else f" ± {(summary.ci95[1] - summary.ci95[0]) / 2:.4f}"
    return f"{value_R.mean():+.4f}{half}"


def table(name: str, entries: Entries) -> Iterator[str]:
    """A log's gains on validation and test, and each task's test metric (of the ensemble in brackets)."""
    tasks = list(entries["none"]["test"])
    yield f"## {name}"
    yield ""
    yield "| settings | seeds | validation | test | " + " | ".join(f"{task} on test" for task in tasks) + " | epochs | s an epoch |"
    yield "|---" * (len(tasks) + 6) + "|"
    for settings, entry in entries.items():
        gains = [shown(differences(entries, settings, part)) if settings != "none" else "" for part in ("valid", "test")]
        values = [f"{np.mean(entry['test'][task]):.4f} ({entry['ensemble'][task]:.4f})" for task in tasks]
        seeds = len(entry["test"][tasks[0]])
        speed = f"{entry['epochs']} | {entry['seconds_an_epoch']:.1f}"
        yield f"| {settings} | {seeds} | {' | '.join([*gains, *values])} | {speed} |"
    yield ""


def summary(results: dict[str, Entries]) -> Iterator[str]:
    """The mean gain over the logs of settings that were run on all of them, and the worst log."""
    names = [name for name in next(iter(results.values())) if all(name in entries for entries in results.values())]
    yield f"## Mean over {len(results)} logs"
    yield ""
    yield "| settings | validation | worst log on validation | test | worst log on test |"
    yield "|---|---|---|---|---|"
    gain = {
        part: {name: {log: differences(entries, name, part).mean() for log, entries in results.items()} for name in names}
        for part in ("valid", "test")
    }
    for name in sorted((name for name in names if name != "none"), key=lambda name: -np.mean(list(gain["valid"][name].values()))):
        cells = []
        for part in ("valid", "test"):
            by_log = gain[part][name]
            worst = min(by_log, key=lambda log: by_log[log])
            cells += [f"{np.mean(list(by_log.values())):+.4f}", f"{by_log[worst]:+.4f} ({worst})"]
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--first", type=Path, default=FIRST)
    parser.add_argument("--out", type=Path, default=HERE / "README.md")
    options = parser.parse_args()
    results, first = (json.loads(path.read_text(encoding="utf-8")) for path in (options.results, options.first))
    rules = {name: entries for name, entries in results.items() if name not in FRESH}
    fresh = {name: entries for name, entries in results.items() if name in FRESH}
    parts = [HEAD, "# The logs of the rules", "", *summary(rules)]
    for name, entries in rules.items():
        parts += table(name, entries)
    parts += ["# Fresh logs", "", *summary(fresh)]
    for name, entries in fresh.items():
        parts += table(name, entries)
    parts.append(BEFORE)
    for name, entries in first.items():
        parts += table(name, entries)
    options.out.write_text("\n".join(parts).rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
