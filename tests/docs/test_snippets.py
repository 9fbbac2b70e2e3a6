"""Every snippet of the README and the documentation runs, page by page and in order, as a reader would run it.

A block is left out only by a comment on the line before it: ``<!-- skip: REASON -->``. A block of YAML becomes a file by
``<!-- file: NAME -->``. Settings are cut to one epoch and two replicas.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from snippets import BLOCK, LINK, PAGES, ROOT, RUN, blocks, name_of, to_run


@pytest.mark.parametrize("page", [page for page in PAGES if to_run(page)], ids=name_of)
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_snippets_run(page: Path, reader: Path, shell: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(reader)
    names = {"__name__": "__snippet__"}
    for block in to_run(page):
        if block.mark == "file":
            assert block.what is not None
            (reader / block.what).write_text(block.text, encoding="utf-8")
        elif block.kind == "python":
            code = "\n" * (block.line - 1) + block.text
            exec(compile(code, name_of(page), "exec"), names)
        else:
            for line in block.text.replace("\\\n", " ").splitlines():
                if line.strip() and not line.lstrip().startswith("#"):
                    shell(line)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_are_of_a_known_kind(page: Path) -> None:
    for block in blocks(page):
        assert block.kind in (*RUN, "text", "yaml"), f"{name_of(page)}:{block.line}: say text if it is not to be run"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for match in LINK.finditer(page.read_text(encoding="utf-8")):
        target = (page.parent / match["target"]).resolve() if match["target"] else page
        assert target.exists(), f"{name_of(page)} links to {match['target']}"
        if match["anchor"]:
            titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M)
            anchors = [re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles]
            assert match["anchor"] in anchors, f"{name_of(page)} links to #{match['anchor']} of {target.name}"


def test_quickstart_fits_in_fifteen_lines() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Quickstart")[2].partition("\n## ")[0]
    lines = [line for m in BLOCK.finditer(section) for line in m["text"].splitlines() if line.strip()]
    assert 0 < len(lines) <= 15


def test_the_readmes_tree_names_every_room() -> None:
    tree = (ROOT / "README.md").read_text(encoding="utf-8").partition("src/manygate/\n")[2].partition("```")[0]
    package = ROOT / "src" / "manygate"
    rooms = {f"{path.name}/" if path.is_dir() else path.name for path in package.iterdir() if not path.name.startswith("__")}
    missing = {name for name in rooms - {"py.typed"} if f"  {name}" not in tree}
    assert not missing


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configs_run(config: Path, reader: Path, shell: Callable[[str], None]) -> None:
    verb = config.name.partition("-")[0].removesuffix(".yaml")
    assert f"manygate {verb} log.parquet --config configs/{config.name}" in config.read_text(encoding="utf-8")
    shell(f"manygate {verb} log.parquet --config {config} --out runs/shipped --progress none --json")
    assert (reader / "runs" / "shipped" / "report.html").is_file()
