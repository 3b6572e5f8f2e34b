"""The verb `gan-style studio`."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gan_style.core.checks import require_whole
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded
from gan_style.core.sockets import LOOPBACK, address, bracketed, is_loopback, listening
from gan_style.core.terminal import say, warn

MAX_SESSIONS = 1000  # opened pages whose state is remembered, the newest
PORTS = range(7860, 7960)  # tried in this order


def studio(
    checkpoints: Sequence[str],
    *,
    runs: str = "runs",
    weights: str | None = None,
    port: int | None = None,
    host: str = "127.0.0.1",
    allow: Sequence[str] = (),
) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        checkpoints: to choose from, beside those of the runs.
        runs: the folder of runs.
        weights: of Gatys' VGG; None takes what is at hand.
        port: None takes the first free one.
        host: that it listens on.
        allow: packages of one's own that checkpoints may name.

    Raises:
        UserError: no Gradio, a checkpoint or weights that cannot be read, or a port that is taken.
    """
    if importlib.util.find_spec("gradio") is None:
        raise UserError("the studio needs Gradio: pip install 'gan-style[studio]'")
    if port is not None:
        require_whole("--port", port, 1, 65535)
    folder = expanded(runs)
    if runs != "runs" and not folder.is_dir():
        raise UserError(f"--runs {runs}: there is no such folder; name the one that holds the runs")
    ports = PORTS if port is None else [port]
    with (
        listening(host, ports, "the studio") as listener,
        tempfile.TemporaryDirectory(prefix="gan-style-") as place,
    ):
        app = application([*checkpoints], folder, weights, host, Path(place), allow)
        import uvicorn

        if not is_loopback(host):
            opened = f"--host {host} opens the page, without a password, to everyone who reaches this machine"
            warn(f"gan_style: {opened}")
        say(f"{address(host, listener.getsockname()[1])}   (Ctrl-C ends it)", flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def application(
    checkpoints: list[str], runs: Path, weights: str | None, host: str, folder: Path, allow: Sequence[str] = ()
) -> Any:
    """Build the page and its guards as an ASGI application.

    Args:
        checkpoints: to choose from, beside those of the runs.
        runs: the folder of runs.
        weights: of Gatys' VGG; None takes those that are present.
        host: that it will listen on.
        folder: for uploads and results; the caller removes it.
        allow: packages of one's own that checkpoints may name.
    """
    from gan_style.apps.studio.models import Models, weights_at_hand

    models = Models(checkpoints, runs, weights_at_hand(weights), allow)
    # before Gradio is imported: no telemetry, and no settings meant for other pages
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    import gradio
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from gan_style.apps.studio.guard import Guard
    from gan_style.apps.studio.images import MAX_BYTES
    from gan_style.apps.studio.page import build, head, style_sheet, theme
    from gan_style.apps.studio.room import Room

    room = Room(folder)
    page = build(models, room).queue(max_size=20)
    bound_sessions(page)
    app = FastAPI(openapi_url=None)
    app.add_middleware(Guard, room=room)
    if is_loopback(host):  # refuses other sites' names that resolve to this machine
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, bracketed(host)])
    # not page.launch(), which checks over HTTP that the page answers, and gives up on a busy machine
    gradio.mount_gradio_app(
        app,
        page,
        path="/",
        show_error=False,
        allowed_paths=[],
        max_file_size=MAX_BYTES,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        theme=theme(),
        css=style_sheet(),
        head=head(),
    )
    room.keep()  # the samples
    page.has_launched = True  # only then Gradio refuses paths that were not uploaded, as tests/apps/studio shows
    return app


def bound_sessions(page: Any) -> None:
    """Bound the sessions that a page with a queue remembers: a client may name a new one with each request."""
    from gradio.utils import LRUCache

    page.state_session_capacity = MAX_SESSIONS
    page._queue.pending_messages_per_session = LRUCache(MAX_SESSIONS)
    page._queue.pending_event_ids_session = LRUCache(MAX_SESSIONS)
