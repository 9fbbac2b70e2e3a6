"""The journal file: it survives kills, finds damage, and is shared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from manygate.errors import InputError
from manygate.runs.tuning.journal import CHECKSUM, Journal
from manygate.runs.tuning.proposal import optuna
from searched import claim, ledger

LOGS = [{"op_code": n, "text": "ä" * n, "value": 0.1 + n} for n in range(5)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "journal.jsonl"


def test_what_is_appended_is_read_from_any_number_on(path: Path) -> None:
    first, second = Journal(path), Journal(path)
    first.append_logs(LOGS[:2])
    assert list(second.read_logs(0)) == LOGS[:2]
    second.append_logs(LOGS[2:])
    for start in (0, 1, 4, 5):
        assert list(first.read_logs(start)) == LOGS[start:]
        assert list(Journal(path).read_logs(start)) == LOGS[start:]


@pytest.mark.parametrize("kept", [1, 20, 30])
def test_a_line_that_a_kill_cut_off_has_not_happened(path: Path, kept: int) -> None:
    journal = Journal(path)
    journal.append_logs(LOGS[:3])
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines(keepends=True)[0][:kept])
    assert list(journal.read_logs(0)) == LOGS[:3]
    journal.append_logs(LOGS[3:])
    assert list(Journal(path).read_logs(0)) == LOGS
    path.write_bytes(whole[:kept])
    late = Journal(path)
    late.append_logs(LOGS[:1])
    assert list(late.read_logs(0)) == LOGS[:1]


def test_a_long_line_that_was_cut_off_is_removed_whole(path: Path) -> None:
    journal = Journal(path)
    journal.append_logs(LOGS[:1])
    whole = path.read_bytes()
    path.write_bytes(whole + b"x" * 20_000)
    journal.append_logs(LOGS[1:2])
    assert path.read_bytes()[: len(whole)] == whole
    assert list(journal.read_logs(0)) == LOGS[:2]


def test_every_flipped_byte_is_found(path: Path) -> None:
    Journal(path).append_logs(LOGS[:2])
    good = path.read_bytes()
    for at in range(len(good) - 1):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(InputError, match="damaged or changed"):
            list(Journal(path).read_logs(0))


def test_optunas_own_backend_reads_the_file(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    claim(book, 0)
    backend = optuna().storages.journal.JournalFileBackend(str(tmp_path / "journal.jsonl"))
    study = optuna().load_study(study_name="tuning", storage=optuna().storages.JournalStorage(backend))
    assert [trial.params["experts"] for trial in study.trials] == [3]
    assert all(CHECKSUM in json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines())


APPEND = """
import sys
from pathlib import Path
from manygate.runs.tuning.journal import Journal
journal = Journal(Path(sys.argv[1]))
for n in range(40):
    journal.append_logs([{"from": sys.argv[2], "n": n}])
"""


def test_processes_append_without_losing_a_line(path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", APPEND, str(path), name]) for name in "ab"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    found = list(Journal(path).read_logs(0))
    assert [[log["n"] for log in found if log["from"] == name] for name in "ab"] == [list(range(40))] * 2


def test_a_file_that_cannot_be_written_is_named() -> None:
    with pytest.raises(InputError, match=r"journal\.jsonl"):
        Journal(Path("/dev/null/journal.jsonl"))
    with pytest.raises(InputError, match="a device and not a file"):
        Journal(Path("/dev/null"))
