"""A chart is the same whatever the user's settings of matplotlib are, and an element that a page can hold."""

from __future__ import annotations

import copy
import re
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from documents import render
from manygate.report.svg import DASHES, MARKERS, PALETTE, SHAPES, Canvas, colour, label, mark
from sample_runs import compared


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return compared()


@pytest.fixture(scope="module")
def page(document: dict[str, Any]) -> str:
    return render(document)


def test_same_document_same_bytes_whatever_the_users_settings(document: dict[str, Any], page: str) -> None:
    import matplotlib

    assert render(copy.deepcopy(document)) == page
    changes = {"font.size": 30.0, "axes.grid": True, "lines.linewidth": 9.0, "svg.fonttype": "path", "text.usetex": True}
    with matplotlib.rc_context(changes):
        before = dict(matplotlib.rcParams)
        assert render(document) == page
        assert dict(matplotlib.rcParams) == before


def test_charts_can_be_drawn_outside_the_main_thread(document: dict[str, Any], page: str) -> None:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(render(document)))
    thread.start()
    thread.join()
    assert found == [page]


def test_pyplot_is_not_imported() -> None:
    import subprocess
    import sys

    code = (
        "import sys, manygate.report as r; assert 'matplotlib' not in sys.modules; assert 'jinja2' not in sys.modules;"
        "from sample_runs import trained; from documents import render; render(trained());"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1], timeout=120)


def test_sixteen_styles_differ_and_each_marker_has_its_shape() -> None:
    assert len({(style % 8, mark(style)) for style in range(16)}) == 16
    assert len(DASHES) == len(MARKERS) == len(SHAPES) == len(set(SHAPES)) == 8


def test_a_label_is_one_printable_line() -> None:
    assert label("a\tb\nc") == "a b c"
    assert label("x" * 24) == "x" * 24
    assert label("x" * 25) == "x" * 23 + "…"
    assert label("a\x00\ud83d") == "a��"


def drawn(key: str = "key", title: str = "t", description: str = "d") -> ElementTree.Element:
    with Canvas(height=100) as canvas:
        canvas.axes.plot([0, 1], [0, 1], color=colour("a3"), marker="o")
        canvas.axes.set_xlabel("<b> & $x$")
        return ElementTree.fromstring(canvas.svg(key, title, description))


def test_a_chart_names_itself_and_scales_with_the_page() -> None:
    chart = drawn(title="Gain <1>", description="x" * 5000)
    assert (chart.findtext("title"), len(chart.findtext("desc") or "")) == ("Gain <1>", 4000)
    assert set(chart.attrib) == {"viewBox", "role", "aria-labelledby"}
    assert chart.get("viewBox") == "0 0 420 100"
    assert chart.get("aria-labelledby") == "key-title key-desc"
    assert not chart.findall("metadata")


def test_ids_begin_with_the_key_and_references_follow() -> None:
    chart = drawn("left")
    ids = {element.get("id") for element in chart.iter() if element.get("id")}
    assert all(identity.startswith("left-") for identity in ids)  # type: ignore[union-attr]
    text = ElementTree.tostring(chart, encoding="unicode")
    used = set(re.findall(r"url\(#([^)]+)\)", text)) | {link[1:] for link in re.findall(r'href="(#[^"]+)"', text)}
    assert used
    assert used <= ids


def test_colours_refer_to_variables_and_fonts_to_the_page() -> None:
    text = ElementTree.tostring(drawn(), encoding="unicode")
    assert f"var(--a3, {PALETTE['a3'][0]})" in text
    assert "font-family" not in text
    assert "font-size: 11px" in text
    assert "&lt;b&gt; &amp; $x$" in text, "no formula is read into a name"
