"""The verb `gan-style serve`."""

from __future__ import annotations

from argparse import Namespace

from gan_style.apps.serve import verb
from gan_style.apps.serve.limits import Limits
from gan_style.apps.serve.model import served
from gan_style.cli.arguments import MAX_SEED, parse_style
from gan_style.core.checks import require_whole


def serve(parsed: Namespace) -> None:
    """Serve a checkpoint or an export until Ctrl-C or SIGTERM.

    Raises:
        UserError: a mistake in the command, what a server needs is not installed, a model that makes no picture of a
            picture alone, or a port that is taken.
    """
    verb.require_installed()
    require_whole("--port", parsed.port, 0, 65535)
    require_whole("--seed", parsed.seed, 0, MAX_SEED)
    for option in ("batch", "queue", "max_bytes", "max_pixels"):
        require_whole(f"--{option.replace('_', '-')}", getattr(parsed, option), 1)
    limits = Limits(parsed.max_bytes, parsed.max_pixels, parsed.queue, parsed.batch)
    model = served(
        parsed.checkpoint,
        direction=parsed.direction,
        styles=[parse_style(text) for text in parsed.style],
        alpha=parsed.alpha,
        wrap=parsed.wrap,
        seed=parsed.seed,
        device=parsed.device,
        allow=parsed.allow,
    )
    verb.serve(model, limits, host=parsed.host, port=parsed.port, names=parsed.name)
