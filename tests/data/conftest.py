"""Fixtures of the tests that read logs."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from log_folders import PARTS


@pytest.fixture
def parts(log_table: Callable[..., pa.Table]) -> dict[str, pa.Table]:
    """The parts of a log, each from a seed of its own, by the name of their file."""
    return {f"{part}.parquet": log_table(rows, seed) for part, rows, seed in zip(PARTS, (240, 90, 90), (1, 2, 3), strict=True)}
