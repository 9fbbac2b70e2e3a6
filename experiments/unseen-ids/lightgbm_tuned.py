"""LightGBM tuned on validation, on the rows, masks and weights of a comparison (manygate.baselines.boosting_search).

python experiments/unseen-ids/lightgbm_tuned.py CONFIG.yaml --out tuned.json        CONFIG.yaml is that of a comparison
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from manygate.baselines.boosting_search import TRIALS, Tuned, fit_trial, tune_task
from manygate.baselines.task_model import TaskRows
from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.files import to_json, write_text
from manygate.runs.preflight import prepare


def tuned_logits(log: EncodedLog, t: int, tuned: Tuned, seeds: Sequence[int], threads: int = 1) -> np.ndarray:
    """Fit the best trial with each seed, and return the logits of the test rows, (R, N)."""
    return np.stack([fit_trial(TaskRows(log, t, seed, threads), tuned.trial).logit_N["test"] for seed in seeds])


def tune_log(log: EncodedLog, config: RunConfig, trials: int = TRIALS, seed: int = 0) -> tuple[np.ndarray, dict[str, Any]]:
    """Tune every task. Return the logits of the test rows (R, N, T), and what was found as JSON.

    Replica r has the seed of a network's replica r, so that both can be paired.
    """
    threads, seeds = config.threads or 1, [config.seed_of(r) for r in range(config.replicas)]
    logits, found = [], {}
    for t, task in enumerate(log.schema.tasks):
        began = time.monotonic()
        tuned = tune_task(log, t, seed, trials, threads)
        logit_RN = tuned_logits(log, t, tuned, seeds, threads)
        rows = TaskRows(log, t)
        logits.append(logit_RN)
        found[task.name] = {
            "trial": tuned.number,
            "parameters": tuned.trial.parameters,
            "target_statistics": tuned.trial.with_statistics,
            "most_categories": tuned.trial.most_categories,
            "valid": tuned.valid,
            "valid_default": float(np.nanmax([score.valid for score in tuned.scores[:2]])),
            "test": [rows.score("test", logit_N) for logit_N in logit_RN],
            "seconds": round(time.monotonic() - began, 1),
        }
        print(task.name, found[task.name], flush=True)
    return np.stack(logits, axis=-1).astype(np.float32), found


def main() -> None:
    """Tune LightGBM on the log of a configuration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    config = RunConfig.load(arguments.config)
    _, found = tune_log(prepare(config.log, config), config, arguments.trials, arguments.seed)
    write_text(arguments.out, to_json({"trials": arguments.trials, "seed": arguments.seed, "tasks": found}))


if __name__ == "__main__":
    main()
