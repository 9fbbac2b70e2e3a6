"""Tests of tables that are spread over processes need TorchRec and FBGEMM, which no extra of the package installs."""

from __future__ import annotations

import os

import pytest

from manygate.errors import InputError
from manygate.training.torchrec_install import load_torchrec


def _reason() -> str:
    """Return why such tests cannot run. Empty if they can. TorchRec is then loaded, so that forks need not load it."""
    try:
        load_torchrec()
    except InputError as error:
        return str(error).partition(". The rule")[0]
    return ""


REASON = _reason()
if REASON and os.environ.get("MANYGATE_REQUIRE_TORCHREC"):
    raise RuntimeError(REASON)
NEEDED = pytest.mark.skipif(bool(REASON), reason=REASON)
