"""Layers that architectures are built of."""

from manygate.layers.experts import Experts
from manygate.layers.gate import Gates, GateSettings
from manygate.layers.mixture import Mixture

__all__ = ["Experts", "GateSettings", "Gates", "Mixture"]
