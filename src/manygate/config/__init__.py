"""Settings of a run: their names, their defaults and how they are read."""

from manygate.config.csv_settings import CsvConfig
from manygate.config.data_settings import DataConfig
from manygate.config.model_settings import ModelConfig
from manygate.config.settings import REPLICA_SETTINGS, RunConfig, TrainConfig
from manygate.config.tune_settings import TuneConfig

__all__ = ["REPLICA_SETTINGS", "CsvConfig", "DataConfig", "ModelConfig", "RunConfig", "TrainConfig", "TuneConfig"]
