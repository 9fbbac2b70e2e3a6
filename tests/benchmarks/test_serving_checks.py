"""How benchmarks/serving.py judges answers and failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loadtest.comparison import MANYGATE, bars
from loadtest.endurance import drained, logged, recovered
from loadtest.in_process import BARE, EAGER
from loadtest.loops import Load, Outcome
from loadtest.material import is_answer

SCORE = {"click": np.array([0.1, 0.9, 0.5, 0.5]), "buy": np.array([0.0, 0.1, 0.2, 0.3])}


def answer(ids: list[int], **changed: list[float]) -> dict[str, Any]:
    return {"ids": ids, "scores": {name: list(score[ids]) for name, score in SCORE.items()} | changed}


@pytest.mark.parametrize("ids", [[1, 2, 3], [1, 3, 2]])
def test_answers_with_offline_scores_in_either_order_of_a_tie(ids: list[int]) -> None:
    assert is_answer(answer(ids), SCORE, "click", 3)


@pytest.mark.parametrize(
    "wrong",
    [
        answer([1, 2]),
        answer([1, 2, 0]),
        answer([2, 1, 3]),
        answer([1, 2, 2]),
        answer([1, 2, 3], buy=[0.1, 0.3, 0.2]),
        {"ids": [1, 2, 3], "scores": {"click": [0.9, 0.5, 0.5]}},
    ],
    ids=["too few", "not the best", "order", "twice", "another column", "no column"],
)
def test_wrong_answers(wrong: dict[str, Any]) -> None:
    assert not is_answer(wrong, SCORE, "click", 3)


def test_recovery_counts_from_the_end_of_the_overload_to_the_last_bad_request() -> None:
    outcomes = [
        Outcome(10.5, 10.5, 10.6, 429),
        Outcome(11.0, 11.0, 11.9, 200),
        Outcome(12.0, 12.0, 12.1, 200),
    ]
    assert recovered(Load(outcomes), 10.0, slow=0.5) == 1.0
    assert recovered(Load(outcomes), 10.0, slow=1.0) == 0.5
    assert recovered(Load(outcomes[2:]), 10.0, slow=0.5) == 0.0


def test_requests_without_an_answer_are_counted_by_when_they_were_sent_and_what_the_log_says() -> None:
    outcomes = [
        Outcome(1.0, 1.0, 1.5, 200, n=0),
        Outcome(1.0, 1.0, 2.5, 0, "closed: end of stream", 1),
        Outcome(2.1, 2.1, 2.5, 503, n=2),
        Outcome(2.2, 2.2, 2.5, 0, "closed: ConnectionResetError", 3),
        Outcome(2.2, 2.2, 2.5, 0, "closed: ConnectionResetError", 4),
        Outcome(2.3, 2.3, 2.5, 0, "connect: ConnectionRefusedError", 5),
    ]
    assert drained(outcomes, terminated=2.0, in_log={0, 2, 3}) == {
        "answered": 2,
        "answered_after_sigterm": 1,
        "lost_sent_before_sigterm": 1,
        "lost_and_in_the_log": 1,
        "never_in_the_log": 2,
        "kinds": {"closed: end of stream": 1, "closed: ConnectionResetError": 2},
        "statuses_after_sigterm": {"503": 1},
    }


def test_the_log_names_requests_from_a_place_on(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    lines = ['{"event":"request","id":"7"}', "no JSON", '{"event":"ended"}', '{"event":"request","id":"8"}']
    log.write_text("\n".join(lines))
    assert logged(log, 0) == {7, 8}
    assert logged(log, 5) == {8}


@pytest.mark.parametrize(("added", "met"), [(1.9, True), (2.1, False)])
def test_bars(added: float, met: bool) -> None:
    document = {
        "in_process_ms": {BARE: {"p50": 10.0}, EAGER: {"p50": 40.0}},
        "overhead": {"added_ms": {"median": added}},
        "equal_p99": {"rates": {MANYGATE: 30.0, "FastAPI, eager PyTorch": 10.0}},
    }
    found = bars(document)
    assert found["HTTP p50 less in-process p50, ms"]["met"] is met
    assert found["eager over onnxruntime, p50 in process"]["found"] == 4.0
    assert found["rate over FastAPI's at its p99"]["found"] == 3.0
