"""Predicts requests together, with a bound on how many wait and on how long.

One prediction runs at a time. What arrives meanwhile waits, and the next prediction takes as many waiting requests as fit. So a
request never waits for others on purpose, and batches grow with the load alone.

A request is refused before its body is read if too many wait, or if those before it need longer than the deadline. The time they
need is estimated from the time that rows took lately.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from manygate.serving.feeds import Feed, join
from manygate.serving.refusals import Full, Late, Refusal
from manygate.serving.values import MOST_PLACES
from manygate.serving.versions import Version

MEMORY = 0.9
"""The weight of earlier predictions in the average time of a row, and of earlier requests in the average number of rows."""
SAFETY = 0.8
"""The share of the deadline that the requests before a new one may need."""


@dataclass
class Job:
    """A request that waits for its prediction."""

    version: Version
    feed: Feed
    deadline: float
    """When it must be done, by :func:`time.perf_counter`."""
    arrived: float = field(default_factory=time.perf_counter)
    done: asyncio.Future[Columns] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Ran:
    """A prediction that ran: what it read and predicted, and its times in seconds."""

    version: Version
    feed: Feed
    columns: Columns
    extra: Columns
    waited: list[float]
    took: float


class Pace:
    """Estimates the seconds that waiting requests need."""

    def __init__(self) -> None:
        self.row_seconds = 0.0
        self.request_rows = 1.0

    def learn(self, rows: int, requests: int, seconds: float) -> None:
        """Add a prediction of ``rows`` rows of ``requests`` requests."""
        row_seconds, request_rows = seconds / max(rows, 1), rows / requests
        first = not self.row_seconds
        self.row_seconds = row_seconds if first else MEMORY * self.row_seconds + (1 - MEMORY) * row_seconds
        self.request_rows = request_rows if first else MEMORY * self.request_rows + (1 - MEMORY) * request_rows

    def seconds(self, rows: int, unread: int) -> float:
        """Return the time that ``rows`` rows and ``unread`` requests, whose rows nobody knows yet, will take."""
        return (rows + unread * self.request_rows) * self.row_seconds


class Batcher:
    """Predicts jobs in batches, in a thread of its own.

    Args:
        deadline: Seconds in which a request must be answered.
        queue: The most requests that are in the server.
        batch_rows: The most rows that are predicted together.
        observe: Called with each prediction that ran, in the thread that ran it.
        more: Outputs of the graph that ``observe`` wants beside the predictions, or none.
    """

    def __init__(
        self,
        deadline: float,
        queue: int,
        batch_rows: int,
        observe: Callable[[Ran], None] = lambda ran: None,
        more: Callable[[Version], tuple[str, ...]] = lambda version: (),
    ):
        self.deadline, self.queue, self.batch_rows, self.observe, self.more = deadline, queue, batch_rows, observe, more
        self.waiting: deque[Job] = deque()
        self.inside = 0
        """The requests that were admitted and are not answered."""
        self.rows = 0
        """The rows that wait or run."""
        self.pace = Pace()
        self._started = 0
        self._ended = 0.0
        """When the last prediction ended."""
        self._thread = ThreadPoolExecutor(1, "model")
        self._running: asyncio.Task[None] | None = None

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Count a request as inside. Raises :class:`Full` if it would wait too long. Call it before the body is read."""
        wait = self.pace.seconds(self.rows, self.inside - self._started)
        if self.inside >= self.queue or (self.inside and wait > SAFETY * self.deadline):
            raise Full("too many requests wait. Try again later.", {"Retry-After": str(max(1, math.ceil(wait)))})
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    async def predict(self, version: Version, feed: Feed, deadline: float) -> Columns:
        """Return the columns of the predictions of a request.

        Raises :class:`Late` if the deadline passes before the prediction starts.
        """
        job = Job(version, feed, deadline)
        self.waiting.append(job)
        self.rows += feed.rows
        self._started += 1
        try:
            if self._running is None:
                self._running = asyncio.create_task(self._run())
            return await job.done
        finally:
            self.rows -= feed.rows
            self._started -= 1

    async def _run(self) -> None:
        """Predict until nothing waits."""
        loop = asyncio.get_running_loop()
        try:
            while batch := self._next():
                try:
                    done = await loop.run_in_executor(self._thread, self._predict, batch)
                except Exception as error:  # each job gets the error; the server goes on
                    done = [error] * len(batch)
                for job, result in zip(batch, done, strict=True):
                    if job.done.cancelled():
                        continue
                    if isinstance(result, BaseException):
                        job.done.set_exception(result)
                    else:
                        job.done.set_result(result)
        finally:
            self._running = None

    def _next(self) -> list[Job]:
        """Take the jobs of the next prediction: those at the head of the queue that have one version and fit."""
        batch: list[Job] = []
        rows = lines = width = 0
        while self.waiting:
            job = self.waiting[0]
            if job.done.cancelled():
                self.waiting.popleft()
                continue
            if time.perf_counter() > job.deadline:
                self.waiting.popleft()
                job.done.set_exception(Late("the deadline passed while the request waited. Try again later."))
                continue
            rows, width = rows + job.feed.rows, max(width, job.feed.width)
            lines += max(job.feed.rows, job.feed.contexts)
            fits = rows <= self.batch_rows and lines * width <= MOST_PLACES  # all lists are filled up to the longest
            if batch and (job.version is not batch[0].version or not fits):
                break
            batch.append(self.waiting.popleft())
        return batch

    def _predict(self, batch: list[Job]) -> list[Columns | BaseException]:
        """Predict a batch together. If that fails, predict each job alone, so that none suffers from another."""
        try:
            return list(self._together(batch))
        except Exception as error:
            if len(batch) == 1:
                return [error]
        return [self._predict([job])[0] for job in batch]

    def _together(self, batch: list[Job]) -> Iterator[Columns]:
        version, start = batch[0].version, time.perf_counter()
        feed = join(version.inputs, [job.feed for job in batch])
        columns, extra = version.predict(feed, self.more(version))
        took = time.perf_counter() - start
        self._learn(batch, start + took)
        self.observe(Ran(version, feed, columns, extra, [start - job.arrived for job in batch], took))
        place = 0
        for job in batch:
            yield {name: column[place : place + job.feed.rows] for name, column in columns.items()}
            place += job.feed.rows

    def _learn(self, batch: list[Job], ended: float) -> None:
        """Let the pace learn from a batch. Its time runs from when it could have begun, so all that the server did counts."""
        could_begin = max(self._ended, min(job.arrived for job in batch))
        self.pace.learn(sum(job.feed.rows for job in batch), len(batch), ended - could_begin)
        self._ended = ended

    async def close(self) -> None:
        """Wait for the jobs that are inside, and end the thread."""
        while self._running is not None:
            await asyncio.sleep(0.01)
        self._thread.shutdown()


def failure(error: BaseException) -> Refusal:
    """Return the refusal that a client gets for an error that nobody expected. It says nothing of the error."""
    return error if isinstance(error, Refusal) else Refusal("the model could not predict this request. The log has the reason.")
