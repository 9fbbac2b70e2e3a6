"""Finds the files of manygate-serving: what the server and its command import, and what that imports in turn.

Imports inside functions count. Imports for type checkers alone do not, since they never run.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
PACKAGE = "manygate"
COMMAND, ROOM = "manygate.cli.serving_command", "manygate.serving"
DATA = ("py.typed", "serving/page.html")
DISTRIBUTIONS = {"yaml": "pyyaml"}
"""Distributions that do not have the name of their module."""
NOT_NEEDED = {"scipy"}
"""Only intervals of metrics need it, and a server has none. They import it when they are computed."""


class Closure(NamedTuple):
    """The files of the distribution, relative to :data:`SOURCE`, and the modules of other distributions that they import."""

    files: list[Path]
    modules: list[str]


def closure() -> Closure:
    """Follow the imports from the server and its command."""
    room = SOURCE.joinpath(*ROOM.split("."))
    waiting = [COMMAND, *(f"{ROOM}.{path.stem}" for path in room.glob("*.py") if path.stem != "__init__")]
    files: dict[str, Path] = {}
    modules: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name.partition(".")[0] != PACKAGE:
            modules.add(name.partition(".")[0])
            continue
        parts = name.split(".")
        for package in (".".join(parts[:size]) for size in range(1, len(parts) + 1)):
            path = _file_of(package)
            if path is not None and package not in files:
                files[package] = path.relative_to(SOURCE)
                waiting += imports(path.read_text(encoding="utf-8"))
    data = [Path(PACKAGE, name) for name in DATA]
    return Closure(sorted([*files.values(), *data]), sorted(modules - sys.stdlib_module_names))


def imports(source: str) -> Iterator[str]:
    """Yield the names that a file imports when it runs.

    >>> list(imports("import a.b\\nfrom c import d\\nif TYPE_CHECKING:\\n    import e\\ndef f():\\n    import g"))
    ['a.b', 'c', 'c.d', 'g']
    """
    return _imports(ast.parse(source))


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports are not followed"
        yield str(node.module)
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    else:
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in node.orelse if for_types and isinstance(node, ast.If) else ast.iter_child_nodes(node):
            yield from _imports(child)


def _file_of(module: str) -> Path | None:
    path = SOURCE.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def project() -> dict[str, Any]:
    """Return the table ``project`` of the main pyproject.toml."""
    tree = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(tree["project"])


def dependencies() -> list[str]:
    """Return what the files need: the extra ``serve`` of manygate, and its own dependencies that they import.

    Raises ValueError if they import a module that neither names, or torch.
    """
    main = project()
    server = {_name(line): line for line in main["optional-dependencies"]["serve"]}
    known = {_name(line): line for line in main["dependencies"]} | server
    needed = {DISTRIBUTIONS.get(module, module.replace("_", "-")) for module in closure().modules} - NOT_NEEDED
    wrong = sorted(name for name in needed if name not in known or name == "torch")
    if wrong:
        raise ValueError(f"files of manygate-serving import {' and '.join(wrong)}")
    return sorted({known[name] for name in needed} | set(server.values()))


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower()
