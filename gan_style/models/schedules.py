"""Learning rates as pure functions of the iteration, so that nothing about them has to be saved."""

from __future__ import annotations

from typing import Literal

from gan_style.core.types import Weight


class ConstantThenLinear:
    """Constant, then a straight line to zero (Zhu et al. 2017, section 4: 100 epochs each).

    The official code steps once an epoch and divides by `decay + 1`; here the line falls with every
    iteration, so that it does not depend on where epochs end.

    Args:
        constant: length of the constant part.
        decay: length of the fall; 0 keeps the rate constant for ever.
        unit: of both lengths.
    """

    def __init__(
        self, constant: Weight = 100, decay: Weight = 100, unit: Literal["epochs", "iterations"] = "epochs"
    ) -> None:
        self.constant = constant
        self.decay = decay
        self.unit = unit

    def __call__(self, iteration: int, iterations_per_epoch: float = 1.0) -> float:
        """Return the factor in [0, 1] on the learning rate of iteration `iteration` (from 0)."""
        if self.decay == 0:
            return 1.0
        time = iteration / iterations_per_epoch if self.unit == "epochs" else float(iteration)
        return min(1.0, max(0.0, 1.0 - (time - self.constant) / self.decay))
