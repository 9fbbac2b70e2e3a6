"""The libraries that an export needs, which are an extra of the package."""

from __future__ import annotations

from importlib.util import find_spec

from manygate.errors import InputError

LIBRARIES = ("onnx", "onnxscript", "onnxruntime")


def require() -> None:
    """Raise an :class:`InputError` with the install command if a library is missing."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise InputError(f"an export needs {' and '.join(missing)}. Install all it needs with: pip install 'manygate[export]'")
