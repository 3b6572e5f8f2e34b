"""CPU seconds of commands until they have done the least, beside `import torch`, in turn: rounds=5 verbs=help,describe.

User and system time of a process and of those that it waited for, in one thread. `first iteration` is that of the demo,
after which the process is ended; the checkpoint of the others is that of a demo of two iterations. `stylize` makes a
picture of 512 px.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from gan_style.data.scenes import draw_scene

ROOT = Path(__file__).parents[2]
# Composed as by train.py, and ended where the first iteration is done.
FIRST = """
import os, sys
sys.argv = ["train.py", *sys.argv[1:]]
from gan_style.cli import train
whole = train.require_own_allow

def with_an_end(*given):
    from gan_style.training.callbacks.cost import Cost
    Cost.on_train_batch_end = lambda *_: os._exit(0)
    return whole(*given)

train.require_own_allow = with_an_end
train.main()
"""


def run(words: dict[str, str]) -> dict[str, Any]:
    """Print and return the median of each command, and how many times that of `import torch` it is."""
    rounds = int(words.pop("rounds", "5"))
    wanted = words.pop("verbs", "help,describe,translate,stylize,first").split(",")
    with tempfile.TemporaryDirectory() as given:
        folder, python = Path(given), sys.executable
        image, out = str(folder / "image.png"), str(folder / "out.png")
        large = str(folder / "large.png")
        Image.fromarray(draw_scene(0, 0, 256, "A")).save(image)
        Image.fromarray(draw_scene(0, 0, 512, "A")).save(large)
        demo = ["experiment=demo", "trainer.max_steps=2", *(f"{key}={value}" for key, value in words.items())]
        last = str(folder / "demo" / "checkpoints" / "last.ckpt")
        verb = [python, "-m", "gan_style"]
        commands = {
            "help": [*verb, "--help"],
            "describe": [*verb, "describe", last],
            "translate": [*verb, "translate", last, image, out],
            "stylize": [*verb, "stylize", large, out, "--style", image],
            "first": [python, "-c", FIRST, *demo],
        }
        commands = {"import torch": [python, "-c", "import torch"], **{name: commands[name] for name in wanted}}
        cpu_seconds([python, str(ROOT / "train.py"), *demo, f"run_dir={folder / 'demo'}"], folder)
        times: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(rounds):
            for name, command in commands.items():
                own = [f"run_dir={folder / f'first{turn}'}"] if name == "first" else []
                times[name].append(cpu_seconds([*command, *own], folder))
    rows = {}
    for name, seconds in times.items():
        ratio = statistics.median(own / torch for own, torch in zip(seconds, times["import torch"], strict=True))
        rows[name] = {"median_cpu_s": round(statistics.median(seconds), 2), "of_import_torch": round(ratio, 2)}
        print(f"  {name:16} {rows[name]['median_cpu_s']:6.2f} s CPU  {ratio:5.2f} x import torch", flush=True)
    return {"rows": rows}


def cpu_seconds(command: list[str], folder: Path) -> float:
    """CPU seconds of a command, which has to succeed, in one thread."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
