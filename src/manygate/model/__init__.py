"""The network: trunk, replicas, and what they predict."""

from manygate.model.replicas import MultiTaskModel

__all__ = ["MultiTaskModel"]
