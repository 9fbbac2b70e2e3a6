"""Chooses the device of a run."""

from __future__ import annotations

import torch

from manygate.errors import InputError


def choose_device(name: str) -> torch.device:
    """Return the device of a name. ``auto`` is the GPU if the machine has one. Raises :class:`InputError` for other devices."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device {name!r} is unknown. Choose auto, cpu, cuda or cuda:N.") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device {name!r} is not supported. Choose auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise InputError(f"device {name!r}: this machine has {count or 'no'} usable GPU{'s' * (count > 1)}. Choose cpu or auto.")
    return device
