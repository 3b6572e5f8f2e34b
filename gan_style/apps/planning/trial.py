"""Trial of a few iterations in a separate process: `python -m gan_style.apps.planning.trial`.

It reads a composed config and a number of iterations as JSON from stdin, and prints their cost as the last line of
stdout. There is no run folder, no checkpoint and no validation. The process is separate because the peak of memory is
recorded per process and never falls.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gan_style.apps.planning.parts import Parts, parts_of
from gan_style.core.exit_status import exit_status
from gan_style.core.terminal import answer
from gan_style.models.translator import Translator
from gan_style.training.callbacks.cost import peak_gigabytes
from gan_style.training.callbacks.ema import EMA
from gan_style.training.engine.engine import engine_of
from gan_style.training.trainer import quiet_lightning


class NoModules:
    """Stand-in for FlopCounterMode's tracker of modules, whose hooks fail where a loss differentiates twice."""

    parents: ClassVar[set[str]] = {"Global"}

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class Watch(pl.Callback):
    """Callback that times iterations, then counts the FLOPs of one more period.

    Args:
        iterations: least number of timed iterations, 2 or more, of which the first counts for nothing; the others are
            made whole periods. FLOPs are counted after the peak of memory was read.
        period: iterations after which costs repeat.
    """

    def __init__(self, iterations: int, period: int) -> None:
        self.period = period
        self.iterations = 1 + math.ceil((iterations - 1) / period) * period
        self.times: list[float] = []  # seconds of each iteration
        self.peak = 0.0  # bytes
        self.counted: list[int] = []  # FLOPs of each iteration after those
        self._counter: FlopCounterMode | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if len(self.times) == self.iterations:
            self.peak = self.peak or peak_bytes()
            # torch's counter does not see most operations of fast convolutions
            engine_of(pl_module).fast_convolutions = False
            self._counter = FlopCounterMode(display=False)
            self._counter.mod_tracker = NoModules()  # type: ignore[assignment]
            self._counter.__enter__()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if self._counter is not None:
            self._counter.__exit__(None, None, None)
            self.counted.append(self._counter.get_total_flops())
            trainer.should_stop = len(self.counted) == self.period
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.times.append(now - self._since)
        self._since = now

    def seconds(self) -> list[float]:
        """Return the mean time of an iteration in each period after the first iteration."""
        starts = range(1, len(self.times), self.period)
        return [statistics.mean(self.times[start : start + self.period]) for start in starts]

    def flops(self) -> int:
        """Return the operations of an iteration, the mean over a period."""
        return round(statistics.mean(self.counted))


def peak_bytes() -> float:
    """Return the most memory that this process held; without that of the process that started it."""
    status = Path("/proc/self/status")
    if not torch.cuda.is_available() and status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    return peak_gigabytes() * 1e9


def tried(parts: Parts, iterations: int, folder: Path) -> dict[str, Any]:
    """Train for some iterations and measure their cost.

    Args:
        parts: of the run.
        iterations: at least 2: memory still rises in the second, and the first is too slow to be timed.
        folder: for files that Lightning may write.

    Returns: `seconds` of an iteration in each period of the method, the first iteration left out; `peak` and the sizes
        of `state` in bytes; `flops` of an iteration.
    """
    quiet_lightning()
    engine, settings = parts.engine, parts.settings
    watch = Watch(iterations, engine.method.cost_period)
    engine.method.pretrain = 0  # those iterations cost less than all that follow
    averaged = [callback for callback in parts.callbacks if isinstance(callback, EMA)]
    settings.tell(engine, parts.data.image_size)
    trainer = settings.make([*averaged, watch], [], folder, val=1_000_000_000)
    trainer.fit(engine, datamodule=parts.data)
    return {
        "seconds": watch.seconds(),
        "peak": watch.peak,
        "flops": watch.flops(),
        "state": {
            "gradients": _size(p.grad for p in engine.parameters()),
            "moments": _size(
                _tensors([optimizer.state_dict()["state"] for optimizer in engine.optimizer_of().values()])
            ),
            "ema": sum(_size(net.state_dict().values()) for ema in averaged for net in ema.averages.values()),
            **weights(engine.method),
        },
        "device": torch.cuda.get_device_name() if trainer.strategy.root_device.type == "cuda" else "CPU",
    }


def weights(model: Translator) -> dict[str, int]:
    """Return the bytes of trained and of frozen weights, such as VGG's."""
    trained = _size(p for p in model.parameters() if p.requires_grad)
    return {"weights": trained, "frozen": _size([*model.parameters(), *model.buffers()]) - trained}


def _size(tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors if t is not None)


def _tensors(node: Any) -> Iterator[Tensor]:
    if isinstance(node, Tensor):
        yield node
    elif isinstance(node, dict | list | tuple):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from _tensors(inner)


def main() -> int:
    """Run a trial; exit status 0, or 2 for a mistake of the user."""
    given = json.load(sys.stdin)
    with exit_status("plan") as ending, tempfile.TemporaryDirectory(prefix="gan-style-plan-") as folder:
        answer(json.dumps(tried(parts_of(given["config"]), given["iterations"], Path(folder))))
    return ending.status


if __name__ == "__main__":
    sys.exit(main())
