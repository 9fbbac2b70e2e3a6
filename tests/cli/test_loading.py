"""A trained model is loaded, with the module of a scheme of the user's own where one is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from manygate.cli.loading import import_own, load_ranker
from manygate.errors import InputError


def test_a_run_is_loaded(trained: Path) -> None:
    ranker = load_ranker(trained, "cpu", ())
    assert ranker.config.experts == 2
    assert ranker.schema.task_names == ("click", "like", "watch_time", "buy")


def test_the_module_of_a_scheme_is_imported_by_its_name_or_by_that_of_the_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("first_own_scheme", "second_own_scheme"):
        (tmp_path / f"{module}.py").write_text("LOADED = True\n")
        monkeypatch.delitem(sys.modules, module, raising=False)
    import_own(("first_own_scheme",), {"architectures": "mmoe,second_own_scheme:Scheme", "epochs": 2})
    import_own(())
    assert sys.modules["first_own_scheme"].LOADED
    assert sys.modules["second_own_scheme"].LOADED


def test_a_module_that_does_not_exist_is_refused(trained: Path) -> None:
    with pytest.raises(InputError, match="'no_such_module' cannot be imported"):
        load_ranker(trained, "cpu", ("no_such_module",))
