"""Serving until Ctrl-C or SIGTERM."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from contextlib import suppress

from gan_style.apps.serve.limits import Limits
from gan_style.apps.serve.model import Served
from gan_style.core.errors import UserError
from gan_style.core.sockets import LOOPBACK, address, bracketed, is_loopback, listening
from gan_style.core.terminal import say, warn

NEEDED = ("fastapi", "fastapi_offline", "prometheus_client", "uvicorn")
GRACE_SECONDS = 30  # after SIGTERM, for the requests that are being answered
EVERYWHERE = ("0.0.0.0", "::")


def require_installed() -> None:
    """Raise a UserError unless what a server needs is installed."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise UserError(f"serving needs {' and '.join(missing)}: pip install 'gan-style[serve]'")


def serve(model: Served, limits: Limits, *, host: str, port: int, names: Sequence[str] = ()) -> None:
    """Serve a model until Ctrl-C or SIGTERM; what is being answered then is finished.

    Args:
        model: that is served.
        limits: of what is taken.
        host: that it listens on.
        port: that it listens on; 0 takes a free one.
        names: of hosts that requests may name, beside those of this machine alone and `host`.

    Raises:
        UserError: the port is taken, or there is no such host.
    """
    import uvicorn

    from gan_style.apps.serve.application import application

    own = [*LOOPBACK, "[::1]", *([] if host in EVERYWHERE else [bracketed(host)]), *names]
    app = application(model, limits, frozenset(name.lower() for name in own))
    with listening(host, [port], "the server") as listener:
        if not is_loopback(host):
            warn(f"gan_style: --host {host} serves everyone who reaches this machine, without a password")
        place = address(host, listener.getsockname()[1])
        say(f"{place}/translate takes pictures; {place}/docs says how   (Ctrl-C ends it)", flush=True)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
