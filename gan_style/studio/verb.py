"""`gan-style studio`."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import signal
import sys
import tempfile
import time
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import Any

from gan_style.checks import require_whole
from gan_style.errors import UserError
from gan_style.paths import expanded

LOOPBACK = ["127.0.0.1", "localhost"]


def studio(parsed: Namespace) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        UserError: no Gradio, a checkpoint or weights that cannot be read, or a port that is taken.
    """
    if importlib.util.find_spec("gradio") is None:
        raise UserError("the studio needs Gradio: pip install 'gan-style[studio]'")
    if parsed.port is not None:
        require_whole("--port", parsed.port, 1, 65535)
    runs = expanded(parsed.runs)
    if parsed.runs != "runs" and not runs.is_dir():
        raise UserError(f"--runs {parsed.runs}: there is no such folder; name the one that holds the runs")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, and leaves no files
    try:
        with tempfile.TemporaryDirectory(prefix="gan-style-studio-") as folder, suppress(KeyboardInterrupt):
            page, address = serve(parsed.checkpoint, runs, parsed.weights, parsed.host, parsed.port, Path(folder))
            print(f"{address}   (Ctrl-C ends it)", flush=True)
            try:
                while True:
                    time.sleep(3600)
            finally:
                page.close(verbose=False)
    finally:
        signal.signal(signal.SIGTERM, before)


def serve(
    checkpoints: list[str], runs: Path, weights: str | None, host: str, port: int | None, folder: Path
) -> tuple[Any, str]:
    """Start the page in threads of its own; it and its address.

    Args:
        checkpoints: to choose from, beside those of the runs.
        runs: the folder of runs.
        weights: of Gatys' VGG; None takes what is at hand.
        host: to listen on.
        port: None takes the first free one from 7860 on.
        folder: for uploads and results; who calls removes it.
    """
    # before Gradio is imported: neither its own reports nor settings meant for other pages hold for this one
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from gan_style.studio.guard import Guard
    from gan_style.studio.models import Models, weights_at_hand
    from gan_style.studio.page import build, style_sheet, theme
    from gan_style.studio.pictures import MAX_BYTES

    page = build(Models(checkpoints, runs, weights_at_hand(weights)), folder)
    names = LOOPBACK if is_loopback(host) else ["*"]
    try:
        _, address, _ = page.queue(max_size=20).launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            allowed_paths=[],
            max_file_size=MAX_BYTES,
            ssr_mode=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            theme=theme(),
            css=style_sheet(),
            app_kwargs={"middleware": [Middleware(TrustedHostMiddleware, allowed_hosts=names), Middleware(Guard)]},
        )
    except OSError as error:
        where = f"port {port}" if port else "a port from 7860 to 7959"
        raise UserError(f"{where} cannot be had on {host}: name another with --port, or leave it out") from error
    if not is_loopback(host):
        print(
            f"gan_style: --host {host} opens the page, without a password, to everyone who reaches this machine",
            file=sys.stderr,
        )
    return page, address


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host's ports."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
