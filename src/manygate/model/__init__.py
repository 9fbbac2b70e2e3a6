"""The network: its trunk, its replicas and their predictions."""

from manygate.model.replicas import MultiTaskModel

__all__ = ["MultiTaskModel"]
