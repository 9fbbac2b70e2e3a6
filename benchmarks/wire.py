"""Ask a running server with programs of others: NVIDIA's client of the V2 protocol, and Schemathesis against the OpenAPI document.

    python benchmarks/wire.py

Two small models are trained, exported and served: one whose requests have a context and whose predictions have a fused score, and
one without. Both are asked by

- ``tritonclient[http]``, unchanged (``wire_clients/triton.py``): health, metadata, predictions with tensors as bytes and as JSON;
- Schemathesis, with all of its checks but one, against ``/openapi.json``.

The check left out is ``positive_data_acceptance``. It wants each request of the schema's form to be predicted. JSON Schema cannot
say that all columns have the same length, that a tensor has as many values as its shape says, or that ``id`` names a column of the
candidates. The document has status 400 for these.

Each program stands in an environment of its own, which is made in a temporary folder, or which an option names:

    python -m venv triton && triton/bin/pip install 'tritonclient[http]'
    python -m venv schemathesis && schemathesis/bin/pip install schemathesis==4.32.5
    python benchmarks/wire.py --triton-python triton/bin/python --schemathesis-python schemathesis/bin/python

The exit code is 1 if a check failed, or if Schemathesis had fewer than 1,000 cases with a model.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from agreement.ways import DATATYPES, MODEL, Batch, feed
from loadtest.servers import Server, Spec, serving
from measure import machine, machine_lines, write_results
from parity import trained

from manygate.export.folder import export_model
from manygate.export.hostile_rows import hostile_rows
from manygate.scoring.predictor import Predictor

TRITON = Path(__file__).parent / "wire_clients" / "triton.py"
PACKAGES = {"triton": "tritonclient[http]", "schemathesis": "schemathesis==4.32.5"}
ROWS, LEAST_CASES, FILL = 16, 1000, 0.5
COUNTED = re.compile(r'^manygate_requests_total\{route="([^"]+)",status="([^"]+)"\} (\S+)$', re.MULTILINE)
PLAIN: dict[str, Any] = {
    "architecture": "mmoe",
    "funnel": "none",
    "regression loss": "squared",
    "binary loss": "cross_entropy",
    "calibration": "none",
    "fusion": "none",
    "gate": "softmax",
    "context": False,
    "extra inputs": False,
    "replicas": 1,
    "keep": "best",
}
MODELS = {
    "without context": PLAIN,
    "with context and score": PLAIN
    | {"funnel": "esmm", "calibration": "platt", "fusion": "predictions and terms", "context": True},
}


def made(folder: Path, package: str) -> Path:
    """Return the Python of a new environment with a package."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", package], check=True)
    return python


def raw_request(predictor: Predictor, folder: Path) -> dict[str, Any]:
    """Return rows as inputs of the graph, with what the predictor says of them. JSON has no NaN, so there is none."""
    fused = predictor.fusion.features if predictor.fusion else ()
    drawn = hostile_rows(predictor.encoder, ROWS, seed=5, fused=fused)
    rows = pa.record_batch({name: finite(drawn.column(name)) for name in drawn.schema.names})
    manifest = json.loads((folder / "manifest.json").read_text())
    inputs = [
        {
            "name": name,
            "datatype": DATATYPES[value.dtype.kind],
            "shape": list(value.shape),
            "data": [FILL if isinstance(each, float) and math.isnan(each) else each for each in value.ravel().tolist()],
        }
        for name, value in feed(manifest, Batch(rows)).items()
    ]
    expected = predictor.predict(pa.Table.from_batches([rows]))
    return {"inputs": inputs, "rows": ROWS, "expected": {name: expected.column(name).to_pylist() for name in expected.column_names}}


def finite(column: pa.Array) -> pa.Array:
    """Return a column in which no number is NaN, infinite or null."""
    return pa.array([_finite(value, column.type) for value in column.to_pylist()], column.type)


def _finite(value: Any, kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return value and [_finite(each, kind.value_type) for each in value]
    unlike = value is None or (isinstance(value, float) and not math.isfinite(value))
    return FILL if pa.types.is_floating(kind) and unlike else value


def asked_by_triton(python: Path, server: Server, predictor: Predictor, model: Path, folder: Path) -> dict[str, Any]:
    """Return what the client of Triton says."""
    path = folder / "raw.json"
    path.write_text(json.dumps(raw_request(predictor, model), allow_nan=False))
    command = [str(python), str(TRITON), f"127.0.0.1:{server.port}", MODEL, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=outside())
    return json.loads(done.stdout)


def asked_by_schemathesis(python: Path, server: Server, folder: Path, examples: int) -> dict[str, Any]:
    """Return the report of Schemathesis, and what the server says it answered."""
    report = folder / "schemathesis.json"
    command = [str(python.with_name("schemathesis")), "run", f"http://127.0.0.1:{server.port}/openapi.json", "--checks", "all"]
    command += ["--exclude-checks", "positive_data_acceptance", "--max-examples", str(examples), "--seed", "0", "--no-color"]
    command += ["--continue-on-failure", "--report", "json", "--report-json-path", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=outside())
    if not report.exists():
        raise RuntimeError(
            f"Schemathesis wrote no report (exit code {done.returncode}):\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    tree = json.loads(report.read_text())
    return {
        "version": tree["schemathesis_version"],
        "cases": tree["test_cases"]["generated"],
        "operations": tree["operations"]["tested"],
        "failures": tree["failures"],
        "errors": tree["errors"],
        "statuses": statuses(server),
        "output": done.stdout if tree["failures"] or tree["errors"] else "",
    }


def outside() -> dict[str, str]:
    """Return the variables of this process without those that would show its packages to another Python."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def statuses(server: Server) -> dict[str, int]:
    """Return how often the server answered with each status, from its metrics. Health and unknown paths are not counted there."""
    found: Counter[str] = Counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
        for route, status, count in COUNTED.findall(answer.read().decode()):
            found[f"{route} {status}"] += int(float(count))
    return dict(sorted(found.items()))


def measured(settings: dict[str, Any], triton: Path, schemathesis: Path, examples: int, core: int) -> dict[str, Any]:
    """Train, export and serve a model, and ask it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        predictor = trained(settings).predictor
        export_model(predictor, folder / MODEL)
        command = [sys.executable, "-m", "manygate", "serve", str(folder / MODEL), "--port", "{port}", "--threads", "1"]
        spec = Spec("manygate", [*command, "--deadline", "30"], "/v2/health/ready")
        with serving(spec, core, folder / "server.log") as server:
            said = asked_by_triton(triton, server, predictor, folder / MODEL, folder)
            report = asked_by_schemathesis(schemathesis, server, folder, examples)
            faults = [line for line in (folder / "server.log").read_text().splitlines() if '"fault"' in line]
    return {"triton": said, "schemathesis": report, "faults": faults}


def checked(found: dict[str, dict[str, Any]]) -> dict[str, bool]:
    """Return what must hold, and whether it does."""
    reports = [model["schemathesis"] for model in found.values()]
    return {
        "tritonclient: every check holds": not any(any(model["triton"]["checks"].values()) for model in found.values()),
        f"Schemathesis: at least {LEAST_CASES:,} cases with each model": all(report["cases"] >= LEAST_CASES for report in reports),
        "Schemathesis: the server keeps what its document says": not any(
            report["failures"] + report["errors"] for report in reports
        ),
        "no status of 500 or above, and no fault in the log": not any(model["faults"] for model in found.values())
        and not any(name.split()[1].startswith("5") for report in reports for name in report["statuses"]),
    }


def lines_of(found: dict[str, dict[str, Any]], checks: dict[str, bool]) -> list[str]:
    """Return the results as Markdown."""
    lines = [f"* {'held' if held else 'failed'}: {check}" for check, held in checks.items()]
    for name, model in found.items():
        triton, report = model["triton"], model["schemathesis"]
        versions = ", ".join(f"{package} {version}" for package, version in triton["versions"].items())
        lines += ["", f"## Model {name}", "", f"Asked with {versions}:", ""]
        lines += [f"* {check}: {problem or 'held'}" for check, problem in triton["checks"].items()]
        lines += [
            "",
            f"Schemathesis {report['version']}: {report['cases']:,} cases of {report['operations']} operations. Findings:",
            "",
        ]
        lines += [f"* {one['title']}: {', '.join(one['operations'])}" for one in report["failures"]] or ["* none"]
        lines += [
            "",
            "Answers by route and status, those to tritonclient included:",
            "",
            "| route | status | answers |",
            "|---|---|---|",
        ]
        lines += [f"| {' | '.join(counted.split())} | {count:,} |" for counted, count in report["statuses"].items()]
    return lines


def main() -> int:
    """Measure, write the results, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triton-python", type=Path, help="a Python with tritonclient[http]")
    parser.add_argument("--schemathesis-python", type=Path, help="a Python with schemathesis")
    parser.add_argument("--examples", type=int, default=100, help="most cases of an operation and a phase")
    parser.add_argument("--core", type=int, default=1, help="core of the server")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    about = machine(1, "wall")
    with tempfile.TemporaryDirectory() as folder:
        triton, schemathesis = (
            python.absolute() if python else made(Path(folder) / name, PACKAGES[name])
            for name, python in (("triton", options.triton_python), ("schemathesis", options.schemathesis_python))
        )
        found = {
            name: measured(settings, triton, schemathesis, options.examples, options.core) for name, settings in MODELS.items()
        }
    about["load_average_after"] = os.getloadavg()
    checks = checked(found)
    lines = ["# Programs of others ask the server", "", *machine_lines(about), *lines_of(found, checks)]
    write_results(options.results, "wire", {"machine": about, "checks": checks, "models": found}, lines)
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
