"""Processes: devices=2 size=64 rounds=3 iterations=12. Images per second of each beside one process alone.

Every round is a whole `train.py` on one device and one on all; the speed is the median row of its metrics.csv. On a CPU
each process gets one thread, so that two on two cores are compared with one on one.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import torch

SETTLED = 3  # rows until loaders, allocators and kernels have settled
TRAIN = Path(__file__).parents[2] / "train.py"


def run(words: dict[str, str]) -> dict[str, Any]:
    """One table: images per second and process, and the efficiency of many."""
    devices, size = int(words.pop("devices", "2")), words.pop("size", "64")
    rounds, iterations = int(words.pop("rounds", "3")), int(words.pop("iterations", "12"))
    fixed = [f"data.image_size={size}", f"data.load_size={size}", "data.count=32", f"trainer.max_steps={iterations}"]
    fixed += ["trainer.val_every=1000000", "trainer.log_every=1", "data.num_workers=0"]
    others = [f"{key}={value}" for key, value in words.items()]
    speeds: dict[int, list[float]] = {1: [], devices: []}
    for _ in range(rounds):
        for count, found in speeds.items():
            found.append(images_per_second(count, [*fixed, *others]))
    alone, each = median(speeds[1]), median(speeds[devices]) / devices
    kind = "GPU" if torch.cuda.is_available() else "one thread each"
    print(f"\nCycleGAN at {size} px, {rounds} rounds, {kind}")
    print(f"  1 process        {alone:8.2f} images/s")
    print(f"  {devices} processes      {each:8.2f} images/s each, efficiency {each / alone:.2f}")
    return {"images_per_s": speeds, "efficiency": each / alone}


def images_per_second(devices: int, words: list[str]) -> float:
    accelerator = "gpu" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        places = [f"trainer.accelerator={accelerator}", f"trainer.devices={devices}", f"run_dir={folder}/run"]
        subprocess.run(
            [sys.executable, str(TRAIN), *words, *places],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        with open(f"{folder}/run/metrics.csv", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["time/images_per_s"]]
    return median(float(row["time/images_per_s"]) for row in rows[SETTLED:])
