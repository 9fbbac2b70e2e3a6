"""The environment of manygate-serving is made once for all tests here."""

from __future__ import annotations

from light_environment import environment  # noqa: F401
