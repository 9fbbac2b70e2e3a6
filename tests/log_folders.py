"""A log as a folder of parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from manygate.data.rows import Rows
from manygate.schema import Schema

PARTS = ("train", "valid", "test")


def write_log_folder(folder: Path, tables: dict[str, pa.Table], schema: Schema | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / name)
    if schema is not None:
        (folder / "schema.yaml").write_text(schema.to_yaml(), encoding="utf-8")
    return folder


def equal_rows(first: Rows, second: Rows) -> bool:
    """True where all arrays are equal, bags included."""
    names = ("id_BS", "number_BM", "label_BT", "weight_BT")
    arrays = all(np.array_equal(getattr(first, name), getattr(second, name), equal_nan=True) for name in names)
    bags = zip(first.bags, second.bags, strict=True)
    return arrays and all(np.array_equal(a, b) for bag, other in bags for a, b in zip(bag, other, strict=True))
