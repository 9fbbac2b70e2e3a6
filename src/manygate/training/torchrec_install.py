"""Loads TorchRec and FBGEMM, and says how they are installed.

The two fit one version of PyTorch. Neither can be an extra of the package: pip would take the CUDA build of FBGEMM beside them, and
another PyTorch.
"""

from __future__ import annotations

import logging
import warnings
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace

from manygate.errors import InputError, setting

RULE = "fbgemm 1.X is for torch 2.(X+5), and torchrec has the version of fbgemm"
INSTALL = (
    "pip install torch==2.13.0 numpy",
    "pip install --no-deps fbgemm-gpu-cpu==1.8.0 torchrec==1.8.0",
    "pip install torch==2.13.0 tensordict==0.15.3 torchmetrics==1.0.3 pyre-extensions==0.0.32 tqdm",
)
"""The commands that install the three for PyTorch 2.13, in this order."""


@cache
def load_torchrec() -> SimpleNamespace:
    """Return the parts of TorchRec and FBGEMM that spread tables need.

    TorchRec's gradients are from then on sums over the processes and not means.

    Raises:
        InputError: One of them is missing, does not fit the others, or cannot be loaded. The message states the rule of the
            versions and the commands that install them.
    """
    found = {name: _version(name) for name in ("torch", "fbgemm", "torchrec")}
    problem = mismatch(**found)
    if problem:
        raise not_usable(problem)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _parts()
    except (ImportError, OSError, AttributeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise not_usable(f"torchrec {found['torchrec']} cannot be loaded ({reason})") from None


def _parts() -> SimpleNamespace:
    from fbgemm_gpu.split_embedding_configs import EmbOptimType
    from torchrec.distributed.comm_ops import set_gradient_division
    from torchrec.distributed.embedding import EmbeddingCollectionSharder
    from torchrec.distributed.sharding_plan import construct_module_sharding_plan, row_wise, table_wise
    from torchrec.distributed.types import ShardingEnv
    from torchrec.modules.embedding_configs import EmbeddingConfig
    from torchrec.modules.embedding_modules import EmbeddingCollection
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

    set_gradient_division(False)
    logging.getLogger("torch.fx._symbolic_trace").addFilter(_not_of_tracing)
    return SimpleNamespace(
        EmbeddingCollection=EmbeddingCollection,
        EmbeddingCollectionSharder=EmbeddingCollectionSharder,
        EmbeddingConfig=EmbeddingConfig,
        EmbOptimType=EmbOptimType,
        KeyedJaggedTensor=KeyedJaggedTensor,
        ShardingEnv=ShardingEnv,
        construct_module_sharding_plan=construct_module_sharding_plan,
        row_wise=row_wise,
        table_wise=table_wise,
    )


def _not_of_tracing(record: logging.LogRecord) -> bool:
    """Drop PyTorch's advice on a function that TorchRec calls in each process."""
    return "is_fx_tracing" not in record.getMessage()


def mismatch(torch: str | None, fbgemm: str | None, torchrec: str | None) -> str:
    """Return what is wrong with the three versions. Empty if they fit.

    >>> mismatch("2.13.0+cpu", "1.8.0", "1.8.0")
    ''
    >>> mismatch("2.13.0", "1.9.0", "1.8.0")
    'fbgemm 1.9.0 is not for torch 2.13.0'
    >>> mismatch("2.13.0", None, None)
    'fbgemm-gpu-cpu and torchrec are not installed'
    """
    missing = [name for name, known in (("fbgemm-gpu-cpu", fbgemm), ("torchrec", torchrec)) if known is None]
    if missing or torch is None or fbgemm is None or torchrec is None:
        return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
    (_, torch_minor), (major, minor), other = (_release(known) for known in (torch, fbgemm, torchrec))
    if (major, minor + 5) != (1, torch_minor):
        return f"fbgemm {fbgemm} is not for torch {torch}"
    return "" if other == (major, minor) else f"torchrec {torchrec} is not for fbgemm {fbgemm}"


def not_usable(problem: str) -> InputError:
    """Return the error of tables that cannot be spread."""
    commands = "\n".join(f"  {command}" for command in INSTALL)
    return InputError(
        f"{setting('table_sharding')}: it needs TorchRec and FBGEMM, and {problem}. The rule: {RULE}. Install them with these "
        f"three commands, in this order:\n{commands}\n--no-deps keeps pip from a CUDA build of FBGEMM, which does not fit. Or "
        "leave table_sharding out: each process then has all tables."
    )


def _release(known: str) -> tuple[int, int]:
    major, minor = known.split("+")[0].split(".")[:2]
    return int(major), int(minor)


def _version(name: str) -> str | None:
    """Return the installed version of torch, fbgemm (of any build) or torchrec, or None."""
    for package in {"fbgemm": ("fbgemm-gpu-cpu", "fbgemm-gpu")}.get(name, (name,)):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None
