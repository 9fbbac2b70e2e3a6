"""Turns AITM's joint logits into conditional ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from manygate.model.targets import Targets

LARGEST_CONDITIONAL = 1 - 1e-6


def conditional_logits(logit_MBT: Tensor, targets: Targets) -> Tensor:
    """Turn AITM's joint logits into conditional logits: the logit of p_t / p_after, which is capped a little below 1.

    >>> conditional_logits(torch.logit(torch.tensor([[[0.5, 0.1]]])), Targets(((1, 0),), (True, True))).sigmoid()
    tensor([[[0.5000, 0.2000]]])
    """
    logits = list(logit_MBT.unbind(-1))
    for t, after in targets.steps:
        if targets.binary[t]:
            log_p = F.logsigmoid(logit_MBT[..., t].float()) - F.logsigmoid(logit_MBT[..., after].float())
            p = log_p.exp().clamp(max=LARGEST_CONDITIONAL)
            logits[t] = log_p.clamp(max=0) - torch.log1p(-p)
    return torch.stack(logits, dim=-1)
