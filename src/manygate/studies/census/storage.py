"""Finished steps of the study, as folders with checksums: a step is there completely or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from manygate.errors import InputError, setting
from manygate.files import check_manifest, read_json, to_json, write_folder, write_manifest, write_text, writing

TREE, ARRAYS = "step.json", "arrays.safetensors"


def write_step(folder: Path, key: str, tree: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a step: JSON, and arrays by name. ``key`` says what the step is of, so that no other step is taken for it."""

    def fill(path: Path) -> None:
        write_text(path / TREE, to_json({"key": key, "value": tree}))
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, path / ARRAYS)
        write_manifest(path, {"step_version": 1})

    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    write_folder(folder, fill)


def read_step(folder: Path, key: str) -> tuple[Any, dict[str, np.ndarray]] | None:
    """Read a step. None if it is not there.

    Raises :class:`InputError` if a file is not as it was written, or if the step is of something else.
    """
    if not folder.exists():
        return None
    check_manifest(folder)
    try:
        saved = read_json(folder / TREE)
        if saved["key"] != key:
            raise InputError(f"{folder}: it belongs to {saved['key']}, and now it is {key}. Choose another {setting('out')}.")
        return saved["value"], load_file(folder / ARRAYS)
    except (KeyError, TypeError, SafetensorError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{folder}: not a step of the study ({reason}). Remove this folder; the step runs again.") from None
