"""The objectives of a search: metrics of tasks, with the direction of better values."""

from __future__ import annotations

from typing import Any

import pytest

from manygate.config import RunConfig, TuneConfig
from manygate.errors import InputError
from manygate.runs.tuning.objectives import find_objectives


def found(log: Any, *names: str, monitor: str = "mean") -> list[Any]:
    return find_objectives(TuneConfig(objective=names), RunConfig(monitor=monitor), log.schema.tasks, log.parts["valid"])


def test_the_default_is_what_the_run_watches(encoded: Any) -> None:
    log = encoded()
    (mean,) = found(log)
    assert (mean.name, mean.task, mean.metric, mean.better) == ("mean", None, None, "higher")
    (like,) = found(log, monitor="like/log_loss")
    assert (like.name, like.task, like.metric, like.better) == ("like/log_loss", "like", "log_loss", "lower")


def test_a_task_has_its_main_metric(encoded: Any) -> None:
    click, watch, ratio = found(encoded(), "click", "watch", "click/calibration")
    assert (click.metric, watch.metric, ratio.better) == ("auc", "r2", "one")


def test_all_unknown_objectives_are_listed(encoded: Any) -> None:
    with pytest.raises(InputError) as error:
        found(encoded(), "clik", "click/r2", "like")
    first, second = error.value.problems
    assert first.startswith("objective: 'clik': no task 'clik'. Did you mean 'click'?")
    assert second.startswith("objective: 'click/r2': a binary task has no metric 'r2'")
