"""Write README.md of this folder from results.json: PYTHONPATH=experiments python experiments/defaults/table.py"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from run import HERE, RESULTS

from manygate.metrics.uncertainty import interval

HEAD = """# Which settings for tabular data are on by default?

Cross layers (2, rank 32), an average of the weights (decay 0.999), numbers as ids (10 rows) and target statistics: each alone,
all together, and all but one, beside none of them. The model is {architecture} with the default sizes. A difference is of the main
metric (AUC, or R2 of a regression) in the mean of a log's tasks, each at its own best epoch, paired by seed. ± is half of the 95 %
interval over {replicas} seeds. The luck of the rows is not in it.

**Validation chooses. The test columns were looked at afterwards.** `run.py` makes `results.json`, `table.py` this page.
"""
Entries = dict[str, dict[str, Any]]


def differences(entries: Entries, settings: str, part: str) -> np.ndarray:
    """The gain of some settings over none, in the mean of the tasks, by replica."""
    mean_R = {name: np.mean(list(entries[name][part].values()), axis=0) for name in (settings, "none")}
    return np.asarray(mean_R[settings] - mean_R["none"])


def shown(value_R: np.ndarray) -> str:
    summary = interval([float(value) for value in value_R])
    half = "" if summary.ci95 is None else f" ± {(summary.ci95[1] - summary.ci95[0]) / 2:.4f}"
    return f"{value_R.mean():+.4f}{half}"


def lines_of_log(name: str, entries: Entries) -> Iterator[str]:
    """A table of a log: each task's test metric (of the ensemble in brackets), and the gains on validation and test."""
    tasks = list(entries["none"]["test"])
    yield f"## {name}"
    yield ""
    yield "| settings | validation | test | " + " | ".join(f"{task} on test" for task in tasks) + " | s an epoch |"
    yield "|---" * (len(tasks) + 4) + "|"
    for settings, entry in entries.items():
        gains = [shown(differences(entries, settings, part)) if settings != "none" else "" for part in ("valid", "test")]
        values = [f"{np.mean(entry['test'][task]):.4f} ({entry['ensemble'][task]:.4f})" for task in tasks]
        yield f"| {settings} | {' | '.join([*gains, *values])} | {entry['seconds_an_epoch']:.1f} |"
    yield ""


def summary(results: dict[str, Entries]) -> Iterator[str]:
    """The mean gain over the logs on which all settings were run, and the settings that validation chooses."""
    logs = {name: entries for name, entries in results.items() if "none" in entries and "all" in entries}
    names = [settings for settings in next(iter(logs.values()), {}) if all(settings in entries for entries in logs.values())]
    mean = {
        part: {s: np.mean([differences(entries, s, part).mean() for entries in logs.values()]) for s in names}
        for part in ("valid", "test")
    }
    yield f"## Mean over {len(logs)} log{'s' if len(logs) > 1 else ''}"
    yield ""
    yield "| settings | validation | worst log on validation | test |"
    yield "|---|---|---|---|"
    for settings in sorted((s for s in names if s != "none"), key=lambda s: -mean["valid"][s]):
        worst = min(logs, key=lambda name, s=settings: differences(logs[name], s, "valid").mean())  # type: ignore[misc]
        at_worst = differences(logs[worst], settings, "valid").mean()
        yield f"| {settings} | {mean['valid'][settings]:+.4f} | {at_worst:+.4f} ({worst}) | {mean['test'][settings]:+.4f} |"
    if names:
        yield ""
        yield f"Chosen by the mean on validation: **{max(names, key=lambda s: mean['valid'][s])}**."
    yield ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=HERE / "README.md")
    parser.add_argument("--architecture", default="mmoe")
    options = parser.parse_args()
    results = json.loads(options.results.read_text(encoding="utf-8"))
    seeds = {len(values) for entries in results.values() for entry in entries.values() for values in entry["valid"].values()}
    head = HEAD.format(architecture=options.architecture, replicas=" or ".join(map(str, sorted(seeds))))
    parts = [head.rstrip("\n"), "", *summary(results)]
    for name, entries in results.items():
        parts += lines_of_log(name, entries)
    options.out.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
