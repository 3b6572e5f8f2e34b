"""Order of the server's answers."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOLD_SECONDS = 0.1  # of the answer only, not of the work


class StreamFirst:
    """Middleware that delays the answer to a new event until the page has read its stream of earlier events.

    Gradio ends that stream when nothing is pending. If the answer to a new event, on another connection, arrives before
    that end, Gradio's page believes the stream to be open, opens no other one, and waits for ever.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith("/queue/join"):
            await self.app(scope, receive, send)
            return

        async def delayed(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(HOLD_SECONDS)
            await send(message)

        await self.app(scope, receive, delayed)
