"""The page's server, asked over HTTP: what it serves and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gan_style.apps.studio.images import MAX_BYTES
from tests.apps.studio.conftest import Server

# starts the studio, whose imports alone take seconds, and many on a busy machine
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
OUTSIDE = ("https://elsewhere.example", "http://127.0.0.1:1", "null")


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    import httpx

    with httpx.Client(base_url=server.address, timeout=60, trust_env=False) as client:
        yield client


def image(size: tuple[int, int] = (32, 24)) -> bytes:
    stream = BytesIO()
    Image.new("RGB", size, "teal").save(stream, "PNG")
    return stream.getvalue()


def upload(client: Any, data: bytes, **headers: str) -> Any:
    return client.post("/gradio_api/upload", files={"files": ("photo.png", data)}, headers=headers)


def test_the_page_names_no_other_host_to_load_from(client: Any) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"']?(?:https?:)?//[^>]*>", answer.text)
    assert "gan_style studio" in answer.text
    assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", client.get("/theme.css").text)


def test_only_what_the_app_made_is_served(client: Any, tmp_path: Path) -> None:
    [path] = upload(client, image()).json()
    assert client.get(f"/gradio_api/file={path}").content == image()
    own = tmp_path / "secret.txt"
    own.write_text("content")
    for outside in ("/etc/passwd", str(own), str(Path("README.md").resolve()), f"{path}/../../../secret"):
        answer = client.get(f"/gradio_api/file={outside}")
        assert answer.status_code in (403, 404), outside
        assert "content" not in answer.text
        assert "root:" not in answer.text
    answer = client.get("/gradio_api/file=https://elsewhere.example/picture.png")
    assert answer.status_code == 403
    assert answer.text == "refused: files of this machine only"


@pytest.mark.parametrize(
    "name", ["../../evil.png", "..\\\\evil.png", "/tmp/evil.png", "a/../../../evil.png", "%2e%2e/evil.png"]
)
def test_an_upload_s_name_leads_nowhere(client: Any, server: Any, name: str) -> None:
    answer = client.post("/gradio_api/upload", files={"files": (name, image())})
    assert answer.status_code in (200, 400, 422), answer.text
    for path in answer.json() if answer.status_code == 200 else ():
        assert Path(path).resolve().is_relative_to(server.folder.resolve())
    found = [path for path in server.folder.rglob("*evil*") if "uploads" not in path.parts]
    assert found == []


def test_other_pages_and_other_names_of_this_machine_are_refused(client: Any) -> None:
    assert upload(client, image(), origin=str(client.base_url).rstrip("/")).status_code == 200
    for origin in OUTSIDE:
        assert upload(client, image(), origin=origin).status_code == 403, origin
    assert client.get("/", headers={"host": "elsewhere.example"}).status_code == 400
    assert client.get("/", headers={"host": f"localhost:{client.base_url.port}"}).status_code == 200


def test_an_upload_that_is_too_large_is_refused(client: Any) -> None:
    assert upload(client, bytes(MAX_BYTES + 100_000)).status_code == 413


def ask(client: Any, path: str) -> str:
    """What the page answers where this file is put in as the picture."""
    config = client.get("/config").json()
    [component] = [c["id"] for c in config["components"] if c["props"].get("elem_id") == "picture"]
    [event] = [d["id"] for d in config["dependencies"] if [component, "upload"] in d["targets"]]
    return answered(client, event, {"path": path, "meta": {"_type": "gradio.FileData"}})


def answered(client: Any, event: int, *data: Any) -> str:
    """What the page answers to an event of its queue."""
    body = {"fn_index": event, "session_hash": "test", "data": data}
    assert client.post("/gradio_api/queue/join", json=body).status_code == 200
    lines = client.get("/gradio_api/queue/data?session_hash=test").text.splitlines()
    messages = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    return json.dumps(messages)


def test_a_path_that_was_not_uploaded_is_not_read(client: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(image())
    answer = ask(client, str(outside))
    assert '"success": false' in answer
    assert "outside" not in answer  # neither served nor named
    assert "nothing is fetched from an address" in ask(client, "http://elsewhere.example/picture.png")
    [inside] = upload(client, image()).json()
    assert '"success": true' in ask(client, inside)


def test_a_bad_file_is_a_sentence_and_no_traceback(client: Any) -> None:
    [path] = upload(client, b"no picture").json()
    answer = ask(client, path)
    assert "photo.png is a text file and not a picture" in answer
    assert path not in answer.replace('"path"', "")
    assert "Traceback" not in answer


def test_every_stop_button_is_answered_at_once(client: Any) -> None:
    config = client.get("/config").json()
    buttons = {c["id"]: c["props"]["elem_id"] for c in config["components"] if c["props"].get("value") == "Stop"}
    assert set(buttons.values()) == {"stop", "compare-stop", "video-stop"}
    for button in buttons:
        [event] = [d for d in config["dependencies"] if [button, "click"] in d["targets"]]
        assert not event["queue"]  # else it would wait for what it is to stop
        body = {"fn_index": event["id"], "session_hash": "test", "data": []}
        assert client.post("/gradio_api/run/predict", json=body).status_code == 200


def test_the_page_says_what_a_model_cannot_do_yet(client: Any) -> None:
    config = client.get("/config").json()
    [model] = [c["id"] for c in config["components"] if c["props"].get("elem_id") == "model"]
    [event] = [d for d in config["dependencies"] if [model, "change"] in d["targets"]]
    shown = {c["id"]: c["props"].get("value") for c in config["components"]}

    def chosen(name: str) -> str:
        return answered(client, event["id"], *(name if part == model else shown[part] for part in event["inputs"]))

    assert "This AdaIN has a VGG of random weights" in chosen("adain/first")
    assert "trained for 1 iteration only" in chosen("cyclegan/first")
