"""The report in a real browser: no error, no request, no sideways scrolling."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from documents import write_page, write_report
from made_up_census import PLAN, outcomes
from manygate.inspection.look import look
from manygate.report.tuning.page import write_tuning_page
from manygate.schema import Task
from manygate.studies.census.document import build
from manygate.studies.census.page import write_page as write_census_page
from sample_runs import compared, trained
from tuning_documents import tuned

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
MISSING = [str(path) for path in (CHROMIUM, DRIVER) if not path.exists()]
NAMES = ("<script>alert(1)</script>", "🙂 $x$", *("a_name_without_any_place_to_break_it_" * 3 + str(at) for at in range(4)))
DOCUMENTS = {
    "compared": compared,
    "trained": trained,
    "one task": lambda: compared((Task(name="click"),)),
    "odd names": lambda: compared(tuple(Task(name=name) for name in NAMES), replicas=2, experts=48),
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if MISSING:
        reason = f"{' and '.join(MISSING)} not found: apt-get install chromium chromium-driver"
        if os.environ.get("MANYGATE_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    quiet = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update"
    for flag in [
        *quiet.split(),
        "disable-sync",
        "disable-dev-shm-usage",
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ]:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()


def requests(browser: Any) -> list[str]:
    """Every address that the page asked for since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_report_in_a_browser(browser: Any, tmp_path: Path, kind: str, width: int) -> None:
    path = tmp_path / "report.html"
    write_report(DOCUMENTS[kind](), path)
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    requests(browser), browser.get_log("browser")

    browser.get(path.as_uri())

    assert requests(browser) == [path.as_uri()]
    assert browser.get_log("browser") == []
    browser.execute_script("for (const box of document.querySelectorAll('details')) box.open = true;")
    page = "document.documentElement"
    assert browser.execute_script("return innerWidth") == width
    assert browser.execute_script(f"return {page}.scrollWidth <= {page}.clientWidth")
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('figure > svg')].map(e => [e.getBoundingClientRect().width, e.getBBox().height])"
    )
    assert sizes
    assert all(wide > 250 and high > 50 for wide, high in sizes)
    assert browser.execute_script("return getComputedStyle(document.querySelector('nav')).display") != "none"
    assert browser.find_element("tag name", "h1").is_displayed()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("objectives", [1, 2])
def test_the_page_of_a_search_in_a_browser(browser: Any, tmp_path: Path, objectives: int, width: int) -> None:
    path = tmp_path / "report.html"
    write_tuning_page(tuned(objectives=objectives), path)
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    requests(browser), browser.get_log("browser")

    browser.get(path.as_uri())

    assert requests(browser) == [path.as_uri()]
    assert browser.get_log("browser") == []
    browser.execute_script("for (const box of document.querySelectorAll('details')) box.open = true;")
    page = "document.documentElement"
    assert browser.execute_script(f"return {page}.scrollWidth <= {page}.clientWidth")
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('figure > svg')].map(e => e.getBoundingClientRect().width)"
    )
    assert len(sizes) == 4, "gains, importance, history or front, settings"
    assert all(wide > 250 for wide in sizes)
    bottom = "return document.querySelector('.gains tbody tr').getBoundingClientRect().bottom"
    assert browser.execute_script(bottom) < 844, "the first gain is on the first screen"
    if width < 600:
        fits = "return [...document.querySelectorAll('table.stacked')].every(t => t.scrollWidth <= t.parentElement.clientWidth)"
        assert browser.execute_script(fits)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_of_the_census_study_in_a_browser(browser: Any, tmp_path: Path, width: int) -> None:
    levels, groups = {"single_task": 0.95, "tensor_factorization_naive": 0.7, "mmoe": 0.951}, ("income", "education")
    path = tmp_path / "report.html"
    write_census_page(build(outcomes(levels, groups), PLAN, list(levels), groups, 4, quick=True), path)
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    requests(browser), browser.get_log("browser")

    browser.get(path.as_uri())

    assert requests(browser) == [path.as_uri()]
    assert browser.get_log("browser") == []
    page = "document.documentElement"
    assert browser.execute_script(f"return {page}.scrollWidth <= {page}.clientWidth")
    charts = "return [...document.querySelectorAll('figure > svg')].map(e => e.getBoundingClientRect().width)"
    assert all(wide > 250 for wide in browser.execute_script(charts))
    if width < 600:
        fits = "return [...document.querySelectorAll('table.stacked')].every(t => t.scrollWidth <= t.parentElement.clientWidth)"
        assert browser.execute_script(fits)


@pytest.mark.parametrize("width", [1280, 390])
def test_inspection_in_a_browser(browser: Any, tmp_path: Path, encoded: Any, trainer: Any, settings: Any, width: int) -> None:
    log = encoded()
    training = trainer(log, settings(architecture="ple", experts=12, replicas=2))
    history = [{"epoch": entry["epoch"], "gates": entry["gates"]} for entry in training.fit().history]
    found = look(training.model, log.parts["valid"])
    path = tmp_path / "inspection.html"
    alarm = {"kind": "x", "severity": "serious", "title": "T", "message": "M.", "numbers": {}}
    more = {"inspection_version": 1, "history": history, "alarms": [alarm | {"advice": "Try --seed 1, or --dim 4."}]}
    write_page(found.to_tree() | more, path)
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    requests(browser), browser.get_log("browser")

    browser.get(path.as_uri())

    assert requests(browser) == [path.as_uri()]
    assert browser.get_log("browser") == []
    page = "document.documentElement"
    assert browser.execute_script(f"return {page}.scrollWidth <= {page}.clientWidth")
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('figure > svg')].map(e => e.getBoundingClientRect().width)"
    )
    assert len(sizes) >= 2 * 3 + 2 * 3 + 3 + 1, "utilisation, training, importance, spectra"
    assert all(wide > 250 for wide in sizes)
    layout = browser.execute_script("return getComputedStyle(document.querySelector('.alarms li p:last-child')).display")
    assert layout == "block", "the remedy of an alarm is a line of text, not a grid"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_advice_is_on_the_first_screen_and_the_matrix_begins_there(browser: Any, tmp_path: Path, width: int) -> None:
    """Of a screen of 844 pixels: what to do, whole, and on a wide one the first row of the table; tags stay in their cells."""
    path = tmp_path / "report.html"
    write_report(compared(), path)
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri())
    bottom = "return document.querySelector('{}').getBoundingClientRect().bottom"
    assert browser.execute_script(bottom.format(".advice")) < 844
    if width > 600:
        assert browser.execute_script(bottom.format(".verdicts tbody tr")) < 844
    else:
        fits = "return [...document.querySelectorAll('table.stacked')].map(t => t.scrollWidth <= t.parentElement.clientWidth)"
        tables = browser.execute_script(fits)
        assert len(tables) >= 8, "gains, prices, seesaws, other metrics, pairs of architectures, costs, labels"
        assert all(tables), "on a phone they need no scrolling to the side"
        sideways = "return [...document.querySelectorAll('#seesaw .scroll')].filter(b => b.scrollWidth > b.clientWidth).length"
        assert browser.execute_script(sideways) == 0
        before = "getComputedStyle(c, '::before').content"
        labels = f"return [...document.querySelectorAll('.labelled td')].map(c => [c.dataset.label, {before}])"
        cells = browser.execute_script(labels)
        assert len(cells) > 50
        assert all(shown == f'"{label}"' for label, shown in cells), "each cell says what its column would"
        shown = "return getComputedStyle(document.querySelector('.verdicts .model')).display"
        assert browser.execute_script(shown) != "none", "each gain has the name of its model"
    inside = "const c = m.closest('td').getBoundingClientRect(), b = m.getBoundingClientRect(); return b.right <= c.right + 1"
    marks = f"return [...document.querySelectorAll('.mark')].map(m => {{ {inside} }})"
    found = browser.execute_script(marks)
    assert len(found) >= 4
    assert all(found)
    planes = "return [...document.querySelectorAll('#seesaw figure > svg')].map(e => e.getBoundingClientRect().width)"
    assert len(browser.execute_script(planes)) == 6


def test_the_checks_can_fail(browser: Any, tmp_path: Path) -> None:
    """A page that asks for a picture is noticed, and the report's policy would block it."""
    path, picture = tmp_path / "report.html", (tmp_path / "picture.png").as_uri()
    write_report(trained((Task(name="click"),)), path)
    page = path.read_text(encoding="utf-8").replace("<main>", f'<main><img src="{picture}">')
    for content, blocked in ((page, True), (page.replace("Content-Security-Policy", "x"), False)):
        path.write_text(content, encoding="utf-8")
        requests(browser), browser.get_log("browser")
        browser.get(path.as_uri())
        assert requests(browser) == [path.as_uri(), picture]
        (error,) = browser.get_log("browser")
        assert ("Content Security Policy" in error["message"]) == blocked
