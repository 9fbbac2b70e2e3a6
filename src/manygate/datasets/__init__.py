"""Data sets, one file per source: each call writes a folder of ordinary Parquet with its schema."""

from manygate.datasets.census import census
from manygate.datasets.log import log
from manygate.datasets.synthetic import synthetic

__all__ = ["census", "log", "synthetic"]
