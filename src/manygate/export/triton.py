"""Writes an exported model as a model of a Triton repository: ``NAME/config.pbtxt`` and ``NAME/1/model.onnx`` with its weights.

The format is that of NVIDIA's Triton Inference Server ("Model Configuration" in its user guide): platform ``onnxruntime_onnx``, and
``max_batch_size`` 0, since a model with several free axes says all its dimensions itself; -1 is a free one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from manygate.errors import InputError, setting
from manygate.files import write_folder
from manygate.scoring.exported_model import MODEL_FILE, WEIGHTS_FILE, open_session

CONFIG_FILE = "config.pbtxt"
TYPES = {
    "tensor(string)": "TYPE_STRING",
    "tensor(int64)": "TYPE_INT64",
    "tensor(bool)": "TYPE_BOOL",
    "tensor(double)": "TYPE_FP64",
    "tensor(uint8)": "TYPE_UINT8",
}
"""The names that Triton gives the types of ONNX Runtime."""
ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def write_repository(repository: Path, model: Path, overwrite: bool = False) -> Path:
    """Write the exported model in the folder ``model`` as a model of a repository. It has the name of the folder.

    Raises :class:`InputError` if the repository has something of this name, and ``overwrite`` is false or it is no model.
    """
    out = model_folder(repository, model, overwrite)
    config = config_text(out.name, open_session(model / MODEL_FILE))

    def fill(folder: Path) -> None:
        (folder / "1").mkdir()
        for name in (MODEL_FILE, WEIGHTS_FILE):
            shutil.copy2(model / name, folder / "1" / name)
        (folder / CONFIG_FILE).write_text(config, encoding="utf-8")

    repository.mkdir(parents=True, exist_ok=True)
    write_folder(out, fill)
    return out


def model_folder(repository: Path, model: Path, overwrite: bool) -> Path:
    """Return the folder of a model in a repository. Raises :class:`InputError` if it is taken."""
    out = repository / model.resolve().name
    if out.exists() and not (out / CONFIG_FILE).is_file():
        raise InputError(
            f"{setting('triton', repository)}: {out} is no model of a repository, so it is not replaced. Choose another."
        )
    if out.exists() and not overwrite:
        raise InputError(
            f"{setting('triton', repository)}: {out} is there. Choose another repository, or add {setting('overwrite', True)}."
        )
    return out


def config_text(name: str, session: Any) -> str:
    """Return the content of ``config.pbtxt`` for a session of ONNX Runtime."""
    blocks = [f"name: {quoted(name)}", 'platform: "onnxruntime_onnx"', "max_batch_size: 0"]
    blocks += [_tensor("input", value) for value in session.get_inputs()]
    blocks += [_tensor("output", value) for value in session.get_outputs()]
    return "\n".join(blocks) + "\n"


def _tensor(role: str, value: Any) -> str:
    shape: Sequence[int | str | None] = value.shape
    dims = ", ".join(str(axis) if isinstance(axis, int) else "-1" for axis in shape)
    return f"{role} {{\n  name: {quoted(value.name)}\n  data_type: {TYPES[value.type]}\n  dims: [ {dims} ]\n}}"


def quoted(text: str) -> str:
    r"""Return text as a string of the protobuf text format.

    >>> print(quoted('a "b"'))
    "a \"b\""
    """
    escaped = (ESCAPES.get(sign) or (f"\\{ord(sign):03o}" if ord(sign) < 32 else sign) for sign in text)
    return f'"{"".join(escaped)}"'
