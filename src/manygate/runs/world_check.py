"""Checks whether a run can be trained by several processes together."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import torch.distributed

from manygate.architecture.base import gate_settings
from manygate.config import RunConfig
from manygate.errors import InputError, raise_all, setting
from manygate.training.torchrun import world_size
from manygate.training.world import World


def check_joined() -> None:
    """Raise an :class:`InputError` if torchrun started several processes, and this one has not joined the others.

    Each would do the whole work, and nobody would notice. ``manygate train`` alone joins them.
    """
    if world_size() > 1 and not torch.distributed.is_initialized():
        raise InputError(
            f"torchrun started {world_size()} processes, and each would do the same work. Only manygate train shares it. Start "
            "this without torchrun."
        )


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
    raise_all(_spread_problems(world, config))
    gates = gate_settings(config)
    raise_all(
        f"{setting(name, getattr(gates, name))}: this loss balances the experts over the rows of a whole batch, and the "
        f"{world.size} processes have a part of the batch each. Set it to 0, or train with one process."
        for name in ("importance_weight", "load_weight")
        if getattr(gates, name)
    )


def _spread_problems(world: World, config: RunConfig) -> Iterator[str]:
    """Yield what is wrong with the settings of a run whose embedding tables are spread over processes."""
    if config.table_sharding == "none":
        return
    at, way = setting("table_sharding", config.table_sharding), "or leave table_sharding out: each process then has all tables"
    if config.table_optimizer != "rowwise_adagrad":
        yield (
            f"{at}: tables that are spread over processes are trained by row-wise Adagrad alone. Give "
            f"{setting('table_optimizer', 'rowwise_adagrad')}, {way}."
        )
    if world.device_type != "cpu":
        yield f"{at}: tables are spread over processes on CPUs alone. Give {setting('device', 'cpu')}, {way}."
    if config.keep == "best-per-task":
        yield f"{at}: a copy of the tables for each task is not kept in parts. Give {setting('keep', 'best')}, {way}."
    reasons = {
        "clip_norm": "the norm of a gradient is not known where its tables are updated",
        "weight_average": "the weights in spread tables are not averaged",
        "replica_rates": "the tables of all replicas have one learning rate",
        "pack": "all replicas are trained at once",
    }
    for name, reason in reasons.items():
        if value := getattr(config, name):
            yield f"{at}, {setting(name, value)}: {reason}. Leave {name} out, {way}."
