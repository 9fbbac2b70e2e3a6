"""Open-loop and closed-loop load.

In the open loop, requests have times of their own, at which they are sent whether the server has answered earlier ones or not.
Their latency counts from these times. So a server that stands still for a second delays all requests of that second. A closed loop
sends nothing meanwhile, and would count one slow request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from loadtest.connection import Connection, NoAnswerError

SPIN_SECONDS = 0.0015
"""The last part of a wait for a time to send is a busy one, because timers are a millisecond late."""


@dataclass(frozen=True)
class Outcome:
    """Request ``n``. Times are those of ``time.perf_counter``. ``status`` is 0 where there was no answer."""

    intended: float
    sent: float
    ended: float
    status: int
    error: str = ""
    n: int = -1


@dataclass
class Load:
    """The outcomes of one load, and the seconds in which requests were started."""

    outcomes: list[Outcome] = field(default_factory=list)
    began: float = 0.0
    seconds: float = 0.0


@dataclass
class Target:
    """Where requests go.

    Args:
        port: The port of the server.
        requests: They are sent in turns.
        host: The address of the server.
        timeout: Seconds until a request without an answer is given up.
        observe: Is called with the index of a request, its status and the body of its answer.
        numbered: Send the number of a request as its X-Request-Id, with which a server may log it.
    """

    port: int
    requests: Sequence[bytes]
    host: str = "127.0.0.1"
    timeout: float = 30.0
    observe: Callable[[int, int, bytes], None] | None = None
    numbered: bool = False

    async def once(self, connection: Connection, n: int, intended: float) -> Outcome:
        """Send request ``n`` and wait."""
        request = self.requests[n % len(self.requests)]
        if self.numbered:
            request = request.replace(b"\r\n", b"\r\nX-Request-Id: %d\r\n" % n, 1)
        sent = time.perf_counter()
        try:
            if not connection.is_open:
                await connection.open()
                sent = time.perf_counter()
            answer = await connection.ask(request, self.timeout)
        except NoAnswerError as error:
            return Outcome(intended, sent, time.perf_counter(), 0, str(error), n)
        ended = time.perf_counter()
        if self.observe is not None:
            self.observe(n % len(self.requests), answer.status, answer.body)
        return Outcome(intended, sent, ended, answer.status, n=n)


def arrivals(rate: float, seconds: float, seed: int | None = 0) -> Iterator[float]:
    """Yield the times of requests, in seconds from the start: a Poisson process, or fixed distances without a seed."""
    generator = None if seed is None else np.random.default_rng(seed)
    at = 0.0
    while True:
        at += 1 / rate if generator is None else generator.exponential(1 / rate)
        if at >= seconds:
            return
        yield at


async def open_loop(
    target: Target, rate: float, seconds: float, connections: int, seed: int | None = 0, stop: asyncio.Event | None = None
) -> Load:
    """Send requests at a rate for some seconds (or until ``stop``), and wait for all answers.

    A request whose time has come while all connections are busy waits for one. Its latency counts this wait.
    """
    free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
    everyone = [Connection(target.host, target.port) for _ in range(connections)]
    for connection in everyone:
        free.put_nowait(connection)
    load = Load(began=time.perf_counter())

    async def one(n: int, intended: float) -> None:
        connection = await free.get()
        try:
            load.outcomes.append(await target.once(connection, n, intended))
        finally:
            free.put_nowait(connection)

    running: set[asyncio.Task[None]] = set()
    for n, at in enumerate(arrivals(rate, seconds, seed)):
        await _until(load.began + at)
        if stop is not None and stop.is_set():
            break
        task = asyncio.create_task(one(n, load.began + at))
        running.add(task)
        task.add_done_callback(running.discard)
    load.seconds = time.perf_counter() - load.began
    await asyncio.gather(*running)
    for connection in everyone:
        connection.close()
    return load


async def _until(moment: float) -> None:
    while (left := moment - time.perf_counter()) > 0:
        await asyncio.sleep(left - SPIN_SECONDS if left > SPIN_SECONDS else 0)


async def closed_loop(target: Target, connections: int, seconds: float, stop: asyncio.Event | None = None) -> Load:
    """Let each connection send its next request as soon as it has an answer, for some seconds or until ``stop``."""
    load = Load(began=time.perf_counter())
    until = load.began + seconds

    async def worker(first: int) -> None:
        connection = Connection(target.host, target.port)
        n = first
        while (now := time.perf_counter()) < until and not (stop is not None and stop.is_set()):
            outcome = await target.once(connection, n, now)
            load.outcomes.append(outcome)
            n += connections
            if outcome.status == 0:
                await asyncio.sleep(0.01)
        connection.close()

    await asyncio.gather(*(worker(first) for first in range(connections)))
    load.seconds = time.perf_counter() - load.began
    return load
