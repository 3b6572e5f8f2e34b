"""The verb `gan-style plan`."""

from __future__ import annotations

import json
from argparse import Namespace

from gan_style.apps.planning.plan import plan as planned
from gan_style.apps.planning.prediction import bytes_of, hours_of
from gan_style.apps.planning.table import lines
from gan_style.core.errors import UserError
from gan_style.core.paths import write_whole
from gan_style.core.terminal import answer


def plan(parsed: Namespace) -> None:
    """Print the plan of `parsed.overrides`, and write it to the file `parsed.json`.

    Raises:
        UserError: a mistake in the command, or a trial that failed.
    """
    memory = None if parsed.memory is None else bytes_of(parsed.memory)
    hours = None if parsed.hours is None else hours_of(parsed.hours)
    if parsed.iterations < 3:
        raise UserError(f"--iterations {parsed.iterations} is too few: the first is not timed, so take 3 or more")
    if parsed.json is not None and not parsed.json.parent.is_dir():
        raise UserError(f"--json {parsed.json} cannot be written: there is no folder {parsed.json.parent}")
    found = planned(
        *parsed.overrides, iterations=parsed.iterations, memory=memory, hours=hours, config_dir=parsed.config_dir
    )
    if parsed.json is not None:
        write_whole(parsed.json, json.dumps(found, indent=2) + "\n")
    for line in lines(found):
        answer(line)
