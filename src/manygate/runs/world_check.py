"""Checks whether a run can be trained by several processes together."""

from __future__ import annotations

import socket

from manygate.architecture.base import gate_settings
from manygate.config import RunConfig
from manygate.errors import InputError, raise_all, setting
from manygate.training.world import World


def check_world(world: World, config: RunConfig, fingerprint: str) -> None:
    """Raise an :class:`InputError` if the processes of a world cannot train this run together.

    Args:
        world: The processes. In a world of one nothing is checked.
        config: The settings of the run.
        fingerprint: It identifies the data and the settings of this process.
    """
    if world.size == 1:
        return
    if not world.same(fingerprint):
        raise InputError(
            f"process {world.rank} on {socket.gethostname()}: the {world.size} processes of this run do not read the same log with "
            "the same settings. Start all of them with the same command, on the same files."
        )
    gates = gate_settings(config)
    raise_all(
        f"{setting(name, getattr(gates, name))}: this loss balances the experts over the rows of a whole batch, and the "
        f"{world.size} processes have a part of the batch each. Set it to 0, or train with one process."
        for name in ("importance_weight", "load_weight")
        if getattr(gates, name)
    )
