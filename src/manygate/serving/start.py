"""Checks everything before the server starts, and starts it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from manygate.config.serve_settings import ServeConfig
from manygate.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

LIBRARIES = ("starlette", "uvicorn", "httptools", "orjson", "prometheus_client", "onnxruntime")


def require() -> None:
    """Raise an :class:`InputError` with the install command if a library is missing."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise InputError(f"the server needs {' and '.join(missing)}. Install all it needs with: pip install 'manygate[serve]'")


def serve(folder: Path, settings: ServeConfig, tell: Callable[[str], None] = lambda line: None) -> None:
    """Serve an exported model until SIGTERM or Ctrl-C.

    Args:
        folder: The exported model, or a symbolic link to one.
        settings: Settings of the server.
        tell: Called with a line for the person who started it.

    Raises:
        InputError: The model, the port, the token, the certificate or a library is missing or wrong.
    """
    require()
    from manygate.serving.access import read_token
    from manygate.serving.distribution import BOTH, DISTRIBUTIONS, installed
    from manygate.serving.log import Log
    from manygate.serving.server import address_of, check_tls, listen, run
    from manygate.serving.versions import Versions
    from manygate.serving.workers import Workers

    read_token(settings)
    check_tls(settings)
    if settings.workers > 1:
        Versions(folder, settings, 1)  # so that a model that cannot be served is an error here, and not in each worker
    listener = listen(settings)
    if len(installed()) == len(DISTRIBUTIONS):
        Log(settings.log_level).write("warning", "two_distributions", message=BOTH)
    line = f"{folder}: {address_of(listener, settings)} (the page there tries requests; Ctrl-C ends the server)"
    try:
        if settings.workers > 1:
            tell(line)
            Workers(folder, settings, listener, Log(settings.log_level)).run()
        else:
            run(folder, settings, listener, lambda: tell(line))
    finally:
        listener.close()
