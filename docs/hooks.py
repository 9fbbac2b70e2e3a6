"""Hooks for MkDocs: pages that live outside docs/, links between them, and the marks of the snippet tests."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]+)?\)")
FILE_MARK = re.compile(r"^<!-- file: (?P<name>.+?) -->\n```(?P<kind>\w+)$", re.M)
SKIP_MARK = re.compile(r"^<!-- skip: .+? -->\n", re.M)


def outside_pages(root: Path = ROOT) -> dict[str, str]:
    """The pages of the site whose source is outside docs/: path in the site -> path in the repository."""
    pages = {f"{name.lower()}.md": f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY")}
    for page in sorted((root / "experiments").glob("*/README.md")):
        pages[f"evidence/{page.parent.name}.md"] = page.relative_to(root).as_posix()
    for page in sorted((root / "benchmarks" / "results").glob("*.md")):
        pages[f"evidence/{page.name}"] = page.relative_to(root).as_posix()
    return pages


def outside_files(root: Path = ROOT) -> dict[str, str]:
    """The pictures and reports that these pages show: path in the site -> path in the repository."""
    pictures = sorted((root / "benchmarks" / "results").glob("*.svg"))
    of_experiments = sorted(path for name in ("report.html", "*.svg") for path in (root / "experiments").glob(f"*/{name}"))
    names = {f"evidence/{path.name}": path for path in pictures} | {
        f"evidence/{path.parent.name}-{path.name}": path for path in of_experiments
    }
    return {site: path.relative_to(root).as_posix() for site, path in names.items()}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and files from outside docs/."""
    for site, source in {**outside_pages(), **outside_files()}.items():
        files.append(File.generated(config, site, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links between files of the repository into links between pages; show the name of a snippet that is a file."""
    markdown = FILE_MARK.sub(r'```\g<kind> title="\g<name>"', markdown)
    return rewrite_links(SKIP_MARK.sub("", markdown), page.file.src_uri)


def rewrite_links(markdown: str, site_path: str) -> str:
    """Point every relative link of a page at the site; a link to a file that the site lacks becomes plain text."""
    known = {**outside_pages(), **outside_files()}
    source = PurePosixPath(known.get(site_path, f"docs/{site_path}"))
    site_of = {repository: site for site, repository in known.items()}

    def rewrite(match: re.Match[str]) -> str:
        target = match["target"]
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = os.path.normpath(source.parent / target)
        if (ROOT / path).is_dir() and (ROOT / path / "README.md").is_file():
            path = f"{path}/README.md"
        if path.startswith("docs/"):
            destination = path.removeprefix("docs/")
        elif path in site_of:
            destination = site_of[path]
        else:
            return match["text"]
        relative = os.path.relpath(destination, PurePosixPath(site_path).parent)
        return f"{match['image']}[{match['text']}]({relative}{match['anchor'] or ''})"

    return rewrite_outside_code(markdown, rewrite)


def rewrite_outside_code(markdown: str, rewrite: Any) -> str:
    """Apply the rewriting to all text but fenced code."""
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.M | re.S)
    return "".join(part if part.startswith("```") else LINK.sub(rewrite, part) for part in parts)
