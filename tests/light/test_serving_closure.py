"""The files and the dependencies of manygate-serving, as the sources have them."""

from __future__ import annotations

import ast

import pytest
import serving_closure
from serving_closure import ROOT, SOURCE, closure, dependencies, project

HEAVY = {"torch", "rich", "cyclopts", "matplotlib", "safetensors", "jinja2"}


def test_no_file_imports_what_is_heavy() -> None:
    assert not HEAVY & set(closure().modules)


def test_the_closure_has_the_server_and_its_command_and_no_training() -> None:
    files = {path.as_posix() for path in closure().files}
    server = {path.relative_to(SOURCE).as_posix() for path in (SOURCE / "manygate" / "serving").iterdir() if path.is_file()}
    assert server < files
    assert {"manygate/cli/serving_command.py", "manygate/py.typed", "manygate/scoring/score_file.py"} < files
    assert not [path for path in files if path.split("/")[1] in ("training", "model", "export", "ranker", "kernels")]
    assert len(files) < 120


def test_every_import_of_a_file_is_in_the_closure() -> None:
    files = closure().files
    packages = {path.parent.as_posix().replace("/", ".") for path in files} | {
        path.with_suffix("").as_posix().replace("/", ".") for path in files
    }
    for path in files:
        if path.suffix == ".py":
            for node in ast.parse((SOURCE / path).read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ImportFrom) and str(node.module).startswith("manygate"):
                    assert node.module in packages, f"{path} imports {node.module}"


def test_dependencies_have_the_bounds_of_manygate() -> None:
    main = project()
    assert set(main["optional-dependencies"]["serve"]) < set(dependencies())
    assert set(dependencies()) < {*main["dependencies"], *main["optional-dependencies"]["serve"]}
    assert "scipy" not in " ".join(dependencies())
    text = (ROOT / "packaging" / "serving" / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version", "dependencies"]' in text


def test_a_heavy_import_stops_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_closure, "ROOM", "manygate.training")
    with pytest.raises(ValueError, match=r"import .*torch"):
        dependencies()
