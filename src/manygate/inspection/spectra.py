"""This module measures how many of their dimensions the embedding tables use.

Shape suffixes: V rows of a table, D its width, K copies.

Guo et al., "On the Embedding Collapse When Scaling up Recommendation Models", ICML 2024: tables use a few dimensions only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manygate.data.rows import Input, Rows
from manygate.model import MultiTaskModel
from manygate.model.replicas import Member
from manygate.results.inspection import EmbeddingSpectrum, SingularValues, Spectrum


def effective_rank(value_D: np.ndarray) -> float:
    """Compute the effective rank: exp of the entropy of the singular values divided by their sum; 0 if all are zero.

    Roy & Vetterli, "The effective rank", EUSIPCO 2007.

    >>> round(effective_rank(np.array([1.0, 1.0, 0.0])), 6), effective_rank(np.array([0.0, 0.0]))
    (2.0, 0.0)
    """
    total = value_D.sum()
    if total <= 0:
        return 0.0
    share_D = value_D[value_D > 0] / total
    return float(np.exp(-(share_D * np.log(share_D)).sum()))


def spectrum(table_VD: np.ndarray, count_V: np.ndarray) -> Spectrum:
    """Compute the spectrum of the rows of a table that occur in the inspected rows: {seen, possible, plain, by_use}.

    ``plain`` and ``by_use`` are {rank, share, values}; ``by_use`` weights each row of the table by how often it occurs. ``rank`` is
    the effective rank. ``share`` is the rank divided by ``possible``, the smaller of the number of rows that occur and the width.
    ``values`` are the singular values divided by the largest. The rows are not centred: if all ids have embeddings of the same
    direction, the table has collapsed, too.
    """
    seen_VD, count = table_VD[count_V > 0].astype(np.float64), count_V[count_V > 0]
    possible = min(seen_VD.shape)
    weighted_VD = seen_VD * np.sqrt(count / max(count.sum(), 1))[:, None]
    return Spectrum(seen=len(seen_VD), possible=possible, plain=_values(seen_VD), by_use=_values(weighted_VD))


def _values(table_VD: np.ndarray) -> SingularValues:
    width, possible = table_VD.shape[1], min(table_VD.shape)
    if not possible:
        return SingularValues(rank=0.0, share=None, values=[])
    value_D = (
        np.sqrt(np.maximum(np.linalg.eigvalsh(table_VD.T @ table_VD)[::-1], 0.0))[:possible]
        if len(table_VD) > width
        else (np.linalg.svd(table_VD, compute_uv=False))
    )
    value_D = np.where(value_D > 1e-7 * value_D.max(initial=0.0), value_D, 0.0)
    rank = effective_rank(value_D)
    top = float(value_D.max(initial=0.0))
    return SingularValues(rank=rank, share=rank / possible, values=(value_D / top).tolist() if top > 0 else value_D.tolist())


def use_counts(rows: Rows, inputs: Sequence[Input]) -> dict[str, np.ndarray]:
    """Count how often each row of each feature's table is used, by feature; null and out-of-vocabulary included."""
    kinds = {kind: [i.name for i in inputs if i.kind == kind] for kind in ("sparse", "bag")}
    counts = {}
    for feature in inputs:
        if feature.kind == "sparse":
            counts[feature.name] = np.bincount(rows.id_BS[:, kinds["sparse"].index(feature.name)], minlength=feature.rows)
        elif feature.kind == "bag":
            counts[feature.name] = np.bincount(rows.bags[kinds["bag"].index(feature.name)][0], minlength=feature.rows)
    return counts


def embedding_report(model: MultiTaskModel, rows: Rows) -> list[EmbeddingSpectrum]:
    """Report the spectrum of each table of each replica: {replica, feature, of, dim, seen, possible, plain, by_use}.

    ``of`` is the task that owns the table, or ``shared``.
    """
    counts, report = use_counts(rows, model.problem.inputs), []
    copies, tasks = model.embedding.copies, model.problem.task_names
    for m, member in enumerate(model.members):
        for dim in model.embedding.dims:
            table_VD, start = model.parameters[f"embedding.{dim}"].detach()[:, m].cpu().numpy(), 0
            for feature in (i for i in model.embedding.chosen if i.dim == dim):
                feature_VKD = table_VD[start : start + feature.rows].reshape(feature.rows, copies, dim)
                start += feature.rows
                for k in range(copies):
                    owner = _owner(k, copies, tasks, member)
                    measures = spectrum(feature_VKD[:, k], counts[feature.name])
                    owned = {"replica": member.replica, "feature": feature.name, "of": owner, "dim": dim}
                    report.append(EmbeddingSpectrum(**owned, **dict(measures)))
    return report


def _owner(copy: int, copies: int, tasks: Sequence[str], member: Member) -> str:
    """Return the task that owns a copy of a table, or ``shared``. A member for one task owns its tables."""
    alone = tasks[member.reads[0]] if len(member.reads) < len(tasks) else ""
    owner = tasks[copy] if copy < copies - 1 else "shared"
    return f"{owner}, kept for {alone}" if alone and copies > 1 else alone or owner
