"""The command line as a user meets it: exit codes, messages, one JSON object, settings from a file and from flags."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from command_line import Run, refused

COMMANDS = [
    *(
        "demo",
        "dataset census",
        "dataset impressions",
        "dataset synthetic",
        "reproduce mmoe-synthetic",
        "schema",
        "train",
        "compare",
        "architectures",
    ),
    *("calibrate", "evaluate", "fuse", "inspect", "predict", "report"),
]


# --- help ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.code == 0
    assert f"Example: manygate {command}" in " ".join(result.out.split())
    assert "Exit codes" in result.out


@pytest.mark.parametrize("arguments", ["", "--help", "dataset", "dataset --help"])
def test_help_lists_the_commands(run: Run, arguments: str) -> None:
    result = run(arguments)
    assert result.code == 0
    wanted = ("census", "log") if arguments.startswith("dataset") else [c for c in COMMANDS if " " not in c]
    assert all(command in result.out for command in wanted)


def test_version(run: Run) -> None:
    assert run("--version").out.strip().count(".") == 2


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
from manygate.cli.main import main
sys.argv = ["manygate", "--help"]
main()
heavy = {"torch", "pandas", "numpy", "pyarrow", "polars", "matplotlib", "narwhals", "safetensors"} & set(sys.modules)
sys.exit(f"imported {sorted(heavy)}" if heavy else 0)
"""
    began = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    print(f"manygate --help took {time.perf_counter() - began:.2f} s")
    assert result.returncode == 0, result.stderr
    assert "Usage: manygate" in result.stdout


# --- errors ----------------------------------------------------------------------------------------------------------------------


def test_bad_commands_and_flags(run: Run) -> None:
    refused(run("compair log"), "compair")
    refused(run("compare log --expert 4"), "--expert", "--experts")
    refused(run("compare log --replicas two"), "replicas", "two")
    refused(run("compare"), "no log is given")
    refused(run("predict"), "--help")


def test_bad_files(run: Run, log: Path, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    refused(run("compare lgo"), "lgo", "Did you mean 'log'?")
    (tmp_path / "empty.parquet").touch()
    refused(run("compare empty.parquet --task click"), "empty.parquet", "empty")
    refused(run("compare", log, "--config nothing.yaml"), "nothing.yaml", "does not exist")
    refused(run("evaluate nowhere", log), "nowhere", "does not exist")
    refused(run("report nowhere"), "nowhere", "no results here")
    assert not (tmp_path / "runs").exists()


def test_bad_columns_and_tasks(run: Run, log: Path, tmp_path: Path) -> None:
    train = log / "train.parquet"
    refused(run("schema", train, "--task clik"), "clik", "Did you mean 'click'?")
    refused(run("compare", train), "--task")
    refused(run("train", log, "--task clik"), "clik", "Did you mean 'click'?")
    refused(run("train", train, "--task click:kinf=binary"), "kinf", "Did you mean 'kind'?")
    refused(run("train", log, "--monitor clik"), "clik", "Did you mean 'click'?")
    assert not (tmp_path / "runs").exists()


def test_bad_settings(run: Run, log: Path) -> None:
    refused(run("compare", log, "--architectures mmeo"), "mmeo", "Did you mean 'mmoe'?")
    refused(run("compare", log, "--replicas 0"), "replicas", "found 0")
    refused(run("compare", log, "--fractions 0.8,0.3,0.1"), "fractions")
    refused(run("train", log, "--device tpu9"), "tpu9")


def test_all_problems_at_once(run: Run, log: Path, tmp_path: Path) -> None:
    table = pq.read_table(log / "train.parquet").drop(["age", "device"])
    pq.write_table(table, tmp_path / "less.parquet")
    refused(run("train less.parquet --schema-file", log / "schema.yaml"), "2 problems", "'age'", "'device'")


def test_debug_shows_the_traceback() -> None:
    code = "from manygate.cli.main import main; main()"
    arguments = ["compare", "nowhere", "--task", "click", "--debug"]
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "Traceback" in result.stderr
    assert "InputError: nowhere" in result.stderr


def test_a_fault_of_ours_is_exit_code_1(run: Run, monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    def broken(*arguments: Any, **settings: Any) -> None:
        raise RuntimeError("wires crossed")

    monkeypatch.setattr("manygate.runs.preflight.prepare", broken)
    result = run("compare", log)
    assert result.code == 1
    assert "RuntimeError: wires crossed" in result.err
    assert "--debug" in result.err
    assert "Traceback" not in result.err


# --- one JSON object -------------------------------------------------------------------------------------------------------------


# --- settings --------------------------------------------------------------------------------------------------------------------


# --- folders ---------------------------------------------------------------------------------------------------------------------
