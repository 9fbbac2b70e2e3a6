"""The tables of names: every entry leads to its class, a user's own class too, and a planted entry is seen everywhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import pytest
import torch

from manygate.architecture import Architecture, find_architecture
from manygate.config import RunConfig
from manygate.config.names import (
    ARCHITECTURES,
    CALIBRATIONS,
    COMPARED,
    WEIGHTINGS,
    CalibrationMethod,
    import_user_module,
)
from manygate.errors import InputError
from manygate.objective.weighting import Weighting, WeightingSetup, build_weighting, find_weighting

SCHEME = '''
import manygate as mg
from manygate.layers.experts import Experts


class Planted(mg.Architecture):
    """Every task reads the same bottom."""

    def __init__(self, inputs, tasks, hidden):
        super().__init__()
        self.tasks, self.output_width = tasks, hidden[-1]
        self.bottom = Experts(inputs, 1, hidden)

    @classmethod
    def build(cls, inputs, tasks, config):
        return cls(inputs.width, tasks, config.expert_hidden)

    def forward(self, x_BD):
        return self.bottom(x_BD)[0].expand(-1, self.tasks, -1)

    def shared_parameters(self):
        return list(self.bottom.parameters())
'''
PLANT = """
import importlib
import manygate.config
from manygate.config import model_settings, names, settings
names.ARCHITECTURES["planted"] = "planted_scheme:Planted"
for module in (model_settings, settings):
    importlib.reload(module)  # their help has the names
importlib.reload(manygate.config)
from manygate.cli.main import main
main()
"""


class Halves(Weighting):
    """Half of each fixed weight."""

    def weigh(self, loss_MT, context):
        return self.setup.weight_MT / 2


class Unfinished(Weighting):
    """Has no weigh."""


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_the_class_that_the_table_names(name: str) -> None:
    scheme = find_architecture(name)
    assert issubclass(scheme, Architecture)
    assert f"{scheme.__module__}:{scheme.__name__}" == ARCHITECTURES[name]
    assert getattr(sys.modules["manygate.architecture"], scheme.__name__) is scheme


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_every_weighting_is_the_class_that_the_table_names(name: str) -> None:
    weighting = find_weighting(name)
    assert f"{weighting.__module__}:{weighting.__name__}" == WEIGHTINGS[name]


def test_the_other_tables_fit_their_types() -> None:
    assert get_args(CalibrationMethod) == ("none", *CALIBRATIONS)
    assert set(COMPARED) <= set(ARCHITECTURES)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = sys.modules["manygate.architecture"].Nonsense


def test_the_names_load_neither_torch_nor_numpy() -> None:
    code = "import sys, manygate.config.names; print(sorted({'torch', 'numpy', 'manygate.architecture'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_weighting_of_the_user_s_own_is_named_by_its_class() -> None:
    config = RunConfig.build({"weighting": Halves})
    assert config.weighting == f"{__name__}:Halves"
    ones = torch.ones(2, 3)
    weighting = build_weighting(WeightingSetup(ones, ones, ones > 0, [(0,), (1,)], config))
    assert weighting.weigh(ones, None).tolist() == [[0.5] * 3] * 2  # type: ignore[arg-type]
    assert RunConfig.build({"weightings": ["fixed", Halves]}).weightings == ("fixed", f"{__name__}:Halves")
    with pytest.raises(InputError, match="Unfinished does not define weigh"):
        find_weighting(f"{__name__}:Unfinished")
    with pytest.raises(InputError, match=r"weighting 'json:loads': 'loads' in 'json' is no subclass of manygate\.objective"):
        find_weighting("json:loads")


def test_a_name_never_imports_a_foreign_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "foreign_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match="module 'foreign_module' is not imported"):
        find_architecture("foreign_module:Scheme")
    with pytest.raises(InputError, match="cannot be imported: it raises SystemExit"):
        import_user_module("foreign_module:Scheme")


def test_a_planted_entry_is_found_by_every_function(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("planted_module")
    monkeypatch.setitem(sys.modules, "planted_module", module)
    module.Halves = Halves  # type: ignore[attr-defined]
    monkeypatch.setitem(WEIGHTINGS, "halves", "planted_module:Halves")
    assert find_weighting("halves") is Halves
    assert RunConfig.build({"weightings": "all"}).weightings[-1] == "halves"
    with pytest.raises(InputError, match=re.escape("weighting 'halvs' is unknown. Did you mean 'halves'?")):
        RunConfig.build({"weighting": "halvs"})


def test_a_planted_scheme_is_in_the_help_in_a_comparison_and_in_its_report(tmp_path: Path, log_table) -> None:
    """One entry in the table and one file: nothing else of the package has to change."""
    (tmp_path / "planted_scheme.py").write_text(SCHEME)
    (tmp_path / "plant.py").write_text(PLANT)
    pq.write_table(log_table(400), tmp_path / "log.parquet")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    def manygate(*arguments: str) -> str:
        command = [sys.executable, str(tmp_path / "plant.py"), *arguments]
        environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "400"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "planted" in manygate("train", "--help")
    assert "planted" in manygate("architectures")
    settings = (
        "--epochs",
        "1",
        "--batch-size",
        "1024",
        "--threads",
        "1",
        "--expert-hidden",
        "8",
        "--tower-hidden",
        "4",
        "--progress",
        "none",
    )
    told = manygate(
        "compare", "log.parquet", "--task", "click", "--architectures", "single_task,planted", *settings, "--out", "run"
    )
    assert "planted" in told
    document = json.loads((tmp_path / "run" / "comparison.json").read_text())
    assert document["architectures"] == ["single_task", "planted"]
    assert set(document["verdicts"]["planted"]) == {"click"}
    assert "planted" in (tmp_path / "run" / "report.html").read_text()
