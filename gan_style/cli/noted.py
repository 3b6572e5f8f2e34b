"""Notes on files at the end of a verb, alike for all of them."""

from __future__ import annotations

from gan_style.core.terminal import warn
from gan_style.data.ledger import Ledger


def warn_of(ledger: Ledger) -> None:
    """Print what reading files left out or changed, one line for each kind; nothing where nothing was."""
    for sentence in ledger.sentences():
        warn(f"note: {sentence}")
