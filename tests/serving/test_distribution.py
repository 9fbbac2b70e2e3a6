"""The distribution that the code comes from."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

import manygate.serving.distribution as distribution_module
from manygate.serving.distribution import distribution_version


def test_the_version_is_that_of_the_installed_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    assert distribution_version() == version("manygate")

    def only_the_light_one(name: str) -> str:
        if name == "manygate-serving":
            return "1.2.3"
        raise PackageNotFoundError(name)

    monkeypatch.setattr(distribution_module, "version", only_the_light_one)
    assert distribution_version() == "1.2.3"
