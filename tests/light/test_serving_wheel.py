"""The wheel of manygate-serving in an environment of its own: its files, its packages, and a server from start to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from serving_closure import closure, dependencies, project

from exported import Exported
from light_environment import Environment, container_command
from served import as_json, funnel_rows

MOST_PACKAGES = 28
TOKEN = "0123456789abcdef"


def started(environment: Environment, *words: str | Path) -> subprocess.Popen[bytes]:
    """Start the command as the environment has it, without the sources of this checkout."""
    command = [environment.python.with_name("manygate-serving"), *words]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean)


def ran(environment: Environment, *words: str | Path) -> tuple[int, str, str]:
    process = started(environment, *words)
    out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


def test_the_wheel_has_the_files_of_the_closure(environment: Environment) -> None:
    with zipfile.ZipFile(environment.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("METADATA"))).decode()
    assert names == {path.as_posix() for path in closure().files}
    assert f"\nVersion: {project()['version']}\n" in metadata
    assert metadata.count("Requires-Dist: ") == len(dependencies())


def test_few_packages_and_no_torch(environment: Environment) -> None:
    packages = environment.packages()
    assert "manygate-serving" in packages
    assert not packages & {"torch", "manygate", "scipy", "rich", "cyclopts", "matplotlib"}
    assert len(packages) <= MOST_PACKAGES, sorted(packages)


def test_the_command_says_its_version_and_what_is_wrong(environment: Environment, tmp_path: Path) -> None:
    assert ran(environment, "--version") == (0, f"{project()['version']}\n", "")
    code, _, err = ran(environment, "serve", tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert "no exported model here" in err


def test_a_file_is_scored_as_the_model_predicts(environment: Environment, exported: Exported, tmp_path: Path) -> None:
    rows = funnel_rows()
    log, out = tmp_path / "log.parquet", tmp_path / "scores.parquet"
    pq.write_table(pa.Table.from_batches([rows]), log)
    code, said, err = ran(environment, "predict", exported.folder, log, "--out", out, "--keep", "item")
    assert (code, err) == (0, "")
    assert "wrote 24 rows" in said
    scores = pq.read_table(out)
    assert scores.column_names == ["item", *exported.model.output_names]
    np.testing.assert_allclose(scores["click"].to_numpy(), exported.model.columns(rows)["click"], rtol=1e-6)


@pytest.fixture
def server(environment: Environment, exported: Exported, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The server with the words of the page, on a free port of this machine."""
    (tmp_path / "token").write_text(TOKEN)
    instead = {
        "/models/current": str(exported.folder),
        "0.0.0.0": "127.0.0.1",
        "8000": "0",
        "/run/secrets/token": str(tmp_path / "token"),
    }
    words = [instead.get(word, word) for word in container_command("ENTRYPOINT")[1:]]
    process = started(environment, *words)
    try:
        assert process.stdout is not None
        said = process.stdout.readline().decode()
        yield process, next(word for word in said.split() if word.startswith("http"))
    finally:
        process.kill()
        process.communicate()


def test_the_server_ranks_and_ends(
    environment: Environment, exported: Exported, server: tuple[subprocess.Popen[bytes], str]
) -> None:
    process, url = server
    check = [str(environment.python), *container_command("CMD")[1:]]
    check[-1] = check[-1].replace("http://127.0.0.1:8000", url)
    until = time.monotonic() + 30
    while subprocess.run(check, capture_output=True, check=False, timeout=30).returncode:
        assert time.monotonic() < until, "the server is not ready"
    rows = funnel_rows()
    answer = ask(f"{url}/v1/rank", {"candidates": as_json(rows, exported.model.features), "by": "click", "top": 5})
    predicted = exported.model.columns(rows)["click"]
    np.testing.assert_allclose(answer["scores"]["click"], np.sort(predicted)[::-1][:5], rtol=1e-6)
    np.testing.assert_allclose(predicted[answer["ids"]], answer["scores"]["click"], rtol=1e-6)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert b"Traceback" not in err


def ask(url: str, tree: dict[str, Any]) -> Any:
    """Send a request with the token."""
    request = urllib.request.Request(url, json.dumps(tree).encode(), {"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())
