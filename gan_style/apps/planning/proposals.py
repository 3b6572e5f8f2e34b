"""Proposals: changes of a command that make it fit a budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gan_style.apps.planning.prediction import Cost
from gan_style.core.sizes import Size, as_given, height_width, pixels_of, sized

SIZES = (512, 448, 384, 320, 256, 192, 160, 128, 96, 64, 32)  # of the longer side; multiples of 32, for U-Nets
STEP = 4  # the other side is a multiple of it


@dataclass(frozen=True)
class Target:
    """Settings that a command asks for.

    Args:
        image_size, batch_size: of its data.
        accumulate: iterations per optimiser step.
        iterations: of the whole schedule at this batch size.
        load_size: size before the crop, or None.
        smallest: of a side that the networks need.
        accumulates: whether the method supports gradient accumulation.
        counts: keys of the config that count iterations, with their values, which grow for smaller batches.
    """

    image_size: Size
    batch_size: int
    accumulate: int
    iterations: int
    load_size: Size | None = None
    smallest: int = 1
    accumulates: bool = True
    counts: Mapping[str, float] = field(default_factory=dict)


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
    for size in (target.image_size, *_smaller(target)):
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
    longer = (f"{key}={count * times}" for key, count in target.counts.items())
    return (f"data.batch_size={batch}", f"model.accumulate={target.accumulate * times}", *longer)


def _smaller(target: Target) -> Iterator[Size]:
    """Yield smaller sizes of about the same shape, whose longer side is one of SIZES."""
    sides = height_width(target.image_size)
    for longer in SIZES:
        if longer < max(sides):
            smaller = [STEP * round(side * longer / max(sides) / STEP) for side in sides]
            if min(smaller) >= max(target.smallest, STEP):
                yield sized("data.image_size", smaller)


def _size_overrides(target: Target, size: Size) -> tuple[str, ...]:
    if size == target.image_size:
        return ()
    loaded = scaled(target, size)
    overrides = (f"data.image_size={as_given(size)}",)
    return overrides if loaded is None else (*overrides, f"data.load_size={as_given(loaded)}")


def scaled(target: Target, size: Size) -> Size | None:
    """Scale the load_size to another image_size in proportion; None where the target has none."""
    if target.load_size is None:
        return None
    sides, before = height_width(size), height_width(target.image_size)
    if isinstance(target.load_size, int):  # a square, or a width
        return max(*sides, round(target.load_size * sides[1] / before[1]))
    pairs = zip(target.load_size, sides, before, strict=True)
    return sized("data.load_size", [max(side, round(loaded * side / was)) for loaded, side, was in pairs])


def _proposal(overrides: tuple[str, ...], target: Target, cost: Cost, size: Size, batch: int) -> Proposal:
    pixels = pixels_of(size) * batch
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
