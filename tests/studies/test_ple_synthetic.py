"""The PLE study: its data and the sizes of its models; tests of studies run it end to end."""

from __future__ import annotations

import pytest

from manygate.model.budget import TOLERANCE, measure
from manygate.studies.ple_synthetic import BUDGET, FULL, QUICK


def test_the_models_have_equal_parameters():
    (sweeps,) = FULL.pilots().values()
    assert [sweep.name for sweep in sweeps] == ["single_task", "shared_bottom", "mmoe", "cgc", "ple"]
    for sweep in sweeps:
        config = sweep.config(FULL.protocol)
        size = measure(sweep.stream(FULL.protocol, [0]).problem, config.replace(replica_rates=()))
        assert size.parameters == pytest.approx(BUDGET, rel=TOLERANCE)
        if sweep.name == "mmoe":
            assert (size.parameters, config.experts, config.expert_hidden, config.tower_hidden) == (BUDGET, 8, (16,), (8,))
    assert BUDGET == 8 * (512 * 16 + 16) + 2 * 8 * 512 + 2 * (16 * 8 + 8 + 8 + 1)


def test_every_row_of_one_point_four_million_is_seen_once():
    assert FULL.lengths == [1_400_000 // 64]
    assert FULL.protocol.steps * FULL.protocol.batch == 1_400_000
    assert (FULL.protocol.tasks.inputs, FULL.protocol.tasks.scale, FULL.protocol.sines) == (512, 1.0, 10)
    assert FULL.correlations == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def test_runs_have_sines_of_their_own_and_labels_without_others():
    sweep = QUICK.pilots()["compared"][0]
    stream = sweep.stream(QUICK.protocol, [0, 1])
    assert stream.alpha_SM.shape == stream.beta_SM.shape == (2, 10)
    assert not (stream.alpha_SM[0] == stream.alpha_SM[1]).any()
    assert QUICK.rows(QUICK.protocol) < FULL.rows(FULL.protocol) / 200
    assert QUICK.label_correlations() == []
