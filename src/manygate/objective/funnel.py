"""The losses of a funnel: tasks that are defined only where an earlier task happened.

Shape suffixes: M members, B rows of a batch, T tasks, J tasks that come after another. ``o`` is 1 where the earlier step happened.

    p_t           P(t | the step before happened). Every method predicts it.
    joint p_t     p_t times the joint probability of the step before. It is P(t) on any impression.

The setting ``funnel`` chooses how a task after another is trained:

- ``conditional``: The task has its own loss on the rows where the step before happened, like any task with a sample space.
- ``esmm`` (Ma et al., "Entire Space Multi-Task Model", SIGIR 2018, equation 3): The loss is the cross-entropy of the joint
  probability on all rows.
- ``aitm`` (Xi et al., "Modeling the Sequential Dependence among Audience Multi-step Conversions", KDD 2021): The tower of a step
  passes its representation to the tower of the next step (:class:`manygate.layers.tower.Transfer`). Each logit is the logit of the
  joint probability. A calibrator penalises a later step that is more probable than an earlier step (equations 7 and 9).
- ``escm2_ipw``, ``escm2_dr`` (Wang et al., "ESCM2: Entire Space Counterfactual Multi-Task Model", SIGIR 2022): The conditional
  loss is weighted by the inverse propensity (``ipw``), or it is doubly robust with a tower that imputes the loss (``dr``). The loss
  of ESMM is added.

A regression has no joint probability. ``esmm`` and ``aitm`` train it by its conditional loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from manygate.config import RunConfig
from manygate.model.targets import Targets
from manygate.objective.loss import Losses, weighted_mean


def joint_labels(label_MBT: Tensor, weight_MBT: Tensor, steps: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Return the labels and weights of the joint events, both of the shape of ``label_MBT``.

    ``steps`` holds pairs (task, the task before it), the first steps of a funnel first. The joint label is 0 where the step before
    did not happen. It is unknown (weight 0) where the step before is unknown, or where the step happened and the label is unknown.

    >>> label, weight = torch.tensor([[[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]]), torch.tensor([[[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]]])
    >>> joint, known = joint_labels(label, weight, [(1, 0)])
    >>> joint[0, :, 1].tolist(), known[0, :, 1].tolist()
    ([1.0, 0.0, 0.0], [1.0, 0.0, 1.0])
    """
    labels, weights = list(label_MBT.unbind(-1)), list(weight_MBT.unbind(-1))
    for t, after in steps:
        happened_MB = labels[after] == 1
        labels[t] = torch.where(happened_MB, labels[t], 0.0)
        weights[t] = torch.where(happened_MB, weights[t], weights[after])
    return torch.stack(labels, dim=-1), torch.stack(weights, dim=-1)


def joint_cross_entropy(log_p: Tensor, label: Tensor) -> Tensor:
    """Return -y log p - (1 - y) log(1 - p) for each element. ``log_p`` is the logarithm of the probability, and is below 0.

    >>> joint_cross_entropy(torch.tensor([0.25]).log(), torch.tensor([0.0]))
    tensor([0.2877])
    """
    log_p = log_p.clamp(max=-1e-7)
    log_not = torch.where(log_p > -0.6931, (-torch.expm1(log_p)).log(), torch.log1p(-log_p.exp()))
    return -label * log_p - (1 - label) * log_not


class FunnelLosses:
    """Computes each task's loss in a funnel, loss_MT, and whether the batch has rows of the task, present_MT.

    ``losses`` computes the loss of a task that comes after none. With ``escm2_dr`` the model's outputs beyond the T-th are the
    imputed losses, one for each task that comes after another, in the order of ``targets.steps``.
    """

    def __init__(self, losses: Losses, targets: Targets, config: RunConfig):
        self.losses, self.steps, self.config = losses, targets.steps, config
        self.tasks = losses.tasks

    def __call__(
        self, output_MBO: Tensor, label_MBT: Tensor, weight_MBT: Tensor, group_MB: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        loss_MT = self.losses(output_MBO, label_MBT, weight_MBT, group_MB)
        present_MT = (weight_MBT.sum(dim=1) > 0).expand_as(loss_MT)
        if self.config.funnel == "conditional" or not self.steps:
            return loss_MT, present_MT
        joint_label, joint_weight = joint_labels(label_MBT, weight_MBT, self.steps)
        logit_MBT = output_MBO[..., : len(self.tasks)].float()
        log_p = self._joint_log_probabilities(logit_MBT)
        row_MBT = self.losses.rows(output_MBO, label_MBT)
        losses, present = list(loss_MT.unbind(-1)), list(present_MT.unbind(-1))
        for j, (t, after) in enumerate(self.steps):
            joint = _Joint(log_p[t], joint_label[..., t], joint_weight[..., t])
            if self.config.funnel in ("esmm", "aitm"):
                if self.tasks[t].kind == "binary":
                    present[t] = joint.present(len(logit_MBT))
                    calibrator = self._calibrator(log_p[t], log_p[after], joint_weight[..., after])
                    losses[t] = joint.cross_entropy() + calibrator * present[t]
                continue
            imputed = output_MBO[..., len(self.tasks) + j].float() if self.config.funnel == "escm2_dr" else None
            losses[t] = self.config.escm2_weight * self._counterfactual(
                row_MBT[..., t], weight_MBT[..., t], log_p[after], joint_weight[..., t], imputed
            )
            if self.tasks[t].kind == "binary":
                losses[t] = losses[t] + self.config.escm2_joint_weight * joint.cross_entropy()
                present[t] = joint.present(len(logit_MBT))
        return torch.stack(losses, dim=-1), torch.stack(present, dim=-1)

    def _joint_log_probabilities(self, logit_MBT: Tensor) -> list[Tensor]:
        """Return log joint p_t of each task, (M, B). AITM's logits are those of the joint probability already."""
        log_p = list(F.logsigmoid(logit_MBT).unbind(-1))
        if self.config.funnel != "aitm":
            for t, after in self.steps:
                log_p[t] = log_p[t] + log_p[after]
        return log_p

    def _calibrator(self, log_p: Tensor, log_before: Tensor, weight: Tensor) -> Tensor | float:
        """Return the calibrator of AITM, equation 9: alpha times the mean of max(p_t - p_before, 0)."""
        if self.config.funnel != "aitm":
            return 0.0
        return self.config.calibrator_weight * _mean((log_p.exp() - log_before.exp()).clamp(min=0), weight)

    def _counterfactual(
        self, row_MB: Tensor, weight_MB: Tensor, log_before: Tensor, all_MB: Tensor, imputed_MB: Tensor | None
    ) -> Tensor:
        """Estimate the risk of task t on all rows whose label is known, from the rows where the step before happened.

        IPW (equation 6) is the mean over all rows of o loss / p. The doubly robust estimate (equations 9 to 11) is the mean of
        imputed + o (loss - imputed) / p. The mean of o (loss - imputed)^2 / p is added to it.

        Departures: The first term trains the task alone, and the second term trains the imputation alone. If both terms had both
        gradients, the square would pull the task's loss up to the imputed loss. Where the propensity p is below
        ``propensity_floor``, the imputation would then fall to minus infinity. So the task's gradient is the gradient of IPW, and
        the imputation acts through the layers that both share. p has no gradient and is at least the floor.
        """
        inverse_MB = 1 / log_before.detach().exp().clamp(min=self.config.propensity_floor)
        happened_MB = weight_MB > 0
        total_M1 = all_MB.sum(dim=1, dtype=torch.float64)
        total = total_M1.where(total_M1 > 0, 1.0)

        def mean_over_all(value_MB: Tensor, factor_MB: Tensor) -> Tensor:
            return ((value_MB * factor_MB).sum(dim=1, dtype=torch.float64) / total).float()

        if imputed_MB is None:
            return mean_over_all(row_MB * inverse_MB, weight_MB)
        constant_MB = imputed_MB.detach()
        task_error_MB = (row_MB - constant_MB).where(happened_MB, 0.0)
        imputation_error_MB = (row_MB.detach() - imputed_MB).where(happened_MB, 0.0)
        corrected = mean_over_all(constant_MB, all_MB) + mean_over_all(task_error_MB * inverse_MB, weight_MB)
        return corrected + mean_over_all(imputation_error_MB.square() * inverse_MB, weight_MB)


class _Joint:
    """Holds the log probability, label and weight of a joint event on each row, (M or 1, B)."""

    def __init__(self, log_p_MB: Tensor, label_MB: Tensor, weight_MB: Tensor):
        self.log_p_MB, self.label_MB, self.weight_MB = log_p_MB, label_MB, weight_MB

    def cross_entropy(self) -> Tensor:
        return _mean(joint_cross_entropy(self.log_p_MB, self.label_MB), self.weight_MB)

    def present(self, members: int) -> Tensor:
        return (self.weight_MB.sum(dim=1) > 0).expand(members)


def _mean(value_MB: Tensor, weight_MB: Tensor) -> Tensor:
    return weighted_mean(value_MB.unsqueeze(-1), weight_MB.unsqueeze(-1)).squeeze(-1)
