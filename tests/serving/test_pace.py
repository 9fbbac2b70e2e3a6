"""The estimate of how long requests wait holds all that the server does, not the predictions alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from manygate.serving.batching import Batcher, Job


def job(arrived: float) -> Job:
    unused: Any = None
    feed: Any = SimpleNamespace(rows=4)
    return Job(unused, feed, deadline=99.0, arrived=arrived, done=unused)


@pytest.mark.parametrize(("arrived", "seconds"), [(1.0, 2.0), (6.0, 1.0)])
def test_time_runs_from_the_end_of_the_last_prediction_or_from_the_arrival(arrived: float, seconds: float) -> None:
    batcher = Batcher(1.0, 10, 100)
    batcher._learn([job(0.0)], 5.0)
    batcher.pace.row_seconds = 0.0
    batcher._learn([job(arrived)], 7.0)
    assert batcher.pace.row_seconds == pytest.approx(seconds / 4)
