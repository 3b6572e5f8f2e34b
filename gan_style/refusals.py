"""What a training command is refused for before its pictures are read, or before a run folder is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_style.errors import UserError

SHOWN = 4  # names that a message lists


def refuse_other_styles(resume: Mapping[str, Any], names: Sequence[str], path: Path | None) -> None:
    """Compare the styles that a checkpoint has learned by number with those of the data.

    Raises:
        UserError: names the first difference.
    """
    learned = list(resume.get("styles") or ())
    if learned == list(names):
        return
    gone, new = ([name for name in a if name not in b] for a, b in ((learned, names), (names, learned)))
    parts = [f"{word} {', '.join(some[:SHOWN])}" for word, some in (("no longer", gone), ("now", new)) if some]
    raise UserError(
        f"{path} has learned {len(learned)} named styles, but the data has {len(names)} ({'; '.join(parts)}): give the "
        "styles their names and number of then, or begin a new run with model.warm_start"
    )


def refuse_missing_warm_start(node: Mapping[str, Any]) -> None:
    """Compare `model.warm_start` with the disk.

    Raises:
        UserError: there is no such file.
    """
    given = node.get("warm_start")
    if given == "":
        raise UserError("model.warm_start= is empty: name a checkpoint, or leave it out")
    if given is not None and not Path(given).expanduser().is_file():
        raise UserError(f"there is no checkpoint {given}: check model.warm_start")
