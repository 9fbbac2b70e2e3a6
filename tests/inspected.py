"""Documents of inspections of small trained models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from manygate.inspection.look import inspect_log, look
from manygate.results.evaluation import Epoch
from manygate.schema import Task
from manygate.scoring.predictor import Predictor


@pytest.fixture(scope="session")
def inspected(encoded, trainer, settings, log_table) -> Callable[..., dict[str, Any]]:
    """Train a scheme a little and inspect it whole, by country."""
    log, found = encoded(), {}

    def document(architecture: str = "mmoe", **changes: Any) -> dict[str, Any]:
        key = (architecture, *sorted(changes.items()))
        if key not in found:
            training = trainer(log, settings(architecture=architecture, epochs=3, replicas=2, **changes))
            history = [Epoch.model_validate(entry) for entry in training.fit().history]
            predictor = Predictor(training.model, log.encoder)
            found[key] = inspect_log(predictor, log_table(), by="country", history=history).to_tree()
        return found[key]

    return document


@pytest.fixture(scope="session")
def odd(encoded, trainer, settings, log_table) -> Callable[..., dict[str, Any]]:
    """An inspection of tasks with names that break a careless page, faults among them."""
    log = encoded()

    def document(names: tuple[str, str, str]) -> dict[str, Any]:
        training = trainer(log, settings(architecture="ple", epochs=1))
        training.fit()
        kinds = [task.kind for task in log.schema.tasks]
        tasks = [Task(name=name, kind=kinds[t]) for t, name in enumerate(names)]
        labels = {task.name: scale for task, scale in zip(tasks, log.encoder.labels.values(), strict=True)}
        rows, model = log.parts["valid"], training.model
        model.problem = replace(model.problem, tasks=tuple(tasks), labels=labels)
        return look(model, rows, by=("<b>", pa.array([f"<{n % 3}>" for n in range(len(rows))]))).to_tree()

    return document
