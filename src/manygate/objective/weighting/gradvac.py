"""GradVac: Wang, Tsvetkov, Firat & Cao, "Gradient Vaccine", ICLR 2021, section 3; by TorchJD."""

from typing import final

import numpy as np
import torch

from manygate.objective.weighting.base import WeightingSetup
from manygate.objective.weighting.gramian import GramianWeighting, torchjd
from manygate.randomness import WEIGHTING, stream_seed


@final
class GradVac(GramianWeighting):
    """PCGrad with another target for the cosine of each pair of gradients: its running mean in place of 0.

    beta of the running mean is 0.5, TorchJD's default. This class holds the targets, (M, T, T). So a task without rows keeps its
    targets, and a resumed run continues with them.
    """

    def __init__(self, setup: WeightingSetup):
        super().__init__(setup)
        self.method = torchjd("GradVacWeighting")
        members, tasks = setup.weight_MT.shape
        self.target_MTT = torch.zeros(members, tasks, tasks, dtype=torch.float64)
        self.state["target"] = self.target_MTT

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        index_T, weights = torch.from_numpy(tasks), []
        with torch.random.fork_rng(devices=[]):
            for m, gramian_TT in zip(members, torch.from_numpy(gramian_mTT), strict=True):
                torch.default_generator.manual_seed(stream_seed(WEIGHTING, *self.setup.keys[m], step))
                self.method._phi_t = self.target_MTT[m][index_T.unsqueeze(1), index_T]
                self.method._state_key = len(tasks), torch.float64
                weights.append(self.method(gramian_TT).numpy())
                self.target_MTT[m, index_T.unsqueeze(1), index_T] = self.method._phi_t
        return np.stack(weights)
