"""One iteration of CycleGAN, whole, against a plain reference: size=256,128,64 precision=32,bf16 batch=1 rounds=7.

Ours is `train.py`'s own loop: Lightning, callbacks, averages and logging. The reference (`suites/reference.py`) is
the official step written out plainly; `--peer DIR` times a checkout of the official repository as well. `loop=true`
adds our step without Lightning and callbacks, and `memory=true` the peak of each side in a process of its own.
"""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from suites.common import Step, alternate, composed, report, synchronised
from suites.lightning_loop import LightningLoop
from suites.reference import ReferenceCycleGAN

from gan_style.core.config import build
from gan_style.core.machine import peak_memory
from gan_style.training.engine.engine import Engine

PRECISIONS = {"32": "32-true", "tf32": "tf32", "bf16": "bf16-mixed", "16": "16-mixed"}


def run(words: dict[str, str], peer: Path | None = None) -> dict[str, Any]:
    """A table for every size and precision."""
    sizes = [int(size) for size in words.pop("size", "256").split(",")]
    precisions = words.pop("precision", "32").split(",")
    batch, rounds = int(words.pop("batch", "1")), int(words.pop("rounds", "7"))
    loop, memory = (words.pop(word, "false") == "true" for word in ("loop", "memory"))
    if (side := words.pop("side", None)) is not None:
        return peak(side, settings(sizes[0], batch, precisions[0], words))
    tables = []
    for size, precision in itertools.product(sizes, precisions):
        table = one_setting(settings(size, batch, precision, words), rounds, loop, peer)
        if memory:
            for name in ("reference", "gan_style"):
                fixed = ["suite=step", f"side={name}", f"size={size}", f"batch={batch}", f"precision={precision}"]
                table["rows"][name]["peak_GB"] = peak_of([*fixed, *(f"{key}={value}" for key, value in words.items())])
                print(f"  {name:24} {table['rows'][name]['peak_GB']:10.2f} GB above the start", flush=True)
        tables.append(table)
    return {"tables": tables}


def one_setting(config: dict[str, Any], rounds: int, loop: bool, peer: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        whole = LightningLoop(config, Path(folder), rounds + 4)
        pairs = [(pair["A"].to(whole.device), pair["B"].to(whole.device)) for pair in whole.batches]
        plain = {"reference": reference(whole, pairs)}
        plain |= {"bare loop": bare_loop(config, pairs)} if loop else {}
        if peer is not None:
            from suites.peer import official_step

            plain["official"] = in_turn(official_step(peer, config, whole.device, anti_aliased=False), pairs)
        sides = {name: functools.partial(whole.run, step) for name, step in plain.items()}
        times = alternate({**sides, "gan_style": synchronised(whole.step, whole.device)}, rounds)
        whole.close()
    size, precision = config["data"]["image_size"], config["trainer"]["precision"]
    title = f"CycleGAN iteration, {size} px, batch {config['data']['batch_size']}, {precision}, {whole.device}"
    return report(title, times, against="reference")


def settings(size: int, batch: int, precision: str, words: dict[str, str]) -> dict[str, Any]:
    fixed = [f"data.image_size={size}", f"data.load_size={size}", f"data.batch_size={batch}", "data.count=8"]
    others = [f"{key}={value}" for key, value in words.items()]
    return composed([*fixed, f"trainer.precision={PRECISIONS[precision]}", *others])


def reference(ours: LightningLoop, pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> Step:
    """The plain side, from the same weights, on the same device."""
    generator, judge = ours.model.G_AB.layers, next(ours.model.D_A.parameters())
    plain = ReferenceCycleGAN(generator[1].out_channels, len(generator) - 19, len(judge), device=ours.device)
    plain.take_weights(ours.model)
    return in_turn(plain.step, pairs)


def bare_loop(config: dict[str, Any], pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> Step:
    """Our own step, and nothing around it."""
    model = build(config["model"], channels_A=3, channels_B=3).to(pairs[0][0].device)
    engine = Engine(model)
    build(config["trainer"]).tell(engine, config["data"]["image_size"])
    optimizers = dict(zip("GD", engine.configure_optimizers(), strict=True))
    own = {player: model.parameters_of(player) for player in "GD"}
    bf16 = config["trainer"]["precision"] == "bf16-mixed"
    device = pairs[0][0].device.type

    def step(A: torch.Tensor, B: torch.Tensor) -> None:
        cast = torch.autocast(device, torch.bfloat16) if bf16 else nullcontext()
        with cast, engine.compute_modes():
            images = model.generate({"A": A, "B": B})
            for player, loss in (("G", model.generator_loss), ("D", model.discriminator_loss)):
                other = own["D" if player == "G" else "G"]
                for parameter in other:
                    parameter.requires_grad_(False)
                total, _ = loss(images)
                optimizers[player].zero_grad()
                total.backward()
                optimizers[player].step()
                for parameter in other:
                    parameter.requires_grad_(True)

    return in_turn(step, pairs)


def in_turn(step: Any, pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> Step:
    count = 0

    def one() -> None:
        nonlocal count
        count += 1
        step(*pairs[count % len(pairs)])

    return synchronised(one, pairs[0][0].device)


def resident() -> int:
    """Bytes of memory that this process holds now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_of(words: list[str]) -> float:
    """The peak of one side in a process of its own, in GB above its start."""
    command = [sys.executable, sys.argv[0], *words]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def peak(side: str, config: dict[str, Any]) -> dict[str, Any]:
    """Three iterations of one side; prints by how many GB its peak lies above the start."""
    with tempfile.TemporaryDirectory() as folder:
        ours = LightningLoop(config, Path(folder), 8)
        pairs = [(pair["A"].to(ours.device), pair["B"].to(ours.device)) for pair in ours.batches]
        step = functools.partial(ours.run, reference(ours, pairs)) if side == "reference" else ours.step
        cuda = ours.device.type == "cuda"
        before = torch.cuda.memory_allocated() if cuda else resident()
        for _ in range(3):
            step()
        after = torch.cuda.max_memory_allocated() if cuda else peak_memory()
        ours.close()
    print((after - before) / 1e9)
    return {}
