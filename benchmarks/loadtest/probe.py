"""How long a process waits for a core: a probe that sleeps a millisecond again and again, and says how late it woke up.

python probe.py CORE SECONDS
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SLEEP = 0.001
SHARES = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}


def lateness(seconds: float) -> list[float]:
    """Return how many seconds later than asked each sleep ended."""
    late = []
    until = time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        time.sleep(SLEEP)
        late.append(time.perf_counter() - began - SLEEP)
    return late


@contextmanager
def probing(core: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Let a probe run on a core for some seconds beside the block. The dictionary is filled when both are done."""
    words = [sys.executable, __file__, str(core), str(seconds)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
    found: dict[str, Any] = {}
    yield found
    output, _ = process.communicate()
    found.update(json.loads(output))


def main(core: int, seconds: float) -> None:
    """Print p50, p99, p99.9 and the maximum in milliseconds."""
    os.sched_setaffinity(0, {core})
    late = sorted(lateness(seconds))
    shown = {name: round(1e3 * late[min(int(share * len(late)), len(late) - 1)], 3) for name, share in SHARES.items()}
    print(json.dumps({"sleeps": len(late), **shown}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
