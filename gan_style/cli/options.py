"""Options that the parsers of several verbs share; nothing heavy is imported here."""

from __future__ import annotations

import argparse

from gan_style.core.paths import expanded


def allow_option(parser: argparse.ArgumentParser) -> None:
    """Add --allow, which takes packages of the user's own that a checkpoint may name."""
    said = "a package of your own that the checkpoint may name, such as mylab.; also $GAN_STYLE_ALLOW"
    parser.add_argument("--allow", action="append", default=[], metavar="PACKAGE.", help=said)


def wrap_option(parser: argparse.ArgumentParser) -> None:
    """Add --wrap, which says in which directions pictures go round."""
    said = "pictures go round: opposite borders continue each other; default: as the model was trained"
    parser.add_argument("--wrap", choices=("x", "y", "xy", "off"), help=said)


def configs_option(parser: argparse.ArgumentParser) -> None:
    """Add --config-dir, a folder of the user's own configs."""
    parser.add_argument("--config-dir", type=expanded, metavar="DIR", help="of your own configs, as for train")
