"""Stands for train.py in the tests of sweeps: same words, files and exit statuses, without a network to train.

It trains one iteration in 0.1 s, validates and saves in each, and logs each in `log.txt`, so that one that was done
twice, or never, shows.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> int:
    words = dict(word.lstrip("+").split("=", 1) for word in sys.argv[1:])
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
    folder, cycle = Path(words["run_dir"].strip("'")), float(words.get("model.lambda_cycle", "1"))
    last, metrics = folder / "checkpoints" / "last.ckpt", folder / "metrics.csv"
    if "broken" in words.get("name", ""):
        print("warming up\ngan_style: model=broken is not known", file=sys.stderr)
        return 2
    end = int(words["trainer.max_steps"])
    config = {
        "best": {"monitor": "val/psnr", "mode": "highest"},
        "data": {"batch_size": 2},
        "trainer": {"max_steps": end, "devices": 1, "num_nodes": 1},
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    (folder / "environment.txt").write_text(
        f"{os.environ.get('WANDB_RUN_GROUP')} {os.environ.get('CUDA_VISIBLE_DEVICES')}"
    )
    done = 0
    if words.get("resume") == "last":
        done = int(last.read_text())
    elif last.exists():
        return 2
    column = "val/ssim" if words.get("data") == "folders" else "val/psnr"
    rows = metrics.read_text().splitlines()[: done + 1] if done else [f"iteration,{column}"]
    metrics.write_text("\n".join(rows) + "\n")
    last.parent.mkdir(exist_ok=True)
    for iteration in range(done + 1, end + 1):
        if stop:
            print("gan_style: stopped by a signal", file=sys.stderr)
            return 130
        time.sleep(float(words.get("seconds", "0.02")))
        if cycle > 20 and "crash" in words.get("name", ""):
            print("Traceback (most recent call last):\nRuntimeError: a loss burst", file=sys.stderr)
            return 1
        with open(metrics, "a") as file:
            file.write(f"{iteration},{20 - abs(cycle - 5) - 1 / iteration}\n")
        with open(folder / "log.txt", "a") as file:
            file.write(f"{iteration}\n")
        temporary = last.with_suffix(".tmp")
        temporary.write_text(str(iteration))
        os.replace(temporary, last)
    return 0


if __name__ == "__main__":
    sys.exit(main())
