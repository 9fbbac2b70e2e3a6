"""A finished baseline on the disk: it comes back as it was, and damage or other data are one clear error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from manygate.baselines.storage import read_baseline, write_baseline
from manygate.errors import InputError
from manygate.files import write_manifest
from manygate.results.baselines import BaselineResult

LOGITS = np.array([[[0.5, np.nan]], [[1.5, np.nan]]], dtype=np.float32)
RESULT = BaselineResult(
    name="constant",
    settings={},
    seconds=0.5,
    replicas=2,
    tasks={},
    valid={},
    chosen={"click": [0.5]},
    inputs={"click": [None]},
    failures=[],
)


def test_results_come_back(tmp_path: Path) -> None:
    write_baseline(tmp_path / "baselines/constant", RESULT, LOGITS, "a")
    result, logit_RNT = read_baseline(tmp_path / "baselines/constant", "a")
    assert result == RESULT
    np.testing.assert_array_equal(logit_RNT, LOGITS)
    assert not [path for path in (tmp_path / "baselines/constant").rglob("*") if path.suffix in (".pkl", ".txt")]


def test_other_data_and_damage_are_errors(tmp_path: Path) -> None:
    folder = tmp_path / "constant"
    write_baseline(folder, RESULT, LOGITS, "a")
    with pytest.raises(InputError, match="log or the settings have changed"):
        read_baseline(folder, "b")
    (folder / "baseline.json").write_text('{"fingerprint": "a"}')
    with pytest.raises(InputError, match="truncated or changed"):
        read_baseline(folder, "a")
    write_manifest(folder, {"baseline_version": 1})
    with pytest.raises(InputError, match="not the results of a baseline"):
        read_baseline(folder, "a")
