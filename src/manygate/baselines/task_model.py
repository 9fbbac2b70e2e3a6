"""The model of one task: what it is fitted on, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from manygate import metrics
from manygate.data.encoded import EncodedLog
from manygate.data.statistics import labels_of

JUDGED = ("valid", "test")


class TaskFailedError(Exception):
    """A task that a baseline cannot learn. The text is the reason, for a warning."""


@dataclass(frozen=True)
class Fitted:
    """The logits of the validation and the test rows, and what the model chose on validation.

    A regression task has values on the scale of its encoded labels in place of logits.
    """

    logit_N: dict[str, np.ndarray]
    chosen: float
    inputs: str | None = None
    """The name of the inputs that validation chose. None if the method has one form of inputs."""


@dataclass(frozen=True)
class TaskRows:
    """The rows of a log for one task, with a seed and a number of threads."""

    log: EncodedLog
    task: int
    seed: int = 0
    threads: int = 1

    @property
    def kind(self) -> Literal["binary", "regression"]:
        return self.log.schema.tasks[self.task].kind

    def labels(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels and the weights of all rows of a part, as :func:`labels_of` does."""
        return labels_of(self.log.parts[part], self.task)

    def score(self, part: str, logit_N: np.ndarray) -> float:
        """Return the main metric on a part: AUC, or R2 in the label's unit, as for the networks."""
        label_N, weight_N = self.labels(part)
        kept_N = weight_N > 0
        return self.metric(label_N[kept_N], logit_N[kept_N], weight_N[kept_N])

    def metric(self, label_N: np.ndarray, logit_N: np.ndarray, weight_N: np.ndarray | None) -> float:
        """Return the main metric of some labelled rows. A regression has labels and values on the scale of the encoded labels."""
        if self.kind == "binary":
            return metrics.auc(label_N, logit_N, weight_N)
        scale = self.log.encoder.labels[self.log.schema.tasks[self.task].name]
        return metrics.r2(scale.decode(label_N), scale.decode(logit_N), weight_N)


FitTask = Callable[[TaskRows], Fitted]


def check_labels(rows: TaskRows) -> None:
    """Raise a :class:`TaskFailedError` if a part has no label, or one value of the label alone, where a model needs more.

    The training rows teach the model. Its main metric on the validation rows chooses the number of rounds or the penalty.
    """
    label_N, weight_N = rows.labels("train")
    values = np.unique(label_N[weight_N > 0])
    if not len(values):
        raise TaskFailedError("no training row has a label")
    if len(values) == 1:
        raise TaskFailedError("all labels of the training rows are the same")
    if np.isnan(rows.score("valid", np.zeros(len(rows.log.parts["valid"])))):
        raise TaskFailedError("the validation rows have no label, or one value of it, so they cannot choose a model")
