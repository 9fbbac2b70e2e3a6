"""The Python of the README and of the quickstart runs in a fresh notebook kernel, and completion helps there."""

from __future__ import annotations

import inspect
import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from manygate.config import RunConfig
from snippets import ROOT, blocks

SHORT_RUNS = """
from manygate.config import RunConfig

_build = RunConfig.build.__func__

def _quick(cls, settings, where="settings"):
    given = {"architectures": ("single_task", "mmoe"), "experts": 2, "threads": 1, "device": "cpu", **settings}
    return _build(cls, {**given, "epochs": 1, "replicas": min(int(settings.get("replicas", 2)), 2)}, where)

RunConfig.build = classmethod(_quick)
"""


@pytest.fixture(autouse=True)
def fresh_kernel(reader: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel of this interpreter, whose own files lie in a folder of the test."""
    kernel = tmp_path / "jupyter" / "kernels" / "manygate"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "manygate", "language": "python"}))
    for name in ("JUPYTER_PATH", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def run_notebook(codes: list[str], folder: Path) -> nbformat.NotebookNode:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in [SHORT_RUNS, *codes]])
    client = NotebookClient(notebook, timeout=300, kernel_name="manygate", resources={"metadata": {"path": str(folder)}})
    return client.execute()


def python_of(page: Path) -> list[str]:
    return [block.text for block in blocks(page) if block.kind == "python" and block.mark != "skip"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_python_of_the_readme_runs_in_a_notebook(reader: Path) -> None:
    done = run_notebook([*python_of(ROOT / "README.md"), "scores", "comparison"], reader)
    shown = [output["data"] for cell in done.cells[-2:] for output in cell.outputs if "data" in output]
    assert (reader / "report.html").is_file()
    assert "click" in shown[0]["text/plain"]
    assert "<table" in shown[1]["text/html"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_python_of_the_quickstart_runs_in_a_notebook(reader: Path, shell) -> None:
    shell("manygate schema log.parquet --task click --task like:where=click==1 --ignore buy --ignore watch_time --out schema.yaml")
    done = run_notebook([*python_of(ROOT / "docs" / "quickstart.md"), "scores"], reader)
    assert (reader / "bundle" / "manifest.json").is_file()
    assert "click" in done.cells[-1].outputs[-1]["data"]["text/plain"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_completion_lists_the_public_names_and_the_arguments() -> None:
    manager, client = start_new_kernel(kernel_name="manygate")
    try:
        client.execute_interactive("import manygate as mg", timeout=60)
        names = client.complete("mg.", reply=True, timeout=60)["content"]["matches"]
        assert {"mg.Ranker", "mg.compare", "mg.inspect", "mg.Schema"} <= {
            name if name.startswith("mg.") else f"mg.{name}" for name in names
        }
        arguments = client.complete("mg.compare(", reply=True, timeout=60)["content"]["matches"]
        assert {"log=", "valid=", "schema=", "out=", "resume="} <= set(arguments)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_signatures_list_the_settings() -> None:
    import manygate as mg

    settings = set(RunConfig.model_fields) - {"log", "config_version", "valid", "test"}
    for function in (mg.Ranker, mg.compare):
        common = settings - {"architecture", "architectures", "weightings", "baselines", "weight_sweep", "id_dropouts", "tune"}
        assert not common - set(inspect.signature(function).parameters), "a notebook completes what the signature lists"
