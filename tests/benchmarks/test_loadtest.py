"""The load generator of benchmarks/serving.py, against a small server with known delays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from loadtest.connection import request_bytes
from loadtest.loops import Load, Outcome, Target, arrivals, closed_loop, open_loop
from loadtest.summary import summarise

REQUEST = request_bytes("/v1/rank", b"{}")


class Small:
    """A server that answers after a delay. While ``gate`` is clear, it stands still. Later answers have the statuses of a list."""

    def __init__(self, delay: float = 0.0, statuses: tuple[int, ...] = (200,), close_after: int | None = None):
        self.delay, self.statuses, self.close_after = delay, statuses, close_after
        self.gate = asyncio.Event()
        self.gate.set()
        self.seen = 0
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                self.seen += 1
                status = self.statuses[(self.seen - 1) % len(self.statuses)]
                if self.close_after is not None and self.seen > self.close_after:
                    break
                await self.gate.wait()
                await asyncio.sleep(self.delay)
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 4\r\n\r\n".encode())
                writer.write(b"body")
        except (asyncio.IncompleteReadError, ConnectionError):
            self.connections += 0
        finally:
            writer.close()


def against(small: Callable[[], Small], load: Callable[[Small, Target], Awaitable[Load]]) -> tuple[Load, Small]:
    """Run a load against a server of this process."""

    async def run() -> tuple[Load, Small]:
        stub = small()
        server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await load(stub, Target(port, [REQUEST], timeout=5.0)), stub

    return asyncio.run(run())


async def stalled(stub: Small, load: Awaitable[Load]) -> Load:
    """Let the server stand still for 300 ms in the middle of a load."""

    async def stall() -> None:
        await asyncio.sleep(0.3)
        stub.gate.clear()
        await asyncio.sleep(0.3)
        stub.gate.set()

    found, _ = await asyncio.gather(load, stall())
    return found


def test_a_stall_delays_the_requests_of_an_open_loop_and_one_of_a_closed_loop() -> None:
    opened, _ = against(Small, lambda stub, to: stalled(stub, open_loop(to, rate=200, seconds=1.0, connections=4)))
    closed, _ = against(lambda: Small(0.001), lambda stub, to: stalled(stub, closed_loop(to, connections=1, seconds=1.0)))
    slow_open = sum(outcome.ended - outcome.intended > 0.1 for outcome in opened.outcomes)
    slow_closed = sum(outcome.ended - outcome.intended > 0.1 for outcome in closed.outcomes)
    assert slow_open >= 20  # about 200 ms x 200 a second
    assert slow_closed <= 10  # no more fit into a second
    assert summarise(opened)["latency_ms"]["p99"] > 200


def test_requests_that_wait_for_a_connection_count_the_wait() -> None:
    load, _ = against(lambda: Small(0.05), lambda _, to: open_loop(to, rate=100, seconds=0.3, connections=1, seed=None))
    late = [outcome.sent - outcome.intended for outcome in load.outcomes]
    assert len(load.outcomes) == 29
    assert max(late) > 0.5
    assert all(outcome.ended - outcome.intended >= 0.05 for outcome in load.outcomes)


def test_connections_are_kept() -> None:
    load, stub = against(Small, lambda _, to: closed_loop(to, connections=3, seconds=0.5))
    assert stub.connections == 3
    assert len(load.outcomes) > 3


def test_statuses_and_refusals() -> None:
    load, _ = against(lambda: Small(statuses=(200, 429)), lambda _, to: open_loop(to, 100, 0.25, connections=8, seed=None))
    found = summarise(load)
    assert found["statuses"] == {"200": 12, "429": 12}
    assert found["refusal_ms"]["p50"] >= 0
    assert found["errors"] == {}


def test_closed_connections_are_errors_and_are_opened_again() -> None:
    load, stub = against(lambda: Small(close_after=5), lambda _, to: open_loop(to, 100, 0.105, connections=1, seed=None))
    found = summarise(load)
    assert found["statuses"] == {"200": 5}
    assert found["errors"] == {"closed: end of stream": 5}
    assert stub.connections == 5


def test_nobody_listens() -> None:
    load = asyncio.run(open_loop(Target(9, [REQUEST]), rate=100, seconds=0.055, connections=2, seed=None))
    assert summarise(load)["errors"] == {"connect: ConnectionRefusedError": 5}
    assert summarise(load)["latency_ms"] is None


def test_observed_answers_name_their_request() -> None:
    seen: list[tuple[int, int, bytes]] = []

    def load(_: Small, to: Target) -> Awaitable[Load]:
        requests = [request_bytes("/v1/rank", b"a"), request_bytes("/v1/rank", b"bb")]
        both = Target(to.port, requests, observe=lambda *found: seen.append(found))
        return open_loop(both, 100, 0.045, connections=1, seed=None)

    against(Small, load)
    assert seen == [(0, 200, b"body"), (1, 200, b"body"), (0, 200, b"body"), (1, 200, b"body")]


@pytest.mark.parametrize("seed", [0, 1])
def test_arrivals_are_a_poisson_process(seed: int) -> None:
    times = np.array(list(arrivals(1000, 20, seed)))
    gaps = np.diff(times)
    assert times[-1] < 20
    assert len(times) == pytest.approx(20_000, rel=0.03)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)


def test_arrivals_at_fixed_distances() -> None:
    assert list(arrivals(4, 1.0, None)) == [0.25, 0.5, 0.75]


def test_figures() -> None:
    outcomes = [Outcome(0.0, 0.1, 0.5, 200), Outcome(1.0, 1.0, 1.1, 429), Outcome(2.0, 2.0, 3.0, 0, "timeout")]
    assert summarise(Load(outcomes, 0.0, 2.5)) == {
        "seconds": 3.0,
        "requests": 3,
        "offered_a_second": 1.2,
        "served_a_second": 0.33,
        "latency_ms": {"p50": 500.0, "p99": 500.0, "max": 500.0},
        "refusal_ms": {"p50": 100.0, "p99": 100.0, "max": 100.0},
        "refusal_since_sent_ms": {"p50": 100.0, "p99": 100.0, "max": 100.0},
        "sent_late_ms": {"p50": 0.0, "p99": 98.0, "max": 100.0},
        "statuses": {"200": 1, "429": 1},
        "errors": {"timeout": 1},
    }
