"""Measure ``manygate serve``: beside FastAPI with eager PyTorch and LitServe, under overload, at its end, through swaps, over time.

    python benchmarks/serving.py compare    # time of the model, overhead of HTTP, requests a second; the peers on the same core
    python benchmarks/serving.py overload   # four times the capacity: refusals, deadlines, recovery
    python benchmarks/serving.py drain      # SIGTERM at full load, 100 times: requests without an answer
    python benchmarks/serving.py swap       # new models under load, then broken ones
    python benchmarks/serving.py soak       # ten minutes: memory

The server has one core, and this process, which makes the load, another one. A request ranks 500 candidates with a default MMoE on
census. Half of its 38 features are those of the request, the others have a value for each candidate. ``--material`` is a folder for
the data, two trained runs and their exported models; what is missing there is made. The peers stand in an environment of their own,
which ``compare`` makes in that folder, or which ``--peers-python`` names.

A model time, a server and a rate are measured in turns. Latencies count from the time at which a request should have been sent
(``loadtest/loops.py``). Each result says how many cores other programs used: repeat it when that is more than a few tenths.
The exit code is 1 if a check failed or a bar was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadtest import comparison, endurance
from loadtest.comparison import MANYGATE, Bench
from loadtest.material import Material
from loadtest.servers import Spec
from measure import machine, machine_lines, write_results

HERE = Path(__file__).parent
COMMAND = f"{shlex.quote(sys.executable)} -m manygate serve {{model}} --host 127.0.0.1 --port {{port}} --threads 1"


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--material", type=Path, default=Path("runs/serving"), help="folder of the data and the models")
    parser.add_argument("--source", type=Path, help="folder of the downloaded census. Default: download it")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--context", type=int, default=19, help="features that all candidates of a request share")
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--core", type=int, default=1, help="core of the server")
    parser.add_argument("--load-core", type=int, default=0, help="core of the load generator")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one measurement")
    parser.add_argument("--command", default=COMMAND, help="that starts the server; {model} and {port} are filled in")
    parser.add_argument("--flags", default="", help="more flags of the server")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    subcommands = parser.add_subparsers(dest="what", required=True)
    compare = subcommands.add_parser("compare")
    compare.add_argument("--rounds", type=int, default=3)
    compare.add_argument("--peers-python", type=Path, help="a Python with fastapi and litserve")
    overload = subcommands.add_parser("overload")
    overload.add_argument("--duration", type=float, default=60.0)
    overload.add_argument("--times", type=float, default=4.0, help="the rate over the capacity")
    overload.add_argument("--deadline", type=float, default=1.0, help="seconds; the same as the server's")
    overload.add_argument("--connections", type=int, default=512)
    drain = subcommands.add_parser("drain")
    drain.add_argument("--rounds", type=int, default=100)
    drain.add_argument("--connections", type=int, default=64)
    drain.add_argument("--duration", type=float, default=1.0, help="seconds of load before SIGTERM")
    swap = subcommands.add_parser("swap")
    swap.add_argument("--duration", type=float, default=60.0)
    swap.add_argument("--every", type=float, default=5.0, help="seconds between two models")
    swap.add_argument("--share", type=float, default=0.5, help="of the capacity")
    soak = subcommands.add_parser("soak")
    soak.add_argument("--duration", type=float, default=600.0)
    soak.add_argument("--share", type=float, default=0.6, help="of the capacity")
    return parser.parse_args(arguments)


def server_of(options: argparse.Namespace, model: Path) -> Spec:
    """Return how manygate's server is started."""
    return Spec(MANYGATE, shlex.split(f"{options.command} {options.flags}".replace("{model}", str(model))), "/v2/health/ready")


def measured(options: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    """Return the figures of what was asked for."""
    material = bench.material
    own = server_of(options, material.models[0])
    if options.what == "compare":
        python = options.peers_python or comparison.peers_python(material.folder / "peers")
        return comparison.compare(bench, comparison.specs(material, own, python))
    if options.what == "overload":
        return endurance.overload(bench, own, options.duration, options.times, options.deadline, options.connections)
    if options.what == "drain":
        return endurance.drain(bench, own, options.rounds, options.connections, options.duration)
    if options.what == "swap":
        served = material.folder / "served"
        return endurance.swap(bench, server_of(options, served), served, options.duration, options.every, options.share)
    return endurance.soak(bench, own, options.duration, options.share)


def held(found: dict[str, Any]) -> dict[str, bool]:
    """Return what must hold, and whether it does."""
    return found.get("checks") or {name: bar["met"] for name, bar in found["bars"].items()}


def lines_of(what: str, found: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown."""
    if what == "compare":
        return comparison.lines_of(found)
    checks = [f"* {'held' if held else 'failed'}: {name}" for name, held in found["checks"].items()]
    figures = {name: value for name, value in found.items() if name not in ("checks", "samples")}
    return ["## Checks", "", *checks, "", "## Figures", "", "```json", json.dumps(figures, indent=1), "```"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the results, and return the exit code."""
    options = parsed(arguments)
    material = Material(
        options.material.resolve(), options.source, options.epochs, options.context, options.candidates, options.top
    )
    material.folder.mkdir(parents=True, exist_ok=True)
    material.prepare(2 if options.what == "swap" else 1)
    rounds = getattr(options, "rounds", 1)
    bench = Bench(material, options.core, options.load_core, options.seconds, rounds, material.folder)
    about = machine(1, "wall")
    os.sched_setaffinity(0, {options.load_core})
    found = measured(options, bench)
    about["load_average_after"] = os.getloadavg()
    title = f"# Serving: {options.what}"
    intro = [*machine_lines(about), f"* {options.candidates} candidates a request, the first {options.top} in the answer", ""]
    document = {"machine": about, "what": options.what, **found}
    write_results(options.results, f"serving-{options.what}", document, [title, "", *intro, *lines_of(options.what, found)])
    return 0 if all(held(found).values()) else 1


if __name__ == "__main__":
    sys.exit(main())
