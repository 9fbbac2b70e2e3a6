"""The distribution that is installed, and the warning where there are two."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import manygate.serving.distribution as distribution
from exported import Exported
from manygate.config.serve_settings import ServeConfig
from manygate.serving import server, start


def test_the_version_is_that_of_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert distribution.distribution_version() == version("manygate")

    def light_alone(name: str) -> str:
        if name == "manygate":
            raise PackageNotFoundError(name)
        return "7.1"

    monkeypatch.setattr(distribution, "version", light_alone)
    assert distribution.installed() == {"manygate-serving": "7.1"}
    assert distribution.distribution_version() == "7.1"


@pytest.mark.parametrize("both", [True, False])
def test_two_distributions_are_warned_of(
    exported: Exported, both: bool, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    found = {"manygate": "1", "manygate-serving": "1"} if both else {"manygate": "1"}
    monkeypatch.setattr(distribution, "installed", lambda: found)
    monkeypatch.setattr(server, "run", lambda folder, settings, listener, begun: None)
    start.serve(Path(exported.folder), ServeConfig(port=0))
    assert (b"both installed" in capfdbinary.readouterr().err) is both
