"""What a server must endure: overload, ends at full load, new models under load, and time.

Each function returns the figures, and ``checks``: what must hold, and whether it did.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.comparison import Bench
from loadtest.loops import Load, Outcome, Target, closed_loop, open_loop
from loadtest.material import copy_model, is_answer, offline, version_of
from loadtest.noise import watched
from loadtest.servers import Server, Spec
from loadtest.summary import summarise
from manygate.files import write_folder

REFUSAL_SECONDS, RECOVERY_SECONDS = 0.1, 5.0
SERVED_SHARE, IN_TIME_SHARE = 0.8, 0.99
CALM_SHARE = 0.25
"""The share of its capacity at which a server must be calm again after an overload."""
GROWTH_MEGABYTES = 20.0
PICKUP_SECONDS = 5.0


def capacity_of(target: Target, seconds: float) -> float:
    """Return requests a second with 16 connections."""
    asyncio.run(closed_loop(target, 4, 1.0))
    return float(summarise(asyncio.run(closed_loop(target, 16, seconds)))["served_a_second"])


def overload(bench: Bench, spec: Spec, seconds: float, times: float, deadline: float, connections: int) -> dict[str, Any]:
    """Send ``times`` the capacity, and then a calm rate."""
    with bench.on(spec) as server, watched(server) as noise:
        target = bench.target(server)
        capacity = capacity_of(target, bench.seconds)
        calm = asyncio.run(open_loop(target, CALM_SHARE * capacity, bench.seconds, connections=16))
        load = asyncio.run(open_loop(target, times * capacity, seconds, connections))
        ended = load.began + load.seconds
        after = asyncio.run(open_loop(target, CALM_SHARE * capacity, 2 * RECOVERY_SECONDS, connections=16))
        alive = server.process.poll() is None and server.is_ready()
    found, usual = summarise(load), summarise(calm)
    inside = [outcome for outcome in load.outcomes if outcome.status in (200, 504)]
    in_time = sum(outcome.status == 200 and outcome.ended - outcome.sent <= deadline for outcome in inside)
    refused = [outcome.ended - outcome.sent for outcome in load.outcomes if outcome.status == 429]
    recovery = recovered(after, ended, 2 * usual["latency_ms"]["p99"] / 1e3 + 0.05)
    return {
        "capacity_a_second": capacity,
        "calm_before": usual,
        "overload": found,
        "calm_after": summarise(after),
        "accepted": len(inside),
        "accepted_in_time": in_time,
        "recovery_seconds": recovery,
        "noise": noise,
        "checks": {
            "the server did not crash": alive,
            "refusals are 429": set(found["statuses"]) <= {"200", "429", "504"} and bool(refused) and not found["errors"],
            "refusals come within 100 ms (p99 since they were sent)": bool(refused)
            and float(np.percentile(refused, 99)) <= REFUSAL_SECONDS,
            "accepted requests are answered within the deadline": in_time >= IN_TIME_SHARE * len(inside),
            "at least 80 % of the capacity are served": found["served_a_second"] >= SERVED_SHARE * capacity,
            "it recovers within 5 s": recovery <= RECOVERY_SECONDS,
        },
    }


def recovered(after: Load, ended: float, slow: float) -> float:
    """Return the seconds from the end of an overload to the last request that failed or was slow; at least 0."""
    bad = [o.intended for o in after.outcomes if o.status != 200 or o.ended - o.intended > slow]
    return max([0.0, *(at - ended for at in bad)])


def drain(bench: Bench, spec: Spec, times: int, connections: int, load_seconds: float) -> dict[str, Any]:
    """Send SIGTERM at full load, again and again, and count requests without an answer.

    The log of the server has the number and the status of each request that it answered or refused.
    """
    rounds = []
    for n in range(times):
        with bench.on(spec) as server:
            read = server.log.stat().st_size
            target = replace(bench.target(server), numbered=True)
            outcomes, terminated, ended = asyncio.run(_drained(target, server, connections, load_seconds))
        rounds.append(drained(outcomes, terminated, logged(server.log, read)) | ended)
        print(f"{n + 1}/{times}: {rounds[-1]}", file=sys.stderr, flush=True)
    sums = {key: sum(one[key] for one in rounds) for key in COUNTS}
    return {
        "rounds": len(rounds),
        **sums,
        "kinds": dict(sum((Counter(one["kinds"]) for one in rounds), Counter())),
        "statuses_after_sigterm": dict(sum((Counter(one["statuses_after_sigterm"]) for one in rounds), Counter())),
        "exit_codes": dict(Counter(str(one["exit_code"]) for one in rounds)),
        "seconds_to_exit_max": max(one["seconds_to_exit"] for one in rounds),
        "checks": {
            "every request that was sent before SIGTERM got an answer": sums["lost_sent_before_sigterm"] == 0,
            "every answer and refusal of the log arrived": sums["lost_and_in_the_log"] == 0,
            "the server ended by itself": all(one["exit_code"] in (0, 143, -15) for one in rounds),
        },
    }


async def _drained(
    target: Target, server: Server, connections: int, load_seconds: float
) -> tuple[list[Outcome], float, dict[str, Any]]:
    """Return the outcomes, the time of SIGTERM, and how the server ended."""
    stop = asyncio.Event()
    running = asyncio.create_task(closed_loop(target, connections, 120.0, stop))
    await asyncio.sleep(load_seconds)
    terminated = time.perf_counter()
    server.terminate()
    while server.process.poll() is None and time.perf_counter() < terminated + 30:
        await asyncio.sleep(0.01)
    ended = {"exit_code": server.process.poll(), "seconds_to_exit": round(time.perf_counter() - terminated, 3)}
    stop.set()
    return (await running).outcomes, terminated, ended


COUNTS = ("answered", "answered_after_sigterm", "lost_sent_before_sigterm", "lost_and_in_the_log", "never_in_the_log")


def logged(log: Path, start: int) -> set[int]:
    """Return the numbers of the requests in a server's log, from a byte on."""
    with log.open("rb") as stream:
        stream.seek(start)
        lines = [json.loads(line) for line in stream if line.startswith(b"{")]
    return {int(line["id"]) for line in lines if line.get("event") == "request" and line["id"].isdigit()}


def drained(outcomes: Sequence[Outcome], terminated: float, in_log: set[int]) -> dict[str, Any]:
    """Count requests without an answer. Those that could not connect were never accepted."""
    lost = [outcome for outcome in outcomes if not outcome.status and not outcome.error.startswith("connect")]
    after = [outcome for outcome in outcomes if outcome.status and outcome.sent >= terminated]
    return {
        "answered": sum(bool(outcome.status) for outcome in outcomes),
        "answered_after_sigterm": len(after),
        "lost_sent_before_sigterm": sum(outcome.sent < terminated for outcome in lost),
        "lost_and_in_the_log": sum(outcome.n in in_log for outcome in lost),
        "never_in_the_log": sum(outcome.n not in in_log for outcome in lost),
        "kinds": dict(Counter(outcome.error for outcome in lost)),
        "statuses_after_sigterm": dict(Counter(str(outcome.status) for outcome in after)),
    }


def cut_graph(folder: Path) -> None:
    """Cut the graph in half."""
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])


def flip_weight(folder: Path) -> None:
    """Change one byte of the weights."""
    weights = folder / "weights.bin"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 0xFF
    weights.write_bytes(content)


def break_manifest(folder: Path) -> None:
    """Write a manifest that is not JSON."""
    (folder / "manifest.json").write_text("{")


def drop_weights(folder: Path) -> None:
    """Take the weights away."""
    (folder / "weights.bin").unlink()


BREAKS = (cut_graph, flip_weight, break_manifest, drop_weights)


class Swaps:
    """A served folder whose model changes, and the answers that came meanwhile."""

    def __init__(self, bench: Bench, served: Path):
        self.models, self.served, self.material = bench.material.models, served, bench.material
        self.answers: list[tuple[float, int, int, bytes]] = []
        self.placed: list[tuple[float, str]] = []

    def observe(self, n: int, status: int, body: bytes) -> None:
        self.answers.append((time.perf_counter(), n, status, body))

    def place(self, model: Path, broken: Callable[[Path], None] | None = None) -> None:
        """Replace the served folder as an export does."""

        def fill(folder: Path) -> None:
            copy_model(model, folder)
            if broken is not None:
                broken(folder)

        write_folder(self.served, fill)
        if broken is None:
            self.placed.append((time.perf_counter(), version_of(model)))

    async def change(self, seconds: float, every: float) -> None:
        """Place the two models in turns, then broken ones, and then a good one."""
        until = time.perf_counter() + seconds
        at = 0
        while time.perf_counter() < until:
            await asyncio.sleep(every)
            at = 1 - at
            await asyncio.to_thread(self.place, self.models[at])
        for broken in BREAKS:
            await asyncio.sleep(every)
            await asyncio.to_thread(self.place, self.models[1 - at], broken)
        await asyncio.sleep(every)
        await asyncio.to_thread(self.place, self.models[1 - at])
        await asyncio.sleep(every)

    def judged(self, requests: int) -> dict[str, Any]:
        """Compare every answer with the offline scores of the version that it names."""
        scores = {version_of(m): [offline(m, self.material.table(n)) for n in range(requests)] for m in self.models}
        wrong, unknown, first = 0, 0, dict[str, list[float]]()
        versions: Counter[str] = Counter()
        for at, n, status, body in self.answers:
            if status != 200:
                continue
            answer = json.loads(body)
            named = answer["model_version"]
            versions[named] += 1
            full = next((version for version in scores if version.startswith(named)), None)
            if full is None:
                unknown += 1
            else:
                first.setdefault(full, []).append(at)
                wrong += not is_answer(answer, scores[full][n], self.material.tasks[0], self.material.top)
        waits = [
            min((at for at in first.get(version, []) if at >= placed), default=np.inf) - placed for placed, version in self.placed
        ]
        return {"versions": dict(versions), "wrong": wrong, "of_unknown_versions": unknown, "pickup_seconds_max": float(max(waits))}


def swap(bench: Bench, spec: Spec, served: Path, seconds: float, every: float, share: float) -> dict[str, Any]:
    """Replace the served folder under load. The command of ``spec`` serves ``served``."""
    swaps = Swaps(bench, served)
    swaps.place(bench.material.models[0])
    swaps.placed.clear()
    with bench.on(spec) as server, watched(server) as noise:
        target = bench.target(server)
        rate = share * capacity_of(target, bench.seconds)
        target.observe = swaps.observe
        load = asyncio.run(_swapped(target, swaps, rate, seconds, every))
        alive = server.process.poll() is None
    found, judged = summarise(load), swaps.judged(bench.requests)
    return {
        "load": found,
        "swaps": len(swaps.placed),
        "broken": [broken.__name__ for broken in BREAKS],
        **judged,
        "noise": noise,
        "checks": {
            "no errors": alive and found["statuses"] == {"200": found["requests"]},
            "each answer equals the offline scores of its version": judged["wrong"] == judged["of_unknown_versions"] == 0,
            "every good version is picked up within 5 s": judged["pickup_seconds_max"] <= PICKUP_SECONDS,
            "both versions answered": len(judged["versions"]) == 2,
        },
    }


async def _swapped(target: Target, swaps: Swaps, rate: float, seconds: float, every: float) -> Load:
    stop = asyncio.Event()
    running = asyncio.create_task(open_loop(target, rate, 1e9, connections=64, stop=stop))
    await swaps.change(seconds, every)
    stop.set()
    return await running


def soak(bench: Bench, spec: Spec, seconds: float, share: float) -> dict[str, Any]:
    """Send a steady rate, and look at the memory of the server."""
    with bench.on(spec) as server, watched(server) as noise:
        target = bench.target(server)
        rate = share * capacity_of(target, bench.seconds)
        samples: list[tuple[float, float]] = []
        load = asyncio.run(_soaked(target, server, rate, seconds, samples))
        alive = server.process.poll() is None
    found = summarise(load)
    minutes, megabytes = np.array(samples).T
    later = minutes >= minutes[-1] / 5
    slope = float(np.polyfit(minutes[later], megabytes[later], 1)[0])
    growth = float(megabytes[-1] - megabytes[later][0])
    return {
        "rate": rate,
        "load": found,
        "megabytes": {"first": megabytes[0], "after a fifth": megabytes[later][0], "last": megabytes[-1], "max": megabytes.max()},
        "megabytes_a_minute_after_a_fifth": slope,
        "samples": [[round(minute, 2), round(size, 1)] for minute, size in samples],
        "noise": noise,
        "checks": {
            "no errors": alive and found["statuses"] == {"200": found["requests"]},
            "the memory grows by at most 20 MB after a fifth of the time": growth <= GROWTH_MEGABYTES,
        },
    }


async def _soaked(target: Target, server: Server, rate: float, seconds: float, samples: list[tuple[float, float]]) -> Load:
    began = time.perf_counter()

    async def sample() -> None:
        while True:
            samples.append(((time.perf_counter() - began) / 60, server.megabytes()))
            await asyncio.sleep(min(5.0, seconds / 20))

    sampling = asyncio.create_task(sample())
    load = await open_loop(target, rate, seconds, connections=64)
    sampling.cancel()
    return load
