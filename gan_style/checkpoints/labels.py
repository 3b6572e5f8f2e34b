"""Short names for checkpoints that are shown beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gan_style.core.errors import UserError
from gan_style.core.paths import expanded, printable, resolved


def name_checkpoints(paths: Sequence[str]) -> dict[str, str]:
    """Return a label for each: the shortest of run, run and file, or whole path that no other has.

    Raises:
        UserError: one is given twice.
    """
    choices = []
    seen = set()
    for given in map(Path, paths):
        whole = resolved(expanded(given))
        if whole in seen:
            raise UserError(f"--checkpoint {given} is given twice: leave one out")
        seen.add(whole)
        run = whole.parent.parent.name
        choices.append((run, f"{run}/{given.stem}", str(given)))
    names = {}
    for path, labels in zip(paths, choices, strict=True):
        label = next((x for i, x in enumerate(labels) if [c[i] for c in choices].count(x) == 1), path)
        names[printable(label)] = path
    return names
