"""Ready-made data sets, a file for each: a call writes a folder of ordinary Parquet files with their schema."""

from typing import NoReturn

from manygate.datasets.census import census
from manygate.datasets.folder import WrittenDataset
from manygate.datasets.impressions import impressions
from manygate.datasets.synthetic import synthetic

__all__ = ["WrittenDataset", "census", "impressions", "synthetic"]


def __getattr__(name: str) -> NoReturn:
    renamed = " The impression log is now manygate.datasets.impressions." if name == "log" else ""
    raise AttributeError(f"module 'manygate.datasets' has no attribute {name!r}.{renamed}")
