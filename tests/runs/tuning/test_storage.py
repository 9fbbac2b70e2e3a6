"""Storages: which are taken, which are refused, and that no password is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from manygate.errors import InputError
from manygate.runs.tuning import storage
from manygate.runs.tuning.storage import hidden, open_storage
from searched import claim, ledger


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("study.db", "expected the address of an SQL database"),
        ("redis://localhost", "kept in an SQL database or in a file"),
        ("http://localhost", "kept in an SQL database or in a file"),
        ("nope://localhost/x", "cannot be reached"),
        ("sqlite:////no/such/folder/study.db", "cannot be reached .*unable to open"),
    ],
)
def test_what_is_no_database_is_refused(url: str, problem: str) -> None:
    with pytest.raises(InputError, match=f"storage='{url.partition(':')[0]}.*{problem}"):
        open_storage(url, None)


def test_no_password_is_shown() -> None:
    for url in ("postgresql://anna:s3cret@localhost:1/db", "mysql+pymysql://anna:s3:cr@et@localhost/db"):
        with pytest.raises(InputError) as error:
            open_storage(url, None)
        assert "s3" not in str(error.value)
        assert "anna:***@localhost" in str(error.value)
    assert hidden("manygate tune a --storage mysql://u:p@h/d --out x") == "manygate tune a --storage mysql://u:***@h/d --out x"


def test_a_journal_a_database_and_memory_hold_the_same(tmp_path: Path) -> None:
    books = [ledger(tmp_path), ledger(url=f"sqlite:///{tmp_path / 'a.db'}"), ledger()]
    for book in books:
        claim(book, 0)
    assert len({str([(e.number, e.settings, e.params, e.state) for e in book.entries().values()]) for book in books}) == 1
    again = ledger(url=f"sqlite:///{tmp_path / 'a.db'}")
    assert again.entries()[0].settings == books[1].entries()[0].settings


def test_processes_that_make_the_tables_at_once_try_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tries: list[Any] = []
    opened = storage.optuna().storages.get_storage

    class IntegrityError(Exception):
        pass

    def first_fails(url: Any, **more: Any) -> Any:
        tries.append(url)
        if len(tries) < 3:
            raise IntegrityError("UNIQUE constraint failed: alembic_version.version_num")
        return opened(url, **more)

    monkeypatch.setattr(storage.optuna().storages, "get_storage", first_fails)
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: None)
    open_storage(f"sqlite:///{tmp_path / 'a.db'}", None)
    assert len(tries) == 3
