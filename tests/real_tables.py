"""Real tables for tests of rules that must not fire on them: scikit-learn's, and MovieLens-100K out of the wheel of RecBole."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

RECBOLE = "recbole==1.2.1"
DOWNLOADS = Path(__file__).parents[1] / "build" / "downloads"


@cache
def recbole_wheel() -> Path:
    """The wheel, downloaded once and not installed. Without a registry the test is skipped, unless downloads are required."""
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    if not list(DOWNLOADS.glob("recbole-1.2.1-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(DOWNLOADS), RECBOLE]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            assert not os.environ.get("MANYGATE_REQUIRE_DOWNLOADS"), done.stderr
            pytest.skip(f"{RECBOLE} cannot be downloaded")
    return next(DOWNLOADS.glob("recbole-1.2.1-*.whl"))


def movielens() -> pd.DataFrame:
    """100,000 ratings with their users and movies, and ``like`` for four or five stars."""
    with zipfile.ZipFile(recbole_wheel()) as archive:
        parts = {part: archive.read(f"recbole/dataset_example/ml-100k/ml-100k.{part}") for part in ("inter", "user", "item")}
    inter, user, item = (pd.read_csv(io.BytesIO(text), sep="\t") for text in parts.values())
    log = inter.merge(user, on="user_id:token").merge(item, on="item_id:token")
    return log.assign(like=(log["rating:float"] >= 4).astype(int))
