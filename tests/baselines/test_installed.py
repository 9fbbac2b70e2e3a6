"""Which baselines are fitted, and the words where a library is missing or cannot be loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from manygate.baselines import installed
from manygate.baselines.installed import chosen_baselines, missing_library
from manygate.errors import InputError


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LightGBM is installed, and a library of the system that it needs is missing."""
    (tmp_path / "lightgbm.py").write_text('raise OSError("libgomp.so.1: cannot open shared object file")')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lightgbm", raising=False)


def test_lightgbm_is_the_default_where_it_is_installed() -> None:
    assert chosen_baselines(None) == (("lightgbm",), None)
    assert chosen_baselines(("constant", "logistic")) == (("constant", "logistic"), None)
    assert chosen_baselines(()) == ((), None)


def test_without_the_library_there_is_a_note_or_an_error_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None)
    names, note = chosen_baselines(None)
    assert names == ()
    assert note == (
        "LightGBM is not installed, so the comparison does not show what it reaches on this log. "
        "Install it with pip install 'manygate[baselines]'."
    )
    assert chosen_baselines(("constant",)) == (("constant",), None)
    with pytest.raises(InputError) as caught:
        chosen_baselines(("lightgbm", "logistic"))
    assert caught.value.for_command_line() == (
        "2 problems:\n"
        "  - --baselines lightgbm,logistic: LightGBM is not installed. Install it with pip install 'manygate[baselines]'. "
        "Or give --baselines none.\n"
        "  - --baselines lightgbm,logistic: scikit-learn is not installed. Install it with pip install 'manygate[baselines]'. "
        "Or give --baselines none."
    )


@pytest.mark.usefixtures("broken")
def test_a_library_that_cannot_be_loaded_is_left_out_with_a_note_or_refused_if_it_was_asked_for() -> None:
    what = "LightGBM is installed and cannot be loaded (OSError: libgomp.so.1: cannot open shared object file)"
    names, note = chosen_baselines(None)
    assert names == ()
    assert note == f"{what}, so the comparison does not show what it reaches on this log. Mend or reinstall it."
    with pytest.raises(InputError) as caught:
        chosen_baselines(("lightgbm", "constant"))
    assert str(caught.value) == f"baselines='lightgbm,constant': {what}. Mend or reinstall it. Or give baselines='none'."
    assert chosen_baselines(("constant",)) == (("constant",), None)


def test_only_the_named_library_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None if name == "lightgbm" else object())
    missing = [missing_library(name) is not None for name in ("lightgbm", "logistic", "constant")]
    assert missing == [True, False, False]
