"""``manygate serve``: answer requests over HTTP with an exported model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from manygate.cli.flags import SERVING, ServeFlags, settings_of
from manygate.cli.streams import say
from manygate.config.serve_settings import ServeConfig
from manygate.schema.reading import validated
from manygate.serving.start import serve as start


def serve(
    model: Annotated[Path, Parameter(help="Folder that manygate export wrote, or a symbolic link to one.")],
    /,
    *,
    settings: Annotated[ServeFlags | None, SERVING] = None,  # type: ignore[valid-type]
) -> None:
    """Answer requests over HTTP with an exported model: POST /v1/rank, and the Open Inference Protocol V2.

    A new model in the folder is picked up while the server runs. SIGTERM ends it after the requests that are inside.

    Example: manygate serve model --port 8000
    """
    start(model, validated(ServeConfig, settings_of(settings), ""), say)
