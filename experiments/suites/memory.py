"""Memory and time of `--tile auto` by size: size=1024,2048,4096 model=resnet9 tile=auto.

Each size runs in a process of its own, through `gan_style.load` and `translate` from a PNG to a PNG; the peak is the
kernel's own count, torch, the picture and all. The weights are random, which costs the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from suites.common import composed

MODELS = {
    **{name: ["model=cyclegan", f"model/generator={name}"] for name in ("resnet9", "unet256", "two_branch")},
    "adain": ["model=adain", "model.vgg.weights=random"],
}
ONE = """
import sys, time
import gan_style
from gan_style.core.machine import peak_memory
translator = gan_style.load(sys.argv[1], device="cpu")
before = peak_memory()
told = []
translator.watch = lambda done, total, sentence: told.append(sentence) if done == 0 else None
start, cpu = time.perf_counter(), time.process_time()
translator.translate(sys.argv[2], tile=sys.argv[3] if sys.argv[3] == "auto" else None).save(sys.argv[4])
peak = peak_memory()
print(f"{peak / 1e9:.2f} GB at most ({before / 1e9:.2f} before), {time.perf_counter() - start:.0f} s, "
      f"{time.process_time() - cpu:.0f} s of CPU; {told[0] if told else 'whole'}")
"""


def run(words: dict[str, str]) -> dict[str, Any]:
    sizes = [int(size) for size in words.pop("size", "1024,2048,4096").split(",")]
    name, tile, rows = words.pop("model", "resnet9"), words.pop("tile", "auto"), {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, source, target = (str(Path(folder) / file) for file in ("model.ckpt", "in.png", "out.png"))
        write_checkpoint(Path(checkpoint), MODELS[name] + [f"{key}={value}" for key, value in words.items()])
        for size in sizes:
            write_image(Path(source), size)
            command = [sys.executable, "-c", ONE, checkpoint, source, tile, target]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows[str(size)] = done.stdout.strip()
            print(f"{name}, {size} px: {rows[str(size)]}", flush=True)
    return {"title": f"{name}, tile {tile}", "rows": rows}


def write_checkpoint(path: Path, words: list[str]) -> None:
    """An untrained model of full size."""
    import torch

    from gan_style.checkpoints import checkpoint
    from gan_style.core.config import build

    config = composed(["data=tiny", *words])
    torch.manual_seed(0)
    model = build(config["model"], channels_A=3, channels_B=3)
    content = {
        "config": json.loads(json.dumps(config)),
        "iteration": 0,
        "domains": {letter: {"name": letter, "channels": 3} for letter in "AB"},
        "state_dict": model.state_dict(),
        **{key: {} for key in ("preprocessing", "optimizers", "pools", "callbacks", "best")},
    }
    checkpoint.save(content, path)


def write_image(path: Path, size: int) -> None:
    """Smooth noise."""
    noise = np.random.default_rng(0).integers(0, 255, (size // 16, size // 16, 3), np.uint8)
    Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC).save(path)
