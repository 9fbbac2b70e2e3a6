"""Checkpoints of a training run: tensors in safetensors, other values in JSON, and a manifest with checksums.

A checkpoint is written completely or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from manygate.errors import InputError
from manygate.files import check_manifest, read_json, to_json, write_folder, write_manifest, write_text, writing
from manygate.training.table_files import STATE, StoredTables

KEPT = 2


def save_checkpoint(
    folder: Path,
    step: int,
    tensors: dict[str, Tensor],
    state: Mapping[str, object],
    add: Callable[[Path], None] = lambda path: None,
) -> None:
    """Write ``folder/step-N`` and remove all but the two newest checkpoints. ``add`` writes further files into the new folder."""

    def fill(path: Path) -> None:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path / STATE)
        write_text(path / "state.json", to_json(state))
        add(path)
        write_manifest(path, {"checkpoint_version": 1})

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_folder(path_of(folder, step), fill)
    with writing(folder):
        for old in sorted(folder.glob("step-*"))[:-KEPT]:
            shutil.rmtree(old)


def path_of(folder: Path, step: int) -> Path:
    """Return the folder of the checkpoint after a step."""
    return folder / f"step-{step:010d}"


def load_checkpoint(folder: Path, say: Callable[[str], None] | None = None) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the tensors and the state of the newest undamaged checkpoint. Return None if the folder has no checkpoint.

    It may be of any number of processes, and its tables may be stored in parts.
    """
    path = newest_checkpoint(folder, say)
    return None if path is None else read_checkpoint(path)


def newest_checkpoint(folder: Path, say: Callable[[str], None] | None = None) -> Path | None:
    """Return the folder of the newest undamaged checkpoint. Return None if there is no checkpoint.

    ``say`` is called with the problems of damaged checkpoints that are passed over. Raises :class:`InputError` if all are damaged.
    """
    problems: list[str] = []
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            check_manifest(path)
        except InputError as error:
            problems += error.marked
            continue
        if problems and say is not None:
            say(f"{' '.join(problems)} Training goes on from the older checkpoint {path.name}, continuing without the newer steps.")
        return path
    if problems:
        raise InputError([*problems, f"{folder}: every checkpoint is damaged. Remove the run's folder and train again."])
    return None


def read_checkpoint(path: Path, but: Callable[[str], bool] = lambda name: False) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the state of a checkpoint, without the tensors whose names are true for ``but``."""
    with reading_checkpoint(path):
        with safe_open(path / STATE, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys() if not but(name)}  # noqa: SIM118
        stored = StoredTables(path)
        tensors |= {name: stored.whole(name) for name in stored.names if not but(name)}
        return tensors, dict(read_json(path / "state.json"))


@contextmanager
def reading_checkpoint(path: Path) -> Iterator[None]:
    """Turn an error of reading into an :class:`InputError`. It occurs if both a file and the manifest were changed."""
    try:
        yield
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{path}: not a checkpoint of this run ({reason}). Remove the run's folder and train again.") from None
