"""All that is to be seen on a GPU, in one call of at most nine minutes: size=256 batch=1,16 seconds=500 rounds=20.

In the order of `parts=speed,exactness,inference,methods`, each within its share of the seconds; what there is no time
for is named, what fails is one line of its row, and the JSON of `--out` is written after each part.

speed: our iteration in TF32 and bfloat16, eager, channels-last, compiled and with CUDA graphs, each beside the plain
reference with TF32 allowed, and the share of the chip's bfloat16 rate (`rate=` in TFLOP/s; unknown chips are asked for
theirs by a large product of matrices). The others are `suites/gpu_checks.py`: `check.KEY=VALUE` are words of theirs.
On a CPU, where it is only tried: size=32 batch=1 rounds=1 model.generator.filters=8 check.size=32 check.iterations=4
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from suites.common import alternate, report, synchronised
from suites.gpu_checks import Clock, exactness, inference, methods
from suites.lightning_loop import LightningLoop
from suites.step import bare_loop, reference, settings
from torch.utils.flop_counter import FlopCounterMode

# Those that are not compiled come first: a compilation takes as long as all of them together.
WAYS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("bf16", ()),
    ("tf32", ()),
    ("bf16", ("trainer.channels_last=true",)),
    ("16", ("trainer.channels_last=true",)),
    ("bf16", ("trainer.channels_last=true", "trainer.compile=max")),
    ("bf16", ("trainer.compile=default",)),
    ("tf32", ("trainer.channels_last=true", "trainer.compile=max")),
)
SHARES = {"speed": 0.4, "exactness": 0.55, "inference": 0.65, "methods": 1.0}  # of all seconds, at which a part ends


def run(words: dict[str, str], keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Go through the parts, and give `keep` what was found after each."""
    seconds, started = float(words.pop("seconds", "500")), time.monotonic()
    parts = words.pop("parts", ",".join(SHARES)).split(",")
    if unknown := set(parts) - set(SHARES):
        raise SystemExit(f"parts={','.join(unknown)} is not known: take some of {','.join(SHARES)}")
    of_checks = {key.removeprefix("check."): words.pop(key) for key in list(words) if key.startswith("check.")}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    rate = float(words.pop("rate", "0")) or bf16_rate(device)
    print(f"{name}: {rate:.1f} TFLOP/s in bfloat16", flush=True)
    result: dict[str, Any] = {"device": name, "bf16_tflops": rate}
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            clock = Clock(started + SHARES[part] * seconds)
            if part == "speed":
                result["tables"] = speed(words, clock, rate)
            elif part == "methods":
                result[part] = methods(of_checks, clock)
            else:
                check = {"exactness": exactness, "inference": inference}[part]
                result[part] = check(of_checks, clock, Path(folder))
            keep(result)
    failed = [row["name"] for part in parts for row in result.get(part, []) if row["ok"] is False]
    print(f"{time.monotonic() - started:.0f} s; failed: {', '.join(failed) or 'nothing'}", flush=True)
    return result


def speed(words: dict[str, str], clock: Clock, rate: float) -> list[dict[str, Any]]:
    """Print and return a table for each batch and way."""
    size, rounds = int(words.pop("size", "256")), int(words.pop("rounds", "20"))
    batches = [int(batch) for batch in words.pop("batch", "1,16").split(",")]
    torch.set_float32_matmul_precision("high")  # for both sides: the reference too
    tables, longest = [], 0.0
    for way, extra in WAYS:
        for batch in batches:
            row = f"{way} {' '.join(extra)} batch {batch}"
            started = time.monotonic()
            if clock.left < longest:
                print(f"left out, the time is spent: {row}", flush=True)
                continue
            try:
                overrides = words | dict(word.split("=") for word in extra)
                tables.append(one_way(settings(size, batch, way, overrides), " ".join(extra), rounds, rate))
            except Exception as error:
                said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                tables.append({"title": row, "failed": said})
                print(f"FAILED {row}: {said}", flush=True)
            longest = max(longest, time.monotonic() - started)
    return tables


def one_way(config: dict[str, Any], extra: str, rounds: int, rate: float) -> dict[str, Any]:
    torch.compiler.reset()  # what another way compiled counts against the limit of this one
    with tempfile.TemporaryDirectory() as folder:
        ours = LightningLoop(config, Path(folder), 2 * rounds + 8)
        pairs = [(pair["A"].to(ours.device), pair["B"].to(ours.device)) for pair in ours.batches]
        plain = reference(ours, pairs)
        counter = FlopCounterMode(display=False)
        with counter:
            plain()
        tera = counter.get_total_flops() / 1e12
        sides = {"reference": lambda: ours.run(plain), "gan_style": synchronised(ours.step, ours.device)}
        if config["trainer"]["compile"] == "off" and config["trainer"]["precision"] != "16-mixed":
            bare = bare_loop(config, pairs)
            sides["bare loop"] = lambda: ours.run(bare)
        for _ in range(3):  # graphs are recorded in the second pass
            sides["gan_style"]()
        times = alternate(sides, rounds)
        ours.close()
    precision, batch = config["trainer"]["precision"], config["data"]["batch_size"]
    title = f"CycleGAN, {config['data']['image_size']} px, batch {batch}, {precision} {extra}"
    table = report(title, times, against="reference")
    row = table["rows"]["gan_style"]
    row["share_of_bf16_rate"] = round(1000 * tera / row["median_ms"] / rate, 3)
    print(f"  {tera:.2f} TFLOP, {row['share_of_bf16_rate']:.0%} of the bfloat16 rate", flush=True)
    return table


def bf16_rate(device: str) -> float:
    """TFLOP/s of a large product of matrices, the best of five."""
    side = 8192 if device == "cuda" else 1024
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best / 1e12
