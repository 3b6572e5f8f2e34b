"""experiments/serve.py on loopback, driven by its client: the pictures of `gan-style translate`."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import serve, serve_client
from gan_style.cli.main import main
from tests.small_models import saved

pytestmark = pytest.mark.slow  # it needs an export to ONNX


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    checkpoint = saved(folder / "a.ckpt", "model=cut")
    assert main(["export", str(checkpoint), str(folder / "a.onnx")]) == 0
    (folder / "in").mkdir()
    for name, size in (("wide", (61, 40)), ("high", (33, 50))):
        noise = np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).save(folder / "in" / f"{name}.png")
    assert main(["translate", str(checkpoint), str(folder / "in"), str(folder / "expected")]) == 0
    return folder


@pytest.fixture
def address(folder: Path) -> Iterator[tuple[str, int]]:
    with serve.server(serve.Served(str(folder / "a.onnx"), at_once=2), "127.0.0.1", 0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield "127.0.0.1", running.server_address[1]
        running.shutdown()
        thread.join()


def test_the_client_gets_what_translate_gives(folder: Path, address: tuple[str, int], tmp_path: Path) -> None:
    url = f"http://{address[0]}:{address[1]}/"
    script = Path(serve_client.__file__)
    (folder / "in" / "bad.txt").write_text("no picture")
    words = [sys.executable, str(script), url, str(folder / "in"), str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True)
    (folder / "in" / "bad.txt").unlink()
    assert done.returncode == 1
    assert "2 of 3 pictures" in done.stdout
    assert "bad.txt: the body is no picture that can be read" in done.stderr
    for name in ("wide.png", "high.png"):
        with Image.open(folder / "expected" / name) as one, Image.open(tmp_path / "out" / name) as other:
            expected, found = np.asarray(one, np.int16), np.asarray(other, np.int16)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1  # a value on the border of two steps may fall on either side


def test_what_it_refuses(address: tuple[str, int]) -> None:
    def answer(method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*address, timeout=30)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        found = response.status, response.read()
        connection.close()
        return found

    status, body = answer("GET", "/health")
    assert status == 200
    assert json.loads(body)["direction"] == "A2B"
    assert answer("GET", "/etc/passwd")[0] == 404
    assert answer("POST", "/", b"no picture")[0] == 400
    large = {"Content-Length": str(serve.LARGEST_BODY + 1)}
    assert answer("POST", "/", None, **large)[0] == 413
    stream = BytesIO()
    Image.new("1", (5000, 5000)).save(stream, format="PNG")
    assert answer("POST", "/", stream.getvalue())[0] == 413
    grey = BytesIO()
    Image.new("L", (20, 30)).save(grey, format="PNG")
    status, body = answer("POST", "/", grey.getvalue())
    with Image.open(BytesIO(body)) as image:
        assert (status, image.size, image.mode) == (200, (20, 30), "RGB")
