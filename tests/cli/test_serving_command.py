"""The command of manygate-serving: its flags are those of ``manygate serve``, and its errors are one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import manygate.cli.serving_command as command
from exported import Exported
from manygate.cli.flags import CsvFlags, ServeFlags
from manygate.config.csv_settings import CsvConfig
from manygate.config.serve_settings import ServeConfig
from served import funnel_rows


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, ServeConfig]]:
    """The models and settings with which servers were started."""
    calls: list[tuple[Path, ServeConfig]] = []
    monkeypatch.setattr(command, "serve", lambda model, settings, tell: calls.append((model, settings)))
    return calls


def refused(capsys: pytest.CaptureFixture[str], *words: str, code: int = 2) -> str:
    """The line on stderr of a call that fails."""
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    said = capsys.readouterr()
    assert ended.value.code == code
    assert said.err.startswith("manygate-serving: ")
    assert said.err.count("\n") == 1
    return said.err


def test_each_setting_is_a_flag_of_both_commands(settings: list[tuple[Path, ServeConfig]]) -> None:
    values: dict[str, Any] = {
        name: {"log_level": "debug"}.get(name, "0.5" if field.annotation is float else "7")
        for name, field in ServeConfig.model_fields.items()
    }
    assert set(values) == set(ServeFlags.model_fields)
    command.main(["serve", "model", *(word for name in values for word in (f"--{name.replace('_', '-')}", values[name]))])
    command.main(["serve", "model"])
    assert settings == [(Path("model"), ServeConfig(**values)), (Path("model"), ServeConfig())]
    assert settings[0][1].max_rows == 7


def test_settings_of_csv_files_are_flags_of_both_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are given over those of the training, and a kind for a column that is not there is an error."""
    calls: list[tuple[CsvConfig | None, tuple[str, ...]]] = []
    monkeypatch.setattr(command, "exported", lambda folder, csv: csv)
    monkeypatch.setattr(command, "score_log", lambda csv, log, target, kinds: calls.append((csv, kinds)))
    words: dict[str, list[str]] = {
        "types": ["--types", "sku=text", "age=number", "--types", "zip=text"],
        "separator": ["--separator", "tab"],
        "quote": ["--quote", "'"],
        "escape": ["--escape", "none"],
        "file_encoding": ["--file-encoding", "cp1252"],
        "header": ["--no-header"],
        "null_values": ["--null-values", "NA", "-"],
    }
    assert set(words) == set(CsvFlags.model_fields)
    command.main(["predict", "model", "log.csv", "--out", "scores.csv", *(word for each in words.values() for word in each)])
    command.main(["predict", "model", "log.csv", "--out", "scores.csv"])
    expected = CsvConfig(
        types=("sku=text", "age=number", "zip=text"),
        separator="tab",
        quote="'",
        escape="none",
        file_encoding="cp1252",
        header=False,
        null_values=("NA", "-"),
    )
    assert calls == [(expected, ("sku", "age", "zip")), (None, ())]


def test_wrong_flags_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--port: " in refused(capsys, "serve", "model", "--port", "x")
    assert "--por" in refused(capsys, "serve", "model", "--por", "1")
    assert "no exported model here" in refused(capsys, "serve", "nowhere")
    assert "--key needs --certificate, too" in refused(capsys, "serve", "nowhere", "--key", "a.pem")
    assert "--out" in refused(capsys, "predict", "model", "log.csv")
    assert "COMMAND" in refused(capsys)
    assert "unknown kind 'txt'" in refused(capsys, "predict", "nowhere", "log.csv", "--out", "scores.csv", "--types", "sku=txt")
    assert "--separator" in refused(capsys, "predict", "nowhere", "log.csv", "--out", "scores.csv", "--separator", ";;")


def test_a_fault_is_one_line_and_debug_shows_where(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "serve", lambda *given: {}["a fault"])
    assert "fault of manygate" in refused(capsys, "serve", "model", code=1)
    with pytest.raises(SystemExit):
        command.main(["serve", "model", "--debug"])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["serve", "--help"], ["predict", "--help"], ["--version"]])
def test_help_and_version(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == 0
    assert capsys.readouterr().out


def test_a_file_is_scored(exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, out = tmp_path / "log.parquet", tmp_path / "scores.parquet"
    pq.write_table(pa.Table.from_batches([funnel_rows()]), log)
    command.main(["predict", str(exported.folder), str(log), "--out", str(out), "--keep", "item", "--keep", "word"])
    assert "wrote 24 rows" in capsys.readouterr().out
    assert pq.read_table(out).column_names == ["item", "word", *exported.model.output_names]


def test_the_command_loads_nothing_heavy() -> None:
    script = (
        "import sys, manygate.cli.serving_command, manygate.serving.server, manygate.scoring.score_file\n"
        "print(sorted({'torch', 'rich', 'cyclopts', 'matplotlib', 'scipy', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
