"""Compares separate networks with separate networks: what a comparison says where nothing is shared.

``l2_constrained`` with an alpha of 0 has a network for each task and nothing between them. Without ids there are no embedding
tables that it could share, so its networks are those of ``single_task`` with other random numbers, and every true gain is 0.

A verdict is counted by two rules. By ``own clocks`` each task is judged at its own best epoch in both arms. By ``one checkpoint``
the arm that "shares" is judged at the one epoch that it keeps for all tasks, as verdicts were made before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.metrics.sigmoid import sigmoid
from manygate.runs.comparison import BASELINE, compare_run, measures_as_kept, verdict_fields
from manygate.runs.preflight import prepare
from manygate.runs.run import Trained
from manygate.schema import Feature, Schema, Task
from manygate.training.progress import open_progress
from manygate.verdict.transfer import sure

UNCONNECTED = "l2_constrained"
RULES = ("own clocks", "one checkpoint")
TASKS = {"easy": (3.0, 0.30), "plain": (1.3, 0.25), "faint": (0.5, 0.30), "rare": (1.5, 0.06)}
"""For each task: the slope of its logit over a score of unit variance, and about the share of its positives."""
NUMBERS = 8
SETTINGS: dict[str, Any] = {
    "architectures": f"{BASELINE},{UNCONNECTED}",
    "l2_alpha": 0.0,
    "bottom_hidden": 16,
    "tower_hidden": 8,
    "encoding": "standard",
    "learning_rate": 0.02,
    "batch_size": 256,
    "fractions": (0.5, 0.2, 0.3),
    "replicas": 5,
    "threads": 1,
    "device": "cpu",
}


def draw_log(rows: int, seed: int) -> tuple[pa.Table, Schema]:
    """Draw a log of eight normal numbers and four binary tasks whose scores are smooth functions of them."""
    random = np.random.default_rng(seed)
    x_NC = random.standard_normal((rows, NUMBERS))
    columns = {f"x{c}": pa.array(x_N) for c, x_N in enumerate(x_NC.T)}
    for name, (slope, rate) in TASKS.items():
        linear_N, wave_N = (x_NC @ _direction(random) for _ in range(2))
        score_N = (linear_N + np.sin(2 * wave_N)) / np.sqrt(1.5)
        shift = np.log(rate / (1 - rate)) * np.sqrt(1 + 0.35 * slope**2)
        columns[name] = pa.array((random.random(rows) < sigmoid(slope * score_N + shift)).astype(np.int8))
    features = tuple(Feature(name=f"x{c}", kind="dense") for c in range(NUMBERS))
    return pa.table(columns), Schema(features=features, tasks=tuple(Task(name=name) for name in TASKS))


def _direction(random: np.random.Generator) -> np.ndarray:
    drawn_C = random.standard_normal(NUMBERS)
    return np.asarray(drawn_C / np.linalg.norm(drawn_C))


def compare(rows: int, seed: int, **settings: Any) -> dict[str, dict[str, Any]]:
    """Train both arms on one log and return what a comparison says by each of the :data:`RULES`."""
    table, schema = draw_log(rows, seed)
    config = RunConfig.build({**SETTINGS, "seed": 100 * seed, **settings})
    log = prepare(table, config, schema, architectures=config.architectures)
    document, trained = compare_run(log, config, None, open_progress("none"))
    own, unconnected = trained[BASELINE], trained[UNCONNECTED]
    kept = replace(unconnected, own_test_logit_RNT=unconnected.test_logit_RNT, valid_score_R=kept_scores(unconnected))
    arms = {"own clocks": unconnected, "one checkpoint": kept}
    return {rule: said(log, document, {BASELINE: own, UNCONNECTED: arm}) for rule, arm in arms.items()}


def kept_scores(run: Trained) -> list[float]:
    """Return the validation score of the checkpoint that each replica keeps."""
    return [float("nan") if clock.best is None else clock.best for clock in run.state.kept]


def said(log: EncodedLog, document: Any, trained: dict[str, Trained]) -> dict[str, Any]:
    """Return the single verdict and the joint flag of each task and metric, and the arm that validation prefers."""
    fields: Any = verdict_fields(log, trained, measures_as_kept(log, trained), document.valid, document.best)
    gains = fields["transfer"].gains[UNCONNECTED]
    means = {name: float(np.mean(run.valid_score_R)) for name, run in trained.items()}
    return {
        "prefers_single": means[BASELINE] > means[UNCONNECTED],
        "ahead": round(means[BASELINE] - means[UNCONNECTED], 5),
        "single": {task: {metric: gain.verdict for metric, gain in by.items()} for task, by in gains.items()},
        "joint": {task: {metric: sure(gain) for metric, gain in by.items()} for task, by in gains.items()},
        "gain": {task: round(by["auc"].gain, 5) for task, by in gains.items() if by["auc"].gain is not None},
    }
