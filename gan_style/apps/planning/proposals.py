"""Proposals: changes of a command that make it fit a budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gan_style.apps.planning.prediction import Cost

SIZES = (512, 448, 384, 320, 256, 192, 160, 128, 96, 64, 32)  # multiples of 32, for U-Nets


@dataclass(frozen=True)
class Target:
    """Settings that a command asks for.

    Args:
        image_size, batch_size: of its data.
        accumulate: iterations per optimiser step.
        iterations: of the whole schedule at this batch size.
        load_size: side before the crop, or None.
        smallest: side that the networks need.
        accumulates: whether the method supports gradient accumulation.
        max_steps: whether the iterations were given as a number, which then grows for smaller batches.
    """

    image_size: int
    batch_size: int
    accumulate: int
    iterations: int
    load_size: int | None = None
    smallest: int = 1
    accumulates: bool = True
    max_steps: bool = False


@dataclass(frozen=True)
class Proposal:
    """Change of a command with its predicted cost; without overrides it is the command as given.

    Args:
        overrides: to append to the command.
        memory: peak in bytes.
        hours: of the whole training.
    """

    overrides: tuple[str, ...]
    memory: float
    hours: float


def fitting(
    target: Target, costs: Mapping[bool, Cost], *, memory: float | None = None, hours: float | None = None
) -> list[Proposal]:
    """Return the changes that fit, those that change least first; the command alone where it fits as given.

    Args:
        target: the settings asked for.
        costs: from trials without and with `trainer.checkpointing`, by its value.
        memory: bytes, at most.
        hours: at most.
    """
    fit = [
        proposal
        for proposal in candidates(target, costs)
        if proposal.memory <= (memory or float("inf")) and proposal.hours <= (hours or float("inf"))
    ]
    if fit and not fit[0].overrides:
        return fit[:1]
    kept: list[Proposal] = []
    for proposal in fit:  # of the proposals that change the same keys, only the largest
        kind = _kind(proposal.overrides)
        if all(_kind(other.overrides) != kind for other in kept):
            kept.append(proposal)
    shorter = _shorter(target, costs, memory, hours)
    return [*kept[:4], *shorter]


def candidates(target: Target, costs: Mapping[bool, Cost]) -> Iterator[Proposal]:
    """Yield smaller batches with the same optimiser step, then smaller pictures; each also with checkpointing."""
    plain = next(iter(costs))
    for size in (target.image_size, *(s for s in SIZES if target.smallest <= s < target.image_size)):
        for batch in _batches(target):
            for checkpointing, cost in costs.items():
                overrides = (*_batch_overrides(target, batch), *_size_overrides(target, size))
                overrides += (f"trainer.checkpointing={str(checkpointing).lower()}",) if checkpointing != plain else ()
                yield _proposal(overrides, target, cost, size, batch)


def _batches(target: Target) -> list[int]:
    if not target.accumulates:
        return [target.batch_size]
    return [n for n in range(target.batch_size, 0, -1) if target.batch_size % n == 0]


def _batch_overrides(target: Target, batch: int) -> tuple[str, ...]:
    if batch == target.batch_size:
        return ()
    times = target.batch_size // batch
    overrides = (f"data.batch_size={batch}", f"model.accumulate={target.accumulate * times}")
    return (*overrides, f"trainer.max_steps={target.iterations * times}") if target.max_steps else overrides


def _size_overrides(target: Target, size: int) -> tuple[str, ...]:
    if size == target.image_size:
        return ()
    overrides = (f"data.image_size={size}",)
    return overrides if target.load_size is None else (*overrides, f"data.load_size={scaled(target, size)}")


def scaled(target: Target, size: int) -> int | None:
    """Scale the load_size to another image_size in proportion; None where the target has none."""
    return None if target.load_size is None else max(size, round(target.load_size * size / target.image_size))


def _proposal(overrides: tuple[str, ...], target: Target, cost: Cost, size: int, batch: int) -> Proposal:
    pixels = size**2 * batch
    iterations = target.iterations * target.batch_size // batch  # smaller batches, the same number of pictures
    return Proposal(overrides, cost.memory.at(pixels), cost.seconds.at(pixels) * iterations / 3600)


def _kind(overrides: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.split("=")[0] for word in overrides)


def _shorter(
    target: Target, costs: Mapping[bool, Cost], memory: float | None, hours: float | None
) -> Iterator[Proposal]:
    """Yield fewer iterations of what fits the memory, where only the time is too long."""
    if hours is None:
        return
    for proposal in candidates(target, costs):
        if proposal.memory <= (memory or float("inf")):
            batch = next((int(w.split("=")[1]) for w in proposal.overrides if w.startswith("data.batch_size=")), 0)
            all_of_them = target.iterations * target.batch_size // (batch or target.batch_size)
            steps = int(all_of_them * hours / proposal.hours)
            if 0 < steps < all_of_them:
                others = (word for word in proposal.overrides if not word.startswith("trainer.max_steps="))
                overrides = (*others, f"trainer.max_steps={steps}")
                yield Proposal(overrides, proposal.memory, proposal.hours * steps / all_of_them)
            return
