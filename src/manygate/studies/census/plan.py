"""What the census study trains: its methods, the tasks of each, and the sizes of searches and of the final training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import JsonValue

from manygate.config import RunConfig, TuneConfig
from manygate.datasets.census import GROUPS, SHA256
from manygate.errors import did_you_mean, setting

MARRIED = "never_married"
"""The auxiliary task of both groups."""
PLAIN_INPUTS: dict[str, Any] = {"cross_layers": 0, "number_ids": 0, "target_statistics": False}
"""The settings of the paper's networks: embedding tables and numbers, and nothing between these and the method."""
NETWORKS: dict[str, dict[str, Any]] = {
    "single_task": {"architecture": "single_task", **PLAIN_INPUTS},
    "shared_bottom": {"architecture": "shared_bottom", **PLAIN_INPUTS},
    "l2_constrained": {"architecture": "l2_constrained", **PLAIN_INPUTS},
    "cross_stitch": {"architecture": "cross_stitch", **PLAIN_INPUTS},
    "tensor_factorization": {"architecture": "tensor_factorization", **PLAIN_INPUTS},
    "tensor_factorization_naive": {"architecture": "tensor_factorization", "tucker_init": "naive", **PLAIN_INPUTS},
    "omoe": {"architecture": "omoe", **PLAIN_INPUTS},
    "mmoe": {"architecture": "mmoe", **PLAIN_INPUTS},
    "cgc": {"architecture": "cgc", **PLAIN_INPUTS},
    "ple": {"architecture": "ple", **PLAIN_INPUTS},
    "mmoe_tabular": {"architecture": "mmoe"},
}
"""The networks, and the settings of each that no search changes. ``mmoe_tabular`` has the default inputs of a log of this size:
cross layers, ids of numbers and target statistics, too."""
OUTSIDE = ("lightgbm", "logistic")
"""The models from outside."""
METHODS = (*NETWORKS, *OUTSIDE)
SEPARATE = ("single_task", *OUTSIDE)
"""The methods with a model for each task, each tuned by itself (section 6.3.2)."""
MAX_UNITS = 512
"""Most hidden units of a layer, as many as the default has. Section 6.2 has 2,048. On census education the best of 20 trials had
2,048, and its runs were no better on test rows than the default's (experiments/mmoe-census/parts)."""
NOT_SEARCHED = ("batch_size", "dim", "levels")
"""The settings of the default space that keep their defaults. The paper does not search them, and they cost much time."""


@dataclass(frozen=True)
class Job:
    """A method to tune and train for some tasks. The first task is the one that it is tuned for."""

    method: str
    tasks: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its folder and of its entry in the results.

        >>> Job("mmoe", ("income", "never_married")).name
        'mmoe-income'
        """
        return f"{self.method}-{self.tasks[0]}"

    @property
    def inputs(self) -> dict[str, Any]:
        """The settings of its inputs that are not the defaults. A model from outside reads the columns as they are.

        >>> Job("mmoe_tabular", ("income",)).inputs, Job("lightgbm", ("income",)).inputs == PLAIN_INPUTS
        ({}, True)
        """
        return {name: value for name, value in NETWORKS.get(self.method, PLAIN_INPUTS).items() if name in PLAIN_INPUTS}


@dataclass(frozen=True)
class Plan:
    """All that decides the results of a job but its number of replicas.

    ``most_rows`` are so many training rows, and as many validation rows, drawn at random; None takes all.
    """

    trials: int
    trial_replicas: int = 1
    epochs: int = 12
    most_rows: int | None = None
    seed: int = 0

    def config(self, job: Job, threads: int | None = None) -> RunConfig:
        """Return the settings of a network with which its search begins. Its weights are those of the main task's best epoch."""
        return RunConfig.build(
            {
                **NETWORKS[job.method],
                "monitor": job.tasks[0],
                "replicas": self.trial_replicas,
                "epochs": self.epochs,
                "seed": self.seed,
                "threads": threads,
            }
        )

    def defaults(self, job: Job) -> dict[str, JsonValue]:
        """Return the settings of a job before its search. Another version may have others, and no study mixes the two.

        >>> Plan(trials=5).defaults(Job("lightgbm", ("income",)))
        {}
        """
        if job.method not in NETWORKS:
            return {}
        settings: dict[str, JsonValue] = self.config(job).model_dump(mode="json")
        return settings

    def tuning(self) -> TuneConfig:
        """Return the settings of a search: a Gaussian process. A trial below the median of the others ends early."""
        return TuneConfig(trials=self.trials, sampler="gp", pruning="median", max_units=MAX_UNITS)

    @property
    def first_final_seed(self) -> int:
        """The first seed of the final training: no trial has it."""
        return self.seed + self.trial_replicas

    def to_tree(self) -> dict[str, JsonValue]:
        """Return the plan as JSON, with the digests of the source files."""
        fixed: list[JsonValue] = [*NOT_SEARCHED]
        search = {"sampler": "gp", "pruning": "median", "max_units": MAX_UNITS, "not_searched": fixed}
        return {**asdict(self), **search, "files": dict(SHA256)}


FULL = Plan(trials=8)
QUICK = Plan(trials=2, epochs=4, most_rows=10_000)
FULL_REPLICAS, QUICK_REPLICAS = 30, 3


def row_models(method: str, group: str) -> tuple[str, str]:
    """Return the names of the jobs with the main and the auxiliary task of a method's row.

    >>> row_models("mmoe", "income"), row_models("single_task", "income")
    (('mmoe-income', 'mmoe-income'), ('single_task-income', 'single_task-never_married'))
    """
    main = Job(method, (group,)).name
    return main, Job(method, (MARRIED,)).name if method in SEPARATE else main


def jobs(methods: Sequence[str], groups: Sequence[str]) -> list[Job]:
    """List the jobs, those of the same tasks together, so that a log is encoded once.

    A model of the auxiliary task alone serves both groups, because their rows and inputs are the same.

    >>> [job.name for job in jobs(["single_task", "mmoe"], ["income", "education"])]
    ['single_task-income', 'single_task-never_married', 'mmoe-income', 'single_task-education', 'mmoe-education']
    """
    found: list[Job] = []
    for group in groups:
        for method in methods:
            tasks = [(group,), (MARRIED,)] if method in SEPARATE else [(group, MARRIED)]
            found += [job for job in (Job(method, each) for each in tasks) if job not in found]
    order = list(dict.fromkeys(job.tasks for job in found))
    return sorted(found, key=lambda job: order.index(job.tasks))


def problems(given: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the sizes, the groups and the methods that were given. Absent ones are left out."""
    least = {"trials": 1, "replicas": 3, "threads": 1, "seed": 0}
    found = [
        f"{setting(name, given[name])}: expected a whole number of at least {lowest}."
        for name, lowest in least.items()
        if given.get(name) is not None and given[name] < lowest
    ]
    for name in given.get("methods") or ():
        if name not in METHODS:
            found.append(f"{setting('methods')}: {name!r} is unknown.{did_you_mean(name, METHODS)} Known: {', '.join(METHODS)}.")
    group = given.get("group")
    if group is not None and group not in (*GROUPS, "both"):
        found.append(f"{setting('group')}: {group!r} is unknown. Choose {', '.join(GROUPS)} or both.")
    return found
