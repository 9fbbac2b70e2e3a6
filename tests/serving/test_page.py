"""The page on which requests can be tried."""

from __future__ import annotations

import re

from manygate.serving.page import page


def test_the_page_loads_nothing_from_elsewhere() -> None:
    assert not re.findall(r"https?://|src=|@import|url\(", page())


def test_the_page_writes_answers_as_text() -> None:
    """Names of features and answers come from files and clients."""
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", page())


def test_each_field_has_a_label() -> None:
    fields = set(re.findall(r'<(?:input|select|textarea) id="(\w+)"', page()))
    assert fields == {"token", "path", "body"}
    assert fields == set(re.findall(r'<label for="(\w+)"', page()))
