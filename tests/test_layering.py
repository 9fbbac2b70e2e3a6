"""The shape of the package: imports point one way, light modules stay light, nothing is pickled."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import manygate

ROOT = Path(manygate.__file__).parent
FILES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted(ROOT.rglob("*.py"))}

# Lowest first, one line a room. A room imports from itself and from rooms of a lower number; rooms of one number do not import each
# other.
ROOMS = {
    "errors": 0,
    "text": 0,
    "randomness": 0,
    "kernels": 0,
    "files": 1,
    "results": 2,
    "schema": 3,
    "metrics": 3,
    "config": 4,
    "datasets": 4,
    "verdict": 4,
    "data": 5,
    "layers": 6,
    "architecture": 7,
    "model": 8,
    "objective": 9,
    "scoring": 9,
    "evaluation": 10,
    "export": 10,
    "inspection": 10,
    "serving": 10,
    "testing": 10,
    "training": 11,
    "report": 11,
    "baselines": 11,
    "runs": 12,
    "studies": 13,
    "ranker": 14,
    "cli": 15,
    "__init__": 15,
    "__main__": 16,
}
MOST_ENTRIES = 31
NO_TORCH = (
    "__init__",
    "cli",
    "config",
    "data",
    "datasets",
    "errors",
    "files",
    "metrics",
    "report",
    "results",
    "schema",
    "text",
    "verdict",
    "randomness",
    "scoring.calibration",
    "scoring.fusion",
    "scoring.exported_model",
    "scoring.fusion_search",
    "serving",
    "training.interrupt",
    "training.memory",
    "training.progress",
)
"""Rooms and modules that load without torch, but for those below."""
WITH_TORCH = ("data.batches", "data.file_split", "data.order", "randomness")


def imports(name: str) -> set[tuple[str, bool]]:
    """(imported module, whether at the top of the file); a name imported from a package counts as a module if it is one."""
    tree = ast.parse(FILES[name].read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            package = node.module or ""
            inner = [f"{package}.{alias.name}" for alias in node.names]
            known = {f"manygate.{file.removesuffix('.__init__')}" for file in FILES}
            modules = [module if module in known else package for module in inner]
        found |= {(module, node in tree.body) for module in modules}
    return found


def test_every_room_has_a_line():
    assert {name.partition(".")[0] for name in FILES} == set(ROOMS)
    assert len({path.name for path in ROOT.iterdir() if path.name not in ("py.typed", "__pycache__")}) <= MOST_ENTRIES


@pytest.mark.parametrize("name", sorted(set(FILES) - {"__init__"}))
def test_imports_point_one_way(name):
    room = name.partition(".")[0]
    for module, _ in imports(name):
        if module.partition(".")[0] != "manygate":
            continue
        other = module.removeprefix("manygate").removeprefix(".").partition(".")[0] or "__init__"
        assert ROOMS[other] < ROOMS[room] or other == room, f"{name} imports {module}"


def test_no_cycles_within_a_room():
    graph = {name.removesuffix(".__init__"): {module.removeprefix("manygate.") for module, _ in imports(name)} for name in FILES}
    done: set[str] = set()
    while ready := {name for name in graph if name not in done and (graph[name] & set(graph)) - {name} <= done}:
        done |= ready
    assert done == set(graph), f"a cycle among {sorted(set(graph) - done)}"


def test_light_modules_do_not_import_torch():
    light = [name for name in FILES if name.startswith(NO_TORCH) and name not in WITH_TORCH]
    assert len(light) > 60
    heavy = [name for name in light if any(at_top and module.partition(".")[0] == "torch" for module, at_top in imports(name))]
    assert heavy == []


def test_no_utils():
    assert [name for name in FILES if re.search(r"(^|\.)(utils?|helpers?|common|misc)$", name)] == []


def test_nothing_names_a_pickler():
    banned = re.compile(
        r"(?i)\b(c?pickle|cloudpickle|dill|joblib|shelve|marshal)\b|torch\.(load|save)\b|allow_pickle|jit\.(load|save)|read_pickle"
    )
    # data/formats/paths.py names pickle to say, of a file it refuses, what it looks like; docstrings say that there is none.
    allowed = {("data.formats.paths", 'b"\\x80\\x04": "pickle",'), ("data.formats.paths", 'b"\\x80\\x05": "pickle",')}
    found = set()
    for name, path in FILES.items():
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        quoted = {
            line
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        for number, line in enumerate(source.splitlines(), start=1):
            if banned.search(line) and number not in quoted:
                found.add((name, line.strip()))
    assert found == allowed


def test_everything_public_can_be_imported():
    assert sorted(manygate.__all__) == list(manygate.__all__)
    for name in manygate.__all__:
        assert getattr(manygate, name) is not None
    assert sorted(dir(manygate)) == sorted(manygate.__all__)
    assert set(manygate._HOMES) | {"datasets"} == set(manygate.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = manygate.nonsense


def test_help_and_import_load_nothing_heavy():
    script = (
        "import sys, manygate\n"
        "heavy = {'torch', 'pandas', 'pyarrow', 'scipy', 'matplotlib', 'polars', 'sklearn', 'narwhals', 'safetensors'}\n"
        "print('import', sorted(heavy & set(sys.modules)))\n"
        "sys.argv = ['manygate', '--help']\n"
        "from manygate.cli.main import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    pass\n"
        "print('help', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "import []" in done.stdout
    assert "help []" in done.stdout
    assert "compare" in done.stdout
