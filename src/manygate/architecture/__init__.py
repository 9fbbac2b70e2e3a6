"""Sharing schemes, one paper per file: x_BD -> h_BTH."""

import sys
from importlib import import_module
from inspect import isabstract
from pathlib import Path

from manygate.architecture.adatt import AdaTT
from manygate.architecture.asymmetric_sharing import AsymmetricSharing
from manygate.architecture.base import Architecture, Inputs
from manygate.architecture.cgc import CGC
from manygate.architecture.cross_stitch import CrossStitch
from manygate.architecture.customized_sharing import CustomizedSharing
from manygate.architecture.l2_constrained import L2Constrained
from manygate.architecture.level import Level
from manygate.architecture.ml_mmoe import MLMMoE
from manygate.architecture.mmoe import MMoE
from manygate.architecture.omoe import OMoE
from manygate.architecture.pepnet import PEPNet
from manygate.architecture.ple import PLE
from manygate.architecture.shared_bottom import SharedBottom
from manygate.architecture.single_task import SingleTask
from manygate.architecture.sluice_network import SluiceNetwork
from manygate.architecture.stem import STEM
from manygate.architecture.tensor_factorization import TensorFactorization
from manygate.config.names import check_architecture
from manygate.errors import InputError, either

ARCHITECTURES: dict[str, type[Architecture]] = {
    "single_task": SingleTask,
    "shared_bottom": SharedBottom,
    "asymmetric_sharing": AsymmetricSharing,
    "customized_sharing": CustomizedSharing,
    "l2_constrained": L2Constrained,
    "cross_stitch": CrossStitch,
    "sluice_network": SluiceNetwork,
    "tensor_factorization": TensorFactorization,
    "omoe": OMoE,
    "mmoe": MMoE,
    "ml_mmoe": MLMMoE,
    "cgc": CGC,
    "ple": PLE,
    "adatt": AdaTT,
    "stem": STEM,
    "pepnet": PEPNet,
}


def find_architecture(name: str) -> type[Architecture]:
    """The class of a scheme's name. Your own, ``module:Class``, is looked up among modules that are imported already: a bundle that
    names a module must not make it run.
    """
    check_architecture(name)
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    module, _, qualified = name.partition(":")
    found: object = sys.modules.get(module)
    if found is None:
        raise InputError(
            f"architecture {name!r}: module {module!r} is not imported. {either('Import it first.', f'Give --import {module}.')}"
        )
    for part in qualified.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type) or not issubclass(found, Architecture):
        if module == "__main__":
            raise InputError(
                f"architecture {name!r}: defined in a notebook or a script, and only there. Load it where {qualified} is defined, "
                "or put the class in a module of its own."
            )
        raise InputError(
            f"architecture {name!r}: {qualified!r} in {module!r} is no subclass of manygate.Architecture at the top of its module."
        )
    if isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise InputError(f"architecture {name!r}: {qualified} does not define {missing}.")
    return found


def import_scheme(module: str) -> None:
    """Import the module of a scheme of one's own, from the current folder too."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        import_module(module)
    except ImportError as error:
        raise InputError(f"module {module!r} cannot be imported ({error}). Run in its folder, or install it.") from None
    except (Exception, SystemExit) as error:
        raise InputError(f"module {module!r} cannot be imported: it raises {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(here)


__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Inputs",
    "Level",
    "find_architecture",
    "import_scheme",
    *(scheme.__name__ for scheme in ARCHITECTURES.values()),
]
