"""A scheme of the user's own works wherever a built-in one does, and a bundle cannot make foreign code run."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import manygate as mg
from manygate.architecture import find_architecture
from manygate.testing import check_architecture
from own_schemes import Broken, Detached, Flat, Named, Never, Own, Twice

GUIDE = Path(__file__).parents[2] / "docs" / "questions" / "own-scheme.md"
TINY = {"epochs": 1, "replicas": 2, "expert_hidden": 8, "tower_hidden": 4, "threads": 1, "device": "cpu", "task": ["click", "like"]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with the guide's module in it, not imported yet."""
    text = re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    assert text is not None
    (tmp_path / "my_scheme.py").write_text(text[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("my_scheme", None)


@pytest.fixture
def log(log_table):
    return log_table(400)


def test_the_guides_scheme_has_at_most_twenty_lines_of_code() -> None:
    text = re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    assert text is not None
    lines = [line for line in text[1].partition("class ")[2].splitlines() if line.strip()]
    assert len(lines) <= 20


def test_in_a_comparison_with_replicas_report_and_gates_of_others(folder: Path, log) -> None:
    names = ["single_task", "my_scheme:ScaledBottom", "mmoe"]
    found = mg.compare(log, architectures=names, out="run", progress="none", match_parameters=6000, **TINY)
    assert list(found.results) == names
    assert set(found.verdicts) == {"my_scheme:ScaledBottom", "mmoe"}
    assert all(abs(result.network_parameters / 6000 - 1) <= 0.02 for result in found.results.values())
    assert "my_scheme:ScaledBottom" in (folder / "run" / "report.html").read_text(encoding="utf-8")
    assert (folder / "run" / "my_scheme.ScaledBottom" / "bundle" / "manifest.json").is_file()


def test_the_class_itself_is_taken_in_python_and_comes_back_from_a_bundle(folder: Path, log) -> None:
    ranker = mg.Ranker(architecture=Own, **TINY).fit(log, out="run", progress="none")
    assert ranker.config.architecture == "own_schemes:Own"
    again = mg.Ranker.load("run")
    assert again.predict(log).equals(ranker.predict(log))


def test_a_bundle_does_not_import_what_it_names(folder: Path, log) -> None:
    mg.Ranker(architecture="my_scheme:ScaledBottom", **TINY).fit(log, out="run", progress="none")
    del sys.modules["my_scheme"]
    (folder / "my_scheme.py").write_text("raise SystemExit('ran')\n", encoding="utf-8")
    with pytest.raises(mg.InputError, match=re.escape("module 'my_scheme' is not imported. Import it first.")):
        mg.Ranker.load("run")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("no_such_module:Mine", "module 'no_such_module' cannot be imported"),
        ("my_scheme:Missing", "'Missing' in 'my_scheme' is no subclass of manygate.Architecture"),
        ("my_scheme:nn", "'nn' in 'my_scheme' is no subclass"),
        ("own_schemes:Unfinished", "Unfinished does not define build, forward, shared_parameters"),
        ("mmoee", "Did you mean 'mmoe'"),
        ("os:", "is unknown"),
        ("a b:C", "is unknown"),
    ],
)
def test_names_that_lead_nowhere(folder: Path, log, name: str, problem: str) -> None:
    with pytest.raises(mg.InputError, match=re.escape(problem)):
        mg.Ranker(architecture=name, **TINY).fit(log, progress="none")


@pytest.mark.parametrize(
    ("scheme", "problem"),
    [
        (Named, "returns 'bottom', which is not a module of the scheme"),
        (Never, "calls 0 times"),
        (Twice, "calls 2 times"),
        (Detached, "has no gradient"),
    ],
)
def test_a_false_shared_layer_is_named_before_training(scheme, problem, log) -> None:
    with pytest.raises(mg.InputError, match=f"{scheme.__name__}.shared_layer .*{problem}"):
        mg.Ranker(task=["click"], architecture=scheme, epochs=1).fit(log, progress="none")
    with pytest.raises((mg.InputError, AssertionError), match=problem):
        check_architecture(scheme)


def test_a_class_inside_a_function_cannot_be_found_again() -> None:
    class Local(Own):
        pass

    with pytest.raises(mg.InputError, match="at the top of its module"):
        find_architecture(f"{__name__}:{Local.__qualname__}")


@pytest.mark.parametrize(("scheme", "problem"), [(Flat, "raises RuntimeError"), (Broken, "raises KeyError: 'inside'")])
def test_a_scheme_that_fails_is_named_before_training(scheme: type[mg.Architecture], problem: str, folder: Path, log) -> None:
    with pytest.raises(mg.InputError, match=f"{scheme.__name__}: {problem}.*check_architecture"):
        mg.Ranker(architecture=scheme, **TINY).fit(log, out="run", progress="none")
    assert not (folder / "run").exists()


class Surplus(Own):
    """Returns a representation more than there are tasks, which the towers would leave out or broadcast."""

    def forward(self, x_BD):
        h_BTH = super().forward(x_BD)
        return torch.cat([h_BTH, h_BTH[:, :1]], dim=1)


class ManyForOne(Own):
    """A model for each task that returns a representation for every task."""

    one_model_per_task = True


@pytest.mark.parametrize(
    ("scheme", "shape"), [(Surplus, r"expected \(rows, 2, width\)"), (ManyForOne, r"expected \(rows, 1, width\)")]
)
def test_another_number_of_representations_is_refused_before_training(log_table, scheme, shape):
    with pytest.raises(mg.InputError, match=rf"{scheme.__name__}: forward returns the shape .*{shape}"):
        mg.Ranker(task=["click", "like:where=click==1"], architecture=scheme, ignore="watch", epochs=1).fit(log_table())
