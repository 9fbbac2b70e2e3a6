"""Settings of a run: their names, their defaults and how they are read."""

from manygate.config.csv_settings import CsvConfig
from manygate.config.settings import DataConfig, ModelConfig, RunConfig, TrainConfig

__all__ = ["CsvConfig", "DataConfig", "ModelConfig", "RunConfig", "TrainConfig"]
