"""What a comparison reports about models from outside, such as LightGBM, that predict the same test rows."""

from __future__ import annotations

from pydantic import JsonValue

from manygate.results.base import Record
from manygate.results.summary import JointGain, MetricSummary, TaskReport


class BaselineFailure(Record):
    """A task that a baseline could not learn, and why. The baseline has no result for it."""

    task: str
    reason: str


class BaselineResult(Record):
    """A baseline: one model for each task, fitted on the training rows and stopped or chosen on the validation rows.

    ``settings`` holds the settings of the fit. ``chosen`` holds, for each task and replica, what validation chose: the rounds of
    boosting, or the strength C of the regularisation. ``inputs`` names the form of the inputs that validation chose; it is null if
    there was no choice. ``valid`` holds the main metric of each task on the validation rows.
    """

    name: str
    settings: dict[str, JsonValue]
    seconds: float
    replicas: int
    tasks: dict[str, TaskReport]
    valid: dict[str, MetricSummary]
    chosen: dict[str, list[float]]
    inputs: dict[str, list[str | None]]
    failures: list[BaselineFailure]


class AgainstBaselines(Record):
    """The gains of networks over baselines in each task's main metric, on the same test rows and replica by replica.

    ``gains`` holds them by network, baseline and task; the network is as shipped, with the weights that it keeps. ``looks`` is, by
    network, the number of looks that the joint intervals allow for. ``model`` is the network that validation chose. ``text`` says
    what follows, with a sentence or two for each baseline.
    """

    model: str | None
    looks: dict[str, int]
    gains: dict[str, dict[str, dict[str, JointGain]]]
    text: list[str]
