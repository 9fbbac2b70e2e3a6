"""The page: sections in order, everything escaped, one file, the same bytes each time, written whole or not at all."""

from __future__ import annotations

import copy
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from documents import headline, html_summary, render, write_report
from manygate.errors import InputError
from manygate.evaluation.monitor import EXPLANATION
from manygate.report.page import printable
from manygate.schema import Task
from page_outline import Outline
from sample_runs import compared, trained

EVIL = (
    "<script>alert(1)</script>",
    "🙂 $\\alpha$ 日本語 \" onload='x'",
    "a&amp;b\x00\x1b\n{{7*7}} {% raw %} $",
    'half \ud83d surrogate ]]> <!-- id="m1" -->',
)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return compared()


@pytest.fixture(scope="module")
def page(document: dict[str, Any]) -> str:
    return render(document)


def test_sections_come_in_order(page: str) -> None:
    order = ["verdict", "seesaw", "results", "learning", "gates", "inspection", "calibration", "data", "reproduce"]
    assert re.findall(r'<section id="(\w+)"', page) == order
    outline = Outline(page)
    assert [link[1:] for link in outline.values("href") if link[1:] in order][-len(order) :] == order
    assert outline.open == []
    assert outline.tags.count("h1") == 1


def test_the_verdict_is_said_in_words_and_not_by_colour_alone(document: dict[str, Any], page: str) -> None:
    text = Outline(page).text
    assert headline(document) in text
    assert "▲ helps" in text
    assert "▼ hurts" in text
    assert "○ cannot tell" in text
    for phrase in ("of which rows fell", "validation rows alone", "Each interval stands alone", "There are 12 here"):
        assert phrase in text


def test_the_validation_score_is_explained_in_a_sentence(document: dict[str, Any], page: str) -> None:
    assert f"The validation score is {EXPLANATION[0].lower()}{EXPLANATION[1:]}" in Outline(page).text
    one_task = {**document, "best": {**document["best"], "monitor": "click"}}
    assert "The validation score is" not in Outline(render(one_task)).text


def test_nan_and_null_never_reach_the_page(document: dict[str, Any]) -> None:
    broken = copy.deepcopy(document)
    reason = "the test rows hold no positive label"
    for result in broken["results"].values():
        entry = result["tasks"]["buy"]
        entry["metrics"]["auc"] = {"mean": None, "sd": None, "ci95": None, "values": [None] * 8}
        entry["metrics"]["log_loss"]["ci95"] = None
        entry["ensemble"]["auc"] = None
        entry["undefined"]["auc"] = reason
        entry["calibration"] = []
        for epoch in result["history"]:
            epoch["valid"]["buy"] = [None] * 8
            epoch["train_loss"]["like"] = [None] * 8
    for verdicts in broken["verdicts"].values():
        verdicts["buy"].update(gain=None, ci95=None, sd_replicas=None, se_test=None)
    text = Outline(render(broken)).text
    assert not re.search(r"\b(nan|None|inf|null)\b", text.partition("How to reproduce")[0].partition("The schema as YAML")[0], re.I)
    assert f"undefined: buy: {reason}" in text
    assert "No values were recorded." in text


def test_everything_from_outside_is_escaped() -> None:
    tasks = tuple(Task(name=name, note=name) for name in EVIL)
    document = compared(tasks, replicas=3)
    bad = "<img src=x onerror=alert(2)>"
    document["architectures"][3] = document["best"]["architecture"] = bad
    for part in (document["results"], document["verdicts"], document["best"]["valid"]):
        part[bad] = part.pop("mmoe")
    document["data"]["log"] = "</title></style><script>alert(3)</script>"
    document["data"]["warnings"] = ["<script>warn</script>"]
    document["data"]["features"][0].update(name="</td><script>f</script>", note="<b onclick=x>", kind="<u>")
    document["command"] = "</pre><script>c</script>"
    document["config"]["log"] = "</pre><script>y</script>"
    document["results"][bad]["stopped"]["reason"] = "<script>r</script>"
    document["results"][bad]["tasks"][EVIL[0]]["undefined"]["gauc"] = '"><script>u</script>'
    document["results"][bad]["tasks"][EVIL[0]]["metrics"].pop("gauc")
    document["best"]["reason"] = "<script>b</script>"
    for html in (render(document), html_summary(document)):
        outline = Outline(html)
        assert not {"script", "img", "b onclick", "u", "link", "iframe", "object"} & set(outline.tags)
        assert not [name for _, name, _ in outline.attributes if name.startswith("on")]
        assert "49" not in re.findall(r"\{\{7\*7\}\}|\b49\b(?= \{%)", html)
        assert EVIL[0] in outline.text
        assert "\x00" not in html
        html.encode("utf-8")
        assert outline.open == []


def test_ids_are_unique_and_every_reference_has_its_target(page: str) -> None:
    outline = Outline(page)
    ids = outline.values("id")
    assert len(ids) == len(set(ids))
    local = [link[1:] for link in outline.values("href")]
    local += re.findall(r"url\(#([^)]+)\)", page)
    local += " ".join(outline.values("aria-labelledby")).split()
    assert set(local) <= set(ids)


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    outline = Outline(page)
    assert all(link.startswith("#") for link in outline.values("href"))
    assert outline.values("src") == []
    assert "http" not in re.sub(r"http-equiv", "", page)
    assert "@import" not in page
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in outline.values("content")


def test_render_leaves_the_document_alone(document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    render(document), html_summary(document)
    assert document == before


def test_a_story_of_a_known_truth_stands_under_the_headline(document: dict[str, Any], page: str) -> None:
    claim = {"text": "Sharing helps buy <b>.", "found": "cannot tell", "evidence": "+0.0100 over its own"}
    told = render({**document, "story": {"summary": "It finds none.", "truth": ["Buyers are clickers."], "claims": [claim]}})
    box = told[told.index('<aside class="story"') : told.index("</aside>", told.index('<aside class="story"'))]
    assert (
        '<dt class="cannot-tell">cannot tell</dt><dd>Sharing helps buy &lt;b&gt;. <small>+0.0100 over its own</small></dd>' in box
    )
    assert "<li>Buyers are clickers.</li>" in box
    assert "It finds none." in box
    assert told.index("<h1>") < told.index('class="story"') < told.index('class="lede"')
    assert 'class="story"' not in page


def test_a_single_run_asks_how_good_it_is() -> None:
    text = Outline(render(trained())).text
    assert "How good is it?" in text
    assert "Does sharing help?" not in text
    assert "helps" not in text.replace("sharing helps. manygate compare", "")
    assert "±" not in text.partition("How to read this")[0]


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_few_replicas(replicas: int) -> None:
    text = Outline(render(compared(replicas=replicas))).text
    assert ("no interval" in text) == (replicas < 3)
    assert ("3 or more replicas are needed for an interval" in text) == (replicas < 3)


def test_sizes_from_one_task_to_many_with_long_names() -> None:
    assert render(compared((Task(name="click"),)))
    names = [f"{'a_very_long_name_' * 5}{at}" for at in range(6)]
    page = render(compared(tuple(Task(name=name) for name in names), experts=40))
    assert all(name in page for name in names)


def test_sections_without_content_are_left_out(document: dict[str, Any]) -> None:
    bare = copy.deepcopy(document)
    for result in bare["results"].values():
        result.update(gates=[], history=[])
        for entry in result["tasks"].values():
            entry["calibration"] = []
    bare.update(command="", config={}, data={"log": "", "rows": {}, "tasks": {}, "features": [], "warnings": []})
    page = render(bare)
    assert 'id="gates"' not in page
    assert 'href="#gates"' not in page
    assert 'id="calibration"' not in page
    assert "No values were recorded." in page


def test_warnings_come_before_the_table(document: dict[str, Any]) -> None:
    warned = copy.deepcopy(document)
    levels = ("note", "warning", "serious", "serious")
    warned["data"]["warnings"] = [{"level": level, "text": f"text {i}"} for i, level in enumerate(levels)]
    page = render(warned)
    titles = ["2 serious alarms", "text 2", "text 3", "1 warning", "text 1", "<table", "1 note", "text 0"]
    places = [page.index(title) for title in titles]
    assert places == sorted(places)
    assert '<aside class="warnings serious"' in page


def test_a_notebook_shows_alarms_and_no_notes(document: dict[str, Any]) -> None:
    warned = copy.deepcopy(document)
    warned["data"]["warnings"] = [{"level": "note", "text": "fine <b>"}, {"level": "serious", "text": "a leak <b>"}]
    html = html_summary(warned)
    assert html.index("1 serious alarm") < html.index("a leak &lt;b&gt;") < html.index("<table")
    assert "fine" not in html


def test_summary_is_small_and_says_the_same(document: dict[str, Any]) -> None:
    html = html_summary(document)
    assert headline(document) in html
    assert html.count("<tr>") == 5
    assert len(html) < 6000
    assert Outline(html).open == []
    assert html_summary(trained()).count("<tr>") == 5


def test_write_is_whole_or_not_at_all(document: dict[str, Any], page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    write_report(document, path)
    assert path.read_text(encoding="utf-8") == page
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="no space"):
        write_report(trained(), path)
    assert path.read_text(encoding="utf-8") == page
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_what_no_page_can_hold_is_replaced() -> None:
    assert printable("a\tb\nc\r\f") == "a\tb\nc\r\f"
    assert printable("a\x00b\x1b\x7f") == "a�b��"
    assert printable("half \ud83d 日") == "half ? 日"
