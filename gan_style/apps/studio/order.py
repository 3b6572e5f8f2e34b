"""The order in which the page's server answers."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOLD = 0.1  # seconds, for which the work itself does not wait


class StreamFirst:
    """Holds the answer to a new event back until the page has read what its stream of events said before.

    Gradio ends that stream when nothing is pending. Where the answer to a new event overtakes the end, by another
    connection, Gradio's page takes the stream for open, opens no other, and waits for ever.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith("/queue/join"):
            await self.app(scope, receive, send)
            return

        async def later(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(HOLD)
            await send(message)

        await self.app(scope, receive, later)
