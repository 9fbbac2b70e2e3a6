"""The records of a baseline go to JSON and come back."""

from __future__ import annotations

import json

from manygate.results.baselines import BaselineFailure, BaselineResult
from manygate.results.summary import MetricSummary


def test_a_result_comes_back_from_json() -> None:
    result = BaselineResult(
        name="lightgbm",
        settings={"num_leaves": 31},
        seconds=1.5,
        replicas=2,
        tasks={},
        valid={"click": MetricSummary(mean=0.7, sd=None, ci95=None, values=[0.7, None])},
        chosen={"click": [12.0, 14.0]},
        inputs={"click": ["target statistics", None]},
        failures=[BaselineFailure(task="buy", reason="no training row has a label")],
    )
    assert BaselineResult.model_validate(json.loads(json.dumps(result.to_tree()))) == result
