"""Per-task losses to one objective, one method per file."""

import torch

from manygate.config import TrainConfig
from manygate.errors import InputError
from manygate.weighting.aligned_mtl import AlignedMTL
from manygate.weighting.base import Given, Seen, Weighting
from manygate.weighting.cagrad import CAGrad
from manygate.weighting.dualproj import DualProj
from manygate.weighting.dwa import DynamicWeightAverage
from manygate.weighting.fairgrad import FairGrad
from manygate.weighting.famo import FAMO
from manygate.weighting.fixed import Fixed
from manygate.weighting.gradnorm import GradNorm
from manygate.weighting.gradvac import GradVac
from manygate.weighting.imtl_g import IMTLG
from manygate.weighting.mgda import MGDA
from manygate.weighting.nash_mtl import NashMTL
from manygate.weighting.pcgrad import PCGrad
from manygate.weighting.random import RandomWeights
from manygate.weighting.schedule import Schedule
from manygate.weighting.shared import shared_gramian
from manygate.weighting.uncertainty import Uncertainty
from manygate.weighting.upgrad import UPGrad

WEIGHTINGS: dict[str, type[Weighting]] = {
    "fixed": Fixed,
    "schedule": Schedule,
    "uncertainty": Uncertainty,
    "dwa": DynamicWeightAverage,
    "random": RandomWeights,
    "famo": FAMO,
    "gradnorm": GradNorm,
    "pcgrad": PCGrad,
    "gradvac": GradVac,
    "cagrad": CAGrad,
    "mgda": MGDA,
    "nash_mtl": NashMTL,
    "fairgrad": FairGrad,
    "imtl_g": IMTLG,
    "aligned_mtl": AlignedMTL,
    "upgrad": UPGrad,
    "dualproj": DualProj,
}


def check_weighting(name: str, tasks: int, config: TrainConfig) -> None:
    """Raise an :class:`InputError` if the weighting of a name cannot be used here: what it is made of is not installed."""
    none = torch.zeros(1, tasks)
    try:
        build_weighting(Given(none, none, none > 0, [()], config.model_copy(update={"weighting": name})))
    except InputError as error:
        raise InputError(f"weighting {name!r}: {problem}" for problem in error.problems) from None


def build_weighting(given: Given) -> Weighting:
    """The run's weighting; a model of one task has no other to be weighed against, and every weighting is ``fixed`` there."""
    name = given.config.weighting if given.weight_MT.shape[1] > 1 else "fixed"
    return WEIGHTINGS[name](given)


__all__ = ["WEIGHTINGS", "Given", "Seen", "Weighting", "build_weighting", "check_weighting", "shared_gramian"]
