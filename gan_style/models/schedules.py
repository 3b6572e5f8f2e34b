"""Learning rates and weights as pure functions of the iteration, so that nothing about them has to be saved."""

from __future__ import annotations

from typing import Literal

from gan_style.core.types import Positive, Share, Weight


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

    def end(self, iterations_per_epoch: float = 1.0) -> float | None:
        """Return the iteration, which need not be whole, from which on the factor is 0; None if it never is."""
        if self.decay == 0:
            return None
        return (self.constant + self.decay) * (iterations_per_epoch if self.unit == "epochs" else 1.0)


class Stepwise:
    """Constant, and at each step the rate before times a factor (Huang et al. 2018, appendix B.1: halved).

    Args:
        every: length between two steps.
        factor: of each step.
        unit: of the length.
    """

    def __init__(
        self, every: Positive = 100_000, factor: Share = 0.5, unit: Literal["epochs", "iterations"] = "iterations"
    ) -> None:
        self.every, self.factor, self.unit = every, factor, unit

    def __call__(self, iteration: int, iterations_per_epoch: float = 1.0) -> float:
        """Return the factor in [0, 1] on the learning rate of iteration `iteration` (from 0)."""
        time = iteration / iterations_per_epoch if self.unit == "epochs" else float(iteration)
        return float(self.factor ** (time // self.every))


class LinearTo:
    """A straight line from a weight to another one, which then stays.

    Lengths are no shares of a run, so that a run that goes on for longer is as one that was never shorter.

    Args:
        end: the other weight.
        length: of the line.
        constant: length of the part before it.
        unit: of both lengths.
    """

    def __init__(
        self,
        end: Weight,
        length: Positive,
        constant: Weight = 0.0,
        unit: Literal["epochs", "iterations"] = "iterations",
    ) -> None:
        self.end, self.length, self.constant, self.unit = end, length, constant, unit

    def __call__(self, start: float, iteration: int, iterations_per_epoch: float = 1.0) -> float:
        """Return the weight of iteration `iteration` (from 0), of a line that begins at `start`."""
        time = iteration / iterations_per_epoch if self.unit == "epochs" else float(iteration)
        return start + (self.end - start) * min(1.0, max(0.0, (time - self.constant) / self.length))
