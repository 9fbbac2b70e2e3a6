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

# Lowest first. A module imports from its own line and from the lines above it, and never from below.
LAYERS = (
    ("errors", "interrupt", "progress", "noise", "memory", "product", "recording"),
    ("schema", "metrics", "pareto", "files", "layers"),
    ("config", "checkpoint", "gate", "ranking", "calibration", "fusion", "paired"),
    ("data", "datasets", "report", "transfer"),
    ("ordinal", "targets"),
    ("loss",),
    ("flags", "terminal", "recommendation", "embedding", "tower", "mixture", "funnel"),
    ("architecture", "weighting"),
    ("model",),
    ("optimizer", "evaluate", "bundle", "budget", "testing", "fusion_search"),
    ("predict", "scores"),
    ("inspection",),
    ("train",),
    ("packs",),
    ("run",),
    ("weight_sweep",),
    ("comparison",),
    ("studies",),
    ("ranker",),
    ("commands",),
    ("cli", "__init__"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
# Conveniences that point up, inside a function: (module, imported).
UPWARD = {("schema", "data.infer")}
# Within one line, who may import whom.
BESIDE = {
    "data": {"data"},
    "datasets": {"datasets"},
    "report": {"report"},
    "studies": {"studies"},
    "inspection": {"inspection"},
    "commands": {"commands"},
    "architecture": {"architecture"},
    "weighting": {"weighting"},
    "recording": {"recording"},
    "scores": {"predict"},
    "bundle": set(),
}
NO_TORCH = (
    "errors",
    "memory",
    "schema",
    "metrics",
    "pareto",
    "paired",
    "transfer",
    "recommendation",
    "config",
    "ranking",
    "calibration",
    "fusion",
    "fusion_search",
    "flags",
    "files",
    "progress",
    "interrupt",
    "terminal",
    "cli",
    "__init__",
)


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


def test_every_module_has_a_layer():
    assert {name.partition(".")[0] for name in FILES} == set(RANK)


@pytest.mark.parametrize("name", sorted(set(FILES) - {"__init__"}))
def test_imports_point_one_way(name):
    home = name.partition(".")[0]
    for module, at_top in imports(name):
        if not module.startswith("manygate"):
            continue
        target = module.removeprefix("manygate").removeprefix(".") or "__init__"
        if (name, target) in UPWARD and not at_top:
            continue
        other = target.partition(".")[0]
        assert RANK[other] < RANK[home] or other in BESIDE.get(home, ()), f"{name} imports {target}"


def test_within_data_and_architecture_no_cycles():
    for package in ("data", "datasets", "report", "architecture", "weighting"):
        graph = {
            name: {module.removeprefix("manygate.") for module, _ in imports(name)} & set(FILES)
            for name in FILES
            if name.startswith(f"{package}.") and not name.endswith("__init__")
        }
        done: set[str] = set()
        while ready := {name for name in graph if name not in done and graph[name] & set(graph) <= done}:
            done |= ready
        assert done == set(graph), f"a cycle among {sorted(set(graph) - done)}"


def test_light_modules_do_not_import_torch():
    light = [name for name in FILES if name in NO_TORCH or name.startswith(("data.", "datasets.", "report."))]
    light.remove("data.batches")
    assert len(light) > 15
    heavy = [name for name in light if any(module.partition(".")[0] == "torch" for module, _ in imports(name))]
    assert heavy == []


def test_no_utils():
    assert [name for name in FILES if re.search(r"(^|\.)(utils?|helpers?|common|misc)$", name)] == []


def test_nothing_names_a_pickler():
    banned = re.compile(
        r"(?i)\b(c?pickle|cloudpickle|dill|joblib|shelve|marshal)\b|torch\.(load|save)\b|allow_pickle|jit\.(load|save)|read_pickle"
    )
    # data/table.py names pickle to say, of a file it refuses, what it looks like; docstrings say that there is none.
    allowed = {("data.table", 'b"\\x80\\x04": "pickle",'), ("data.table", 'b"\\x80\\x05": "pickle",')}
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
        "heavy = {'torch', 'pandas', 'pyarrow', 'matplotlib', 'polars', 'sklearn', 'narwhals', 'safetensors'}\n"
        "print('import', sorted(heavy & set(sys.modules)))\n"
        "sys.argv = ['manygate', '--help']\n"
        "from manygate.cli import main\n"
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
