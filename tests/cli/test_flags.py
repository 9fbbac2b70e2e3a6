"""Flags, files of settings, and which of them wins."""

from __future__ import annotations

from pathlib import Path

from command_line import Run, refused
from manygate.cli.flags import CompareFlags, CsvFlags, DataFlags, ModelFlags, TrainFlags, resolve, settings_of
from manygate.config import CsvConfig, DataConfig, ModelConfig, TrainConfig


def test_flags_override_the_file(run: Run, log: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(f"log: {log}\nexperts: 3\nreplicas: 2\nlearning_rate: 0.01\nexpert_hidden: [16, 8]\n")
    config = run("train --config run.yaml", "--experts 2 --epochs 1 --threads 1 --progress none --json").json["config"]
    assert (config["experts"], config["replicas"], config["learning_rate"]) == (2, 2, 0.01)
    assert (config["expert_hidden"], config["epochs"], config["log"]) == ([16, 8], 1, str(log))


def test_unknown_keys_of_a_file(run: Run, log: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("expert: 3\nreplica: 2\n")
    refused(run("compare", log, "--config run.yaml"), "run.yaml", "expert", "'experts'", "replica", "'replicas'", "2 problems")
    (tmp_path / "broken.yaml").write_text("experts: [3\n")
    refused(run("compare", log, "--config broken.yaml"), "broken.yaml:", "not valid YAML")


def test_only_flags_that_were_given_count(tmp_path: Path) -> None:
    given = settings_of(DataFlags(fractions="0.6, 0.2,0.2"), ModelFlags(experts=3), None)
    assert given == {"fractions": ["0.6", "0.2", "0.2"], "experts": 3}
    (tmp_path / "run.yaml").write_text("experts: 5\ndim: 4\n")
    config = resolve(tmp_path / "run.yaml", given)
    assert (config.experts, config.dim, config.fractions) == (3, 4, (0.6, 0.2, 0.2))


def test_every_setting_is_a_flag_and_comparisons_have_eight_replicas() -> None:
    for settings, flags in ((ModelConfig, ModelFlags), (TrainConfig, TrainFlags), (CsvConfig, CsvFlags)):
        assert list(flags.model_fields) == list(settings.model_fields)
    assert list(CsvFlags.model_fields) + list(DataFlags.model_fields) == list(DataConfig.model_fields)
    assert (TrainFlags().replicas, CompareFlags().replicas) == (1, 8)
    assert ModelFlags().expert_hidden == "64", "lists are shown in their short form"
