"""Gives memory that was freed back to the machine."""

from __future__ import annotations

import ctypes


def give_back() -> bool:
    """Give freed memory back, and return whether there was any. Only the C library of GNU can; elsewhere nothing happens.

    ONNX Runtime reads a vocabulary of text several times while it loads a model, and the C library would keep what it freed.

    >>> give_back() in (True, False)
    True
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return bool(trim is not None and trim(0))
