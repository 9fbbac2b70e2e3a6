"""Progress: which kind is chosen, what plain lines hold, and that nothing goes to stdout."""

from __future__ import annotations

import sys

import pytest

from manygate.errors import InputError
from manygate.training import progress
from manygate.training.progress import PlainProgress, Progress, RichProgress, open_progress


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The seconds that ``time.monotonic`` gives, to be set by a test."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_plain_line_every_ten_seconds_with_rate_and_time_left(clock, capfd):
    """200 rows in 10 s are 20 rows/s; 700 of 1,000 are left at 300, with 100 done before."""
    bar = PlainProgress()
    bar.start("epoch 1", 1_000, done=100)
    clock[0] = 109.9
    bar.advance(100)
    assert capfd.readouterr() == ("", "")
    clock[0] = 110.0
    bar.advance(100)
    assert capfd.readouterr() == ("", "epoch 1: 30%, 20 rows/s, at most 35 s left\n")
    clock[0] = 119.0
    bar.advance(100)
    assert capfd.readouterr() == ("", "")
    clock[0] = 120.0
    bar.advance(100)
    assert capfd.readouterr() == ("", "epoch 1: 50%, 20 rows/s, at most 25 s left\n")


def test_a_stage_without_rows_divides_by_nothing(clock, capfd):
    bar = PlainProgress()
    bar.start("empty", 0)
    clock[0] = 110.0
    bar.advance(0)
    assert capfd.readouterr().err == "empty: 0%, 0 rows/s, at most 0 s left\n"


def test_silent_progress_writes_nothing(capfd):
    bar = Progress()
    bar.start("a", 1)
    bar.advance(1)
    bar.say("b")
    bar.finish()
    assert capfd.readouterr() == ("", "")


def test_a_bar_writes_lines_as_they_are_to_stderr_and_can_start_again(capfd):
    bar = RichProgress()
    bar.say("[bold]3 of 4[/bold]")
    bar.finish()
    for title in ("one", "two"):
        bar.start(title, 10, done=5)
        bar.advance(5)
        assert bar.bar.tasks[0].completed == 10
    bar.finish()
    bar.advance(1)
    out, err = capfd.readouterr()
    assert out == ""
    assert "[bold]3 of 4[/bold]" in err


@pytest.mark.parametrize(
    ("mode", "terminal", "variables", "kind"),
    [
        ("auto", True, {}, RichProgress),
        ("auto", False, {}, PlainProgress),
        ("auto", True, {"CI": "true"}, PlainProgress),
        ("auto", True, {"NO_COLOR": "1"}, PlainProgress),
        ("rich", False, {"CI": "true"}, RichProgress),
        ("plain", True, {}, PlainProgress),
        ("none", True, {}, Progress),
    ],
)
def test_the_kind_follows_from_the_terminal_unless_it_is_named(monkeypatch, mode, terminal, variables, kind):
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert type(open_progress(mode)) is kind


def test_an_unknown_kind_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"progress='loud': unknown\. Choose auto, rich, plain, none\."):
        open_progress("loud")
