"""Which settings an architecture reads, found by building it."""

from __future__ import annotations

import pytest

from manygate.config import RunConfig
from manygate.config.names import ARCHITECTURES
from manygate.data.rows import Input
from manygate.model.problem import Problem
from manygate.runs.tuning.reads import NEEDS, Recorder, settings_read

INPUTS = (Input("id", "sparse", False, rows=9, dim=8, can_be_unseen=True), Input("x", "dense", False, units=3))
PROBLEM = Problem.binary(INPUTS, tasks=2)
COMMON = {"dim", "dropout", "id_dropout", "tower_hidden", "lower_hidden"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_reads_what_all_do(architecture: str) -> None:
    config = RunConfig(architecture=architecture, lower_hidden=() if architecture in ("stem", "pepnet") else (4,))
    assert settings_read(PROBLEM, config) >= COMMON


@pytest.mark.parametrize(
    ("architecture", "own"),
    [
        ("mmoe", {"experts", "expert_hidden", "gate"}),
        ("ple", {"experts", "levels", "shared_experts"}),
        ("l2_constrained", {"l2_alpha", "bottom_hidden"}),
        ("cross_stitch", {"stitch_rate"}),
        ("pepnet", {"gate_hidden"}),
        ("tensor_factorization", {"tucker_ranks", "tucker_init"}),
    ],
)
def test_a_setting_of_one_scheme_is_read_by_it_alone(architecture: str, own: set[str]) -> None:
    assert settings_read(PROBLEM, RunConfig(architecture=architecture)) >= own
    assert not own - {"experts", "expert_hidden"} & settings_read(PROBLEM, RunConfig(architecture="shared_bottom")) - {
        "bottom_hidden"
    }


def test_widths_of_experts_are_not_read_where_the_bottom_has_its_own() -> None:
    matched = settings_read(PROBLEM, RunConfig(architecture="shared_bottom"))
    given = settings_read(PROBLEM, RunConfig(architecture="shared_bottom", bottom_hidden=(8,)))
    assert matched - given == {"experts", "expert_hidden"}


def test_what_the_log_does_not_have_is_not_read() -> None:
    without = Problem.binary((Input("x", "dense", False, units=3),), tasks=2)
    assert not {"dim", "id_dropout", "bias_dropout", "funnel"} & settings_read(without, RunConfig())
    bias = Problem.binary((*INPUTS, Input("position", "sparse", True, rows=4, dim=8)), tasks=2)
    assert "bias_dropout" in settings_read(bias, RunConfig())


def test_a_recorder_reads_like_a_configuration() -> None:
    config = RunConfig(batch_size=7, seed=3)
    recorder = Recorder(config)
    assert (recorder.batch_rows, recorder.seed_of(2), recorder.title) == (7, 5, "mmoe")
    assert recorder.read == {"batch_size", "seed", "replica_seeds", "architecture", "weighting"}
    assert recorder.replace(seed=4).seed == 4


def test_the_needs_name_settings() -> None:
    for name, (other, values) in NEEDS.items():
        assert name in RunConfig.model_fields
        for value in values:
            assert getattr(RunConfig(**{other: value}), other) == value
