"""Steps are there completely or not at all, and none is taken for another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from manygate.errors import InputError
from manygate.studies.census.storage import ARRAYS, TREE, read_step, write_step


def test_a_step_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "step"
    assert read_step(folder, "a") is None
    write_step(folder, "a", {"auc": 0.5, "none": None}, {"x": np.arange(3.0)})
    step = read_step(folder, "a")
    assert step is not None
    assert step[0] == {"auc": 0.5, "none": None}
    np.testing.assert_array_equal(step[1]["x"], np.arange(3.0))


def test_a_step_of_something_else_is_refused(tmp_path: Path) -> None:
    write_step(tmp_path / "step", "mmoe with 3 replicas", 1, {})
    with pytest.raises(InputError, match=r"it belongs to mmoe with 3 replicas, and now it is ple\."):
        read_step(tmp_path / "step", "ple")


@pytest.mark.parametrize("name", [TREE, ARRAYS])
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    write_step(tmp_path / "step", "a", 1, {"x": np.arange(3.0)})
    path = tmp_path / "step" / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(InputError, match="damaged or changed"):
        read_step(tmp_path / "step", "a")


def test_what_is_left_of_a_kill_is_no_step(tmp_path: Path) -> None:
    (tmp_path / ".step.tmp").mkdir()
    assert read_step(tmp_path / "step", "a") is None
    write_step(tmp_path / "step", "a", 2, {})
    assert read_step(tmp_path / "step", "a") is not None
