"""How much the page's server takes on at once, and how much it keeps."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from gan_style.apps.studio.images import check_video
from gan_style.apps.studio.room import MAX_TOTAL_BYTES, MIN_AGE_SECONDS, MIN_COUNTED_BYTES, Room, oldest_above
from gan_style.apps.studio.stopping import Stops
from gan_style.core import budget
from gan_style.core.errors import UserError
from tests.apps.studio.conftest import ROOT, Server
from tests.apps.studio.test_page import answered, client, image, upload
from tests.apps.studio.test_strangers import MARK, header_only

__all__ = ["client"]  # a fixture
server_runs = [pytest.mark.slow, pytest.mark.timeout(900)]  # as in test_page


def written(path: Path, size: int, age: float) -> Path:
    """A file of so many bytes that takes none of the disk, written so many seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, size)
    os.utime(path, (path.stat().st_mtime - age,) * 2)
    return path


def test_the_oldest_make_room_and_new_ones_stay(tmp_path: Path) -> None:
    sample = written(tmp_path / "scene-1.png", MIN_COUNTED_BYTES, 9000)
    room = Room(tmp_path, most=10 * MIN_COUNTED_BYTES, rest=60)
    room.keep()
    ages = (4000, 3000, 2000, 50, 40)
    files = [written(tmp_path / "uploads" / str(age) / "a.png", 2 * MIN_COUNTED_BYTES, age) for age in ages]
    assert room.make(0)
    assert all(path.is_file() for path in files)
    assert room.make(3 * MIN_COUNTED_BYTES)
    assert [path.is_file() for path in files] == [False, False, True, True, True]
    assert not files[0].parent.exists()
    assert not room.make(7 * MIN_COUNTED_BYTES)
    assert [path.is_file() for path in files] == [False, False, False, True, True]
    assert sample.is_file()


def test_many_small_files_take_room_too(tmp_path: Path) -> None:
    room = Room(tmp_path, most=10 * MIN_COUNTED_BYTES, rest=60)
    for number in range(10):
        written(tmp_path / "uploads" / str(number), 1, 0)
    assert not room.make(1)


def test_stops_of_sessions_that_never_were_are_forgotten() -> None:
    stops = Stops(most=3)
    for number in range(10):
        stops.ask(number)
    assert len(stops._asked) == 3
    with stops.heard(0):
        pass


def test_the_oldest_are_let_go_where_there_are_too_many_or_too_large_ones() -> None:
    three = {"old": 10, "new": 20, "newer": 30}
    assert oldest_above(three, 3, 60) == []
    assert oldest_above(three, 2, 60) == ["old"]
    assert oldest_above(three, 3, 59) == ["old"]
    assert oldest_above(three, 3, 30) == ["old", "new"]
    assert oldest_above(three, 3, 29) == [*three]


def claims(path: Path, width: int, height: int) -> Path:
    """A video of some kilobytes whose frames claim to be so large."""
    av = pytest.importorskip("av", reason="videos need PyAV")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "rgba"
        for number in range(2):
            packet = av.Packet(header_only(width, height))
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 25)
            container.mux(packet)
    return path


def test_a_video_of_huge_frames_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = claims(tmp_path / "a.mov", 16_000, 16_000)
    assert path.stat().st_size < 10_000
    with pytest.raises(UserError, match=r"a\.mov claims frames of more than 178 million pixels"):
        check_video(path)
    check_video(claims(tmp_path / "b.mov", 160, 160))
    monkeypatch.setenv(budget.SETTING, "100")
    with pytest.raises(UserError, match=r"b\.mov claims frames of more than 100 pixels"):
        check_video(tmp_path / "b.mov")


@contextmanager
def begun(server: Server, path: str, length: int, kind: str) -> Iterator[socket.socket]:
    """A request whose body does not come."""
    where = urlsplit(server.address)
    with socket.create_connection((where.hostname, where.port), timeout=60) as line:
        words = [f"POST {path} HTTP/1.1", f"Host: {where.netloc}", f"Content-Type: {kind}", f"Content-Length: {length}"]
        line.sendall("\r\n".join([*words, "", ""]).encode())
        yield line


def waits(line: socket.socket) -> bool:
    """Whether no answer has come."""
    line.settimeout(0.3)
    try:
        line.recv(1)
    except TimeoutError:
        return True
    return False


SESSIONS_OF_A_PAGE = """
import gradio
from gradio.state_holder import StateHolder
from gan_style.apps.studio.verb import MAX_SESSIONS, bound_sessions

with gradio.Blocks() as page:
    pass
bound_sessions(page.queue())
holder, queue = StateHolder(), page._queue
holder.set_blocks(page)
for number in range(MAX_SESSIONS + 5):
    holder[str(number)]
    queue.pending_messages_per_session[str(number)] = []
    queue.pending_event_ids_session[str(number)] = set()
for held in (holder.session_data, queue.pending_messages_per_session, queue.pending_event_ids_session):
    assert len(held) == MAX_SESSIONS
    assert "4" not in held
"""


class TestServer:
    """The same of a studio that runs."""

    pytestmark: ClassVar = server_runs

    def test_requests_that_are_begun_and_not_ended_are_bounded(self, client: Any, server: Server) -> None:
        from gan_style.apps.studio.guard import MAX_REQUESTS

        with ExitStack() as lines:
            for _ in range(MAX_REQUESTS):
                lines.enter_context(begun(server, "/gradio_api/queue/join", 10, "application/json"))
            last = lines.enter_context(begun(server, "/gradio_api/queue/join", 10, "application/json"))
            assert b" 503 " in last.recv(100)
            answer = client.get("/config")
            assert answer.status_code == 503
            assert answer.text == "refused: too much is asked for at once; try again in a moment"
        until_free(client)

    def test_bytes_on_their_way_are_bounded(self, client: Any, server: Server) -> None:
        from gan_style.apps.studio.guard import MAX_INCOMING_BYTES, MAX_UPLOAD_BYTES

        form = "multipart/form-data; boundary=x"
        with ExitStack() as lines:
            held = [
                lines.enter_context(begun(server, "/gradio_api/upload", MAX_UPLOAD_BYTES, form))
                for _ in range(MAX_INCOMING_BYTES // MAX_UPLOAD_BYTES)
            ]
            assert all(map(waits, held))
            answer = lines.enter_context(begun(server, "/gradio_api/upload", MAX_UPLOAD_BYTES, form)).recv(1000)
            assert b" 503 " in answer
            assert client.get("/config").status_code == 200
        until_free(client)
        assert upload(client, image()).status_code == 200

    def test_who_names_a_new_session_each_time_makes_old_ones_forgotten(self) -> None:
        pytest.importorskip("gradio", reason="the studio needs gradio")
        # in a process of its own: what importing gradio leaves open is a warning here
        subprocess.run([sys.executable, "-W", "ignore", "-c", SESSIONS_OF_A_PAGE], check=True, cwd=ROOT)

    def test_uploads_that_would_fill_the_disk(self, client: Any, server: Server) -> None:
        [folder] = server.folder.glob("gan-style-*")
        old = written(folder / "uploads" / "old" / "a.png", MAX_TOTAL_BYTES, MIN_AGE_SECONDS + 100)
        new = written(folder / "uploads" / "new" / "a.png", MAX_TOTAL_BYTES, 0)
        try:
            answer = upload(client, image())
            assert answer.status_code == 507
            assert answer.text.startswith("refused: there is no room: the studio keeps 2 GB of uploads and results")
            assert not old.exists()
            os.utime(new, (0, 0))
            [path] = upload(client, image()).json()
            assert not new.exists()
            assert client.get(f"/gradio_api/file={path}").content == image()
        finally:
            old.unlink(missing_ok=True)
            new.unlink(missing_ok=True)
        samples = [p for p in json.dumps(client.get("/config").json()).split('"') if p.endswith("/scene-1.png")]
        assert samples
        assert client.get(f"/gradio_api/file={samples[0].partition('file=')[2] or samples[0]}").status_code == 200

    def test_a_video_of_huge_frames_is_a_sentence(self, client: Any, tmp_path: Path) -> None:
        config = client.get("/config").json()
        components = {c["id"]: c["props"] for c in config["components"]}
        [event] = [
            d for d in config["dependencies"] if "video-result" in [components[i].get("elem_id") for i in d["outputs"]]
        ]
        film = {"files": ("a.mov", claims(tmp_path / "a.mov", 16_000, 16_000).read_bytes())}
        [path] = client.post("/gradio_api/upload", files=film).json()
        given = {"video": {"path": path, **MARK}, "model": "cyclegan/first"}
        data = [given.get(components[i].get("elem_id"), components[i].get("value")) for i in event["inputs"]]
        answer = answered(client, event["id"], *data)
        assert "a.mov claims frames of more than 178 million pixels" in answer
        assert "Traceback" not in answer


def until_free(client: Any) -> None:
    """Until the server has noticed that what was begun is over."""
    for _ in range(300):
        if client.get("/config").status_code == 200:
            return
        time.sleep(0.2)
    raise AssertionError("it stays busy")
