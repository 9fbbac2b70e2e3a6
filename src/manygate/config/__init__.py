"""Settings of a run: their names, their defaults and how they are read."""

from manygate.config.settings import DataConfig, ModelConfig, RunConfig, TrainConfig

__all__ = ["DataConfig", "ModelConfig", "RunConfig", "TrainConfig"]
