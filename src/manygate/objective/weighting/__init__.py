"""Per-task losses to one objective, one method per file."""

import torch

from manygate.config import TrainConfig
from manygate.errors import InputError
from manygate.objective.weighting.aligned_mtl import AlignedMTL
from manygate.objective.weighting.base import Given, Seen, Weighting
from manygate.objective.weighting.cagrad import CAGrad
from manygate.objective.weighting.dualproj import DualProj
from manygate.objective.weighting.dwa import DynamicWeightAverage
from manygate.objective.weighting.fairgrad import FairGrad
from manygate.objective.weighting.famo import FAMO
from manygate.objective.weighting.fixed import Fixed
from manygate.objective.weighting.gradnorm import GradNorm
from manygate.objective.weighting.gradvac import GradVac
from manygate.objective.weighting.imtl_g import IMTLG
from manygate.objective.weighting.mgda import MGDA
from manygate.objective.weighting.nash_mtl import NashMTL
from manygate.objective.weighting.pcgrad import PCGrad
from manygate.objective.weighting.random import RandomWeights
from manygate.objective.weighting.schedule import Schedule
from manygate.objective.weighting.shared import shared_gramian
from manygate.objective.weighting.uncertainty import Uncertainty
from manygate.objective.weighting.upgrad import UPGrad

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
        raise InputError(f"weighting {name!r}: {problem}" for problem in error.marked) from None


def build_weighting(given: Given) -> Weighting:
    """The run's weighting; a model of one task has no other to be weighed against, and every weighting is ``fixed`` there."""
    name = given.config.weighting if given.weight_MT.shape[1] > 1 else "fixed"
    return WEIGHTINGS[name](given)


__all__ = ["WEIGHTINGS", "Given", "Seen", "Weighting", "build_weighting", "check_weighting", "shared_gramian"]
