"""The socket, the certificate, and a server from its start to its end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import urllib.request
from pathlib import Path

import pytest

from exported import Exported
from manygate.config.serve_settings import ServeConfig
from manygate.errors import InputError
from manygate.serving.server import address_of, check_tls, cores, listen
from served import Process, as_json, funnel_rows


def test_a_free_port_is_taken() -> None:
    listener = listen(ServeConfig(port=0))
    try:
        assert address_of(listener, ServeConfig()) == f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert address_of(listener, ServeConfig(certificate="c", key="k")).startswith("https://")
    finally:
        listener.close()


def test_a_port_in_use_is_one_clear_error() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(InputError, match="another program listens there") as caught:
            listen(ServeConfig(port=other.getsockname()[1]))
    assert "--port" in caught.value.for_command_line()


def test_an_address_of_another_machine_is_one_clear_error() -> None:
    with pytest.raises(InputError, match="does not have the address"):
        listen(ServeConfig(host="192.0.2.1", port=0))
    with pytest.raises(InputError, match="no such address"):
        listen(ServeConfig(host="no.such.host.invalid", port=0))


def test_the_cores_are_those_of_this_process() -> None:
    assert cores() == len(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate of this test, and it is not installed")
    subprocess.run([*command.split(), "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def test_a_certificate_that_cannot_be_used_is_one_clear_error(tls: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = tls
    check_tls(ServeConfig(certificate=certificate, key=key))
    check_tls(ServeConfig())
    with pytest.raises(InputError) as caught:
        check_tls(ServeConfig(certificate=tmp_path / "a", key=tmp_path / "b"))
    assert len(caught.value.problems) == 2
    (tmp_path / "garbage").write_text("no certificate")
    for pair in ((tmp_path / "garbage", key), (certificate, tmp_path / "garbage"), (key, certificate)):
        with pytest.raises(InputError, match="cannot be used"):
            check_tls(ServeConfig(certificate=pair[0], key=pair[1]))
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "rsa", "-aes128", "-passout", "pass:abcd", "-in", key, "-out", locked], check=True, capture_output=True
    )
    with pytest.raises(InputError, match="cannot be used"):
        check_tls(ServeConfig(certificate=certificate, key=locked))


def test_a_server_answers_by_tls(exported: Exported, tls: tuple[Path, Path]) -> None:
    certificate, key = tls
    server = Process(exported.folder, "--certificate", certificate, "--key", key)
    try:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(server.url + "/v2/health/live", context=context, timeout=60) as answer:
            assert answer.status == 200
    finally:
        code, err = server.end(signal.SIGINT)
    assert code == 0, err


def test_sigterm_answers_what_is_inside_and_ends_well(exported: Exported) -> None:
    """Requests that arrive while the server drains get their answers, too."""
    statuses: list[int] = []
    with Process(exported.folder, "--drain", "0.5") as server:
        tree = {"candidates": as_json(funnel_rows(24), exported.model.features), "top": 1}

        def ask() -> None:
            for _ in range(10):
                statuses.append(server.post("/v1/rank", tree)[0])

        askers = [threading.Thread(target=ask) for _ in range(3)]
        server.post("/v1/rank", tree)
        for asker in askers:
            asker.start()
        server.process.send_signal(signal.SIGTERM)
        for asker in askers:
            asker.join()
        _, err = server.process.communicate(timeout=60)
        assert server.process.returncode == 0, err
    assert statuses == [200] * 30
    assert b'"event":"draining"' in err
    assert err.rstrip().endswith(b"}")
    assert b'"event":"ended"' in err


def test_a_second_signal_ends_at_once(exported: Exported) -> None:
    with Process(exported.folder, "--drain", "600") as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.get("/v2/health/ready")[0] == 503
        code, err = server.end()
    assert code == 0, err
