"""The verb's words, its port, and what its guard refuses, without Gradio."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
from pathlib import Path
from typing import Any

import pytest

from gan_style.apps.studio.runs import gallery
from gan_style.apps.studio.verb import PORTS
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.core.sockets import bracketed, is_loopback, listening


def test_without_gradio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["studio"]) == 2
    assert capsys.readouterr().err == "gan_style: the studio needs Gradio: pip install 'gan-style[studio]'\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--port", "70000"], "--port=70000 is not valid: give a whole number of at least 1 and at most 65535"),
        (["--port", "0"], "--port=0 is not valid"),
        (["--runs", "no-such-folder"], "--runs no-such-folder: there is no such folder"),
        (["--host", "no.such.host.invalid"], "the studio cannot listen on any port from 7860 to 7959 of no.such.host"),
        (["--checkpoint", "none.ckpt"], "there is no checkpoint none.ckpt"),
    ],
)
def test_mistakes_are_one_line(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    if importlib.util.find_spec("gradio") is None:  # importing it would take seconds
        pytest.skip("the studio needs gradio")
    assert main(["studio", *words]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert sentence in line


def test_a_port_that_is_taken_is_named_and_otherwise_the_next_is_taken() -> None:
    with listening("127.0.0.1", PORTS, "the studio") as first:
        taken = first.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen on port {taken} of 127.0.0.1 .*: give another --port"):
            listening("127.0.0.1", [taken], "the studio")
        with listening("127.0.0.1", PORTS, "the studio") as second:
            assert second.getsockname()[1] != taken


def test_what_the_page_is_told_is_sent_at_once() -> None:
    """Not held back until the network acknowledges what was sent before, 40 ms later."""

    async def delays() -> list[int]:
        seen: list[int] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            own = writer.get_extra_info("socket")
            seen.append(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listening("127.0.0.1", PORTS, "the studio") as listener:
            async with await asyncio.start_server(answer, sock=listener):
                reader, writer = await asyncio.open_connection(*listener.getsockname())
                await reader.read()
                writer.close()
        return seen

    assert asyncio.run(delays()) == [1]


def test_loopback_is_told_from_other_hosts() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.1.2.3", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.7", socket.gethostname() + ".example")))


def test_a_host_is_written_as_in_an_address() -> None:
    assert [bracketed(host) for host in ("127.1.2.3", "localhost", "::1")] == ["127.1.2.3", "localhost", "[::1]"]


def ask(path: str, **headers: str) -> tuple[int, dict[str, str]]:
    """Status and headers of the guard's answer; behind it all is well."""
    pytest.importorskip("starlette", reason="it comes with gradio")
    from starlette.responses import PlainTextResponse

    from gan_style.apps.studio.guard import Guard
    from gan_style.apps.studio.room import Room

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(key.encode(), value.encode()) for key, value in {"host": "127.0.0.1:7860", **headers}.items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": pairs}
    asyncio.run(Guard(PlainTextResponse("well"), Room(Path("nowhere")))(scope, receive, send))
    return sent[0]["status"], {key.decode(): value.decode() for key, value in sent[0]["headers"]}


def test_the_guard_refuses_other_origins_and_other_addresses() -> None:
    status, headers = ask("/", origin="http://127.0.0.1:7860")
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'self'; ")
    assert "http" not in headers["content-security-policy"]
    assert ask("/")[0] == 200  # no page asks, but a person
    for origin in ("http://127.0.0.1:7861", "https://elsewhere.example", "null", ""):
        assert ask("/", origin=origin)[0] == 403, origin
    for site in ("cross-site", "same-site"):  # which a browser says of a GET too
        assert ask("/", **{"sec-fetch-site": site})[0] == 403, site
    for site in ("same-origin", "none"):
        assert ask("/", **{"sec-fetch-site": site})[0] == 200, site
    for address in ("http://elsewhere.example/x", "HTTPS://elsewhere.example/x"):
        assert ask(f"/gradio_api/file={address}")[0] == 403
    assert ask("/gradio_api/file=/tmp/http.png")[0] == 200


def test_the_gallery_says_what_a_run_is_and_shows_nothing_unescaped(tmp_path: Path) -> None:
    assert "There are no runs in" in gallery(tmp_path / "none")
    run = tmp_path / "<b>bold" / "first"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "best.ckpt").write_bytes(b"")
    (run / "config.yaml").write_text("name: x\nmodel:\n  _target_: gan_style.models.cut.CUT\ndata:\n  set: '<i>'\n")
    (run / "run.json").write_text('{"iterations": 1200}')
    (run / "scores.json").write_text('{"scores": {"A2B": {"psnr": {"value": 21.25, "low": 20, "high": 22}}}}')
    (run / "images").mkdir()
    (run / "images" / "iteration-000007.png").write_bytes(b"cut off")
    page = gallery(tmp_path)
    assert "<h3>&lt;b&gt;bold/first</h3>" in page
    assert "CUT on &lt;i&gt;, 1,200 iterations: A2B 21.2 dB" in page
    assert "no pictures yet" in page
    assert "<b>bold" not in page
    assert "<i>" not in page
