"""Measure manygate-serving in an environment of its own: packages, wheel, seconds from start to ready, memory.

    python benchmarks/light_server.py --model model

``--model`` is a folder that ``manygate export`` wrote. The script builds the wheel, makes an empty environment, installs the wheel
there and starts the server ``--rounds`` times. A start lasts from the call of the command until ``/v2/health/ready`` says yes. The
memory is the resident memory of the server after ``--requests`` requests. The exit code is 1 if a bar was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from measure import machine, machine_lines, shown, spread, write_results

ROOT = Path(__file__).parents[1]
MOST_PACKAGES, MOST_SECONDS, MOST_MEGABYTES = 28, 3.0, 250.0
NOT_COUNTED = {"pip", "setuptools"}


def installed(folder: Path) -> tuple[Path, Path]:
    """Return the Python of an environment with manygate-serving, and the wheel."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT / "packaging" / "serving")], check=True)
    wheel = next(folder.glob("*.whl"))
    subprocess.run([*pip, "install", str(wheel)], check=True)
    return python, wheel


def packages(python: Path) -> list[str]:
    """Return the packages of an environment, with their versions."""
    listed = subprocess.run([python, "-m", "pip", "list", "--format=json"], capture_output=True, check=True)
    return [
        f"{package['name']} {package['version']}" for package in json.loads(listed.stdout) if package["name"] not in NOT_COUNTED
    ]


def answered(url: str, body: dict[str, Any] | None = None) -> Any:
    """Return the content of an answer, or None if the server does not listen or is not ready."""
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())
    except OSError:
        return None


def resident(pid: int, name: str = "VmRSS") -> float:
    """Return the resident memory of a process in MB. ``VmHWM`` is its most so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))


def started(python: Path, model: Path, requests: int) -> dict[str, float]:
    """Start a server once, and return its seconds to ready, its memory, and the most that it had."""
    command = [
        str(python.with_name("manygate-serving")),
        "serve",
        str(model),
        "--port",
        "0",
        "--threads",
        "1",
        "--log-level",
        "warning",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        try:
            assert process.stdout is not None
            url = next(word for word in process.stdout.readline().split() if word.startswith("http"))
            while answered(f"{url}/v2/health/ready") is None:
                time.sleep(0.005)
            seconds = time.perf_counter() - began
            at_start = resident(process.pid)
            page = answered(f"{url}/openapi.json")
            body = page["paths"]["/v1/rank"]["post"]["requestBody"]["content"]["application/json"]["schema"]["example"]
            failed = sum(answered(f"{url}/v1/rank", body) is None for _ in range(requests))
            memory, peak = resident(process.pid), resident(process.pid, "VmHWM")
            return {"seconds": seconds, "at_start": at_start, "memory": memory, "peak": peak, "failed": failed}
        finally:
            process.terminate()


def main() -> int:
    """Measure, write the results, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder that manygate export wrote")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    found = machine(1, "wall")
    with tempfile.TemporaryDirectory() as folder:
        python, wheel = installed(Path(folder))
        names, size = packages(python), wheel.stat().st_size
        started(python, options.model, 1)  # reads the files from the disk, and compiles nothing that pip has not
        rounds = [started(python, options.model, options.requests) for _ in range(options.rounds)]
    found["load_average_after"] = os.getloadavg()
    seconds, memory = spread([one["seconds"] for one in rounds]), spread([one["memory"] for one in rounds])
    model = sum(path.stat().st_size for path in options.model.iterdir())
    checks = {
        f"at most {MOST_PACKAGES} packages, and no torch": len(names) <= MOST_PACKAGES and "torch" not in " ".join(names),
        f"ready within {MOST_SECONDS:g} s": seconds["median"] <= MOST_SECONDS,
        f"at most {MOST_MEGABYTES:g} MB": memory["max"] <= MOST_MEGABYTES,
        "every request was answered": not any(one["failed"] for one in rounds),
    }
    document = {"machine": found, "packages": names, "wheel_bytes": size, "model_bytes": model, "rounds": rounds, "checks": checks}
    lines = [
        "# The server without torch",
        "",
        *machine_lines(found),
        f"* A model of {model / 1e6:.1f} MB, {options.rounds} starts, {options.requests} requests each; median (least to most)",
        "",
        *(f"* {'held' if held else 'missed'}: {check}" for check, held in checks.items()),
        "",
        "| figure | value |",
        "|---|---|",
        f"| packages | {len(names)}: {', '.join(names)} |",
        f"| wheel | {size / 1e3:.0f} kB |",
        f"| seconds from start to ready | {shown(seconds)} |",
        f"| resident memory when ready, MB | {shown(spread([one['at_start'] for one in rounds]), '.0f')} |",
        f"| resident memory after the requests, MB | {shown(memory, '.0f')} |",
    ]
    write_results(options.results, "light-server", document, lines)
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
