"""Arithmetic of a run: settings and machine, beside the config, that decide the last digits of its results.

A checkpoint keeps it, so that a run resumed on another machine can report the differences.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from gan_style.core.machine import usable_cores
from gan_style.core.moved import of_today
from gan_style.core.sizes import Size, parsed
from gan_style.core.version import __version__
from gan_style.training.trainer import TrainerSettings

NOT_EXACTLY = "the run goes on, but not as if it had never stopped"
NOT_IN_OLDER = ("processes", "trainer.sync_batchnorm")  # that older checkpoints do not record
# Packages that decode, resize and augment pictures, and draw random numbers.
LIBRARIES = ("pillow", "opencv-python-headless", "albumentations", "numpy")


def describe(settings: TrainerSettings, image_size: Size) -> dict[str, Any]:
    """Describe the arithmetic for a checkpoint."""
    return {"arithmetic": {"ways": effective_settings(settings, image_size), "machine": machine(settings)}}


def effective_settings(settings: TrainerSettings, image_size: Size) -> dict[str, Any]:
    """Resolve settings such as `auto` and null to what they mean on this machine, by their keys."""
    on_gpu, on_cpu = settings.device_type == "cuda", settings.device_type == "cpu"
    rounded = settings.precision == "tf32" and not on_gpu
    return {
        "trainer.precision": "32-true" if rounded else settings.precision,
        "trainer.fast_convolutions": settings.uses_fast_convolutions(image_size) and on_cpu,
        "trainer.compile": settings.compile if on_gpu or settings.compile == "off" else "default",
        "processes": settings.world_size,
        "trainer.sync_batchnorm": settings.world_size > 1 and settings.sync_batchnorm is not False,
    }


def machine(settings: TrainerSettings) -> dict[str, Any]:
    """Describe processor and versions; with a GPU without the CPU's threads, which do not matter then."""
    libraries = {}
    for name in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            libraries[name] = importlib.metadata.version(name)
    on_gpu = settings.device_type == "cuda"
    processor = torch.cuda.get_device_name() if on_gpu else f"{cpu()}, {torch.backends.cpu.get_cpu_capability()}"
    threads = {} if on_gpu else {"threads": _threads(settings)}
    return {"gan_style": __version__, "torch": str(torch.__version__), **libraries, "processor": processor, **threads}


def changes(settings: TrainerSettings, image_size: Size, resume: Mapping[str, Any]) -> Iterator[str]:
    """Yield sentences about arithmetic that differs from a checkpoint's; values that it does not record are skipped."""
    saved = resume.get("arithmetic", {})
    then = {"processes": len(resume["pools"]), **_settings_of_older(resume, settings)}
    then |= {of_today(key): value for key, value in saved.get("ways", {}).items()}
    for key, now in effective_settings(settings, image_size).items():
        if key in then and then[key] != now:
            yield f"{key}={then[key]} there, {key}={now} here; {NOT_EXACTLY}"
    for key, now in machine(settings).items():
        before = saved.get("machine", {}).get(key, now)
        if before != now:
            yield f"{key}={before} there, {key}={now} here; the run goes on, but its last digits may be others"


def _settings_of_older(resume: Mapping[str, Any], settings: TrainerSettings) -> dict[str, Any]:
    """Resolve the config of a checkpoint that does not record these settings, as on this machine."""
    kept = resume["config"]["trainer"]
    known = {key: kept[key] for key in ("precision", "fast_convolutions", "compile") if key in kept}
    size = parsed(resume["preprocessing"].get("image_size"))
    if size is None:
        return {}
    return {
        k: v
        for k, v in effective_settings(TrainerSettings(settings.accelerator, **known), size).items()
        if k not in NOT_IN_OLDER
    }


def cpu() -> str:
    """Return the name of the processor, as far as the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def _threads(settings: TrainerSettings) -> int:
    """Return the threads of a process; several share the cores, unless OMP_NUM_THREADS is set."""
    if settings.device_count == 1 or "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    return max(1, usable_cores() // settings.device_count)
