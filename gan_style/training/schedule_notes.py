"""Notes about schedules of a run that end long before it does."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator

from gan_style.training.engine.engine import Engine

SHORTEST = 10  # iterations of a run that has a last tenth


def schedule_notes(engine: Engine, iterations: int) -> Iterator[str]:
    """Yield a sentence for each schedule that does nothing in the last tenth of a run, or sets the rate to 0 there.

    Args:
        engine: of the run.
        iterations: of the whole run.
    """
    late, last = int(0.9 * iterations), iterations - 1
    if iterations < SHORTEST:
        return
    if engine.rate_factor(late) == engine.rate_factor(last) == 0:
        end = _first(lambda iteration: engine.rate_factor(iteration) == 0, iterations)
        yield (
            f"note: the learning rate reaches 0 long before the end, after {end} of {iterations} iterations: raise "
            "model.schedule.constant or decay"
        )
    for name, weight in engine.weights(last).items():
        if engine.weights(late - 1)[name] != weight:
            continue
        end = _first(lambda iteration, name=name, weight=weight: engine.weights(iteration)[name] == weight, iterations)
        when = f"{weight:g} after {end} of {iterations} iterations" if end else f"{weight:g} as in the first iteration"
        yield (
            f"note: model.{name} is the same throughout the last tenth of the run, {when}: to let it change until the "
            f"end, see the lengths in model.weight_schedules.{name}"
        )


def _first(settled: Callable[..., bool], iterations: int) -> int:
    """Return after how many iterations something holds that holds in the last one and, once it does, always does."""
    return bisect.bisect_left(range(iterations), True, key=settled)
