"""The settings of the server."""

from __future__ import annotations

import pytest

from manygate.config.serve_settings import ServeConfig
from manygate.errors import InputError
from manygate.schema.reading import validated


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("example.org", False)]
)
def test_only_loopback_addresses_are_local(host: str, local: bool) -> None:
    assert ServeConfig(host=host).is_local is local


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"port": 70000}, "port"),
        ({"port": True}, "expected a number"),
        ({"deadline": 0}, "deadline"),
        ({"name": "a/b"}, "letters, digits"),
        ({"certificate": "cert.pem"}, "needs key"),
        ({"key": "key.pem"}, "needs certificate"),
        ({"log_share": 2.0}, "log_share|log-share"),
        ({"prot": 8000}, "prot"),
    ],
)
def test_wrong_settings_are_named(given: dict[str, object], problem: str) -> None:
    with pytest.raises((InputError, ValueError), match=problem):
        validated(ServeConfig, given, "")
