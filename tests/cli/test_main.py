"""The command line as a user meets it: exit codes, messages, one JSON object, settings from a file and from flags."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors import SafetensorError

from command_line import TINY, Run, refused

COMMANDS = [
    *(
        "demo",
        "dataset census",
        "dataset impressions",
        "dataset synthetic",
        "reproduce mmoe-synthetic",
        "reproduce ple-synthetic",
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


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "run/a"),
            "run/a: it cannot be used (No space left on device). Free space",
        ),
        (OSError(errno.EMFILE, "Too many open files"), "Raise the limit of open files (ulimit -n"),
        (OSError(errno.EROFS, "Read-only file system"), "This disk is read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "log.csv"), "log.csv: it cannot be used (Permission denied)"),
        (OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"), "No space left on device"),
        (MemoryError(), "memory ran out"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"), "memory ran out"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "memory ran out"),
        (pa.ArrowInvalid("straddling object"), "data could not be read or written (ArrowInvalid: straddling object)"),
        (pa.ArrowMemoryError("malloc"), "memory ran out"),
        (yaml.YAMLError("a tab"), "YAML could not be read (YAMLError: a tab)"),
        (json.JSONDecodeError("a comma", "", 0), "JSON could not be read (JSONDecodeError: a comma"),
        (SafetensorError("header"), "weights could not be read or written (SafetensorError: header)"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), "a text is not valid Unicode"),
        (RecursionError("maximum"), "nested too deeply"),
    ],
)
def test_what_comes_from_outside_is_no_fault_of_ours(
    run: Run, monkeypatch: pytest.MonkeyPatch, log: Path, error: Exception, words: str
) -> None:
    def broken(*arguments: Any, **settings: Any) -> None:
        raise error

    monkeypatch.setattr("manygate.runs.preflight.prepare", broken)
    refused(run("compare", log), words, "--debug shows where")


def test_a_reader_that_has_gone_is_an_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    def broken(*arguments: Any, **settings: Any) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("manygate.runs.preflight.prepare", broken)
    result = run("compare", log)
    assert (result.code, result.err) == (141, "")


def test_an_error_never_steers_the_terminal(run: Run, log: Path, tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2J.parquet").write_bytes(b"")
    result = run("compare", tmp_path / "a\x1b[2J.parquet", "--task click")
    assert "\x1b" not in result.err
    refused(result, "a\\x1b[2J.parquet: the file is empty")


@pytest.mark.parametrize("flag", ["--experts", "--seed", "--max-steps", "--learning-rate", "--shuffle-seed"])
def test_numbers_of_thousands_of_digits_are_one_short_error(run: Run, log: Path, flag: str) -> None:
    result = run("train", log, flag, "9" * 5000)
    refused(result, flag)
    assert len(result.err) < 1000


def test_a_configuration_chooses_no_code(run: Run, log: Path, tmp_path: Path) -> None:
    (tmp_path / "sly.py").write_text("from pathlib import Path\nPath('ran').touch()\nfrom own_schemes import Own\n")
    (tmp_path / "run.yaml").write_text("architecture: sly:Own\narchitectures: [mmoe, 'sly:Own']\nweighting: sly:Own\n")
    for words in ("train --config run.yaml --out run", "compare --config run.yaml --out run"):
        refused(run(words, log), "module 'sly' is not imported. Give --import sly.")
        assert not (tmp_path / "ran").exists()
    refused(run("train", log, "--config run.yaml --out run"), "module 'sly' is not imported. Give --import sly.")
    refused(run("train", log, "--config run.yaml --out run --import sly"), "weighting 'sly:Own'")
    assert (tmp_path / "ran").exists(), "the command line may choose it"


def test_a_run_s_folder_chooses_no_code(run: Run, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_here.py").write_text("from own_schemes import Own\n")
    assert run("train", log, TINY, "--architecture own_here:Own --out run").code == 0
    monkeypatch.delitem(sys.modules, "own_here")
    (tmp_path / "own_here.py").write_text("from pathlib import Path\nPath('ran').touch()\nfrom own_schemes import Own\n")
    for words in ("train --resume run", f"evaluate run {log}", f"predict run {log / 'test.parquet'} --out s.csv", "calibrate run"):
        refused(run(words), "module 'own_here' is not imported. Give --import own_here.")
    assert not (tmp_path / "ran").exists()
    assert run("train --resume run --import own_here --progress none").code == 0


# --- one JSON object -------------------------------------------------------------------------------------------------------------


# --- settings --------------------------------------------------------------------------------------------------------------------


# --- folders ---------------------------------------------------------------------------------------------------------------------
