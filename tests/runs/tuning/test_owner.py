"""Who runs a trial, and whether that process is alive."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from manygate.runs.tuning.owner import Owner, Watch, _started


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "100"]) as process:
        yield process
        process.kill()


def owner_of(process: subprocess.Popen[bytes]) -> Owner:
    return Owner(Owner.current().host, process.pid, _started(process.pid) or "")


@pytest.mark.skipif(sys.platform != "linux", reason="the start of a process is read from /proc")
def test_a_killed_process_is_dead_also_before_its_parent_asks(child: subprocess.Popen[bytes]) -> None:
    owner = owner_of(child)
    assert owner.is_dead() is False
    child.kill()
    for _ in range(500):  # until the kill has arrived
        if owner.is_dead():
            break
        time.sleep(0.01)
    assert owner.is_dead() is True, "a zombie"
    child.wait()
    assert owner.is_dead() is True


@pytest.mark.skipif(sys.platform != "linux", reason="the start of a process is read from /proc")
def test_another_process_with_the_same_number_is_another(child: subprocess.Popen[bytes]) -> None:
    owner = owner_of(child)
    assert Owner(owner.host, owner.pid, "1").is_dead() is True


def test_a_process_of_another_machine_is_judged_by_its_beats() -> None:
    now = [0.0]
    watch, far = Watch(60.0, lambda: now[0]), Owner("far", 1, "1")
    assert far.is_dead() is None
    assert not watch.is_dead(7, far, 0)
    now[0] = 59.0
    assert not watch.is_dead(7, far, 0)
    now[0] = 61.0
    assert not watch.is_dead(7, far, 1), "it beat in the meantime"
    now[0] = 122.0
    assert watch.is_dead(7, far, 1)
    assert not watch.is_dead(8, far, 1), "another trial is seen for the first time"


def test_this_process_is_alive() -> None:
    assert Owner.current().is_dead() in (False, None)
    assert Owner.of_tree(Owner.current().tree()) == Owner.current()
