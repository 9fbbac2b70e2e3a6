"""Checkpoints of a training run: tensors in safetensors, other values in JSON, and a manifest with checksums.

A checkpoint is written completely or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from manygate.errors import InputError
from manygate.files import check_manifest, read_json, to_json, write_folder, write_manifest, write_text, writing

KEPT = 2


def save_checkpoint(folder: Path, step: int, tensors: dict[str, Tensor], state: Mapping[str, object]) -> None:
    """Write ``folder/step-N`` and remove all but the two newest checkpoints."""

    def fill(path: Path) -> None:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path / "state.safetensors")
        write_text(path / "state.json", to_json(state))
        write_manifest(path, {"checkpoint_version": 1})

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_folder(folder / f"step-{step:010d}", fill)
    with writing(folder):
        for old in sorted(folder.glob("step-*"))[:-KEPT]:
            shutil.rmtree(old)


def load_checkpoint(folder: Path, say: Callable[[str], None] | None = None) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the tensors and the state of the newest undamaged checkpoint. Return None if the folder has no checkpoint.

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
        with reading_checkpoint(path):
            return load_file(path / "state.safetensors"), dict(read_json(path / "state.json"))
    if problems:
        raise InputError([*problems, f"{folder}: every checkpoint is damaged. Remove the run's folder and train again."])
    return None


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
