"""The token: when it is needed, and who brings it."""

from __future__ import annotations

from pathlib import Path

import pytest

from manygate.config.serve_settings import ServeConfig
from manygate.errors import InputError
from manygate.serving.access import VARIABLE, brings, read_token

TOKEN = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_no_token_is_needed_for_this_machine(host: str) -> None:
    assert read_token(ServeConfig(host=host)) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_other_machines_need_a_token(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="must bring a token") as caught:
        read_token(ServeConfig(host=host))
    assert "--token-file" in caught.value.for_command_line()
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert read_token(ServeConfig(host=host)) == TOKEN


def test_the_file_comes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "another-token-of-16")
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    assert read_token(ServeConfig(token_file=path)) == TOKEN


@pytest.mark.parametrize(
    ("content", "problem"), [("", "empty"), ("short", "16 or more"), ("a b" * 8, "no space"), ("ü" * 20, "ASCII")]
)
def test_a_token_that_is_easy_to_guess_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(InputError, match=problem) as caught:
        read_token(ServeConfig(token_file=path))
    assert content == "" or content not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_token(ServeConfig(token_file=tmp_path / "none"))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer  {TOKEN} ", True),
        (f"Basic {TOKEN}", False),
        (f"Bearer {TOKEN}x", False),
        (f"Bearer {TOKEN[:-1]}", False),
        ("Bearer", False),
        (TOKEN, False),
        ("", False),
        (None, False),
        ("Bearer \xff", False),
    ],
)
def test_only_the_token_itself_opens(header: str | None, expected: bool) -> None:
    assert brings(header, TOKEN) is expected
    assert brings(header, None) is True
