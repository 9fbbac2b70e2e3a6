"""Checkpoints of a training run: tensors in safetensors, the rest in JSON, checksums beside them; complete or not there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from manygate.errors import InputError
from manygate.files import check_manifest, read_json, to_json, write_folder, write_manifest, write_text

KEPT = 2


def save_checkpoint(folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write ``folder/step-N`` and drop all but the two newest."""

    def fill(path: Path) -> None:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path / "state.safetensors")
        write_text(path / "state.json", to_json(state))
        write_manifest(path, {"checkpoint_version": 1})

    folder.mkdir(parents=True, exist_ok=True)
    write_folder(folder / f"step-{step:010d}", fill)
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old)


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest checkpoint that passes its checksums, or None when there is none at all.

    Raises :class:`InputError` when checkpoints exist and every one is damaged.
    """
    problems: list[str] = []
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            check_manifest(path)
        except InputError as error:
            problems += error.marked
            continue
        return load_file(path / "state.safetensors"), read_json(path / "state.json")
    if problems:
        raise InputError([*problems, f"{folder}: no checkpoint is whole. Remove the run's folder and train again."])
    return None
