"""`gan-style serve` on loopback: the pictures of `gan-style translate`, in batches, an answer to whatever is sent."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi_offline", reason="pip install 'gan-style[serve]'")
pytest.importorskip("prometheus_client")

import uvicorn

from experiments import serve_client, serve_load
from gan_style.apps.serve import model as models
from gan_style.apps.serve import verb
from gan_style.apps.serve.application import application
from gan_style.apps.serve.batches import Batches
from gan_style.apps.serve.limits import Limits
from gan_style.cli.main import main
from gan_style.core.sockets import listening
from gan_style.data.saving import encode
from gan_style.data.values import Array, ValueRange
from tests.small_models import saved

NAMES = frozenset(["localhost", "127.0.0.1"])


class Doubling:
    """A model that shows what it was asked, and waits where it is told to."""

    directions: tuple[str, ...] = ("A2B", "B2A")
    about: dict[str, Any] = {"model": "Doubling"}

    def __init__(self) -> None:
        self.passes: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()

    def taken(self, direction: str) -> ValueRange:
        return ValueRange()

    def written(self, direction: str) -> ValueRange:
        return ValueRange()

    def run(self, pictures: Sequence[Array], direction: str) -> list[Array]:
        self.begun.set()
        assert self.go.wait(30)
        self.passes.append(len(pictures))
        if any((picture == 13).all() for picture in pictures):
            raise RuntimeError("thirteen")
        if any((picture == 113).all() for picture in pictures):
            raise MemoryError
        return [picture // 2 if direction == "A2B" else 255 - picture for picture in pictures]


class Running:
    """A server in a thread of this process."""

    def __init__(self, model: Any, limits: Limits) -> None:
        self.socket = listening("127.0.0.1", [0], "the server")
        self.port = self.socket.getsockname()[1]
        self.server = uvicorn.Server(uvicorn.Config(application(model, limits, NAMES), log_level="critical"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(30)
        self.socket.close()
        assert not self.thread.is_alive()

    def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
        response = connection.getresponse()
        found = response.status, response.read(), response.headers
        connection.close()
        return found

    def error(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        """Status and sentence of an answer that is an error, which is JSON of nothing else."""
        status, found, _ = self.ask(method, path, body, **headers)
        content = json.loads(found)
        assert list(content) == ["error"]
        assert "\n" not in content["error"]
        return status, content["error"]


@pytest.fixture
def doubling() -> Doubling:
    return Doubling()


@pytest.fixture
def server(doubling: Doubling) -> Iterator[Running]:
    limits = Limits(body_bytes=50_000, pixels=10_000, requests=4, batch=3, body_seconds=1.0)
    with Running(doubling, limits) as running:
        yield running


def png(value: int = 100, size: tuple[int, int] = (20, 30)) -> bytes:
    return encode(np.full((*size, 3), value, np.uint8), ".png")


def pixels(body: bytes) -> Array:
    with Image.open(BytesIO(body)) as image:
        return np.asarray(image)


# The model


def test_answers_are_what_translate_writes_and_the_client_gets_them(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a.ckpt", "model=cyclegan")
    (tmp_path / "in").mkdir()
    for name, size in (("wide", (61, 40)), ("high", (33, 50))):
        noise = np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "in" / f"{name}.png")
    words = ["translate", str(checkpoint), str(tmp_path / "in")]
    assert main([*words, str(tmp_path / "A2B")]) == 0
    assert main([*words, str(tmp_path / "B2A"), "--direction", "B2A"]) == 0
    (tmp_path / "in" / "bad.txt").write_text("no picture")
    with Running(models.served(str(checkpoint), device="cpu"), Limits()) as running:
        url = f"http://127.0.0.1:{running.port}/translate"
        script = [sys.executable, serve_client.__file__]
        done = subprocess.run(
            [*script, url, str(tmp_path / "in"), str(tmp_path / "out")], capture_output=True, text=True
        )
        assert done.returncode == 2
        assert "2 of 3 pictures" in done.stdout
        assert "bad.txt: the body is a text file and not a picture" in done.stderr
        for name in ("wide.png", "high.png"):
            assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "A2B" / name).read_bytes()
            _, body, _ = running.ask("POST", "/translate?direction=B2A", (tmp_path / "in" / name).read_bytes())
            assert body == (tmp_path / "B2A" / name).read_bytes()
        about = json.loads(running.ask("GET", "/health")[1])
        assert about["directions"] == ["A2B", "B2A"]
        assert about["domains"] == {"A": "photo", "B": "painting"}


def test_a_side_that_does_not_go_round_is_said(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a.ckpt", "model=cut")
    with Running(models.served(str(checkpoint), wrap="x", device="cpu"), Limits()) as running:
        status, said = running.error("POST", "/translate", png(size=(32, 30)))
        assert (status, said.partition(",")[0]) == (400, "wrap=x wants a width that is a multiple of 4")
        assert "resize the picture to 28 or 32, or turn wrap off" in said
        assert running.ask("POST", "/translate", png(size=(30, 32)))[0] == 200
        assert json.loads(running.ask("GET", "/health")[1])["wrap"] == "x"


def test_many_clients_lose_nothing_and_get_their_own(tmp_path: Path) -> None:
    """The small version of `experiments/serve_load.py`."""
    model = models.served(str(saved(tmp_path / "a.ckpt", "model=cut")), device="cpu")
    given = serve_load.pictures(48, 24)
    expected, _, _ = serve_load.alone(model, given)
    with Running(model, Limits(requests=12, batch=4)) as running:
        answers = serve_load.send("127.0.0.1", running.port, [encode(one, ".png") for one in given], 12)
        text = running.ask("GET", "/metrics")[1].decode()
    found = serve_load.distances(answers, expected)
    assert set(found) <= {0, 1}, "a batch may round a value on the border of two steps to the other"
    assert 'gan_style_requests_total{status="200"} 48.0' in text
    passes = next(line for line in text.splitlines() if line.startswith("gan_style_pass_pictures_count"))
    assert float(passes.split()[1]) < 48, "some went together"


def test_styles_are_given_when_the_server_starts(tmp_path: Path) -> None:
    checkpoint = str(saved(tmp_path / "a.ckpt", "model=adain"))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "wave.png")
    model = models.served(checkpoint, styles=[(str(tmp_path / "wave.png"), 1.0)], device="cpu")
    assert model.run([np.zeros((30, 20, 3), np.uint8)], model.directions[0])[0].shape == (30, 20, 3)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_exports_answer_as_their_checkpoint(suffix: str, tmp_path: Path) -> None:
    checkpoint, out = saved(tmp_path / "a.ckpt", "model=cut"), tmp_path / f"a{suffix}"
    assert main(["export", str(checkpoint), str(out)]) == 0
    given = serve_load.pictures(8, 24)
    expected, _, _ = serve_load.alone(models.served(str(checkpoint), device="cpu"), given)
    found = serve_load.alone(models.served(str(out), device="cpu"), given)[0]
    assert max(int(np.abs(a.astype(np.int16) - b).max()) for a, b in zip(found, expected, strict=True)) <= 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["none.ckpt"], "there is no checkpoint none.ckpt"),
        (["none.onnx"], "there is no file none.onnx"),
        (["{adain}", "--style", "none.png"], "there is no style picture, folder or name none.png"),
        (["{cut}", "--direction", "B2A"], "B2A"),
        (["{cut}", "--port", "70000"], "--port=70000 is not valid"),
        (["{cut}", "--batch", "0"], "--batch=0 is not valid"),
        (["{cut}", "--max-pixels", "0"], "--max-pixels=0 is not valid"),
        (["{cut}", "--host", "no.such.host.invalid"], "the server cannot listen on port 8000 of no.such.host.invalid"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uvicorn.Server, "run", None)
    made = {name: str(saved(tmp_path / f"{name}.ckpt", f"model={name}")) for name in ("adain", "cut")}
    capsys.readouterr()
    assert main(["serve", *(word.format(**made) for word in words)]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert sentence in line


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(verb, "NEEDED", ("fastapi", "no_such_server"))
    assert main(["serve", "a.ckpt"]) == 2
    assert capsys.readouterr().err == "gan_style: serving needs no_such_server: pip install 'gan-style[serve]'\n"


# What is sent


def test_hostile_requests_are_answered_in_one_sentence(server: Running) -> None:
    assert server.error("POST", "/translate", b"") == (
        400,
        "the body is empty: send the bytes of a picture, as curl --data-binary @photo.jpg does",
    )
    assert server.error("POST", "/translate", b"no picture")[0] == 400
    status, said = server.error("POST", "/translate", png()[:60])
    assert status == 400
    assert said.startswith("the body ")
    assert server.error("POST", "/translate?direction=C2D", png()) == (
        400,
        "direction=C2D is not served: take A2B or B2A",
    )
    assert server.error("POST", "/translate", b"x" * 50_001) == (
        413,
        "the body has more than 50,000 bytes: send a smaller picture",
    )
    assert server.error("POST", "/translate", iter([b"x" * 30_000] * 2))[0] == 413, "without a length"
    status, said = server.error("POST", "/translate", png(size=(200, 60)))
    assert (status, said) == (413, "the picture has 12,000 pixels, more than 10,000: send a smaller one")
    bomb = BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, format="PNG")
    assert server.error("POST", "/translate", bomb.getvalue()[:49_000])[0] in (400, 413)
    assert server.error("POST", "/translate", png(13))[0] == 500
    status, said = server.error("POST", "/translate", png(113))
    assert (status, said) == (503, "memory ran out: send a smaller picture")
    for path in ("/etc/passwd", "/static-offline-docs/../../etc/passwd", "/redoc"):
        assert server.error("GET", path)[0] == 404
    assert server.error("GET", "/translate")[0] == 405
    status, body, headers = server.ask("POST", "/", png())
    assert (status, headers["content-type"]) == (200, "image/png"), "it goes on, and takes the address of old clients"
    assert (pixels(body) == 50).all()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::2]"])
def test_other_hosts_names_are_refused(server: Running, host: str) -> None:
    for path in ("/health", "/metrics", "/docs", "/openapi.json"):
        assert server.error("GET", path, Host=host)[0] == 403
    assert server.error("POST", "/translate", png(), Host=host)[0] == 403


def test_other_sites_pages_are_refused(server: Running) -> None:
    own = f"http://127.0.0.1:{server.port}"
    assert server.error("POST", "/translate", png(), Origin="http://evil.example")[0] == 403
    assert server.error("GET", "/health", Sec_Fetch_Site="cross-site")[0] == 403
    assert server.ask("POST", "/translate", png(), Origin=own, Sec_Fetch_Site="same-origin")[0] == 200
    assert server.ask("GET", "/health", Host=f"LOCALHOST:{server.port}")[0] == 200


def test_a_body_that_does_not_come_is_not_waited_for(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
        answer = b""
        while not answer.endswith(b"}") and (part := connection.recv(4096)):
            answer += part
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert b"did not arrive within 1 seconds" in answer


def test_more_than_may_wait_is_told_to_come_again(server: Running, doubling: Doubling) -> None:
    doubling.go.clear()
    answers: list[int] = []

    def ask() -> None:
        answers.append(server.ask("POST", "/translate", png())[0])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    threads[0].start()
    assert doubling.begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    deadline = time.monotonic() + 60
    while json.loads(server.ask("GET", "/health")[1])["waiting"] < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    status, body, headers = server.ask("POST", "/translate", png())
    assert (status, headers["retry-after"]) == (503, "1")
    assert json.loads(body) == {"error": "4 requests wait already: try again in a moment"}
    doubling.go.set()
    for thread in threads:
        thread.join()
    assert answers == [200] * 4
    assert doubling.passes == [1, 3], "what waited together went together"


def test_the_page_of_the_api_comes_from_here_alone(server: Running) -> None:
    status, page, headers = server.ask("GET", "/docs")
    assert status == 200
    assert b"//" not in page.replace(b"<!--", b"")
    assert headers["content-security-policy"].startswith("default-src 'self';")
    for path in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert server.ask("GET", f"/static-offline-docs/{path}")[0] == 200
    described = json.loads(server.ask("GET", "/openapi.json")[1])
    assert {*described["paths"]} == {"/translate", "/health", "/metrics"}
    post = described["paths"]["/translate"]["post"]
    assert "image/png" in post["requestBody"]["content"]
    assert "image/png" in post["responses"]["200"]["content"]
    assert {*post["responses"]} == {"200", "400", "403", "408", "413", "503", "default"}


# Passes


def test_pictures_of_one_size_and_direction_go_together() -> None:
    model = Doubling()
    model.go.clear()
    seen: list[int] = []
    batches = Batches(model.run, 3, 1000, seen.append)
    sizes = [(10, 10), (10, 10), (5, 5), (10, 10), (10, 10), (10, 10), (40, 40), (40, 40)]
    first = batches.put(np.full((9, 9, 3), 8, np.uint8), "A2B")
    assert model.begun.wait(10)
    waiting = [batches.put(np.full((*size, 3), 2 * i, np.uint8), "A2B") for i, size in enumerate(sizes)]
    other = batches.put(np.full((10, 10, 3), 5, np.uint8), "B2A")
    left = batches.put(np.full((10, 10, 3), 13, np.uint8), "A2B")
    assert left.cancel()
    model.go.set()
    batches.close()
    assert (first.result() == 4).all()
    for i, one in enumerate(waiting):
        assert (one.result() == i).all()
        assert one.result().shape[:2] == sizes[i]
    assert (other.result() == 250).all()
    assert seen == [1, 3, 1, 2, 1, 1, 1], "the large ones, of more pixels than a pass has, alone"


def test_the_fault_of_one_is_not_that_of_others() -> None:
    model = Doubling()
    model.go.clear()
    batches = Batches(model.run, 8, 10**6)
    first = batches.put(np.zeros((4, 4, 3), np.uint8), "A2B")
    assert model.begun.wait(10)
    good, bad, better = (batches.put(np.full((9, 9, 3), value, np.uint8), "A2B") for value in (2, 13, 4))
    model.go.set()
    batches.close()
    assert (good.result() == 1).all()
    assert (better.result() == 2).all()
    with pytest.raises(RuntimeError, match="thirteen"):
        bad.result()
    assert first.result().shape == (4, 4, 3)
    with pytest.raises(RuntimeError, match="closed"):
        batches.put(np.zeros((4, 4, 3), np.uint8), "A2B")


# The process


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_what_it_is_doing(number: int, tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a.ckpt", "model=cut", "model.generator.filters=32")
    command = [sys.executable, "-m", "gan_style", "serve", str(checkpoint), "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline().split("/translate")[0].rpartition(":")[2])
    answers: list[int] = []

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("POST", "/translate", png(size=(512, 512)))
        answers.append(connection.getresponse().status)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while True:  # until all three are in
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/health")
        waiting = json.loads(connection.getresponse().read())["waiting"]
        connection.close()
        if waiting or answers:
            break
        assert time.monotonic() < deadline
    time.sleep(0.3)
    process.send_signal(number)
    for thread in threads:
        thread.join()
    _, errors = process.communicate(timeout=60)
    assert answers == [200] * 3
    assert (process.returncode, errors) == (0, "")
