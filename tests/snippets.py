"""The pages of the documentation and the blocks of code in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?:<!-- (?P<mark>skip|file): (?P<what>.+?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
RUN = ("python", "bash", "console")
LINK = re.compile(r"\]\((?!https?:)(?P<target>[^)#]*)(?:#(?P<anchor>[^)]+))?\)")


class Block(NamedTuple):
    mark: str | None
    what: str | None
    kind: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(**m.groupdict(), line=text[: m.start("text")].count("\n") + 1) for m in BLOCK.finditer(text)]


def to_run(page: Path) -> list[Block]:
    return [b for b in blocks(page) if b.mark == "file" or (b.kind in RUN and b.mark != "skip")]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))
