"""Test that logits computed in slices equal the logits of all rows at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from manygate.data.batches import Split
from manygate.model import MultiTaskModel, logits
from manygate.model.logits import predict
from manygate.model.problem import Problem


@pytest.mark.parametrize("rows_at_once", [1, 10_000])
def test_slices_give_every_row_in_order(encoded, trainer, settings, monkeypatch, rows_at_once: int):
    """A slice has at least 256 rows, so 300 training rows are two slices."""
    log = encoded()
    model, split = trainer(log, settings(replicas=2)).model, Split(log.parts["train"])
    assert len(split) > 256
    sizes = []
    slices = split.slices
    monkeypatch.setattr(split, "slices", lambda size: (sizes.append(size), slices(size))[1])
    monkeypatch.setattr(logits, "ROWS_AT_ONCE", rows_at_once)
    logit_RNT = predict(model, split)
    assert sizes == [max(rows_at_once // 2, 256)]
    whole = model.logits(split.take(torch.arange(len(split)))).detach().numpy()
    assert (logit_RNT.shape, logit_RNT.dtype) == ((2, len(split), 3), np.dtype(np.float32))
    np.testing.assert_allclose(logit_RNT, whole, rtol=1e-4, atol=1e-6)


def test_scoring_in_pieces_gives_the_same_scores(encoded, settings, monkeypatch):
    log = encoded()
    model = MultiTaskModel(Problem.of(log.encoder, settings()), settings(replicas=2))
    whole = predict(model, Split(log.parts["train"]))
    assert whole.shape == (2, len(log.parts["train"]), 3)
    assert whole.dtype == np.float32
    monkeypatch.setattr(logits, "ROWS_AT_ONCE", 0)  # the least: 256 rows
    np.testing.assert_allclose(predict(model, Split(log.parts["train"])), whole, rtol=1e-5, atol=1e-6)
