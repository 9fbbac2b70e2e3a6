"""Which of the settings for tabular data should be on by default?

    PYTHONPATH=experiments python experiments/defaults/run.py --census DOWNLOADS

Trains the default MMoE on large logs: with none of the settings, with each alone, with the defaults, and with all but one. Writes
results.json beside this file, an entry after the other; what is there is not run again. Test scores are only reported.
``first.json`` has what was tried before, also on small logs; its entries name their settings.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from logs import Log, find_log

from manygate import metrics
from manygate.config import RunConfig
from manygate.config.settings import PLAIN
from manygate.data.encoded import EncodedLog
from manygate.files import to_json, write_text
from manygate.metrics.table import MAIN_METRIC
from manygate.model.problem import Problem
from manygate.runs.preflight import prepare
from manygate.runs.run import train_one
from manygate.scoring.outputs import task_output
from manygate.training.progress import Progress

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
LOGS = ("census-income", "census-education", "made-up-large-0.3")
DEFAULTS: dict[str, Any] = {"cross_layers": 2, "weight_average": 0.999, "number_ids": None, "target_statistics": None}
NAMES = {
    "cross_layers": "cross layers",
    "weight_average": "average",
    "number_ids": "numbers as ids",
    "target_statistics": "statistics",
}


def combinations() -> dict[str, dict[str, Any]]:
    """The settings of each run, by name. All of them are given, so that they do not follow the defaults of a later version."""
    alone = {words: PLAIN | {name: DEFAULTS[name]} for name, words in NAMES.items()}
    without = {f"all but {words}": DEFAULTS | {name: PLAIN[name]} for name, words in NAMES.items()}
    return {"none": PLAIN, "default": DEFAULTS, **alone, **without}


def one_run(log: Log, changes: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Train the replicas with some settings. Each task is judged at its own best epoch, on validation and on test."""
    began = time.monotonic()
    given = {name: getattr(options, name) for name in ("architecture", "replicas", "threads")}
    config = RunConfig.build(given | changes | ({"epochs": options.epochs} if options.epochs else {}))
    encoded = prepare(log.parts["train"], config, log.schema, log.parts["valid"], log.parts["test"])
    trained = train_one(encoded, config, None, Progress(), own_clocks=True)
    state, tasks = trained.state, log.schema.task_names
    clocks = state.own if state.tasks else np.reshape(np.array(state.kept, dtype=object), (options.replicas, -1)).tolist()
    valid = {task: [round(float(by_task[t].best), 6) for by_task in clocks] for t, task in enumerate(tasks)}
    return {
        "valid": valid,
        **_test_scores(encoded, config, trained.own_test_logit_RNT),
        "epochs": state.epoch,
        "seconds_an_epoch": round(state.seconds / state.epoch, 2),
        "parameters": trained.model.parameter_count(),
        "numbers_as_ids": list(encoded.encoder.number_ids),
        "seconds": round(time.monotonic() - began, 1),
    }


def _test_scores(encoded: EncodedLog, config: RunConfig, logit_RNT: np.ndarray) -> dict[str, Any]:
    """The main metric of each replica and of the ensemble on the test rows, by task."""
    problem, rows = Problem.of(encoded.encoder, config), encoded.parts["test"]
    test: dict[str, list[float]] = {}
    ensemble: dict[str, float] = {}
    for t, task in enumerate(problem.tasks):
        label_N, weight_N = problem.labelled(rows, t)
        output_RN = task_output(logit_RNT, problem, t)
        *values, together = (
            metrics.task_metrics(task.kind, label_N, output_N, weight_N)[0][MAIN_METRIC[task.kind]]
            for output_N in (*output_RN, output_RN.mean(axis=0))
        )
        test[task.name], ensemble[task.name] = [round(float(value), 6) for value in values], round(float(together), 6)
    return {"test": test, "ensemble": ensemble}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--census", type=Path, help="folder with the two files of UCI Census-Income")
    parser.add_argument("--logs", default=",".join(LOGS), help="names of logs, by comma")
    parser.add_argument("--settings", default=";".join(combinations()), help="names of settings, by semicolon")
    parser.add_argument("--architecture", default="mmoe")
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--epochs", type=int, help="fewer epochs, to try this script")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    results = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    for name in options.logs.split(","):
        found = results.setdefault(name, {})
        missing = [settings for settings in options.settings.split(";") if settings not in found]
        log = find_log(name, None, None, options.census) if missing else None
        for settings in missing:
            assert log is not None
            found[settings] = one_run(log, combinations()[settings], options)
            write_text(options.out, to_json(results))
            show(name, settings, found[settings])


def show(log: str, settings: str, entry: dict[str, Any]) -> None:
    told = "  ".join(f"{task} {np.mean(values):.4f}" for task, values in entry["valid"].items())
    print(f"{log:18} {settings:24} validation {told}  ({entry['seconds']:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
