"""Sharing schemes, one paper per file: x_BD -> h_BTH."""

from manygate.architecture.base import Architecture
from manygate.architecture.mmoe import MMoE
from manygate.architecture.omoe import OMoE
from manygate.architecture.shared_bottom import SharedBottom
from manygate.architecture.single_task import SingleTask

ARCHITECTURES: dict[str, type[Architecture]] = {
    "single_task": SingleTask,
    "shared_bottom": SharedBottom,
    "omoe": OMoE,
    "mmoe": MMoE,
}

__all__ = ["ARCHITECTURES", "Architecture", "MMoE", "OMoE", "SharedBottom", "SingleTask"]
