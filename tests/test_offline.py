"""The guard of tests/offline.py bites, and lets loopback through."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.offline import is_local

ROOT = Path(__file__).parents[1]
ELSEWHERE = "192.0.2.1"  # of TEST-NET-1 (RFC 5737), which nobody has


def test_connections_are_refused(refused: list[str]) -> None:
    with socket.socket() as stream, pytest.raises(ConnectionRefusedError, match=f"offline.*{ELSEWHERE}"):
        stream.connect((ELSEWHERE, 80))
    with socket.socket() as stream, pytest.raises(ConnectionRefusedError, match="offline"):
        stream.connect_ex((ELSEWHERE, 80))
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams, pytest.raises(ConnectionRefusedError, match="offline"):
        datagrams.sendto(b"x", (ELSEWHERE, 53))
    with pytest.raises(urllib.error.URLError, match="offline"):
        urllib.request.urlopen("http://example.org", timeout=5)
    assert refused == [
        *[f"socket.connect {ELSEWHERE}"] * 2,
        f"socket.sendto {ELSEWHERE}",
        "socket.getaddrinfo example.org",
    ]
    refused.clear()


def test_threads_are_watched(refused: list[str]) -> None:
    found: list[Exception] = []

    def connect() -> None:
        try:
            socket.create_connection((ELSEWHERE, 80), timeout=5)
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    assert [type(error) for error in found] == [ConnectionRefusedError]
    assert refused
    refused.clear()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", b"localhost", "::1", "127.3.2.1", "", None, "0.0.0.0"])
def test_this_machine_is_local(host: str | bytes | None) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["example.org", ELSEWHERE, "10.0.0.1", "2001:db8::1", "localhost.example.org"])
def test_others_are_not(host: str) -> None:
    assert not is_local(host)


def test_loopback_and_unix_sockets_work(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x")
        accepted, _ = server.accept()
        with accepted:
            assert accepted.recv(1) == b"x"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))


SWALLOWS = f"""
import socket
import pytest

def test_swallows():
    try:
        socket.create_connection(("{ELSEWHERE}", 80), timeout=0.2)
    except OSError:
        pass

@pytest.mark.network
def test_may():
    test_swallows()
"""


def test_a_test_fails_of_it_even_where_its_code_takes_the_error_for_no_network(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(SWALLOWS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = network\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.offline", "-p", "no:cacheprovider", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"tried to leave this machine: socket.getaddrinfo {ELSEWHERE}" in result.stdout
    assert "2 passed, 1 error" in result.stdout
