"""Opens the storage of a study: a journal file in its folder, or an SQL database."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from manygate.errors import InputError, setting
from manygate.runs.tuning.journal import Journal
from manygate.runs.tuning.proposal import optuna, silent

JOURNAL = "journal.jsonl"
"""The file in the folder of a study."""
LOCK_SECONDS = 60
"""How long a process waits for others that write to a SQLite file."""
ATTEMPTS = 10
"""How often a new database is opened: processes that begin at once get in each other's way while they make its tables."""
_PASSWORD = re.compile(r"(?<=://)([^/@]*?):([^/]*)@")


def open_storage(url: str | None, folder: Path | None) -> Any:
    """Return a storage of Optuna. Without a database it is a file in ``folder``, or memory without one.

    Both keep values as JSON. Optuna pickles nothing in them: it pickles snapshots of a journal in Redis, and that is refused.

    Raises:
        InputError: If the database cannot be reached, or if it is of another kind.
    """
    storages = optuna().storages
    if url is None:
        return storages.InMemoryStorage() if folder is None else storages.JournalStorage(Journal(folder / JOURNAL))
    at = setting("storage", hidden(url))
    scheme, separator, _ = url.partition("://")
    if not separator or not re.fullmatch(r"[a-z0-9]+(\+[a-z0-9_]+)?", scheme):
        raise InputError(f"{at}: expected the address of an SQL database, such as sqlite:///study.db. Give one, or leave it out.")
    if scheme.partition("+")[0] in ("redis", "rediss", "grpc", "http", "https", "file"):
        raise InputError(f"{at}: a study is kept in an SQL database or in a file of its folder. Give another, or leave it out.")
    waits = {"connect_args": {"timeout": LOCK_SECONDS}} if scheme.startswith("sqlite") else {"pool_pre_ping": True}
    for attempt in range(ATTEMPTS):
        try:
            with silent():
                return storages.get_storage(storages.RDBStorage(url, engine_kwargs=waits))
        except Exception as error:  # of SQLAlchemy, of any driver, or of Optuna
            if attempt + 1 < ATTEMPTS and _tables_made_at_once(error):
                time.sleep(0.2 * (1 + attempt))
                continue
            reason = hidden(" ".join(str(error).split())[:300]).replace(url, hidden(url)) or type(error).__name__
            raise InputError(
                f"{at}: it cannot be reached ({type(error).__name__}: {reason}). Check the address, the rights and the driver."
            ) from None


def _tables_made_at_once(error: Exception) -> bool:
    """Return whether another process made the tables of a new database at the same moment."""
    return type(error).__name__ == "IntegrityError" or "already exists" in str(error)


def hidden(text: str) -> str:
    """Return a text with the passwords of the addresses in it replaced.

    >>> hidden("mysql://anna:s3:cr@t@host/db"), hidden("sqlite:///a.db")
    ('mysql://anna:***@host/db', 'sqlite:///a.db')
    """
    return _PASSWORD.sub(r"\1:***@", text)
