"""The verb `gan-style sweep`."""

from __future__ import annotations

from argparse import Namespace

from gan_style.apps.sweep import runner, settings


def sweep(parsed: Namespace) -> None:
    """Search, or go on with a search."""
    options = ["--config-dir", str(parsed.config_dir)] if parsed.config_dir else []
    runner.run(settings.read(parsed.words, options))
