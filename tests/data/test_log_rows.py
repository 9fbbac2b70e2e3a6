"""What is said of the rows of a part, wherever they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from manygate.data.log_rows import groupless_warnings
from manygate.data.rows import NO_GROUP, Rows
from stored_rows import in_files


def rows_of_groups(group_B: list[int] | None) -> Rows:
    count = 2 if group_B is None else len(group_B)
    empty = np.zeros((count, 0), np.float32)
    return Rows(empty.astype(np.int32), empty, [], empty, empty, None if group_B is None else np.array(group_B, np.uint64))


@pytest.mark.parametrize("stored", [False, True])
def test_the_warning_counts_the_rows_of_each_part(stored: bool, tmp_path: Path) -> None:
    none = int(NO_GROUP)
    parts = {"valid": rows_of_groups([none, 1]), "test": rows_of_groups([none, none, 4])}
    every = {part: in_files(rows, tmp_path / part) for part, rows in parts.items()} if stored else parts
    (warning,) = groupless_warnings("user", every)
    assert "column 'user' is null in 1 of 2 valid rows and 2 of 3 test rows: GAUC leaves these rows out" in warning
    assert groupless_warnings("user", {"test": rows_of_groups([3, 4])}) == []
    assert groupless_warnings(None, {"test": rows_of_groups(None)}) == []
