"""How good are the default settings on logs whose ids training has not seen, beside LightGBM?

    export PYTHONPATH=experiments
    python experiments/unseen-ids/run.py --wheel recbole-1.2.1-py3-none-any.whl --video short-video-log.tsv.gz

Writes results.json beside this file, an entry after the other; what is there is not run again. ``pip download --no-deps
recbole==1.2.1`` brings the wheel that holds MovieLens-100K. The short-video log is KuaiRand-27K in its 15-core subset.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from lightgbm_tuned import tune_log
from logs import MEAN, REGRESSIONS, Log, find_log, names

from manygate import metrics
from manygate.baselines.boosting import boost, fit_boosting
from manygate.baselines.task_model import Fitted, TaskRows
from manygate.baselines.tree_inputs import tree_inputs
from manygate.config import RunConfig
from manygate.config.names import COMPARED
from manygate.data.encoded import EncodedLog
from manygate.files import to_json, write_text
from manygate.metrics.table import MAIN_METRIC
from manygate.metrics.task import Kind
from manygate.model.problem import Problem
from manygate.runs.preflight import prepare
from manygate.runs.run import train_one
from manygate.scoring.outputs import task_output
from manygate.training.progress import Progress
from manygate.training.state import State

HERE = Path(__file__).parent
TREES = ("lightgbm", "lightgbm-native", "lightgbm-tuned")
SIDES = ("own", "shipped")


def one_model(log: Log, options: argparse.Namespace, model: str) -> dict[str, Any]:
    """Train a model on a log. ``model`` is lightgbm, lightgbm-tuned, a scheme, or SCHEME c=NUMBER."""
    began = time.monotonic()
    scheme, _, rate = model.partition(" c=")
    given = {"replicas": options.replicas, "threads": options.threads} | ({"id_dropout": float(rate)} if rate else {})
    config = RunConfig.build(given | ({} if scheme in TREES else {"architecture": scheme}))
    encoded = prepare(log.parts["train"], config, log.schema, log.parts["valid"], log.parts["test"])
    if scheme in TREES:
        logit_RNT, more = tree_logits(encoded, config, scheme, options.trials)
        logits = {"own": logit_RNT, "shipped": logit_RNT}
    else:
        trained = train_one(encoded, config, None, Progress(), own_clocks=True)
        logits = {"own": trained.own_test_logit_RNT, "shipped": trained.test_logit_RNT}
        more = {
            "valid": [float(value) for value in trained.valid_score_R],
            "epochs": trained.state.epoch,
            "epochs_without_own_clocks": epochs_without_own_clocks(trained.state, config),
            "batch_size": trained.model.config.batch_size,
        }
    tasks = {task.name: _measured_task(encoded, config, t, logits) for t, task in enumerate(log.schema.tasks)}
    return {"tasks": tasks, **more, "seconds": round(time.monotonic() - began, 1)}


def epochs_without_own_clocks(state: State, config: RunConfig) -> float:
    """The epochs that the run would have taken if the clock of the kept weights alone had ended it."""
    return max(min(clock.epoch + config.patience, config.epochs) for clock in state.kept)


def tree_logits(encoded: EncodedLog, config: RunConfig, model: str, trials: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Logits (R, N, T) of LightGBM on the test rows.

    ``lightgbm`` is the baseline of a comparison: validation chooses whether ids have target statistics. ``lightgbm-native`` has the
    library's defaults, with ids as categories. ``lightgbm-tuned`` is the best of some random trials.
    """
    if model == "lightgbm-tuned":
        logit_RNT, tuned = tune_log(encoded, config, trials)
        return logit_RNT, {"tuned": tuned}
    fit = {"lightgbm": fit_boosting, "lightgbm-native": fit_native}[model]
    seeds = [config.seed_of(r) for r in range(config.replicas)]
    different = seeds[:1] if model == "lightgbm-native" else seeds  # without sampling every seed gives the same trees
    rows = [[TaskRows(encoded, t, seed, config.threads or 1) for seed in different] for t in range(len(encoded.schema.tasks))]
    logit_TRN = np.array([[fit(one).logit_N["test"] for one in task] for task in rows])
    return np.moveaxis(np.repeat(logit_TRN, len(seeds) // len(different), axis=1), 0, 2), {}


def fit_native(rows: TaskRows) -> Fitted:
    """LightGBM as it comes: no target statistics, its own defaults, every id a category; null and unseen ids are missing."""
    return boost(rows, tree_inputs(rows.log, rows.task, rows.seed, with_statistics=False), {})


def _measured_task(encoded: EncodedLog, config: RunConfig, t: int, logits: dict[str, np.ndarray]) -> dict[str, Any]:
    problem, rows = Problem.of(encoded.encoder, config), encoded.parts["test"]
    label_N, weight_N = problem.labelled(rows, t)
    return {
        name: _measured(problem.tasks[t].kind, label_N, task_output(logit, problem, t), weight_N) for name, logit in logits.items()
    }


def _measured(kind: Kind, label_N: np.ndarray, score_RN: np.ndarray, weight_N: np.ndarray) -> dict[str, Any]:
    """The main metric of every replica, and the influence of each test row on its mean, for paired intervals."""
    value_R = [metrics.task_metrics(kind, label_N, score_N, weight_N)[0][MAIN_METRIC[kind]] for score_N in score_RN]
    influence_N = np.mean([metrics.influence(kind, label_N, score_N, weight_N) for score_N in score_RN], axis=0)
    return {"values": [round(float(value), 6) for value in value_R], "influence": influence_N}


def compared(model: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Each task's gain of a model over another with its interval over replicas and test rows, by its own clocks and as shipped.

    The name MEAN stands for the mean over the binary tasks.
    """
    found: dict[str, Any] = {}
    for side in SIDES:
        gains: dict[str, Any] = {}
        for task in model["tasks"]:
            first, second = model["tasks"][task][side], other["tasks"][task][side]
            gains[task] = (np.subtract(first["values"], second["values"]), first["influence"] - second["influence"])
        binary = [gain for task, gain in gains.items() if task not in REGRESSIONS]
        gains[MEAN] = tuple(np.mean(parts, axis=0) for parts in zip(*binary, strict=True))
        for task, (gain_R, influence_N) in gains.items():
            gain = metrics.paired_gain(gain_R.tolist(), metrics.standard_error(influence_N), metrics.cluster_count(influence_N))
            found.setdefault(task, {})[side] = {"gain": gain.gain, "ci95": gain.ci95}
    return found


def one_log(name: str, options: argparse.Namespace, done: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Train what is missing on a log. The state of its results is returned after each model."""
    log = find_log(name, options.wheel, options.video, options.census)
    models = done.setdefault("models", {})
    for model in options.models.split(","):
        if model in models:
            continue
        trained = one_model(log, options, model)
        options.cache.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(options.cache / f"{name} {model}.npz", **_influences(trained))
        models[model] = _without_influence(trained)
        add_gains(name, options.cache, done)
        yield done


def add_gains(name: str, cache: Path, done: dict[str, Any]) -> None:
    """Add what is missing: the gains of each network over each LightGBM, and over itself without id dropout."""
    models, gains = done["models"], done.setdefault("gains", {})
    for first, second in itertools.product(models, (*TREES, "mmoe c=0")):
        comparable = first not in TREES if second in TREES else first.startswith("mmoe") and first != second
        if comparable and second in models and second not in gains.get(first, {}):
            gains.setdefault(first, {})[second] = compared(*(_cached(cache, name, model, models) for model in (first, second)))


def _influences(found: dict[str, Any]) -> dict[str, np.ndarray]:
    return {f"{task} {side}": own["influence"] for task, sides in found["tasks"].items() for side, own in sides.items()}


def _cached(folder: Path, log: str, model: str, models: dict[str, Any]) -> dict[str, Any]:
    """A trained model as :func:`one_model` returns it, from its values and the influences in the cache."""
    with np.load(folder / f"{log} {model}.npz") as arrays:
        tasks = {
            task: {side: {"values": values, "influence": arrays[f"{task} {side}"]} for side, values in sides.items()}
            for task, sides in models[model]["tasks"].items()
        }
    return {"tasks": tasks}


def _without_influence(found: dict[str, Any]) -> dict[str, Any]:
    tasks = {task: {side: measured["values"] for side, measured in sides.items()} for task, sides in found["tasks"].items()}
    return {**found, "tasks": tasks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="the wheel of RecBole 1.2.1, which holds MovieLens-100K")
    parser.add_argument("--video", type=Path, help="the short-video log")
    parser.add_argument("--census", type=Path, help="folder with the two files of UCI Census-Income")
    parser.add_argument("--logs", help="names of logs, by comma; default: all whose files are given")
    parser.add_argument("--models", default=",".join((*TREES, *COMPARED)))
    parser.add_argument("--replicas", type=int, default=5)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "unseen-ids", help="for influences of test rows"
    )
    options = parser.parse_args()
    wanted = (
        options.logs.split(",")
        if options.logs
        else names(options.wheel is not None, options.video is not None, options.census is not None)
    )
    results = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    for name in wanted:
        for state in one_log(name, options, results.get(name, {})):
            results[name] = state
            write_text(options.out, to_json(results))
            show(name, state)


def show(name: str, state: dict[str, Any]) -> None:
    model = list(state["models"])[-1]
    found = state["models"][model]
    told = "  ".join(f"{task} {np.mean(sides['own']):.4f}" for task, sides in found["tasks"].items())
    print(f"{name:18} {model:16} {told}  ({found['seconds']:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
