"""Feature, Task, Schema: the one contract that every layer reads."""

from manygate.schema.feature import Feature
from manygate.schema.schema import Schema
from manygate.schema.task import Task

__all__ = ["Feature", "Schema", "Task"]
