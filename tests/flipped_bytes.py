"""Flips one byte of a folder's files, 200 times at seeded places, for tests that each flip is detected."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

TRIES = 200


def flipped(files: Sequence[Path], seed: int = 0) -> Iterator[Path]:
    """Yield a file in which one byte differs. Before the next file, it is as it was. The files take turns."""
    chance = random.Random(seed)
    for number in range(TRIES):
        file = files[number % len(files)]
        content = file.read_bytes()
        changed = bytearray(content)
        changed[chance.randrange(len(content))] ^= chance.randrange(1, 256)
        file.write_bytes(changed)
        yield file
        file.write_bytes(content)
