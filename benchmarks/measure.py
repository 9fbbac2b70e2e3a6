"""What the benchmarks share: honest timing on a machine that others use, matrix-product peak, result files."""

from __future__ import annotations

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
    """Wall seconds, and how many cores other processes (and the hypervisor) took meanwhile."""

    seconds: float
    others: float

    @property
    def quiet(self) -> bool:
        return self.others < QUIET_CORES


def _busy_and_own() -> tuple[float, float]:
    """CPU seconds of the whole machine (stolen time included) and of this process."""
    fields = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    own = os.times()
    return (sum(fields) - fields[3] - fields[4]) / _TICK, own.user + own.system


def timed(work: Callable[[], Any]) -> tuple[Timing, Any]:
    """Run once; its time and what it returned."""
    (busy, own), began = _busy_and_own(), time.perf_counter()
    result = work()
    seconds, (busy_after, own_after) = time.perf_counter() - began, _busy_and_own()
    return Timing(seconds, max(busy_after - busy - (own_after - own), 0.0) / max(seconds, 1e-9)), result


def wait_until_quiet(patience: float) -> None:
    """Wait until others use less than ``QUIET_CORES`` cores for two seconds, at most ``patience`` seconds."""
    until = time.monotonic() + patience
    while time.monotonic() < until and not timed(lambda: time.sleep(2.0))[0].quiet:
        pass


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Minimum, median and maximum."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values), "values": list(values)}


def shown(spread_: dict[str, Any], form: str = ".2f") -> str:
    """Median (minimum to maximum)."""
    return f"{spread_['median']:{form}} ({spread_['min']:{form}} to {spread_['max']:{form}})"


def gigaflops(flops: float, work: Callable[[], Any], calls: int = 20) -> float:
    """GFLOP/s of the fastest of some calls: what the machine can do when left alone."""
    work()
    return max(flops / timed_alone(work) for _ in range(calls)) / 1e9


def timed_alone(work: Callable[[], Any]) -> float:
    """Wall seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peaks(rows: int, width: int, units: int) -> dict[str, float]:
    """GFLOP/s of ``torch.matmul`` in float32: a large square, and the three products of the first layer (N = experts and gates).

    oneDNN's kernel in the same PyTorch is given beside them: on some processors it is much faster than the MKL that matmul calls.
    """
    square = torch.randn(2048, 2048)
    x, weight, grad = torch.randn(rows, width), torch.randn(width, units), torch.randn(rows, units)
    flops = 2.0 * rows * width * units
    found = {
        "2048 x 2048 x 2048": gigaflops(2.0 * 2048**3, lambda: square @ square),
        f"first layer forward, {rows} x {width} x {units}": gigaflops(flops, lambda: x @ weight, 50),
        f"first layer weight gradient, {width} x {rows} x {units}": gigaflops(flops, lambda: x.t() @ grad, 50),
        f"first layer input gradient, {rows} x {units} x {width}": gigaflops(flops, lambda: grad @ weight.t(), 50),
    }
    if torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        linear = torch.ops.mkldnn._linear_pointwise
        found["2048 x 2048 x 2048, oneDNN (not used by matmul)"] = gigaflops(
            2.0 * 2048**3, lambda: linear(square, square, None, "none", [], "")
        )
    return found


def machine(threads: int) -> dict[str, Any]:
    """Where the figures come from."""
    info = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), platform.processor())
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": threads,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
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
        f"A measurement counts as quiet when others used less than {QUIET_CORES} cores during it.",
    ]


def write_results(folder: Path, name: str, document: dict[str, Any], lines: Sequence[str]) -> None:
    """``folder/DATE-name.json`` and ``.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{datetime.now().date().isoformat()}-{name}"
    stem.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    stem.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    print(f"\nwrote {stem}.json and .md", file=sys.stderr)
