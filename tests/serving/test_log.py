"""The log: one line of JSON each."""

from __future__ import annotations

import io
import json

import pytest

from manygate.serving.log import LEVELS, Log


def test_a_line_is_json() -> None:
    stream = io.BytesIO()
    Log("info", stream).write("warning", "new version", model_version="abc", text="a\nb")
    (line,) = stream.getvalue().splitlines()
    tree = json.loads(line)
    assert tree.pop("time").endswith("+00:00")
    assert tree == {"level": "warning", "event": "new version", "model_version": "abc", "text": "a\nb"}


@pytest.mark.parametrize("level", LEVELS)
def test_lines_below_the_level_are_left_out(level: str) -> None:
    stream = io.BytesIO()
    log = Log(level, stream)
    for each in LEVELS:
        log.write(each, each)
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == list(LEVELS[LEVELS.index(level) :])


def test_a_log_that_nobody_reads_is_no_error() -> None:
    stream = io.BytesIO()
    log = Log("info", stream)
    stream.close()
    log.write("error", "one")
    log.write("error", "two")
    assert log.lowest == len(LEVELS)
