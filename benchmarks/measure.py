"""What the benchmarks share: honest timing on a machine that others use, matrix-product peak, result files.

Two clocks. ``wall``: seconds by the clock, which mean something only while nothing else runs, as PyTorch's threads spin while they
wait for each other. ``cpu``: the processor seconds of this process, for one thread, which other processes hardly touch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

QUIET_CORES = 0.25
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Timing:
    """Seconds by the clock chosen, and how many cores other processes (and the hypervisor) took meanwhile."""

    seconds: float
    others: float
    clock: str = "wall"

    @property
    def quiet(self) -> bool:
        return self.clock == "cpu" or self.others < QUIET_CORES


def _busy_and_own() -> tuple[float, float]:
    """CPU seconds of the whole machine (stolen time included) and of this process."""
    fields = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    own = os.times()
    return (sum(fields) - fields[3] - fields[4]) / _TICK, own.user + own.system


def timed(work: Callable[[], Any], clock: str = "wall") -> tuple[Timing, Any]:
    """Run once; its time and what it returned."""
    (busy, own), began, cpu = _busy_and_own(), time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu, (busy_after, own_after) = time.perf_counter() - began, time.process_time() - cpu, _busy_and_own()
    others = max(busy_after - busy - (own_after - own), 0.0) / max(seconds, 1e-9)
    return Timing(cpu if clock == "cpu" else seconds, others, clock), result


def wait_until_quiet(patience: float, clock: str = "wall") -> None:
    """Wait until others use less than ``QUIET_CORES`` cores for two seconds, at most ``patience`` seconds."""
    until = time.monotonic() + (0.0 if clock == "cpu" else patience)
    while time.monotonic() < until and not timed(lambda: time.sleep(2.0))[0].quiet:
        pass


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Minimum, median and maximum."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values), "values": list(values)}


def shown(spread_: dict[str, Any], form: str = ".2f") -> str:
    """Median (minimum to maximum)."""
    return f"{spread_['median']:{form}} ({spread_['min']:{form}} to {spread_['max']:{form}})"


def gigaflops(flops: float, work: Callable[[], Any], clock: str, calls: int = 20) -> float:
    """GFLOP/s of the fastest of some calls: what the machine can do when left alone."""
    work()
    return max(flops / seconds_of(work, clock) for _ in range(calls)) / 1e9


def seconds_of(work: Callable[[], Any], clock: str) -> float:
    """Seconds of one call."""
    now = time.process_time if clock == "cpu" else time.perf_counter
    began = now()
    work()
    return now() - began


def peaks(rows: int, width: int, units: int, clock: str) -> dict[str, float]:
    """GFLOP/s of ``torch.matmul`` in float32: a large square, and the three products of the first layer (N = experts and gates).

    oneDNN's kernel, which :mod:`manygate.kernels.onednn` calls, is given beside them: on some processors it is much faster.
    """
    square = torch.randn(2048, 2048)
    x, weight, grad = torch.randn(rows, width), torch.randn(width, units), torch.randn(rows, units)
    flops = 2.0 * rows * width * units
    found = {
        "2048 x 2048 x 2048": gigaflops(2.0 * 2048**3, lambda: square @ square, clock),
        f"first layer forward, {rows} x {width} x {units}": gigaflops(flops, lambda: x @ weight, clock, 50),
        f"first layer weight gradient, {width} x {rows} x {units}": gigaflops(flops, lambda: x.t() @ grad, clock, 50),
        f"first layer input gradient, {rows} x {units} x {width}": gigaflops(flops, lambda: grad @ weight.t(), clock, 50),
    }
    if torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        linear = torch.ops.mkldnn._linear_pointwise
        found["2048 x 2048 x 2048, oneDNN"] = gigaflops(2.0 * 2048**3, lambda: linear(square, square, None, "none", [], ""), clock)
    return found


def machine(threads: int, clock: str) -> dict[str, Any]:
    """Where the figures come from."""
    info = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), platform.processor())
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": threads,
        "clock": clock,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "command": shlex.join([Path(part).name if Path(part).is_absolute() else part for part in (sys.executable, *sys.argv)]),
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": os.getloadavg(),
    }


def machine_lines(found: dict[str, Any]) -> list[str]:
    """The same for the Markdown file."""
    before, after = (", ".join(f"{load:.2f}" for load in found[key]) for key in ("load_average", "load_average_after"))
    return [
        f"* Command: `{found['command']}`, {found['began']}",
        f"* {found['cpu']}, {found['cores']} cores, {found['threads']} threads, {found['capability']}; "
        f"Python {found['python']}, PyTorch {found['torch']}",
        f"* Load average before: {before}; after: {after}. "
        + (
            "Clock: processor seconds of one thread, which other processes hardly touch (they share caches and memory)."
            if found["clock"] == "cpu"
            else f"Clock: wall. A measurement is quiet when others used less than {QUIET_CORES} cores during it."
        ),
    ]


def add_machine_options(parser: argparse.ArgumentParser, name: str) -> None:
    """--threads, --clock, --patience, --results, --name."""
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="PyTorch's threads")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor seconds; sets --threads 1")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for a quiet moment (clock wall)")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--name", default=name, help="name of the result files, after the date")


def result_stem(folder: Path, name: str) -> Path:
    """``folder/DATE-name``."""
    return folder / f"{datetime.now().date().isoformat()}-{name}"


def write_results(folder: Path, name: str, document: dict[str, Any], lines: Sequence[str]) -> None:
    """``folder/DATE-name.json`` and ``.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = result_stem(folder, name)
    stem.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    stem.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    print(f"\nwrote {stem}.json and .md", file=sys.stderr)
