"""Cost of a training, and settings that make it fit a budget."""

from __future__ import annotations

import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_style.apps.planning.parts import Parts, parts_of
from gan_style.apps.planning.prediction import Cost, Line, trial_batch, trial_sizes
from gan_style.apps.planning.proposals import Proposal, Target, fitting, scaled
from gan_style.core import builds
from gan_style.core.checks import is_number, require_whole, shown
from gan_style.core.commands import typed_train
from gan_style.core.compose import composed
from gan_style.core.errors import UserError
from gan_style.core.sizes import Size, as_given, in_pixels, pixels_of, stored
from gan_style.models.image_pool import ImagePool
from gan_style.models.passes import MAX_PIXELS_TO_JOIN_ON_CPU
from gan_style.networks.contract import minimum_size
from gan_style.networks.recomputed import blocks_of

KEPT_CHECKPOINTS = 3  # last.ckpt, previous.ckpt and best.ckpt


def plan(
    *overrides: str,
    iterations: int = 4,
    memory: float | None = None,
    hours: float | None = None,
    config_dir: str | Path | None = None,
) -> dict[str, Any]:
    """Measure what a training costs by short trials in processes of their own, and propose what fits a budget.

    Args:
        *overrides: of config keys, such as "model=cut".
        iterations: of a trial, 3 or more: the first is not timed. A trial has at least one of each kind.
        memory: the budget of the peak of memory, in bytes.
        hours: the budget of the whole training.
        config_dir: a folder of the user's own configs.

    Returns: all numbers; the keys are those of `gan-style plan --json` (docs/planning.md).

    Raises:
        UserError: a mistake in the overrides or the data, or a trial that failed.
    """
    require_whole("iterations", iterations, 3)
    for name, given in (("memory", memory), ("hours", hours)):
        if given is not None and not (is_number(given, 0) and given > 0):
            raise UserError(f"{name}={shown(given)} is not valid: give a number above 0, of bytes or of hours")
    config = composed(overrides, config_dir)
    parts = parts_of(config)
    target = target_of(config, parts)
    recompute = parts.settings.checkpointing
    trials = run_trials(overrides, config_dir, config, parts, target, iterations, recompute)
    costs = {recompute: cost_of(trials)}
    pixels = pixels_of(target.image_size) * target.batch_size
    over = memory is not None and costs[recompute].memory.at(pixels) > memory
    if over and not recompute and parts.settings.compile == "off" and blocks_of(*parts.model.networks("G")):
        costs[True] = cost_of(run_trials(overrides, config_dir, config, parts, target, iterations, True))
    found = {
        "parameters": parts.model.parameter_counts(),
        "image_size": stored(target.image_size),
        "batch_size": target.batch_size,
        "iterations": target.iterations,
        **totals(parts, target, costs[recompute], trials[-1]),
        "trials": [{k: v for k, v in trial.items() if k != "state"} for trial in trials],
        "budget": {"memory": memory, "hours": hours},
    }
    if memory is not None or hours is not None:
        fit = fitting(target, costs, memory=memory, hours=hours)
        found["proposals"] = [_described(overrides, config_dir, proposal) for proposal in fit]
    return found


def target_of(config: Mapping[str, Any], parts: Parts) -> Target:
    """Return the size and length of the training that the command asks for."""
    data, model = parts.data, parts.model
    return Target(
        image_size=data.image_size,
        batch_size=data.batch_size,
        accumulate=model.accumulate,
        iterations=parts.iterations,
        load_size=data.load_size if "load_size" in config["data"] else None,
        smallest=max((minimum_size(network) for network in model.networks("D")), default=1),
        accumulates=not model.optimizes_images,
        counts=counts_of(config),
    )


def counts_of(config: Mapping[str, Any]) -> dict[str, float]:
    """Return the keys of a config that count iterations, with their values, where they are not 0."""
    model, found = config["model"], {"trainer.max_steps": config["trainer"]["max_steps"]}
    found["model.pretrain"] = model.get("pretrain")
    nodes = {"schedule": model.get("schedule")}
    nodes |= {f"weight_schedules.{name}": node for name, node in (model.get("weight_schedules") or {}).items()}
    for name, node in nodes.items():
        unit = "epochs" if name == "schedule" else "iterations"  # where a node says none, of the classes' own
        if node and node.get("unit", unit) == "iterations":
            found |= {f"model.{name}.{key}": node.get(key) for key in ("constant", "decay", "every", "length")}
    return {key: value for key, value in found.items() if value}


def run_trials(
    overrides: Sequence[str],
    config_dir: str | Path | None,
    config: Mapping[str, Any],
    parts: Parts,
    target: Target,
    iterations: int,
    recompute: bool,
) -> list[dict[str, Any]]:
    """Try two sizes, the smaller one first, with the fast convolutions and joined passes of the target.

    Args:
        overrides, config_dir, config, parts, target: of the command.
        iterations: of each trial.
        recompute: whether residual blocks are recomputed in the backward pass.

    Returns: of each, see `trial.tried`, with `image_size` and `batch_size`.
    """
    trials = []
    sizes = trial_sizes(target.image_size, target.smallest)
    for size in sizes:
        batch = trial_batch(max(sizes, key=pixels_of), target.batch_size)
        values = {
            "data.image_size": size,
            "data.load_size": scaled(target, size),
            "data.batch_size": batch,
            "trainer.fast_convolutions": parts.settings.uses_fast_convolutions(target.image_size),
            "trainer.checkpointing": recompute,
            "trainer.devices": 1,
            "trainer.num_nodes": 1,
            "model.join_passes": pixels_of(target.image_size) <= MAX_PIXELS_TO_JOIN_ON_CPU,
            "model.scales": 1,  # a method that goes through several sizes ends at the full one
        }
        if config["model"].get("join_passes") is not None or parts.settings.accelerator != "cpu":
            del values["model.join_passes"]
        changes = [f"{key}={_word(value)}" for key, value in values.items() if _has(config, key)]
        result = run_trial(composed([*overrides, *changes], config_dir), iterations, size)
        trials.append({"image_size": stored(size), "batch_size": batch, **result})
    return trials


def run_trial(config: Mapping[str, Any], iterations: int, size: Size) -> dict[str, Any]:
    """Run a trial in a process of its own, see `trial.tried`.

    Raises:
        UserError: its own mistake, or that it was killed.
    """
    command = [sys.executable, "-m", "gan_style.apps.planning.trial"]
    given = json.dumps({"config": config, "iterations": iterations})
    done = subprocess.run(command, input=given, capture_output=True, text=True)
    if done.returncode == 0:
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result
    if done.returncode == -9:
        raise UserError(
            f"the trial at {in_pixels(size)} was killed, mostly because memory ran out: plan a smaller model"
        )
    said = done.stderr.strip().splitlines() or [f"it ended with {done.returncode} and said nothing"]
    if builds.differ(RuntimeError(said[-1])):
        raise UserError(builds.sentence())
    raise UserError(f"the trial at {in_pixels(size)} failed: {said[-1].removeprefix('gan_style: ')}")


def cost_of(trials: Sequence[Mapping[str, Any]]) -> Cost:
    """Fit lines to the measurements: the peak, the median of the times, the operations."""
    pixels = [pixels_of(trial["image_size"]) * trial["batch_size"] for trial in trials]

    def through(values: Sequence[float]) -> Line:
        return Line.through(list(zip(pixels, values, strict=True)))

    return Cost(
        memory=through([trial["peak"] for trial in trials]),
        seconds=through([statistics.median(trial["seconds"]) for trial in trials]),
        flops=through([trial["flops"] for trial in trials]),
    )


def totals(parts: Parts, target: Target, cost: Cost, trial: Mapping[str, Any]) -> dict[str, Any]:
    """Return memory, disk and time of the target; bytes and seconds."""
    pixels = pixels_of(target.image_size) * target.batch_size
    state, peak, seconds = trial["state"], cost.memory.at(pixels), cost.seconds.at(pixels)
    activations = cost.memory.slope * pixels
    pools = [value for value in vars(parts.model).values() if isinstance(value, ImagePool)]
    pool_bytes = sum(pool.size for pool in pools) * max(parts.data.channels.values()) * pixels_of(target.image_size) * 4
    saved = sum(t.numel() * t.element_size() for t in parts.model.state_dict().values())
    checkpoint = saved + state["moments"] + state["ema"] + pool_bytes
    rest = max(0.0, peak - activations - sum(state.values()))
    return {
        "device": trial["device"],
        "flops": cost.flops.at(pixels),
        "seconds": seconds,
        "memory": {"peak": peak, **state, "activations": activations, "rest": rest, "pools": pool_bytes},
        "disk": {
            "checkpoint": checkpoint,
            "checkpoints": KEPT_CHECKPOINTS * checkpoint,
            "pictures": target.iterations // parts.settings.cadence(target.iterations)[0],
        },
        "hours": seconds * target.iterations / 3600,
    }


def _described(overrides: Sequence[str], config_dir: str | Path | None, proposal: Proposal) -> dict[str, Any]:
    changed = {override.split("=")[0] for override in proposal.overrides}
    folder = [] if config_dir is None else ["--config-dir", str(config_dir)]
    kept = [override for override in overrides if override.split("=")[0].lstrip("+") not in changed]
    command = shlex.join([*typed_train(), *folder, *kept, *proposal.overrides])
    return {"command": command, "memory": proposal.memory, "hours": proposal.hours}


def _has(config: Mapping[str, Any], key: str) -> bool:
    group, name = key.split(".")
    return name in config[group] and not (name == "load_size" and config[group][name] is None)


def _word(value: object) -> str:
    return as_given(value) if isinstance(value, tuple) else str(value).lower()
