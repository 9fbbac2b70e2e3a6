"""The page: every part is shown, names are escaped, it is one file and the same bytes each time."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from documents import html_alarms, summary, write_page
from documents import render_inspection as render
from page_outline import Outline

SCHEMES = ("mmoe", "ple", "shared_bottom", "single_task", "stem", "ml_mmoe", "tensor_factorization", "pepnet")
EVIL = ("<script>alert(1)</script>", "🙂 $\\alpha$ \" onload='x'", "a&amp;b {{7*7}} {% raw %}")


@pytest.mark.parametrize("architecture", SCHEMES)
def test_every_scheme_has_a_page(inspected, architecture):
    document = inspected(architecture)
    page = render(document)
    outline = Outline(page)
    assert outline.open == []
    ids = outline.values("id")
    assert len(ids) == len(set(ids))
    assert {target[1:] for target in outline.values("href") if target.startswith("#")} <= set(ids)
    shown = {"alarms", "units", "noise", "importance", "embeddings", "method"}
    shown |= {"use", "segments", "time"} if document["gates"] else set()
    shown |= {"conflict", "affinity"} if document["conflict"] else set()
    assert set(re.findall(r'<section id="(\w+)"', page)) - {"likeness"} == shown
    assert summary(document) in page
    assert "None" not in outline.text
    assert "nan" not in outline.text.lower().split()
    assert page == render(document)
    for svg in re.findall(r"<svg .*?</svg>", page, re.S):
        ElementTree.fromstring(svg)


def test_utilisation_has_a_panel_for_each_level_and_task(inspected):
    page = render(inspected("ple"))
    for level in (1, 2):
        for task in ("click", "like", "watch"):
            assert f"Expert utilisation of {task}, level {level}" in page
    assert "Mean gate weights of like by epoch level 2" in page


def test_parts_that_were_not_asked_for_are_not_shown(inspected):
    whole = inspected("mmoe")
    document = {name: value for name, value in whole.items() if name not in ("conflict", "affinity", "importance", "embeddings")}
    document |= {"parts": ["gates", "dead", "experts", "noise"], "alarms": []}
    page = render(document)
    assert 'id="conflict"' not in page
    assert "collapsed embeddings" not in page.partition("<section")[2].partition("</section>")[0], (
        "what was not looked for is not named"
    )


def test_names_are_escaped(odd):
    document = odd(EVIL)
    page = render(document)
    assert "<script" not in page
    outline = Outline(page)
    assert "onload" not in {name for _, name, _ in outline.attributes}
    text = outline.text
    for name in EVIL:
        assert name in text or name[:17] in text
    assert "{{7*7}}" in text
    assert "<script" not in html_alarms(document)


def test_a_document_of_alarms_leads_with_them(inspected):
    document = inspected("mmoe") | {
        "alarms": [
            {"kind": "x", "severity": "serious", "title": "Gone", "message": "M.", "numbers": {}, "advice": "A."},
            {"kind": "y", "severity": "warning", "title": "Odd", "message": "N.", "numbers": {}, "advice": "B."},
            {"kind": "z", "severity": "note", "title": "Fine", "message": "O.", "numbers": {}, "advice": "C."},
        ]
    }
    assert summary(document) == "2 alarms about mmoe, 1 of them serious."
    text = Outline(render(document)).text
    assert text.index("Gone") < text.index("Odd") < text.index("Fine") < text.index("Use of the experts\n")
    assert "nothing was found" not in text
    assert summary(document | {"alarms": document["alarms"][2:]}) == "No fault was found in mmoe."
    assert summary(document | {"alarms": document["alarms"][:1]}) == "Gone."
    few = document | {"alarms": [document["alarms"][2] | {"kind": "few_rows"}]}
    assert summary(few) == "Too few rows to look for faults in mmoe."
    assert "nothing was found" not in render(few)
    assert "Gone" in html_alarms(document)


def test_the_file_is_written_whole(inspected, tmp_path):
    write_page(inspected("mmoe"), tmp_path / "new" / "inspection.html")
    assert (tmp_path / "new" / "inspection.html").read_text(encoding="utf-8") == render(inspected("mmoe"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["inspection.html"]
