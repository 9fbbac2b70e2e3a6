"""The log of requests: what is kept, in which form, and that it never holds a request up."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import manygate.serving.request_log as request_log_module
from exported import Exported
from manygate.errors import InputError
from manygate.serving.log import Log
from manygate.serving.rank import RankRequest, read_rank
from manygate.serving.request_log import RequestLog
from manygate.serving.versions import Version
from served import as_json, client_of, funnel_rows, service_of


@pytest.fixture(scope="module")
def version(exported: Exported) -> Version:
    return Version(exported.model, "one")


@pytest.fixture
def request_(version: Version) -> RankRequest:
    candidates = as_json(funnel_rows(5), version.model.features) | {"name": ["a", 2, None, True, "e"]}
    return read_rank({"candidates": candidates, "id": "name"}, version.inputs, version.outputs, version.score, 100)


def kept(folder: Path) -> list[pa.Table]:
    return [pq.read_table(path) for path in sorted(folder.glob("*.parquet"))]


def offer(log: RequestLog, version: Version, request: RankRequest, times: int = 1) -> dict[str, Any]:
    columns, _ = version.predict(request.feed)
    for n in range(times):
        log.offer(f"request-{n}", version, request.feed, columns, request.ids)
    return columns


def test_rows_come_back_as_they_were_sent(tmp_path: Path, version: Version, request_: RankRequest) -> None:
    """Texts with a NUL, nulls in lists, uint64 ids as text: each column holds what the rows held."""
    log = RequestLog(tmp_path / "kept", 1.0, Log("error", io.BytesIO()))
    columns = offer(log, version, request_)
    log.close()
    (table,) = kept(tmp_path / "kept")
    sent = funnel_rows(5)
    for name in version.model.features:
        expected = sent.column(name).to_pylist()
        if name == "large":
            expected = [None if value is None else str(value) for value in expected]
        if pa.types.is_list(sent.column(name).type):
            expected = [value or [] for value in expected]
        assert table[name].to_pylist() == expected, name
    assert table["request_id"].to_pylist() == ["request-0"] * 5
    assert table["candidate_id"].to_pylist() == ["a", "2", "None", "True", "e"]
    assert set(table["model_version"].to_pylist()) == {"one"}
    for name, column in columns.items():
        np.testing.assert_array_equal(table[f"predicted.{name}"].to_numpy(), column)


def test_the_kept_rows_are_predicted_as_the_request_was(
    tmp_path: Path, exported: Exported, version: Version, request_: RankRequest
) -> None:
    log = RequestLog(tmp_path, 1.0, Log("error", io.BytesIO()))
    columns = offer(log, version, request_)
    log.close()
    (batch,) = kept(tmp_path)[0].combine_chunks().to_batches()
    again = exported.model.columns(batch)
    for name, column in columns.items():
        np.testing.assert_allclose(again[name], column, rtol=1e-12)


def test_a_share_of_requests_is_kept(tmp_path: Path, version: Version, request_: RankRequest) -> None:
    log = RequestLog(tmp_path, 0.25, Log("error", io.BytesIO()))
    draws = iter([0.1, 0.25, 0.9, 0.24])
    log._random = type("Draws", (), {"random": lambda self: next(draws)})()  # type: ignore[assignment]
    offer(log, version, request_, times=4)
    log.close()
    assert kept(tmp_path)[0]["request_id"].unique().to_pylist() == ["request-0", "request-3"]


def test_a_file_ends_when_it_is_large_and_when_the_version_changes(
    tmp_path: Path, version: Version, request_: RankRequest, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log_module, "FILE_ROWS", 10)
    log = RequestLog(tmp_path, 1.0, Log("error", io.BytesIO()))
    offer(log, version, request_, times=3)
    offer(log, Version(exported.model, "two"), request_)
    log.close()
    assert [(table.num_rows, table["model_version"][0].as_py()) for table in kept(tmp_path)] == [
        (10, "one"),
        (5, "one"),
        (5, "two"),
    ]


def test_requests_beyond_what_waits_are_dropped_and_counted(
    tmp_path: Path, version: Version, request_: RankRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log_module, "WAITING", 2)
    monkeypatch.setattr(request_log_module.threading.Thread, "start", lambda thread: None)
    stream = io.BytesIO()
    log = RequestLog(tmp_path, 1.0, Log("info", stream))
    offer(log, version, request_, times=5)
    assert log._dropped == 3
    log._waiting.get()
    log._waiting.put(None)
    log._work()
    line = json.loads(stream.getvalue())
    assert (line["event"], line["count"]) == ("requests dropped", 3)


def test_a_disk_that_cannot_be_written_costs_the_rows_alone(
    tmp_path: Path, version: Version, request_: RankRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    stream = io.BytesIO()
    log = RequestLog(tmp_path, 1.0, Log("info", stream))
    monkeypatch.setattr(request_log_module.pq, "write_table", full)
    offer(log, version, request_)
    log.close()
    line = json.loads(stream.getvalue())
    assert (line["event"], "No space left" in line["error"]) == ("requests not kept", True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        RequestLog(tmp_path / "file", 1.0, Log())


def test_the_server_keeps_requests_of_both_kinds(tmp_path: Path, exported: Exported) -> None:
    service = service_of(exported.folder, log_requests=tmp_path, log_share=1.0)
    with client_of(service) as client:
        tree = {"candidates": as_json(funnel_rows(3), exported.model.features)}
        assert client.post("/v1/rank", json=tree, headers={"X-Request-Id": "mine"}).status_code == 200
        assert client.post("/v1/rank", content=b"{").status_code == 400
    (table,) = kept(tmp_path)
    assert table["request_id"].to_pylist() == ["mine"] * 3
    assert table["candidate_id"].to_pylist() == ["0", "1", "2"]
