"""Which baselines are fitted, and the words where a library is missing."""

from __future__ import annotations

import pytest

from manygate.baselines import installed
from manygate.baselines.installed import chosen_baselines, is_installed
from manygate.errors import InputError


def test_lightgbm_is_the_default_where_it_is_installed() -> None:
    assert chosen_baselines(None) == (("lightgbm",), None)
    assert chosen_baselines(("constant", "logistic")) == (("constant", "logistic"), None)
    assert chosen_baselines(()) == ((), None)


def test_without_the_library_there_is_a_note_or_an_error_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None)
    names, note = chosen_baselines(None)
    assert names == ()
    assert note is not None
    assert "pip install 'manygate[baselines]'" in note
    assert chosen_baselines(("constant",)) == (("constant",), None)
    with pytest.raises(InputError) as caught:
        chosen_baselines(("lightgbm", "logistic"))
    assert caught.value.for_command_line() == (
        "--baselines lightgbm,logistic: lightgbm and sklearn are not installed. Install with pip install 'manygate[baselines]', "
        "or give --baselines none."
    )


def test_only_the_named_library_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None if name == "lightgbm" else object())
    assert [is_installed(name) for name in ("lightgbm", "logistic", "constant")] == [False, True, True]
