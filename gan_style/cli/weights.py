"""The verb `gan-style weights`."""

from __future__ import annotations

from argparse import Namespace

from gan_style.core.errors import UserError
from gan_style.core.terminal import say
from gan_style.data.named.weights import NAMED_WEIGHTS, fetch_weights, folder_of, named_weights


def weights(parsed: Namespace) -> None:
    """List the published weights, or fetch those of a name.

    Raises:
        UserError: an unknown name, an empty option, or a file that cannot be had.
    """
    if not parsed.name:
        _list()
        return
    for option in ("root", "url", "sha256"):
        if getattr(parsed, option) == "":
            raise UserError(f"--{option} is empty: give it a value, or leave it out")
    entry = named_weights(parsed.name)
    fetch_weights(entry.name, parsed.root, url=parsed.url, sha256=parsed.sha256)
    say(f"licence: {entry.licence}")
    root = parsed.root or folder_of(entry)
    if entry.cached and not parsed.root:
        say("commands that want them find them there")
    for command in entry.use:
        say(f"then: {command.format(root=root)}")


def _list() -> None:
    row = "{:34}{:>8}  {:14}{}"
    say(row.format("name", "size", "sha256", "what"))
    for entry in NAMED_WEIGHTS.values():
        say(row.format(entry.name, entry.size, entry.digest, entry.about))
    licences: dict[str, list[str]] = {}
    for entry in NAMED_WEIGHTS.values():
        names = licences.setdefault(entry.licence, [])
        name = "cyclegan-*" if entry.name.startswith("cyclegan-") else entry.name
        names += [] if name in names else [name]
    for licence, names in licences.items():
        say(f"licence of {', '.join(names)}: {licence}")
