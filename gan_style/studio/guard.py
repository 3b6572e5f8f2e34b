"""What the page's server refuses, and what the browser is told to refuse."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gan_style.studio.pictures import MAX_BYTES

FORM = MAX_BYTES + 1_000_000  # bytes of a request that uploads: one file and what is around it
OTHER = 1_000_000  # of any other, which is read as JSON: in memory that is many times as large

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
    """Refuses what another page asks for in a visitor's browser, and a file that would be fetched from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if answer := refusal(headers, scope["path"]):
            await answer(scope, receive, send)
            return

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                added["Content-Security-Policy"] = POLICY
                added["Referrer-Policy"] = "no-referrer"
            await send(message)

        await self.app(scope, receive, with_policy)


def refusal(headers: Headers, path: str) -> PlainTextResponse | None:
    """The answer to a request that goes no further."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        return PlainTextResponse("refused: this page answers only to itself", 403)
    if any(f"file={scheme}:" in path.lower() for scheme in ("http", "https")):
        return PlainTextResponse("refused: files of this machine only", 403)
    # Gradio bounds each file that is uploaded, but neither how many there are nor anything else that is sent.
    if "transfer-encoding" in headers:  # of unknown length; no browser does it
        return PlainTextResponse("refused: say how long it is", 411)
    most = FORM if headers.get("content-type", "").startswith("multipart/form-data") else OTHER
    if int(headers.get("content-length", 0)) > most:
        return PlainTextResponse(f"refused: longer than {most / 1e6:.0f} MB", 413)
    return None
