"""The libraries of an export: all that are missing are named."""

from __future__ import annotations

import pytest

from manygate.errors import InputError
from manygate.export.installed import require


def test_all_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require()
    monkeypatch.setattr("manygate.export.installed.find_spec", lambda name: None if name.startswith("onnx") else name)
    with pytest.raises(InputError, match=r"needs onnx and onnxscript and onnxruntime.*manygate\[export\]"):
        require()
