"""GradVac: Wang, Tsvetkov, Firat & Cao, "Gradient Vaccine", ICLR 2021, section 3; by TorchJD."""

from typing import final

import numpy as np
import torch

from manygate.objective.weighting.base import Given
from manygate.objective.weighting.gramian import GramianWeighting, torchjd
from manygate.randomness import WEIGHTING, stream_seed


@final
class GradVac(GramianWeighting):
    """PCGrad with a target for each pair's cosine, the running mean of those seen, in place of 0; beta is 0.5, TorchJD's default.

    The targets are kept here, (M, T, T), so that a task without rows keeps its own and a resumed run goes on with them.
    """

    def __init__(self, given: Given):
        super().__init__(given)
        self.method = torchjd("GradVacWeighting")
        members, tasks = given.weight_MT.shape
        self.target_MTT = torch.zeros(members, tasks, tasks, dtype=torch.float64)
        self.state["target"] = self.target_MTT

    def solve(self, gramian_mTT: np.ndarray, members: np.ndarray, tasks: np.ndarray, step: int) -> np.ndarray:
        place, found = torch.from_numpy(tasks), []
        with torch.random.fork_rng(devices=[]):
            for m, gramian_TT in zip(members, torch.from_numpy(gramian_mTT), strict=True):
                torch.default_generator.manual_seed(stream_seed(WEIGHTING, *self.given.keys[m], step))
                self.method._phi_t = self.target_MTT[m][place.unsqueeze(1), place]
                self.method._state_key = len(tasks), torch.float64
                found.append(self.method(gramian_TT).numpy())
                self.target_MTT[m, place.unsqueeze(1), place] = self.method._phi_t
        return np.stack(found)
