"""Tasks that are predicted no better than by chance."""

from __future__ import annotations

import numpy as np

from manygate.inspection.chance import chance_report, verdict


def test_verdicts_at_their_edges():
    assert verdict(0.5 + 0.0201, 0.01, 0.5) == "better"
    assert verdict(0.5 + 0.0199, 0.01, 0.5) == "noise"
    assert verdict(0.45, 0.01, 0.5) == "noise", "worse than chance is no better than chance"
    assert verdict(0.58, 0.051, 0.5) == "too few rows"
    assert verdict(-0.2, 0.02, 0.0) == "noise"


def test_labels_of_noise_are_told_from_labels_with_a_signal():
    from manygate.data.rows import Rows
    from manygate.model.problem import Problem
    from manygate.schema import Task

    random = np.random.default_rng(0)
    tasks = (Task(name="good"), Task(name="bad"), Task(name="time", kind="regression"))
    n = 4_000
    logit = random.normal(size=(2, n, 3)).astype(np.float32)
    label = np.stack([random.random(n) < 1 / (1 + np.exp(-logit[0, :, 0])), random.random(n) < 0.3, random.normal(size=n)], axis=1)
    rows = Rows(np.zeros((n, 0), np.int32), np.zeros((n, 0), np.float32), [], label.astype(np.float32), np.ones((n, 3), np.float32))
    found = {one.task: one for one in chance_report(logit, rows, Problem.unscaled((), tasks))}
    assert {name: one.verdict for name, one in found.items()} == {"good": "better", "bad": "noise", "time": "noise"}
    assert found["time"].chance == 0.0
    assert found["bad"].rows == n
