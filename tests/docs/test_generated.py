"""docs/cli.md, docs/config.md and docs/schemas/ are what docs/generate.py writes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCHEMAS = [f"schemas/{name}.schema.json" for name in ("comparison", "inspection", "fusion-search", "study", "tuning", "census")]


@pytest.mark.parametrize("name", ["cli.md", "config.md", *SCHEMAS])
def test_page_is_up_to_date(generate: ModuleType, name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == generate.PAGES[name](), "run: make docs"


def test_every_schema_is_generated(generate: ModuleType) -> None:
    assert sorted(f"schemas/{path.name}" for path in (DOCS / "schemas").iterdir()) == sorted(SCHEMAS)
    assert set(SCHEMAS) < set(generate.PAGES)
