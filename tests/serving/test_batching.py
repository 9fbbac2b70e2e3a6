"""Batches: who is predicted together, who is refused, and what a failure does to the others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from manygate.serving.batching import Batcher, Pace, Ran, failure
from manygate.serving.feeds import Feed, Inputs
from manygate.serving.refusals import Full, Late, Refusal

INPUTS = Inputs(
    {"inputs": [{"name": "x", "feature": "x", "kind": "dense", "type": "double"}], "missing": {"name": None, "features": []}}
)


class Model:
    """Doubles numbers. A run waits until it may go on, and a negative number is an error."""

    inputs = INPUTS

    def __init__(self) -> None:
        self.may_run = threading.Event()
        self.may_run.set()
        self.sizes: list[int] = []

    def predict(self, feed: Feed, more: tuple[str, ...] = ()) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        self.may_run.wait(10)
        self.sizes.append(feed.rows)
        if (feed.arrays["x"] < 0).any():
            raise RuntimeError("negative")
        return {"y": 2 * feed.arrays["x"]}, dict.fromkeys(more, feed.arrays["x"])


def feed(*numbers: float) -> Feed:
    return Feed({"x": np.array(numbers)}, len(numbers))


async def ask(batcher: Batcher, model: Any, *numbers: float, seconds: float = 10.0) -> Any:
    try:
        with batcher.admitted():
            columns = await batcher.predict(model, feed(*numbers), time.perf_counter() + seconds)
            return columns["y"].tolist()
    except Exception as error:
        return error


def together(work: Callable[[Batcher, Model], Awaitable[Any]], **settings: Any) -> tuple[Any, Model]:
    """The result of asking a batcher, and its model."""
    model = Model()

    async def all_of_it() -> Any:
        batcher = Batcher(**{"deadline": 10.0, "queue": 100, "batch_rows": 6, **settings})
        result = await work(batcher, model)
        assert (batcher.inside, batcher.rows, len(batcher.waiting)) == (0, 0, 0)
        await batcher.close()
        return result

    return asyncio.run(all_of_it()), model


async def while_busy(batcher: Batcher, model: Model, *asked: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Ask while one request runs, so that the others wait together."""
    model.may_run.clear()
    tasks = [asyncio.create_task(ask(batcher, model, 0.5))]
    await asyncio.sleep(0.05)
    tasks += [asyncio.create_task(one()) for one in asked]  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    model.may_run.set()
    return list(await asyncio.gather(*tasks))


def test_waiting_requests_are_predicted_together_up_to_the_limit() -> None:
    async def work(batcher: Batcher, model: Model) -> list[Any]:
        return await while_busy(batcher, model, *(lambda n=n: ask(batcher, model, n, n + 0.25) for n in range(1, 5)))  # type: ignore[misc]

    answers, model = together(work)
    assert answers == [[1.0], *([2.0 * n, 2 * n + 0.5] for n in range(1, 5))]
    assert model.sizes == [1, 6, 2], "three requests of two rows fit, the fourth comes next"


def test_a_request_above_the_limit_runs_alone() -> None:
    async def work(batcher: Batcher, model: Model) -> list[Any]:
        return await while_busy(batcher, model, lambda: ask(batcher, model, *range(9)), lambda: ask(batcher, model, 3.0))

    answers, model = together(work)
    assert [len(answer) for answer in answers] == [1, 9, 1]
    assert model.sizes == [1, 9, 1]


def test_versions_are_not_mixed() -> None:
    other = Model()

    async def work(batcher: Batcher, model: Model) -> list[Any]:
        return await while_busy(
            batcher, model, lambda: ask(batcher, model, 1.0), lambda: ask(batcher, other, 2.0), lambda: ask(batcher, other, 3.0)
        )

    answers, model = together(work)
    assert answers == [[1.0], [2.0], [4.0], [6.0]]
    assert (model.sizes, other.sizes) == ([1, 1], [2])


def test_a_failure_does_not_reach_others() -> None:
    async def work(batcher: Batcher, model: Model) -> list[Any]:
        return await while_busy(batcher, model, *(lambda n=n: ask(batcher, model, n) for n in (1.0, -1.0, 3.0)))  # type: ignore[misc]

    (first, good, bad, last), model = together(work)
    assert (first, good, last) == ([1.0], [2.0], [6.0])
    assert isinstance(bad, RuntimeError)
    refusal = failure(bad)
    assert (refusal.status, "negative" in str(refusal)) == (500, False), "the client learns nothing of the reason"
    assert model.sizes == [1, 3, 1, 1, 1]


def test_a_full_queue_refuses_at_once() -> None:
    async def work(batcher: Batcher, model: Model) -> list[Any]:
        return await while_busy(batcher, model, *(lambda: ask(batcher, model, 1.0) for _ in range(4)))

    answers, _ = together(work, queue=3)
    refused = [answer for answer in answers if isinstance(answer, Full)]
    assert len(refused) == 2
    assert all(refusal.status == 429 and int(refusal.headers["Retry-After"]) >= 1 for refusal in refused)
    assert sum(isinstance(answer, list) for answer in answers) == 3


def test_a_request_is_refused_if_those_before_it_need_the_deadline() -> None:
    async def work(batcher: Batcher, model: Model) -> list[Any]:
        batcher.pace.learn(rows=1, requests=1, seconds=0.3)
        return await while_busy(batcher, model, *(lambda: ask(batcher, model, 1.0) for _ in range(4)))

    answers, _ = together(work, deadline=1.0)
    assert [isinstance(answer, Full) for answer in answers] == [False, False, False, True, True], "0.9 s are above 80 % of 1 s"


def test_a_request_alone_is_never_refused() -> None:
    """Otherwise one slow prediction would lock the server for ever."""

    async def work(batcher: Batcher, model: Model) -> Any:
        batcher.pace.learn(rows=1, requests=1, seconds=100.0)
        return await ask(batcher, model, 1.0)

    assert together(work, deadline=0.1)[0] == [2.0]


def test_a_request_that_waited_beyond_its_deadline_is_not_predicted() -> None:
    async def work(batcher: Batcher, model: Model) -> list[Any]:
        return await while_busy(batcher, model, lambda: ask(batcher, model, 1.0, seconds=0.01), lambda: ask(batcher, model, 2.0))

    (_, late, answer), model = together(work)
    assert isinstance(late, Late)
    assert (late.status, answer, model.sizes) == (504, [4.0], [1, 1])


def test_a_client_that_left_costs_no_prediction() -> None:
    async def work(batcher: Batcher, model: Model) -> list[Any]:
        model.may_run.clear()
        running = asyncio.create_task(ask(batcher, model, 1.0))
        await asyncio.sleep(0.05)
        gone = asyncio.create_task(ask(batcher, model, 2.0))
        await asyncio.sleep(0.05)
        gone.cancel()
        model.may_run.set()
        return [await running, await ask(batcher, model, 3.0)]

    answers, model = together(work)
    assert answers == [[2.0], [6.0]]
    assert model.sizes == [1, 1]


def test_each_prediction_is_observed_with_what_was_wanted() -> None:
    seen: list[Ran] = []

    async def work(batcher: Batcher, model: Model) -> Any:
        return await ask(batcher, model, 1.0, 4.0)

    together(work, observe=seen.append, more=lambda version: ("rows",))
    (ran,) = seen
    assert (ran.feed.rows, ran.columns["y"].tolist(), ran.extra["rows"].tolist()) == (2, [2.0, 8.0], [1.0, 4.0])
    assert len(ran.waited) == 1
    assert ran.took > 0


def test_the_pace_follows_what_rows_took() -> None:
    pace = Pace()
    assert pace.seconds(1000, 5) == 0.0, "nothing is known yet"
    pace.learn(rows=100, requests=4, seconds=1.0)
    assert pace.seconds(10, 2) == pytest.approx((10 + 2 * 25) * 0.01)
    pace.learn(rows=100, requests=4, seconds=2.0)
    assert pace.row_seconds == pytest.approx(0.9 * 0.01 + 0.1 * 0.02)
    pace.learn(rows=0, requests=1, seconds=0.001)
    assert np.isfinite(pace.row_seconds)


def test_a_refusal_stays_what_it_is() -> None:
    late = Late("too late")
    assert failure(late) is late
    assert issubclass(Late, Refusal)


def test_a_long_list_does_not_fill_the_lists_of_others_up() -> None:
    """Together, a few bytes could take much memory: a shape of no rows and millions of places, or one list of that many ids."""

    async def long(batcher: Batcher, model: Any) -> Any:
        wide = Feed({"x": np.zeros(0), "tags": np.zeros((0, 3_000_000), np.uint8)}, 0)
        with batcher.admitted():
            return (await batcher.predict(model, wide, time.perf_counter() + 10))["y"].tolist()

    async def work(batcher: Batcher, model: Model) -> list[Any]:
        return await while_busy(batcher, model, lambda: ask(batcher, model, 1.0), lambda: long(batcher, model))

    answers, model = together(work)
    assert answers == [[1.0], [2.0], []]
    assert model.sizes == [1, 1, 0]
