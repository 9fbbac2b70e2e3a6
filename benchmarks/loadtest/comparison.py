"""Manygate's server beside FastAPI with eager PyTorch and LitServe, on one core, with the same requests."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import seconds_of, shown, spread

from loadtest import in_process
from loadtest.loops import Target, closed_loop, open_loop
from loadtest.material import Material
from loadtest.noise import watched
from loadtest.probe import probing
from loadtest.servers import Server, Spec, serving
from loadtest.summary import latencies, summarise

PEERS = Path(__file__).parent / "peers"
MANYGATE, FASTAPI, LITSERVE = "manygate serve", "FastAPI, eager PyTorch", "LitServe, exported model"
CONNECTIONS = (1, 16, 64)
OF_CAPACITY = (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""The rates, as shares of a server's capacity, at which its p99 is compared with the limit; the largest that holds it counts."""
FASTAPI_SHARE = 0.7
"""The p99 of FastAPI at this share of its capacity is the limit for all."""
OVERHEAD_TURNS, TURN_SECONDS = 20, 0.5
MODEL_BAR, OVERHEAD_BAR_MS, RATE_BAR = 3.0, 2.0, 3.0


@dataclass(frozen=True)
class Bench:
    """Where and how long is measured. ``seconds`` is the time of one measurement."""

    material: Material
    core: int
    load_core: int
    seconds: float
    rounds: int
    logs: Path
    requests: int = 20

    def on(self, spec: Spec) -> Any:
        """Start a server on its core."""
        return serving(spec, self.core, self.logs / f"{spec.name.split()[0].strip(',').lower()}.log")

    def target(self, server: Server) -> Target:
        return Target(server.port, self.material.requests(self.requests))


def peers_python(folder: Path) -> Path:
    """Return a Python with the peers in an environment of its own, which also sees the packages of this one."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        site = Path(
            subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], text=True).strip()
        )
        (site / "project.pth").write_text(f"import site; site.addsitedir({sysconfig.get_paths()['purelib']!r})\n")
        subprocess.run([python, "-m", "pip", "install", "-q", "--ignore-installed", "fastapi", "litserve"], check=True)
    return python


def specs(material: Material, own: Spec, python: Path) -> list[Spec]:
    """Return the servers that are compared."""
    run, model = str(material.runs[0]), str(material.models[0])
    return [
        own,
        Spec(FASTAPI, [str(python), str(PEERS / "fastapi_eager.py"), run, "{port}"], "/health"),
        Spec(LITSERVE, [str(python), str(PEERS / "litserve_exported.py"), model, "{port}"], "/health"),
    ]


def compare(bench: Bench, servers: Sequence[Spec]) -> dict[str, Any]:
    """Measure everything, the servers in turns."""
    os.sched_setaffinity(0, {bench.core})
    with watched() as noise:
        model = in_process.measure(bench.material, max(bench.rounds, 2), bench.requests)
    os.sched_setaffinity(0, {bench.load_core})
    document: dict[str, Any] = {"in_process_ms": model, "in_process_noise": noise}
    document["overhead"] = overhead(bench, servers[0])
    document["closed"] = closed(bench, servers)
    document["equal_p99"] = equal_p99(bench, servers, document["closed"])
    document["half_load"] = half_load(bench, servers, document["closed"])
    document["bars"] = bars(document)
    return document


def overhead(bench: Bench, spec: Spec) -> dict[str, Any]:
    """Return the milliseconds that HTTP adds to the model's time: the medians of short turns, so that both meet the same noise.

    ``added_ms_at_p10`` compares the fastest tenths of all calls and answers, which other programs disturb least.
    """
    bare = in_process.calls(bench.material, bench.requests)[in_process.BARE]
    pairs, calls, answers = [], list[float](), list[float]()
    with bench.on(spec) as server, watched(server) as noise:
        target = bench.target(server)
        asyncio.run(closed_loop(target, 1, 1.0))
        for _ in range(OVERHEAD_TURNS):
            os.sched_setaffinity(0, {bench.core})
            turn = [seconds_of(work, "wall") for work in bare]
            os.sched_setaffinity(0, {bench.load_core})
            load = asyncio.run(closed_loop(target, 1, TURN_SECONDS))
            pairs.append((1e3 * statistics.median(turn), summarise(load)["latency_ms"]["p50"]))
            calls += turn
            answers += latencies(load.outcomes, 200)
    return {
        "added_ms_at_p10": 1e3 * float(np.percentile(answers, 10) - np.percentile(calls, 10)),
        "in_process_ms": spread([alone for alone, _ in pairs]),
        "http_ms": spread([http for _, http in pairs]),
        "added_ms": spread([http - alone for alone, http in pairs]),
        **noise,
    }


def closed(bench: Bench, servers: Sequence[Spec]) -> dict[str, Any]:
    """Return the figures of closed loops for each server and number of connections, one a round."""
    found: dict[str, Any] = {spec.name: {str(connections): [] for connections in CONNECTIONS} for spec in servers}
    for _ in range(bench.rounds):
        for spec in servers:
            with bench.on(spec) as server:
                target = bench.target(server)
                asyncio.run(closed_loop(target, 4, 1.0))
                for connections in CONNECTIONS:
                    with watched(server) as noise:
                        load = asyncio.run(closed_loop(target, connections, bench.seconds))
                    found[spec.name][str(connections)].append(summarise(load) | noise)
    return found


def median_of(rounds: Sequence[dict[str, Any]], *path: str) -> float:
    """Return the median over rounds of a figure."""
    values = []
    for one in rounds:
        value: Any = one
        for key in path:
            value = value[key]
        values.append(value)
    return statistics.median(values)


def capacity(closed_: dict[str, Any], name: str) -> float:
    """Return requests a second with 16 connections."""
    return median_of(closed_[name]["16"], "served_a_second")


def equal_p99(bench: Bench, servers: Sequence[Spec], closed_: dict[str, Any]) -> dict[str, Any]:
    """Return the largest rate of each server in an open loop that holds the p99 of FastAPI at a part of its capacity."""
    tried: dict[str, list[dict[str, Any]]] = {spec.name: [] for spec in servers}
    rates: dict[str, float] = {}
    by_name = {spec.name: spec for spec in servers}
    with bench.on(by_name[FASTAPI]) as server:
        rate = FASTAPI_SHARE * capacity(closed_, FASTAPI)
        found = opened(bench, server, rate)
        tried[FASTAPI].append(found)
        limit, rates[FASTAPI] = found["latency_ms"]["p99"], rate
    for name, spec in by_name.items():
        if name == FASTAPI:
            continue
        with bench.on(spec) as server:
            for share in OF_CAPACITY:
                found = opened(bench, server, share * capacity(closed_, name))
                tried[name].append(found)
                if found["statuses"] == {"200": found["requests"]} and found["latency_ms"]["p99"] <= limit:
                    rates[name] = found["rate"]
                    break
    return {"limit_ms": limit, "rates": rates, "tried": tried}


def opened(bench: Bench, server: Server, rate: float) -> dict[str, Any]:
    """Return the figures of an open loop."""
    target = bench.target(server)
    asyncio.run(closed_loop(target, 2, 0.5))
    with watched(server) as noise:
        load = asyncio.run(open_loop(target, rate, 2 * bench.seconds, connections=64))
    return {"rate": round(rate, 2)} | summarise(load) | noise


def half_load(bench: Bench, servers: Sequence[Spec], closed_: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of an open loop at half of each server's capacity, with a probe on the same core before and during it."""
    found = {}
    for spec in servers:
        with bench.on(spec) as server:
            with probing(bench.core, bench.seconds) as before:
                pass
            with probing(bench.core, 2 * bench.seconds) as during:
                load = opened(bench, server, capacity(closed_, spec.name) / 2)
            found[spec.name] = load | {"probe_before": before, "probe_during": during}
    return found


def bars(document: dict[str, Any]) -> dict[str, Any]:
    """Return each bar with its figure and whether it is met."""
    model, rates = document["in_process_ms"], document["equal_p99"]["rates"]
    faster = model[in_process.EAGER]["p50"] / model[in_process.BARE]["p50"]
    added = document["overhead"]["added_ms"]["median"]
    rate = rates.get(MANYGATE, 0.0) / rates[FASTAPI]
    ahead = rates.get(MANYGATE, 0.0) / rates[LITSERVE] if LITSERVE in rates else None
    return {
        "eager over onnxruntime, p50 in process": {"found": faster, "bar": MODEL_BAR, "met": faster >= MODEL_BAR},
        "HTTP p50 less in-process p50, ms": {"found": added, "bar": OVERHEAD_BAR_MS, "met": added <= OVERHEAD_BAR_MS},
        "rate over FastAPI's at its p99": {"found": rate, "bar": RATE_BAR, "met": rate >= RATE_BAR},
        "rate over LitServe's at the same p99": {"found": ahead, "bar": 1.0, "met": ahead is None or ahead > 1},
    }


ADDED = {"In process": "in_process_ms", "over HTTP": "http_ms", "added": "added_ms"}


def lines_of(document: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown."""
    lines = ["## Bars", "", "| figure | found | bar | |", "|---|---|---|---|"]
    for name, bar in document["bars"].items():
        text = "LitServe held it at no rate" if bar["found"] is None else f"{bar['found']:.2f}"
        lines.append(f"| {name} | {text} | {bar['bar']:g} | {'met' if bar['met'] else 'missed'} |")
    lines += ["", "## In this process", "", "| way | p50 ms | p99 ms | max ms |", "|---|---|---|---|"]
    for name, found in document["in_process_ms"].items():
        lines.append(f"| {name} | {found['p50']:.2f} | {found['p99']:.2f} | {found['max']:.2f} |")
    added = document["overhead"]
    lines += ["", "## Added by HTTP, one connection, in short turns", ""]
    times = (f"{words} {shown(added[key])} ms" for words, key in ADDED.items())
    lines.append(f"{', '.join(times)}: p50 of a turn, the median of the turns (minimum to maximum).")
    lines.append(f"At the fastest tenth of all calls and answers, {added['added_ms_at_p10']:.2f} ms are added.")
    lines.append(f"Meanwhile others used {added['cores_of_others']:.2f} cores.")
    lines += ["", "## Closed loop, medians of rounds", ""]
    lines += ["| server | connections | requests a second | p50 ms | p99 ms | cores of others |", "|---|---|---|---|---|---|"]
    for name, by_connections in document["closed"].items():
        for connections, rounds in by_connections.items():
            latency = " | ".join(f"{median_of(rounds, 'latency_ms', key):.1f}" for key in ("p50", "p99"))
            others = max(one["cores_of_others"] for one in rounds)
            lines.append(
                f"| {name} | {connections} | {median_of(rounds, 'served_a_second'):.1f} | {latency} | at most {others:.2f} |"
            )
    equal = document["equal_p99"]
    lines += ["", f"## Open loop, p99 at most {equal['limit_ms']:.1f} ms (FastAPI's at {FASTAPI_SHARE:.0%} of its capacity)", ""]
    lines += [f"* {name}: {rate:.1f} requests a second" for name, rate in equal["rates"].items()]
    lines += ["", "## Open loop at half of each capacity, with a probe on the server's core", ""]
    lines += [
        "| server | rate | p50 ms | p99 ms | max ms | probe before, p99.9 and max ms | during |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in document["half_load"].items():
        latency = " | ".join(f"{found['latency_ms'][key]:.1f}" for key in ("p50", "p99", "max"))
        probes = " | ".join(f"{found[key]['p999_ms']:.1f}, {found[key]['max_ms']:.1f}" for key in ("probe_before", "probe_during"))
        lines.append(f"| {name} | {found['rate']:.1f} | {latency} | {probes} |")
    return lines
