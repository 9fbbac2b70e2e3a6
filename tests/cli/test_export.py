"""``manygate export`` on the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from command_line import Run, refused
from manygate.cli import export as command
from manygate.export.folder import Export
from manygate.export.parity import Parity
from manygate.ranker import Ranker
from manygate.scoring.exported_model import ExportedModel


def test_a_run_is_exported_and_predicts_the_same(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    done = run("export", trained, log / "test.parquet", "--out model --context user_id --context tags --triton served --json").json
    assert done["triton"] == "served/model"
    assert (tmp_path / "served" / "model" / "config.pbtxt").is_file()
    assert done["context"] == ["user_id", "tags"]
    assert done["folder"] == "model"
    assert done["outputs"] == ["click", "like", "watch_time", "buy"]
    assert (done["hostile"]["rows"], done["log"]["rows"]) == (2000, 200)
    batch = pq.read_table(log / "test.parquet").combine_chunks().to_batches()[0]
    found = ExportedModel.load(tmp_path / "model").columns(batch)
    expected = Ranker.load(trained).predict(log / "test.parquet")
    for name in done["outputs"]:
        np.testing.assert_allclose(found[name], expected[name].to_numpy(), rtol=1e-5, atol=1e-6)
    scored = run("predict model", log / "test.parquet", "--keep user_id --out scores.parquet --json").json
    assert scored == {
        "out": "scores.parquet",
        "rows": 200,
        "tasks": done["outputs"],
        "columns": done["outputs"],
        "calibrated": False,
    }
    scores = pq.read_table(tmp_path / "scores.parquet")
    assert scores.column_names == ["user_id", *done["outputs"]]
    np.testing.assert_array_equal(scores["buy"].to_numpy(), found["buy"])
    refused(run("predict model", log / "test.parquet", "--raw --out other.csv"), "--raw: model is an exported model")
    given = run("predict model", log / "test.parquet", "--raw --device cpu --import json --out other.csv")
    refused(given, "3 problems", "--raw", "--device cpu: model is an exported model", "--import: model is an exported model")
    refused(run("predict model", log, "--out other.csv"), "test.parquet")
    refused(run("export", trained, "--out model"), "an exported model is there", "--overwrite")
    refused(run("export", trained, "--out", tmp_path), "is not an exported model")
    refused(run("export", trained, "--out other --context usr_id"), "--context: 'usr_id' is no feature. Did you mean 'user_id'?")
    refused(run("export", tmp_path / "nothing", "--out other"), "does not exist")


def test_a_missing_library_is_one_clear_error(run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manygate.export.installed.find_spec", lambda name: None if name == "onnxscript" else sys)
    refused(run("export", trained, "--out model"), "an export needs onnxscript", "pip install 'manygate[export]'")


def shown(done: Export, capsys: pytest.CaptureFixture[str]) -> str:
    command._show(Path("runs/a"), done)
    return capsys.readouterr().out


def test_what_was_compared_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    hostile, rows = Parity(2000, {"click": 2e-8}, 3), Parity(70, {"click": 3e-7}, 1)
    text = shown(Export(Path("model"), ["item"], ["click"], 1, hostile, rows), capsys)
    assert "exported runs/a to model: 1 feature in, click out\n" in text
    assert "2,000 difficult rows and 70 rows of the log: the largest difference is 3.0e-07" in text
    assert "4 rows at a tie" in text
    text = shown(Export(Path("model"), ["item"], ["click"], 2, Parity(2000, {"click": 0.0}, 0), None), capsys)
    assert "the mean of 2 replicas" in text
    assert "no rows of a log were compared" in text
    assert "at a tie" not in text
    assert "once for all" not in text
    assert "Triton" not in text
    more = Export(Path("model"), ["item", "user"], ["click"], 2, hostile, rows, ["user"], Path("served/model"))
    text = shown(more, capsys)
    assert "once for all candidates of a request: user\n" in text
    assert "a model of a Triton repository: served/model\n" in text


def test_scoring_with_an_exported_model_loads_no_torch(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    run("export", trained, "--out model --json")
    script = (
        "import sys\n"
        f"sys.argv = ['manygate', 'predict', 'model', {str(log / 'test.parquet')!r}, '--out', 'scores.csv']\n"
        "from manygate.cli.main import main\n"
        "main()\n"
        "print(sorted({'torch', 'onnx', 'onnxscript'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
