"""Requests that are refused before anybody reads them: other hosts' names and other sites' pages; and their counts."""

from __future__ import annotations

import time
from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The page of the API has its scripts from this server; one of them is inline.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
PASSES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counts for Prometheus, of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "gan_style_requests", "Answers to requests for a translation", ["status"], registry=self.registry
        )
        self.seconds = Histogram(
            "gan_style_request_seconds",
            "From the first byte of a request to the last of its answer",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.passes = Histogram(
            "gan_style_pass_pictures", "Pictures in one pass of the model", buckets=PASSES, registry=self.registry
        )
        self.waiting = Gauge("gan_style_waiting", "Pictures that wait for the model", registry=self.registry)


class Guard:
    """Middleware that answers only to the server's own names and to no other site's page.

    Args:
        app: the application behind it.
        names: hosts that requests may name, in lower case, IPv6 addresses in brackets.
        metrics: that count the answers of `paths`.
        paths: that are counted.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], metrics: Metrics, paths: Collection[str]) -> None:
        self.app, self.names, self.metrics, self.paths = app, names, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        counted, start = scope["path"] in self.paths, time.perf_counter()

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                added["Content-Security-Policy"] = POLICY
                added["X-Content-Type-Options"] = "nosniff"
                if counted:
                    self.metrics.requests.labels(str(message["status"])).inc()
            await send(message)

        sentence = refusal(Headers(scope=scope), self.names)
        answer = self.app if sentence is None else JSONResponse({"error": sentence}, 403)
        try:
            await answer(scope, receive, with_policy)
        finally:
            if counted:
                self.metrics.seconds.observe(time.perf_counter() - start)


def refusal(headers: Headers, names: Collection[str]) -> str | None:
    """Return why a request is refused, or None.

    A page of another site can have its name resolve to this machine (DNS rebinding), and then reads what it asks for;
    the browser sends that name. It can also just send a picture here, of which browsers tell where it comes from.
    """
    given = headers.get("host", "")
    host, _, port = given.rpartition(":")
    if not port.isdecimal() or given.endswith("]"):
        host = given
    if host.lower() not in names:
        return "this server does not answer to that host: name it with --name when the server is started"
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != given:
        return "this server does not answer to pages of other sites"
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "this server does not answer to pages of other sites"
    return None
