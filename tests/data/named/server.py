"""A server on loopback that serves one zip, and every way of failing at it."""

from __future__ import annotations

import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class ZipServer:
    """Serves `body` under every path and notes what was asked for.

    Args:
        body: the file.
        ranges: answer a Range with 206; otherwise it is ignored.
        drops: for each request in turn, close the connection after so many bytes; then whole answers.
        statuses: for each request in turn, answer with this status only; then real answers.
        redirect: answer a path that does not end in .zip with this address.
        pause: seconds after each block of 1000 bytes.
        length: say how long the answer is.
    """

    def __init__(
        self,
        body: bytes,
        *,
        ranges: bool = True,
        drops: tuple[int, ...] = (),
        statuses: tuple[int, ...] = (),
        redirect: str | None = None,
        pause: float = 0,
        length: bool = True,
    ) -> None:
        self.body, self.ranges, self.redirect, self.pause, self.length = body, ranges, redirect, pause, length
        self.drops, self.statuses = list(drops), list(statuses)
        self.asked: list[str | None] = []  # the Range of each request
        self.authorised: list[str | None] = []  # its Authorization
        self.server = _Quiet(("127.0.0.1", 0), self._handler())
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.base}/tinyset.zip"

    def __enter__(self) -> ZipServer:
        self.thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.asked.append(asked)
        self.authorised.append(request.headers.get("Authorization"))
        if self.redirect and not request.path.endswith(".zip"):
            request.send_response(302)
            request.send_header("Location", self.redirect)
            request.end_headers()
            return
        if self.statuses:
            request.send_error(self.statuses.pop(0))
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.ranges else 0  # type: ignore[index]
        total = len(self.body)
        if start and start >= total:
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{total}")
            request.end_headers()
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if self.length:
            request.send_header("Content-Length", str(total - start))
        request.end_headers()
        end = min(total, start + self.drops.pop(0)) if self.drops else total
        for at in range(start, end, 1000):
            request.wfile.write(self.body[at : min(end, at + 1000)])
            time.sleep(self.pause)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            def log_message(self, *words: Any) -> None:
                """Nothing on the terminal."""

        return Handler


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is what is tested, no error of the server."""
