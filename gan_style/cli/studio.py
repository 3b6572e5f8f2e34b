"""The verb `gan-style studio`."""

from __future__ import annotations

from argparse import Namespace

from gan_style.apps.studio.verb import studio as serve


def studio(parsed: Namespace) -> None:
    """Serve the studio until it is stopped."""
    options = {name: getattr(parsed, name) for name in ("runs", "weights", "port", "host", "allow")}
    serve(parsed.checkpoint, **options)
