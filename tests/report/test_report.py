"""The report: what it says, that it escapes, that it is one file and the same bytes each time."""

from __future__ import annotations

import copy
import os
import re
import stat
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from documents import comparison, headline, html_summary, render, write_report
from manygate.errors import InputError
from manygate.report.charts import Cost, Gain, Point, frontier, span, undominated
from manygate.report.view import history
from manygate.schema import Task
from manygate.text import interval, number
from page_outline import Outline
from sample_runs import ARCHITECTURES, compared, trained

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


def outcomes(words: str, **changes: Any) -> dict[str, Any]:
    """A comparison whose chosen architecture has these verdicts: h(elps), x (hurts), c(annot tell)."""
    names = {"h": "helps", "x": "hurts", "c": "cannot tell"}
    tasks = tuple(Task(name=f"t{at}") for at in range(len(words)))
    document = compared(tasks, replicas=2)
    for at, word in enumerate(words):
        document["verdicts"]["mmoe"][f"t{at}"]["verdict"] = names[word]
    del document["transfer"], document["recommendation"]
    return {**document, **changes}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("hhcc", "Sharing helps 2 of 4 tasks with mmoe; none is clearly hurt."),
        ("hhh", "Sharing helps all 3 tasks with mmoe."),
        ("hxc", "Sharing helps 1 of 3 tasks with mmoe and hurts 1 (t1)."),
        ("xxxxh", "Sharing helps 1 of 5 tasks with mmoe and hurts 4."),
        ("xc", "Sharing helps none of 2 tasks with mmoe and hurts 1 (t0)."),
        ("ccc", "Sharing makes no clear difference to any of 3 tasks with mmoe."),
        ("h", "Sharing helps t0 with mmoe."),
        ("x", "Sharing hurts t0 with mmoe."),
        ("c", "Sharing makes no clear difference to t0 with mmoe."),
    ],
)
def test_headline_follows_the_verdicts_of_the_chosen_architecture(words: str, expected: str) -> None:
    assert headline(outcomes(words)) == expected


def test_headline_without_the_usual_choice() -> None:
    alone = outcomes("hc")
    alone["best"] = {**alone["best"], "architecture": "single_task"}
    assert headline(alone) == "Keep one model per task: single_task did best on validation."
    advice = {"rule": "cannot tell", "judged": "mmoe", "text": "", "reasons": []}
    expected = "single_task did best on validation; sharing helps 1 of 2 tasks with mmoe; none is clearly hurt."
    assert headline({**alone, "recommendation": advice}) == expected
    assert headline({**alone, "recommendation": {**advice, "rule": "separate"}}) == headline(alone)
    other = outcomes("hc", baseline="shared_bottom")
    assert headline(other) == "mmoe helps 1 of 2 tasks against shared_bottom; none is clearly hurt."
    assert headline(outcomes("hc", verdicts={}, baseline=None)) == "mmoe did best on validation, of 4 architectures."
    assert headline(outcomes("hc", best=None)).count("Sharing") == 3
    nothing = outcomes("hc", best={**alone["best"], "architecture": None})
    assert "validation rows alone" not in render(nothing)
    assert headline({**nothing, "verdicts": {}}) == "4 architectures were trained; validation chose none of them."


def test_headline_counts_what_is_beyond_doubt_for_all_tasks_together() -> None:
    document = compared()
    assert headline(document) == "Sharing helps 3 of 4 tasks with mmoe; none is clearly hurt."
    joint = document["transfer"]["gains"]["mmoe"]["click"]["auc"]
    joint["joint95"] = [-0.0001, joint["joint95"][1]]
    assert headline(document) == "Sharing helps 2 of 4 tasks with mmoe; none is clearly hurt."
    assert "△ likely helps" in Outline(render(document)).text


def test_headline_of_one_run() -> None:
    assert re.fullmatch(r"mmoe reaches AUC 0\.\d{3} for click on the test rows\.", headline(trained((Task(name="click"),))))
    many = headline(trained())
    assert "AUC from 0." in many
    assert "R² 0." in many
    undefined = trained((Task(name="click"),))
    undefined["results"]["mmoe"]["tasks"]["click"]["metrics"]["auc"] = {"mean": None, "sd": None, "ci95": None, "values": []}
    assert "undefined" in headline(undefined)


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


def test_advice_comes_first_and_flags_stand_in_the_table(document: dict[str, Any], page: str) -> None:
    outline = Outline(page)
    advice = document["recommendation"]
    assert outline.text.index(advice["text"]) < outline.text.index("its own model")
    assert all(reason in outline.text for reason in advice["reasons"])
    for mark in ("negative transfer", "undoes the harm of shared_bottom", "worse log loss"):
        assert re.search(rf'<span class="mark \w+">{mark}', page), mark
    assert advice["text"] in html_summary(document)


def test_who_pays_shows_every_seesaw_gain_and_difference(document: dict[str, Any], page: str) -> None:
    found = document["transfer"]
    section = page[page.index('<section id="seesaw">') : page.index('<section id="results">')]
    sure = [flag for flag in found["seesaws"] if flag["sure"]]
    assert len(sure) == 2
    assert f"{len(found['seesaws']) - len(sure)} possible seesaws" in section
    told = [gain for own in found["gains"].values() for task in own.values() if "auc" in task for gain in task.values()]
    told += [gain for pair in found["differences"] for gain in pair["tasks"].values()]
    for gain in told:
        assert number(gain["gain"], signed=True) in section
        assert interval(gain["joint95"]) in section
    assert re.findall(r"<figcaption>([^<]+) <small>seesaw</small>", section) == ["like and watch_time"]
    (need,) = document["recommendation"]["needs"]
    assert need["task"] == "like"
    assert "8 as now" in section


def test_without_flags_or_without_a_baseline_nothing_is_made_up() -> None:
    plain = compared()
    plain["transfer"] |= {"seesaws": [], "negative": [], "removed": [], "probabilities": [], "differences": []}
    text = Outline(render(plain)).text
    assert "No seesaw is beyond doubt" in text
    assert "Architectures against each other" not in text
    assert "negative transfer" not in text
    older = compared()
    del older["transfer"], older["recommendation"]
    assert 'id="seesaw"' not in render(older)
    assert "Who pays?" not in render(trained())


def test_numbers_of_the_document_are_on_the_page(document: dict[str, Any], page: str) -> None:
    text = Outline(page).text
    for name in ARCHITECTURES[1:]:
        for entry in document["verdicts"][name].values():
            assert f"{entry['gain']:+.4f}".replace("-", "−") in text
        assert f"{document['results'][name]['parameters']:,}" in text
    summary = document["results"]["mmoe"]["tasks"]["click"]
    assert f"{summary['metrics']['auc']['mean']:.4f}" in text
    assert f"ensemble {summary['ensemble']['auc']:.4f}" in text
    assert document["command"] in text
    assert f"learning_rate: {document['config']['learning_rate']}" in text
    assert "where: click == 1" in text
    assert "known in training, absent at serving" in text


def test_what_is_undefined_says_why(page: str) -> None:
    reason = "no user has both a positive and a negative row"
    assert f'title="{reason}">undefined</abbr>' in page
    assert f'<li id="note-4-1">undefined: {reason}</li>' in page


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


def test_charts_are_described_and_keep_text_as_text(page: str) -> None:
    charts = re.findall(r"<svg viewBox=.*?</svg>", page, re.S)
    assert len(charts) == 4 + 6 + 4 + 8 + 3
    for chart in charts:
        tree = ElementTree.fromstring(chart)
        assert tree.get("role") == "img"
        assert tree.find("title").text  # type: ignore[union-attr]
        assert len(tree.find("desc").text or "") > 20  # type: ignore[union-attr]
        assert tree.findall(".//text")
        assert "width" not in tree.attrib
        assert "font-family" not in chart
    assert re.search(r"<desc id=\"forest-0-desc\">[^<]*mmoe: \+0\.00\d\d, ", page)


def test_same_document_same_bytes_whatever_the_users_settings(document: dict[str, Any], page: str) -> None:
    import matplotlib

    assert render(copy.deepcopy(document)) == page
    changes = {"font.size": 30.0, "axes.grid": True, "lines.linewidth": 9.0, "svg.fonttype": "path", "text.usetex": True}
    with matplotlib.rc_context(changes):
        before = dict(matplotlib.rcParams)
        assert render(document) == page
        assert dict(matplotlib.rcParams) == before


def test_render_leaves_the_document_alone(document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    render(document), html_summary(document)
    assert document == before


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


def test_gates_are_read_for_the_user(document: dict[str, Any]) -> None:
    odd = copy.deepcopy(document)
    odd["results"]["mmoe"]["gates"] = [
        {"level": 0, "task": "click", "mean": [0.5, 0.5, 0.0], "sd": [0.1, 0.1, 0.0]},
        {"level": 0, "task": "buy", "mean": [0.4, 0.6, 0.0], "sd": [0.1, 0.1, 0.0]},
        {"level": 1, "task": "click", "mean": [1.0], "sd": [0.0]},
    ]
    text = Outline(render(odd)).text
    assert "All rows are equal: the tasks share one gate." in text
    assert "Most alike: click and buy, with 90 %" in text
    assert "Hardly used by any task: expert 3." in text
    assert "level 2 of 2" in text
    assert "a single expert" in text


def test_gates_that_see_some_experts_alone_are_read_so(document: dict[str, Any]) -> None:
    changed = copy.deepcopy(document)
    shares = ([0.6, 0.0, 0.3, 0.1], [0.0, 0.5, 0.2, 0.3])
    changed["results"]["mmoe"]["gates"] = [
        {"level": 0, "task": task, "mean": list(mean), "sd": [0.1 if weight else 0.0 for weight in mean]}
        for task, mean in zip(("click", "like"), shares, strict=True)
    ]
    text = render(changed)
    assert "A dot is an expert that the gate does not see. An even split over the 3 seen would be 0.333 each." in text
    assert text.count(">·<") == 2


def test_frontier_shows_every_architecture_and_marks_those_that_none_beats(document: dict[str, Any], page: str) -> None:
    assert "Accuracy against compute" in page
    costs = [
        Cost(name, 0, document["results"][name]["flops"], place, (place - 0.1, place + 0.1))
        for place, name in enumerate(ARCHITECTURES)
    ]
    for name in ARCHITECTURES:
        assert re.search(rf"{name}: [\d,]+ FLOPs", page)
    assert undominated(costs) == [one.name for one in sorted(costs, key=lambda c: c.flops) if one.mean >= best_below(costs, one)]


def best_below(costs: list[Cost], one: Cost) -> float:
    return max(other.mean for other in costs if other.flops <= one.flops)


@pytest.mark.parametrize("widest", [1.0, 100.0], ids=["matched", "log scale"])
def test_frontier_of_many_with_equal_scores(widest: float) -> None:
    points = [Cost(f"scheme {place}", place, 1e5 * widest ** (place / 15), 0.8) for place in range(16)]
    chart = frontier("key", "title", "AUC", points)
    assert all(f"scheme {place}" in chart for place in range(16))
    assert "Beaten by none in both: scheme 0." in chart


def test_warnings_come_before_the_table(document: dict[str, Any]) -> None:
    warned = copy.deepcopy(document)
    warned["data"]["warnings"] = ["buy has 31 positive rows in validation"]
    page = render(warned)
    assert page.index("buy has 31 positive rows") < page.index("<table")


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


def test_bands_by_students_t_stay_within_the_metric(document: dict[str, Any]) -> None:
    """Three replicas have a band, two have none, and none leaves what AUC can be."""
    odd = copy.deepcopy(document)
    values = ([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.6, 1.0], [0.1, 0.2, None, None])
    odd["results"]["mmoe"]["history"] = [
        {"epoch": epoch, "valid": {"click": row}, "train_loss": {"click": row}} for epoch, row in enumerate(values, start=1)
    ]
    first, second, third = history(comparison(odd), "mmoe", "click", "valid")
    half = 3.182446 * 0.12909944 / 2
    assert first.ci95 == pytest.approx((0.25 - half, 0.25 + half), rel=1e-5)
    assert second.ci95 == (0.0, 1.0)
    assert third == Point(3, pytest.approx(0.15), None)


def test_span_holds_zero_and_skips_what_is_undefined() -> None:
    low, high = span(
        [Gain("a", 0.2, [0.1, 0.3], "helps"), Gain("b", None, None, "cannot tell"), Gain("c", 0.1, None, "cannot tell")]
    )
    assert low < 0
    assert high > 0.3
    assert span([]) == (-0.01, 0.01)


def test_calibrated_predictions_stand_beside_raw_ones() -> None:
    document = trained()
    task = next(name for name, one in document["results"]["mmoe"]["tasks"].items() if one["kind"] == "binary")
    raw = document["results"]["mmoe"]["tasks"][task]
    before = render(document)
    raw["calibrated"] = {
        "method": "isotonic",
        "metrics": {"log_loss": 0.123456, "ece": 0.001, "calibration": 1.0},
        "undefined": {},
        "calibration": [{"predicted": 0.25, "observed": 0.5, "rows": 10}],
    }
    section = render(document).partition('<section id="calibration">')[2].partition("</section>")[0]
    assert "after isotonic calibration" in section
    assert "isotonic" not in before
    row = section.partition("after isotonic calibration")[2].partition("</tr>")[0]
    cells = re.findall(r"<td>(.*?)</td>", row)
    assert cells == ["2.000", "0.2500", "0.1235"]


def rows_of(page: str, *heads: str) -> dict[str, dict[str, str]]:
    """A table of the page, found by its first column heads: {first cell: {head: cell}}, tags taken out."""
    plain = lambda cell: " ".join(re.sub(r"<[^>]*>", " ", cell).split())  # noqa: E731
    for table in re.findall(r"<table.*?</table>", page, re.DOTALL):
        lines = [
            [plain(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL)]
            for line in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
        ]
        if tuple(lines[0][: len(heads)]) == heads:
            return {line[0].removesuffix(" chosen"): dict(zip(lines[0], line, strict=True)) for line in lines[1:]}
    raise AssertionError(f"no table with heads {heads}")


def test_every_column_of_costs_shows_its_own_number(document: dict[str, Any]) -> None:
    odd, expected = copy.deepcopy(document), []
    for place, name in enumerate(ARCHITECTURES):
        own = {"parameters": 1_000_001, "network_parameters": 2_000_002, "flops": 3_000_003, "replicas": 11}
        own = {key: value + 100 * place for key, value in own.items()}
        best = [20 + place, 30 + place]
        stopped = {"best_epoch": {"click": best}, "reason": f"reason {place}"}
        odd["results"][name] |= own | {"seconds": 7.5 + place, "stopped": stopped}
        numbers = [f"1,000,{1 + 100 * place:03}", f"2,000,{2 + 100 * place:03}", f"3,000,{3 + 100 * place:03}"]
        expected.append([*numbers, f"{7.5 + place} s", str(11 + 100 * place), f"{20 + place}–{30 + place}", f"reason {place}"])
    heads = ["parameters", "of the network", "FLOPs a row", "training time", "replicas", "best epoch", "why it stopped"]
    found = list(rows_of(render(odd), "architecture", "parameters").values())
    assert [[row[head] for head in heads] for row in found] == expected


def test_every_column_of_features_shows_its_own_number(document: dict[str, Any]) -> None:
    odd = copy.deepcopy(document)
    for place, feature in enumerate(odd["data"]["features"]):
        feature |= {"rows": 1000 + place, "columns": 50 + place}
        feature |= {"null_share": 0.11 + place / 100, "unknown_share": 0.71 + place / 100}
        feature |= {"kind": f"kind {place}", "bias": False, "note": f"note {place}"}
    found = rows_of(render(odd), "feature", "kind", "vocabulary")
    assert list(found) == [feature["name"] for feature in odd["data"]["features"]]
    for place, row in enumerate(found.values()):
        told = [row[head] for head in ("kind", "vocabulary", "inputs", "nulls", "why this kind")]
        assert told == [f"kind {place}", f"1,{place:03}", str(50 + place), f"{11 + place}.0 %", f"note {place}"]


def test_rows_and_labels_of_each_split_stand_in_their_own_column(document: dict[str, Any]) -> None:
    odd = copy.deepcopy(document)
    odd["data"]["rows"] = {"train": 5_000, "valid": 700, "test": 90}
    for place, task in enumerate(odd["data"]["tasks"].values()):
        for at, split in enumerate(("train", "valid", "test")):
            task[split] = {"rows": 100 * (at + 1) + place, "mean": 0.11 * (at + 1)}
    page = render(odd)
    assert "<span>5,790 rows</span>" in page, "the sum of the splits"
    found = rows_of(page, "labelled rows and mean label", "kind")
    for place, (task, row) in enumerate(found.items()):
        shown = [f"{11 * (at + 1)}.0 %" if task != "watch_time" else f"0.{11 * (at + 1)}00" for at in range(3)]
        cells = [f"{shown[at]} {100 * (at + 1) + place} rows" for at in range(3)]
        heads = ["training 5,000 rows", "validation 700 rows", "test 90 rows"]
        assert [row[head] for head in heads] == cells


@pytest.mark.parametrize(("going", "shown"), [(4, True), (3, False)])
def test_a_curve_ends_where_fewer_than_half_still_train(document: dict[str, Any], going: int, shown: bool) -> None:
    """Of 8 replicas 4 are half, and 3 are fewer."""
    odd = copy.deepcopy(document)
    values = lambda count: {"click": [0.5 + 0.01 * r if r < count else None for r in range(8)]}  # noqa: E731
    odd["results"]["mmoe"]["history"] = [
        {"epoch": epoch, "valid": values(count), "train_loss": values(count)} for epoch, count in ((1, 8), (2, going))
    ]
    for field in ("valid", "train_loss"):
        points = history(comparison(odd), "mmoe", "click", field)
        assert [point.epoch for point in points] == ([1, 2] if shown else [1])
        assert points[0].mean == pytest.approx(0.5 + 0.01 * 3.5)
