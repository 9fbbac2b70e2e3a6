"""Every name that a setting takes, in one table for each family: architectures, weightings and methods of calibration.

A table of classes maps a name to ``module:Class``. The class is imported when it is first needed, so that this file stays light. A
class of the user's own is named ``module:Class`` and goes through the same functions.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from inspect import isabstract
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from manygate.errors import InputError, did_you_mean, either, raise_all

ARCHITECTURES: dict[str, str] = {
    "single_task": "manygate.architecture.single_task:SingleTask",
    "shared_bottom": "manygate.architecture.shared_bottom:SharedBottom",
    "asymmetric_sharing": "manygate.architecture.asymmetric_sharing:AsymmetricSharing",
    "customized_sharing": "manygate.architecture.customized_sharing:CustomizedSharing",
    "l2_constrained": "manygate.architecture.l2_constrained:L2Constrained",
    "cross_stitch": "manygate.architecture.cross_stitch:CrossStitch",
    "sluice_network": "manygate.architecture.sluice_network:SluiceNetwork",
    "tensor_factorization": "manygate.architecture.tensor_factorization:TensorFactorization",
    "omoe": "manygate.architecture.omoe:OMoE",
    "mmoe": "manygate.architecture.mmoe:MMoE",
    "ml_mmoe": "manygate.architecture.ml_mmoe:MLMMoE",
    "cgc": "manygate.architecture.cgc:CGC",
    "ple": "manygate.architecture.ple:PLE",
    "adatt": "manygate.architecture.adatt:AdaTT",
    "stem": "manygate.architecture.stem:STEM",
    "pepnet": "manygate.architecture.pepnet:PEPNet",
}
WEIGHTINGS: dict[str, str] = {
    "fixed": "manygate.objective.weighting.fixed:Fixed",
    "schedule": "manygate.objective.weighting.schedule:Schedule",
    "uncertainty": "manygate.objective.weighting.uncertainty:Uncertainty",
    "dwa": "manygate.objective.weighting.dwa:DynamicWeightAverage",
    "random": "manygate.objective.weighting.random:RandomWeights",
    "famo": "manygate.objective.weighting.famo:FAMO",
    "gradnorm": "manygate.objective.weighting.gradnorm:GradNorm",
    "pcgrad": "manygate.objective.weighting.pcgrad:PCGrad",
    "gradvac": "manygate.objective.weighting.gradvac:GradVac",
    "cagrad": "manygate.objective.weighting.cagrad:CAGrad",
    "mgda": "manygate.objective.weighting.mgda:MGDA",
    "nash_mtl": "manygate.objective.weighting.nash_mtl:NashMTL",
    "fairgrad": "manygate.objective.weighting.fairgrad:FairGrad",
    "imtl_g": "manygate.objective.weighting.imtl_g:IMTLG",
    "aligned_mtl": "manygate.objective.weighting.aligned_mtl:AlignedMTL",
    "upgrad": "manygate.objective.weighting.upgrad:UPGrad",
    "dualproj": "manygate.objective.weighting.dualproj:DualProj",
}
BASELINES: dict[str, str | None] = {"lightgbm": "lightgbm", "logistic": "sklearn", "constant": None}
"""Each baseline with the library that it needs."""
CalibrationMethod = Literal["none", "platt", "temperature", "isotonic"]
CALIBRATIONS: dict[CalibrationMethod, tuple[str, ...]] = {
    "platt": ("a", "b"),
    "temperature": ("temperature",),
    "isotonic": ("x", "y"),
}
"""The numbers that a calibrator of each method has."""
COMPARED = ("single_task", "shared_bottom", "omoe", "mmoe", "cgc", "ple")
"""The architectures of a comparison by default: the schemes of the two papers and the plain baselines."""
Class = TypeVar("Class")


class Family(NamedTuple):
    """A family of named classes: its noun in errors, its table, and the public name of the class that all of them extend."""

    noun: str
    table: Mapping[str, str]
    base: str


ARCHITECTURE = Family("architecture", ARCHITECTURES, "manygate.Architecture")
WEIGHTING = Family("weighting", WEIGHTINGS, "manygate.objective.weighting.Weighting")


def check_name(family: Family, name: str) -> None:
    """Raise an :class:`InputError` unless the name is in the family's table, or has the form of a user's own, module:Class."""
    module, colon, qualified = name.partition(":")
    if colon and all(part.isidentifier() or part == "<locals>" for part in (*module.split("."), *qualified.split("."))):
        return
    if name not in family.table:
        raise InputError(
            f"{family.noun} {name!r} is unknown.{did_you_mean(name, family.table)} Known: {', '.join(family.table)}; "
            "a class of your own is named module:Class."
        )


def check_names(family: Family, names: tuple[str, ...]) -> None:
    """Raise one :class:`InputError` with the problems of all names; none may be there twice."""
    problems = [f"{family.noun} {name!r} is named twice." for name in sorted({n for n in names if names.count(n) > 1})]
    for name in names:
        try:
            check_name(family, name)
        except InputError as error:
            problems += error.marked
    raise_all(problems)


def find_class(family: Family, name: str, base: type[Class]) -> type[Class]:
    """The class of a name.

    A user's own, ``module:Class``, is looked up among modules that are imported already: a bundle that names a module must not make
    it run.
    """
    check_name(family, name)
    module, _, qualified = family.table.get(name, name).partition(":")
    if name in family.table:
        import_module(module)
    target: object = sys.modules.get(module)
    if target is None:
        raise InputError(
            f"{family.noun} {name!r}: module {module!r} is not imported. {either('Import it first.', f'Give --import {module}.')}"
        )
    for part in qualified.split("."):
        target = getattr(target, part, None)
    if not isinstance(target, type) or not issubclass(target, base):
        if module == "__main__":
            raise InputError(
                f"{family.noun} {name!r}: defined in a notebook or a script, and only there. Load it where {qualified} is defined, "
                "or put the class in a module of its own."
            )
        raise InputError(
            f"{family.noun} {name!r}: {qualified!r} in {module!r} is no subclass of {family.base} at the top of its module."
        )
    if isabstract(target):
        missing = ", ".join(sorted(getattr(target, "__abstractmethods__", ())))
        raise InputError(f"{family.noun} {name!r}: {qualified} does not define {missing}.")
    return target


def import_named(settings: Mapping[str, object]) -> None:
    """Import the modules of the user's own classes that a command line or a call in Python names as ``module:Class``.

    A configuration, a run's folder and a bundle are data. What they name is not imported: data must not choose the code that runs.
    """
    for setting in ("architecture", "architectures", "weighting", "weightings"):
        value = settings.get(setting)
        names = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
        for name in names:
            if isinstance(name, str) and ":" in name:
                import_user_module(name.strip())


def import_user_module(name: str) -> None:
    """Import the module of a class of the user's own, ``module:Class`` or ``module``, from the current folder too."""
    module, here = name.partition(":")[0], str(Path.cwd())
    sys.path.insert(0, here)
    try:
        import_module(module)
    except ImportError as error:
        raise InputError(f"module {module!r} cannot be imported ({error}). Run in its folder, or install it.") from None
    except (Exception, SystemExit) as error:
        raise InputError(f"module {module!r} cannot be imported: it raises {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(here)
