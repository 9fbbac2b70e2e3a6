"""Runs a function in several processes that form a world, without torchrun: they are forks of the test's process."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist

from manygate.training.processes import Processes


def in_world(size: int, folder: Path, work: Callable[[Processes], None]) -> None:
    """Call ``work`` in each process of a world. The processes meet at a file in ``folder``. All of them must end well."""
    folder.mkdir(parents=True, exist_ok=True)
    children = [_fork(rank, size, folder, work) for rank in range(size)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * size


def _fork(rank: int, size: int, folder: Path, work: Callable[[Processes], None]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        torch.set_num_threads(1)
        dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=size)
        work(Processes(torch.device("cpu")))
        dist.barrier()
        dist.destroy_process_group()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
