"""What is checked before a server starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

import manygate.serving.start as start_module
from exported import Exported
from manygate.config.serve_settings import ServeConfig
from manygate.errors import InputError
from manygate.serving.start import require, serve


def test_a_missing_library_is_named_with_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    require()
    monkeypatch.setattr(start_module, "find_spec", lambda name: None if name in ("uvicorn", "orjson") else name)
    with pytest.raises(InputError, match=r"needs uvicorn and orjson\. .*pip install 'manygate\[serve\]'"):
        require()


def test_nothing_starts_without_a_model_a_token_or_a_port(exported: Exported, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(InputError, match="no exported model here"):
        serve(tmp_path, ServeConfig(port=0, workers=2), said.append)
    assert said == []
    with pytest.raises(InputError, match="must bring a token"):
        serve(exported.folder, ServeConfig(host="0.0.0.0", port=0), said.append)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(InputError, match="another program listens there"):
            serve(exported.folder, ServeConfig(port=other.getsockname()[1]), said.append)
    assert said == []
