"""A made-up census of a few hundred rows, whose labels depend on the inputs, a small plan to study it, and made-up outcomes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from manygate.datasets.census import ASSOCIATE_OR_ABOVE, DENSE, FIELDS, SHA256
from manygate.metrics.uncertainty import interval
from manygate.results.census import CensusModel, CensusSearch, CensusTask
from manygate.studies.census.outcome import Outcome
from manygate.studies.census.plan import MARRIED, Plan, jobs

PLAN = Plan(trials=2, trial_replicas=1, epochs=2)


def line(**changes: str) -> str:
    """A line as published: a space before each value, a full stop at the end."""
    values = {field: "0" if field in DENSE else "?" for field in FIELDS} | {"income_class": "- 50000."} | changes
    return ", ".join(values[field] for field in FIELDS)


def lines(rows: int, seed: int) -> bytes:
    """Rich people are old and work in some industries; young ones never married; managers have a degree."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(rows):
        age, industry, occupation = int(random.integers(18, 80)), int(random.integers(0, 12)), int(random.integers(0, 6))
        noise = random.normal(size=3)
        found.append(
            line(
                age=str(age),
                weeks_worked=str(random.integers(0, 53)),
                industry=str(industry),
                occupation=str(occupation),
                hispanic_origin="NA" if random.random() < 0.2 else "All other",
                income_class="50000+." if age / 20 + industry / 4 + noise[0] > 4.5 else "- 50000.",
                marital_status="Never married" if age < 45 + 8 * noise[1] else "Divorced",
                education_level=ASSOCIATE_OR_ABOVE[0] if occupation / 2 + noise[2] > 1.5 else "Children",
            )
        )
    return ("\n".join(found) + "\n").encode()


def write_census(folder: Path, patch: pytest.MonkeyPatch, train: bytes | None = None, rest: bytes | None = None) -> Path:
    """Write files of the published names, whose checksums are made the expected ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in (("census-income.data", train or lines(400, 1)), ("census-income.test", rest or lines(400, 2))):
        (folder / name).write_bytes(raw)
        patch.setitem(SHA256, name, hashlib.sha256(raw).hexdigest())
    return folder


def outcome(method: str, level: dict[str, float], runs: int = 4, se: float = 0.0005, seed: int = 0) -> Outcome:
    """The outcome of a method whose runs have test AUCs around a level in each task, and validation AUCs in another order."""
    random = np.random.default_rng(seed)
    tasks, influence_N, seeded = {}, {}, method != "logistic"
    runs = runs if seeded else 1
    for task, auc in level.items():
        values = [auc + 0.0002 * (run - (runs - 1) / 2) for run in range(runs)]
        valid = [0.9 + value / 100 for value in [*values[1:], values[0]]]
        drawn_N = random.normal(size=500)
        drawn_N -= drawn_N.mean()
        influence_N[task] = drawn_N * se / np.sqrt((drawn_N**2).sum())
        numbers = {"valid": interval(valid), "test": interval(values)}
        tasks[task] = CensusTask(**numbers, ensemble=auc + 0.001, se_test=se, rows=500, positives=50)
    search = CensusSearch(
        sampler="gp", objective=next(iter(level)), values=[0.9, None, 0.91], chosen=2, settings={"dropout": 0.25}, seconds=60.0
    )
    model = CensusModel(
        method=method,
        rows={"train": 1_000, "valid": 500, "test": 500},
        tasks=tasks,
        search=search if seeded else None,
        settings={"dropout": 0.25} if seeded else {"strength": 1.0},
        seeded=seeded,
        parameters=1_234 if seeded else None,
        epochs=[3.0] * runs if seeded else [],
        diverged=0,
        seconds=30.0,
    )
    return Outcome(model, influence_N)


def outcomes(levels: dict[str, float], groups: tuple[str, ...] = ("income",), runs: int = 4) -> dict[str, Outcome]:
    """Outcomes of all jobs of some methods, by level of the main task; never_married is at .99 for all."""
    made = {}
    for place, job in enumerate(jobs(list(levels), groups)):
        level = {task: 0.99 if task == MARRIED else levels[job.method] for task in job.tasks}
        made[job.name] = outcome(job.method, level, runs, seed=place)
    return made
