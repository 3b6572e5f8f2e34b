"""What a stranger on the network sends to the page, by plain HTTP: files named, bodies without end, odd headers."""

from __future__ import annotations

import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from gan_style.apps.studio.images import MAX_BYTES
from tests.apps.studio.conftest import ROOT, Server
from tests.apps.studio.test_page import answered, client, image, upload

__all__ = ["client"]  # a fixture
# starts the studio, whose imports alone take seconds, and many on a busy machine
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MARK = {"meta": {"_type": "gradio.FileData"}}
LAST = "adain/first/checkpoints/last.ckpt"


@pytest.fixture
def event(client: Any) -> Callable[[str, str], int]:
    """The number of what happens on an element of the page."""
    config = client.get("/config").json()
    places = {c["props"].get("elem_id"): c["id"] for c in config["components"]}

    def number(element: str, kind: str) -> int:
        return next(int(d["id"]) for d in config["dependencies"] if [places[element], kind] in d["targets"])

    return number


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header_only(width: int, height: int) -> bytes:
    """A PNG that says how large it is and has next to no pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def test_no_spelling_of_a_path_leads_out(client: Any, server: Server) -> None:
    [mine] = upload(client, image()).json()
    outside = server.folder.parent / "runs" / LAST
    assert outside.is_file()
    up = "../" * 30
    paths = ["../../etc/passwd", f"{up}etc/passwd", f"%2e%2e/{'%2e%2e/' * 30}etc/passwd", "..%2f" * 30 + "etc%2fpasswd"]
    paths += ["//etc/passwd", "file:///etc/passwd", "%00", "/proc/self/environ", f"{mine}/{up}etc/passwd"]
    paths += [str(outside), str(Path(mine).parent), str(Path(mine).parents[1]), str(server.folder), f"{mine}%00"]
    for path in paths:
        for route in (f"/gradio_api/file={path}", f"/gradio_api/file/{path}", f"/assets/{path}", f"/static/{path}"):
            answer = client.get(route)
            assert answer.status_code in (307, 403, 404), route
            assert b"root:" not in answer.content
    for path in ("/gradio_api/proxy=http://127.0.0.1:1/", "/gradio_api/proxy=https://elsewhere.hf.space/"):
        assert client.get(path).status_code == 400


def test_a_link_among_the_uploads_is_not_followed_as_an_input(
    client: Any, event: Callable[[str, str], int], tmp_path: Path
) -> None:
    [mine] = upload(client, image()).json()
    secret = tmp_path / "secret.png"
    secret.write_bytes(image((7, 7)))
    link = Path(mine).with_name("link.png")
    link.symlink_to(secret)
    answer = answered(client, event("picture", "upload"), {"path": str(link), **MARK})
    link.unlink()
    assert '"success": false' in answer


@pytest.mark.parametrize("mark", [MARK, {}, {"meta": {"_type": "x"}}, {"meta": None}])
def test_a_file_that_was_not_uploaded_is_no_input_however_it_is_marked(
    client: Any, server: Server, event: Callable[[str, str], int], mark: dict[str, Any]
) -> None:
    inside = server.folder / "of-another.png"  # of the same folder of temporary files, as another program's
    Image.new("RGB", (7, 7), "red").save(inside)
    files = [str(inside), str(ROOT / "README.md"), "README.md", str(server.folder.parent / "runs" / LAST)]
    try:
        for path in files:
            file = {"path": path, **mark}
            for element, kind in (("picture", "upload"), ("picture", "change"), ("style-1", "upload")):
                answer = answered(client, event(element, kind), file)
                assert '"success": false' in answer, (path, element)
                assert "file=" not in answer
            body = {"fn_index": event("samples", "select"), "session_hash": "s", "event_data": {"index": 0}}
            body["data"] = [[{"image": file, "caption": None}]]
            answer = client.post("/gradio_api/run/predict", json=body)
            assert answer.status_code == 500, path
            assert "file=" not in answer.text
    finally:
        inside.unlink()
    [mine] = upload(client, image()).json()
    assert '"success": true' in answered(client, event("picture", "upload"), {"path": mine, **MARK})


def test_a_header_of_50_000_by_50_000_is_a_sentence(client: Any, event: Callable[[str, str], int]) -> None:
    [path] = upload(client, header_only(50_000, 50_000)).json()
    answer = answered(client, event("picture", "upload"), {"path": path, **MARK})
    assert "photo.png claims more than 178 million pixels" in answer
    assert "Traceback" not in answer


def test_what_is_sent_has_a_bound_whatever_it_is(client: Any) -> None:
    half = bytes(MAX_BYTES // 2 + 1_000_000)
    two = [("files", ("a.png", half)), ("files", ("b.png", half))]
    assert client.post("/gradio_api/upload", files=two).status_code == 413
    field = {"data": {"x": "a" * (MAX_BYTES + 2_000_000)}, "files": {"files": ("a.png", image())}}
    for route in ("upload", "component_server"):
        assert client.post(f"/gradio_api/{route}", **field).status_code == 413
    layer = {"file": ("blob", bytes(11_000_000))}
    assert client.post("/gradio_api/component_server", files=layer).text == "refused: longer than 10 MB"
    answer = client.post("/gradio_api/queue/join", json={"data": ["a" * 110_000], "fn_index": 0})
    assert answer.status_code == 413
    assert answer.text == "refused: longer than 0.1 MB"
    endless = client.post("/gradio_api/queue/join", content=iter([b'{"data": ["', b"a" * 10, b'"]}']))
    assert endless.status_code == 411
    deep = b'{"fn_index": 0, "data": ' + b"[" * 90_000
    assert client.post("/gradio_api/queue/join", content=deep).status_code in (400, 422)


def test_another_site_is_refused_whatever_it_asks_and_a_link_of_it_too(client: Any, server: Server) -> None:
    [mine] = upload(client, image()).json()
    link = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-user": "?1"}
    for path in ("/", "/config", f"/gradio_api/file={mine}", "/gradio_api/queue/data?session_hash=x", "/nothing"):
        for site in ("cross-site", "same-site", "Cross-Site", "new-kind"):
            for more in ({}, link):
                for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT"):
                    answer = client.request(method, path, headers={"sec-fetch-site": site, **more})
                    assert answer.status_code == 403, (method, path, site)
        assert "to open it, type its address" in client.get(path, headers={"sec-fetch-site": "cross-site"}).text
    for site in ("none", "same-origin"):
        assert client.get("/", headers={"sec-fetch-site": site}).status_code == 200
        assert upload(client, image(), **{"sec-fetch-site": site}).status_code == 200


def test_a_websocket_of_another_site_is_refused(server: Server) -> None:
    where = urlsplit(server.address)
    words = f"GET / HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    words += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    for more in ("Origin: https://elsewhere.example", "Sec-Fetch-Site: cross-site"):
        with socket.create_connection((where.hostname, where.port), timeout=60) as line:
            line.sendall(f"{words}{more}\r\n\r\n".encode())
            assert b" 403 " in line.recv(1000).split(b"\r\n")[0], more


def test_what_the_page_does_not_use_runs_no_program(client: Any) -> None:
    answer = client.post("/gradio_api/process_recording", files={"video": ("a.mp4", b"no video")})
    assert answer.status_code == 403
    assert answer.text == "refused: the page does not use it"


def test_a_painting_has_bounds(client: Any) -> None:
    config = client.get("/config").json()
    [editor] = [c["id"] for c in config["components"] if c["props"].get("elem_id") == "painting"]

    def paint(index: str, blob: bytes, kind: str = "layer") -> Any:
        data = {"type": kind, "index": index, "id": "mine", "component_id": str(editor), "session_hash": "test"}
        files = {"file": ("blob", blob)}
        return client.post("/gradio_api/component_server", data=data | {"fn_name": "accept_blobs"}, files=files)

    assert paint("0", image()).status_code == 200
    for index, blob in (("100000000", image()), ("-1", image()), ("0", header_only(13_000, 13_000)), ("0", b"GIF")):
        answer = paint(index, blob)
        assert answer.status_code == 400, answer.text
        assert "a painting has at most" in answer.text
    assert paint("null", header_only(50_000, 50_000), "background").status_code == 400


def test_odd_headers_are_refused_and_not_an_error_of_ours(client: Any, server: Server) -> None:
    said = len(server.log.read_text())
    for origin in ("http://[", "http://", "://", "http://127.0.0.1.elsewhere.example", "file://", "x" * 1000):
        assert client.get("/", headers={"origin": origin}).status_code == 403, origin
    for host in (
        "127.0.0.1.elsewhere.example",
        "127.0.0.1@elsewhere.example",
        "localhost.",
        "127.1",
        "[::1",
        "0.0.0.0",
    ):
        assert client.get("/", headers={"host": host}).status_code == 400, host
        assert upload(client, image(), host=host).status_code == 400, host
    assert "Traceback" not in server.log.read_text()[said:]


def test_the_description_of_the_api_names_no_file_of_this_machine(client: Any, server: Server) -> None:
    for path in ("/gradio_api/info", "/gradio_api/openapi.json", "/openapi.json"):
        answer = client.get(path)
        for place in (str(ROOT), str(server.folder.parent / "runs")):
            assert place not in answer.text
    for path in ("/docs", "/redoc", "/gradio_api/mcp", "/gradio_api/runs"):
        assert client.get(path).status_code == 404
    for path in ("/monitoring", "/gradio_api/vibe-code"):
        assert client.get(path).status_code == 403
