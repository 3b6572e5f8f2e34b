"""Notes about schedules of a run that end long before it does."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator

from gan_style.training.engine.engine import Engine


def schedule_notes(engine: Engine, iterations: int) -> Iterator[str]:
    """Yield a sentence for each schedule that does nothing in the last tenth of a run, or sets the rate to 0 there.

    Args:
        engine: of the run.
        iterations: of the whole run.
    """
    late = int(0.9 * iterations)
    if engine.rate_factor(late) == 0:
        end = _first(lambda iteration: engine.rate_factor(iteration) == 0, iterations)
        yield (
            f"note: the learning rate reaches 0 long before the end, after {end}: raise model.schedule.constant or "
            "decay"
        )
    for name, weight in engine.weights(iterations - 1).items():
        if iterations < 10 or engine.weights(late - 1)[name] != weight:
            continue
        end = _first(lambda iteration, name=name, last=weight: engine.weights(iteration)[name] == last, iterations)
        yield (
            f"note: model.{name} is the same throughout the last tenth of the run, {weight:g} after {end}: to let it "
            f"change until the end, lengthen model.weight_schedules.{name}"
        )


def _first(settled: Callable[..., bool], iterations: int) -> str:
    """Say after how many iterations something is so that is so at the end, and does not come and go."""
    return f"{bisect.bisect_left(range(iterations), True, key=settled)} of {iterations} iterations"
