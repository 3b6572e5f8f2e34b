"""Requests that the page's server refuses, and the policy that its browsers enforce."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gan_style.apps.studio.images import MAX_BYTES
from gan_style.apps.studio.room import FULL, Room

MAX_UPLOAD_BYTES = MAX_BYTES + 1_000_000  # of a request with one file
MAX_PAINTING_BYTES = 10_000_000  # of any other form: a layer of the brush, which is held in memory
MAX_JSON_BYTES = 100_000  # of any other request: parsed as JSON it takes many times as much memory
MAX_REQUESTS = 200  # handled at once; a page keeps one or two open
MAX_INCOMING_BYTES = 300_000_000  # of all requests that are handled at once
UNUSED_PATHS = ("/process_recording",)  # of Gradio: it runs a program on an upload and leaves the file behind

# Nothing from another host. Gradio's scripts are inline, and its modules are evaluated.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


class Guard:
    """Middleware that refuses requests made by other sites in a visitor's browser, and too large or too many ones.

    Args:
        app: the application behind it.
        room: for uploads.
    """

    def __init__(self, app: ASGIApp, room: Room) -> None:
        self.app, self.room = app, room
        self.requests = self.coming = 0  # handled now, and their bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        length = int(headers.get("content-length", 0))
        if answer := refusal(headers, scope["path"], length) or self.overload(length):
            await answer(scope, receive, send)
            return

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                added["Content-Security-Policy"] = POLICY
                added["Referrer-Policy"] = "no-referrer"
            await send(message)

        self.requests, self.coming = self.requests + 1, self.coming + length
        try:
            if is_form(headers) and not await run_in_threadpool(self.room.make, self.coming):
                await PlainTextResponse(f"refused: {FULL}", 507)(scope, receive, send)
            else:
                await self.app(scope, receive, with_policy)
        finally:
            self.requests, self.coming = self.requests - 1, self.coming - length

    def overload(self, length: int) -> PlainTextResponse | None:
        """Return the answer to a request that would be too much at once, or None."""
        if self.requests < MAX_REQUESTS and self.coming + length <= MAX_INCOMING_BYTES:
            return None
        return PlainTextResponse("refused: too much is asked for at once; try again in a moment", 503)


def refusal(headers: Headers, path: str, length: int) -> PlainTextResponse | None:
    """Return the answer to a request that is refused, or None."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        return PlainTextResponse("refused: this page answers only to itself", 403)
    # Browsers send the origin only with requests that could change something, but Sec-Fetch-Site with every one. `none`
    # is an address that the user typed.
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return PlainTextResponse("refused: this page answers only to itself; to open it, type its address", 403)
    if any(f"file={scheme}:" in path.lower() for scheme in ("http", "https")):
        return PlainTextResponse("refused: files of this machine only", 403)
    if path.rstrip("/").endswith(UNUSED_PATHS):
        return PlainTextResponse("refused: the page does not use it", 403)
    # Gradio limits the size of each uploaded file, but not their number, nor any other request.
    if "transfer-encoding" in headers:  # of unknown length, which browsers do not send
        return PlainTextResponse("refused: say how long it is", 411)
    uploads = path.rstrip("/").endswith("/upload")
    most = (MAX_UPLOAD_BYTES if uploads else MAX_PAINTING_BYTES) if is_form(headers) else MAX_JSON_BYTES
    if length > most:
        return PlainTextResponse(f"refused: longer than {most / 1e6:g} MB", 413)
    return None


def is_form(headers: Headers) -> bool:
    """Check whether a request sends files."""
    return headers.get("content-type", "").lower().startswith("multipart/form-data")
