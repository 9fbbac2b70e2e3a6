"""Sharing schemes, one paper per file: x_BD -> h_BTH. ``config/names.py`` has the table of their names."""

from importlib import import_module
from typing import Any

from manygate.architecture.base import Architecture, Inputs
from manygate.architecture.level import Level
from manygate.config.names import ARCHITECTURE, ARCHITECTURES, find_class


def find_architecture(name: str) -> type[Architecture]:
    """The class of a scheme's name; see :func:`manygate.config.names.find_class` for a user's own."""
    return find_class(ARCHITECTURE, name, Architecture)  # type: ignore[type-abstract]


def __getattr__(name: str) -> Any:
    """A built-in scheme's class, imported when it is first asked for."""
    for target in ARCHITECTURES.values():
        module, _, scheme = target.partition(":")
        if scheme == name:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Architecture", "Inputs", "Level", "find_architecture"]
