"""Make the pictures of the documentation again: python docs/screenshots.py (needs Chromium; the demo trains for minutes).

It runs ``manygate demo`` and trains a model with faults on purpose, in the folder of ``--work``. It uses finished runs there again.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

IMAGES = Path(__file__).parent / "images"
LARGEST = 400_000
COLUMNS = 100
FAULTY = "--learning-rate 0.05 --temperature 0.2 --epochs 2 --replicas 2 --seed 3 --device cpu"
TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #11151f; }}
pre {{ margin: 22px 26px; color: #d8dee9; font: 14px/1.42 "DejaVu Sans Mono", monospace; white-space: pre; }}
.prompt {{ color: #8fa6ff; }}
</style><pre><span class="prompt">$</span> manygate demo

{code}</pre>
"""


def manygate(arguments: str, work: Path) -> str:
    """The output of a command with colours, as a terminal of a fixed width gets it."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)}
    command = [sys.executable, "-m", "manygate.cli.main", *arguments.split()]
    return subprocess.run(command, cwd=work, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def screenshot(page: Path, picture: Path, width: int, height: int) -> None:
    """Take a picture of a page with Chromium."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("Chromium is missing: apt-get install chromium")
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}"]
    subprocess.run([browser, *switches, f"--screenshot={picture}", page.resolve().as_uri()], check=True, capture_output=True)
    size = picture.stat().st_size
    if size >= LARGEST:
        sys.exit(f"{picture.name} has {size:,} bytes; at most {LARGEST:,} are allowed. Make the picture smaller.")
    print(f"{picture.name}: {size:,} bytes")


def terminal_page(output: str) -> tuple[str, int, int]:
    """The page that shows a terminal's output, and its width and height in pixels."""
    text = Text.from_ansi(output.rstrip())
    lines = [line.rstrip() for line in text.plain.splitlines()]
    columns = max(map(len, lines))
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)
    console.print(text, no_wrap=True)
    code = console.export_html(theme=MONOKAI, inline_styles=True, code_format="{code}")
    return TERMINAL.format(code=code), round(52 + 8.43 * columns), 44 + 20 * (len(lines) + 2)


def show_demo(work: Path) -> None:
    """The pictures of the terminal and of the report."""
    saved = work / "demo.ansi"
    if not saved.is_file():
        saved.write_text(manygate("demo --out demo --progress none", work), encoding="utf-8")
    page, width, height = terminal_page(saved.read_text(encoding="utf-8"))
    (work / "terminal.html").write_text(page, encoding="utf-8")
    screenshot(work / "terminal.html", IMAGES / "terminal.png", width, height)
    screenshot(work / "demo" / "report.html", IMAGES / "report.png", width=1200, height=1290)


def show_inspection(work: Path) -> None:
    """The picture of the inspection of a model with faults."""
    page = work / "faulty" / "inspection.html"
    if not page.is_file():
        manygate(f"train demo/log --architecture mmoe --out faulty --progress none {FAULTY}", work)
        manygate("inspect faulty demo/log --by country", work)
    screenshot(page, IMAGES / "inspection.png", width=1200, height=1240)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=Path("build/screenshots"), help="folder for the runs (default: build/screenshots)"
    )
    folder = parser.parse_args().work
    folder.mkdir(parents=True, exist_ok=True)
    show_demo(folder)
    show_inspection(folder)
