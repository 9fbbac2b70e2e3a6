"""``manygate serve`` on the command line."""

from __future__ import annotations

import socket
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import manygate.cli.serve as command
from command_line import Run, refused
from exported import Exported
from manygate.config.serve_settings import ServeConfig
from manygate.scoring.exported_model import ExportedModel
from served import Process, as_json, client_of, funnel_rows, service_of


def test_every_setting_is_a_flag(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr(command, "start", lambda *arguments: given.extend(arguments))
    flags = (
        "--host ::1 --port 9 --name ads --workers 3 --threads 2 --deadline 0.5 --queue 7 --batch-rows 8 --max-rows 9 --max-body 10"
    )
    flags += (
        " --body-seconds 2 --connections 5 --drain 0 --watch 2 --calibration c --fusion f --token-file t --certificate x --key y"
    )
    assert run("serve model", flags, "--log-requests r --log-share 0.5 --log-level warning").code == 0
    folder, settings = given[:2]
    assert folder == Path("model")
    assert isinstance(settings, ServeConfig)
    assert settings.model_fields_set == set(ServeConfig.model_fields)
    assert (settings.host, settings.port, settings.deadline, settings.log_level) == ("::1", 9, 0.5, "warning")


def test_bad_input_is_one_clear_error(run: Run, exported: Exported, tmp_path: Path) -> None:
    refused(run("serve nothing --port 0 --workers 2"), "nothing: no exported model here", "manygate export")
    refused(run("serve", exported.folder, "--host 0.0.0.0"), "--host 0.0.0.0", "--token-file")
    refused(run("serve", exported.folder, "--certificate c.pem"), "--certificate needs --key")
    refused(run("serve", exported.folder, "--certificate c.pem --key k.pem"), "2 problems", "c.pem", "k.pem")
    refused(run("serve", exported.folder, "--deadline 0"), "--deadline")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        refused(run("serve", exported.folder, "--port", str(other.getsockname()[1])), "another program listens there")


def test_a_server_ranks(exported: Exported) -> None:
    with Process(exported.folder, "--drain", "0", "--log-level", "warning") as server:
        status, answer = server.post("/v1/rank", {"candidates": as_json(funnel_rows(5), exported.model.features), "top": 2})
        assert status == 200
        assert (answer["by"], len(answer["ids"]), len(answer["scores"]["score"])) == ("score", 2, 2)
        code, err = server.end()
    assert (code, err.count('"event"')) == (0, 0), "at this level nothing of this is logged"


def test_kept_requests_are_evaluated_once_labels_arrive(run: Run, log: Path, trained: Path, tmp_path: Path) -> None:
    """The metrics are those of the rows that were sent."""
    made = run("export", trained, log / "test.parquet", "--out model --json")
    assert made.code == 0, made.err
    sent = pq.read_table(log / "test.parquet")
    model = ExportedModel.load(tmp_path / "model", threads=1)
    candidates = as_json(sent.select(model.features).combine_chunks().to_batches()[0], model.features)
    service = service_of(tmp_path / "model", log_requests=tmp_path / "kept", log_share=1.0)
    with client_of(service) as client:
        assert client.post("/v1/rank", json={"candidates": candidates, "by": "click"}).status_code == 200
    (path,) = (tmp_path / "kept").glob("*.parquet")
    kept = pq.read_table(path)
    for name in sent.column_names:
        if name not in kept.column_names:
            kept = kept.append_column(name, sent[name])
    pq.write_table(kept, tmp_path / "labelled.parquet")
    expected = run("evaluate", trained, log / "test.parquet", "--json").json
    assert run("evaluate", trained, tmp_path / "labelled.parquet", "--json").json["tasks"] == expected["tasks"]
