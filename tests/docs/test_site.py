"""The site builds without a warning, its links lead somewhere, and its pages load nothing from outside."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
LOADING = {
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("video", "src"),
    ("image", "href"),
    ("use", "href"),
}


def load(name: str) -> ModuleType:
    """A script of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def need_mkdocs() -> None:
    """Skip where MkDocs is missing, and never where the continuous integration runs."""
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("mkdocstrings") is None:
        if os.environ.get("MANYGATE_REQUIRE_DOCS"):
            pytest.fail("MkDocs is missing: pip install --group docs")
        pytest.skip("MkDocs is missing: pip install --group docs")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly."""
    need_mkdocs()
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-3000:]
    return folder


class Page(HTMLParser):
    """The addresses that a page loads, those that it links to, and its anchors."""

    def __init__(self, path: Path):
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.loaded += [values[name] for known, name in LOADING if known == tag and name in values]
        if tag == "link" and values.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(values.get("href", ""))
        if tag == "a" and "href" in values:
            self.linked.append(values["href"])


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


def is_local(address: str) -> bool:
    return not urlsplit(address).scheme and not urlsplit(address).netloc


def test_pages_load_nothing_from_outside(pages: dict[Path, Page]) -> None:
    foreign = {path.name: [a for a in page.loaded if not (is_local(a) or a.startswith("data:"))] for path, page in pages.items()}
    assert not {name: addresses for name, addresses in foreign.items() if addresses}


def test_style_sheets_load_nothing_from_outside(site: Path) -> None:
    sheets = list(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"url\(\s*['\"]?(?:https?:)?//|@import", text), sheet.name


def test_no_page_makes_the_theme_load_a_diagram_library(pages: dict[Path, Page]) -> None:
    """The theme fetches Mermaid from a content delivery network when a page has a diagram of it, and from nowhere else."""
    assert not [path.name for path in pages if 'class="mermaid"' in path.read_text(encoding="utf-8")]


def test_links_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for address in filter(is_local, page.linked):
            split = urlsplit(address)
            target = (path.parent / unquote(split.path)).resolve() if split.path else path
            known = pages[target].anchors if target in pages else set()
            if not target.exists() or (split.fragment and target in pages and unquote(split.fragment) not in known):
                broken.append(f"{path.relative_to(site)}: {address}")
    assert not broken


def test_every_public_name_is_in_the_reference(pages: dict[Path, Page]) -> None:
    import manygate

    anchors = {anchor for path, page in pages.items() if path.parent.name == "api" for anchor in page.anchors}
    names = {f"manygate.{name}" for name in manygate.__all__} - {"manygate.datasets"}
    assert not names - anchors


def test_every_architecture_is_in_the_gallery(site: Path) -> None:
    from manygate.config.names import ARCHITECTURES

    assert set(load("gallery").schemes()) == set(ARCHITECTURES)
    assert {path.stem for path in (site / "schemes").glob("*.html")} == {*ARCHITECTURES, "index"}


def test_gallery_is_up_to_date() -> None:
    for path, content in load("gallery").files().items():
        assert path.read_text(encoding="utf-8") == content, f"{path.relative_to(ROOT)} is stale; run: make docs"


def test_pages_of_the_gallery_hold_the_committed_numbers() -> None:
    """By hand, from experiments/schemes/README.md, experiments/mmoe-synthetic/README.md and the benchmark of 2026-11-22."""
    page = (ROOT / "docs" / "schemes" / "ple.md").read_text(encoding="utf-8")
    assert "| click | 0.7807 AUC | -0.0075 | -0.0166 to +0.0017 | cannot tell |" in page
    assert "0.1133 ± 0.0081" in page
    assert "3.09 ms at batch 256" in page


def test_links_out_of_the_documentation_become_links_of_the_site() -> None:
    need_mkdocs()
    hooks = load("hooks")
    assert hooks.rewrite_links("[a](../experiments/census/README.md#income)", "quickstart.md") == "[a](evidence/census.md#income)"
    assert hooks.rewrite_links("[a](docs/schema.md)", "changelog.md") == "[a](schema.md)"
    assert hooks.rewrite_links("[a](../../docs/concepts.md#x)", "evidence/census.md") == "[a](../concepts.md#x)"
    assert hooks.rewrite_links("[a](../pyproject.toml), [b](https://doi.org/1)", "index.md") == "a, [b](https://doi.org/1)"
    assert hooks.rewrite_links("```text\n[a](../pyproject.toml)\n```", "index.md") == "```text\n[a](../pyproject.toml)\n```"


def test_docstrings_become_markdown() -> None:
    need_mkdocs()
    as_markdown = load("roles").as_markdown
    assert (
        as_markdown("See :class:`manygate.Ranker`, :mod:`manygate.files`.") == "See [`Ranker`][manygate.Ranker], `manygate.files`."
    )
    assert as_markdown("verdicts[a][b] and ``c[d][e]``") == "verdicts[a]\\[b] and ``c[d][e]``"
    assert as_markdown("One.\n\n>>> f(1)\n[2][0]\n\nTwo.") == "One.\n\n```pycon\n>>> f(1)\n[2][0]\n```\n\nTwo."


def test_pictures_are_light() -> None:
    pictures = sorted((ROOT / "docs" / "images").rglob("*.png"))
    assert pictures
    assert all(picture.stat().st_size < 400_000 for picture in pictures)
