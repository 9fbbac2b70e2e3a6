"""``manygate dataset`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from command_line import Run, refused
from manygate.cli.dataset import dataset_impressions, dataset_synthetic


def test_json_of_datasets(run: Run, tmp_path: Path) -> None:
    assert run("dataset impressions --rows 200 --out made --json").json == {
        "out": "made",
        "rows": {"train": 160, "valid": 20, "test": 20},
        "parts": {part: f"made/{part}.parquet" for part in ("train", "valid", "test")},
        "schema": "made/schema.yaml",
        "truth": "made/truth",
        "ceiling": "made/truth/ceiling.yaml",
    }
    refused(run("dataset log --rows 200 --out made"), "manygate dataset log is now manygate dataset impressions")
    assert (tmp_path / "made" / "schema.yaml").is_file()


@pytest.mark.parametrize(("given", "written"), [("-0.5", "relatedness=-0.5"), ("-0.5,0,1", "relatedness=(-0.5, 0.0, 1.0)")])
def test_the_log_takes_one_cosine_or_three(tmp_path, given, written):
    dataset_impressions(out=tmp_path / "out", rows=200, relatedness=given, json=True)
    assert written in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(("given", "cosines"), [("-0.5", [[1, -0.5], [-0.5, 1]]), ("1,0.25/0.25,1", [[1, 0.25], [0.25, 1]])])
def test_the_command_takes_a_cosine_or_a_matrix(tmp_path, capsys, given, cosines):
    dataset_synthetic(out=tmp_path / "out", rows=100, inputs=5, correlation=given, json=True)
    assert json.loads(capsys.readouterr().out)["out"] == str(tmp_path / "out")
    vectors = pq.read_table(tmp_path / "out" / "truth" / "vectors.parquet")
    w_KD = np.array([vectors["w1"], vectors["w2"]])
    np.testing.assert_allclose(w_KD @ w_KD.T, cosines, atol=1e-9)


def test_numbers_that_are_none_name_their_flag(run: Run) -> None:
    refused(
        run("dataset impressions --out p --relatedness 1,x"), "--relatedness: expected numbers separated by commas, found '1,x'"
    )
    refused(
        run("dataset impressions --out p --relatedness -0.5,0"), "--relatedness: expected a cosine from -1 to 1, or one for each"
    )
    refused(run("dataset synthetic --out p --alpha 1,x"), "--alpha: expected numbers separated by commas, found '1,x'")
    refused(run("dataset synthetic --out p --correlation 2"), "--correlation: expected a cosine from -1 to 1, found 2.0")
