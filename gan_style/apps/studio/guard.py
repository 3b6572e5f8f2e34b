"""What the page's server refuses, and what the browser is told to refuse."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gan_style.apps.studio.pictures import MAX_BYTES
from gan_style.apps.studio.room import FULL, Room

FORM = MAX_BYTES + 1_000_000  # bytes of a request that uploads: one file and what is around it
PAINTING = 10_000_000  # of any other form: the layer that a brush sends, which is held in memory
OTHER = 100_000  # of anything else, which is read as JSON: in memory that is many times as large
REQUESTS = 200  # that are worked on at once; a page has one or two that stay open
COMING = 300_000_000  # bytes of them, all together
UNUSED = ("/process_recording",)  # of Gradio's: it runs a program on what it is sent and leaves the file behind

# Nothing from another host. Gradio's own scripts are written into the page, and its modules are evaluated.
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
    """Refuses what another page asks for in a visitor's browser, and more than this machine should take on.

    Args:
        app: what answers the rest.
        room: of what is uploaded.
    """

    def __init__(self, app: ASGIApp, room: Room) -> None:
        self.app, self.room = app, room
        self.requests = self.coming = 0  # that are worked on, and their bytes

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
        """The answer to one request of so many bytes too much."""
        if self.requests < REQUESTS and self.coming + length <= COMING:
            return None
        return PlainTextResponse("refused: too much is asked for at once; try again in a moment", 503)


def refusal(headers: Headers, path: str, length: int) -> PlainTextResponse | None:
    """The answer to a request that goes no further."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        return PlainTextResponse("refused: this page answers only to itself", 403)
    # Browsers name the origin only where a request could change something, and its site with each. `none` is what a
    # person asks for by typing the address.
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return PlainTextResponse("refused: this page answers only to itself; to open it, type its address", 403)
    if any(f"file={scheme}:" in path.lower() for scheme in ("http", "https")):
        return PlainTextResponse("refused: files of this machine only", 403)
    if path.rstrip("/").endswith(UNUSED):
        return PlainTextResponse("refused: the page does not use it", 403)
    # Gradio bounds each file that is uploaded, but neither how many there are nor anything else that is sent.
    if "transfer-encoding" in headers:  # of unknown length; no browser does it
        return PlainTextResponse("refused: say how long it is", 411)
    uploads = path.rstrip("/").endswith("/upload")
    most = (FORM if uploads else PAINTING) if is_form(headers) else OTHER
    if length > most:
        return PlainTextResponse(f"refused: longer than {most / 1e6:g} MB", 413)
    return None


def is_form(headers: Headers) -> bool:
    """Whether a request sends files."""
    return headers.get("content-type", "").lower().startswith("multipart/form-data")
