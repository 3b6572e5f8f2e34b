"""Speed as ratios: python experiments/benchmark.py suite=step [size=256 ...] [--out FILE.json]

Machines are shared and noisy, so the two sides alternate within one process (A, B, A, B) and the medians are compared.

    suite=step   one CycleGAN iteration through Lightning, callbacks and all, against a bare loop over the same networks
    suite=styles the style systems: Gatys against VGG's own passes, AdaIN against its convolutions, CUT against CycleGAN
    suite=data   pairs per second of the data side, against Pillow and torchvision as the official code uses them
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir

from gan_style.config import build, config_dir, plain

Step = Callable[[], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="key=value", help="suite, size, batch, rounds, config overrides")
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    arguments = parser.parse_args()
    words = dict(word.split("=", 1) for word in arguments.words)
    suite = SUITES[words.pop("suite", "step")]
    result = {"torch": torch.__version__, "threads": torch.get_num_threads(), **suite(words)}
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


def composed(overrides: list[str]) -> dict[str, Any]:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config: dict[str, Any] = plain(compose("train", [*overrides, "name=benchmark"]))
    return config


def step_suite(words: dict[str, str]) -> dict[str, Any]:
    """One iteration at the paper's setting: ours, whole, against the same mathematics in a bare loop."""
    size, batch, rounds = (int(words.pop(k, d)) for k, d in (("size", "256"), ("batch", "1"), ("rounds", "7")))
    overrides = [
        f"data.image_size={size}",
        f"data.load_size={size}",
        f"data.batch_size={batch}",
        "data.count=8",
    ]
    config = composed([*overrides, *(f"{k}={v}" for k, v in words.items())])
    with tempfile.TemporaryDirectory() as folder:
        whole = LightningLoop(config, Path(folder), batches=2 * rounds + 4)
        bare = bare_loop(config, whole.batches)
        times = alternate({"bare loop": bare, "gan_style": whole.step}, rounds)
        whole.close()
    return report(f"CycleGAN iteration, {size} px, batch {batch}", times, against="bare loop")


class LightningLoop:
    """`train.py`'s own loop, held at every iteration so that it can take turns with another."""

    def __init__(self, config: dict[str, Any], folder: Path, batches: int) -> None:
        import threading

        from gan_style import run

        config = {**config, "run_dir": str(folder), "trainer": {**config["trainer"], "max_steps": batches}}
        config["trainer"]["val_every"] = 10 * batches
        data = build(config["data"])
        data.setup()
        self.batches = [{k: v[None] for k, v in data.train_set[i].items() if k in "AB"} for i in range(4)]
        self.batches = [{d: torch.cat([b[d]] * config["data"]["batch_size"]) for d in "AB"} for b in self.batches]
        torch.manual_seed(0)
        model = build(config["model"], channels_A=3, channels_B=3)
        trainer, _logs, _ = run.assemble(config, build(config["trainer"]), data, model, folder, batches, None)
        run.quiet_lightning()
        self.go, self.done, self.failed = threading.Semaphore(0), threading.Semaphore(0), None
        trainer.callbacks.insert(0, hold(self.go, self.done))
        data.val_dataloader = lambda: []

        def fit() -> None:
            try:
                trainer.fit(model, datamodule=data)
            except Exception as error:
                self.failed = error
            self.done.release()

        self.thread = threading.Thread(target=fit, daemon=True)
        self.thread.start()
        self.done.acquire()  # it stands before its first batch
        if self.failed:
            raise self.failed

    def step(self) -> None:
        self.go.release()
        self.done.acquire()
        if self.failed:
            raise self.failed

    def close(self) -> None:
        while self.thread.is_alive():
            self.go.release()
            self.thread.join(0.1)


def hold(go: Any, done: Any) -> Any:
    """A callback that waits before every batch; the time between two batches is a whole iteration."""
    import pytorch_lightning as pl

    class Hold(pl.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            done.release()
            go.acquire()

    return Hold()


def bare_loop(config: dict[str, Any], batches: list[dict[str, torch.Tensor]]) -> Step:
    """The official step's mathematics over our networks: two turns, a pool, Adam, nothing else."""
    torch.manual_seed(0)
    model = build(config["model"], channels_A=3, channels_B=3)
    G_AB, G_BA, D_A, D_B = model.G_AB, model.G_BA, model.D_A, model.D_B
    generators = [*G_AB.parameters(), *G_BA.parameters()]
    discriminators = [*D_A.parameters(), *D_B.parameters()]
    adam_G = torch.optim.Adam(generators, lr=2e-4, betas=(0.5, 0.999))
    adam_D = torch.optim.Adam(discriminators, lr=2e-4, betas=(0.5, 0.999))
    count = 0

    def step() -> None:
        nonlocal count
        A, B = batches[count % len(batches)]["A"], batches[count % len(batches)]["B"]
        count += 1
        fake_B, fake_A = G_AB(A), G_BA(B)
        rec_A, rec_B, idt_A, idt_B = G_BA(fake_B), G_AB(fake_A), G_BA(A), G_AB(B)
        for p in discriminators:
            p.requires_grad_(False)
        loss = (D_B(fake_B) - 1).square().mean() + (D_A(fake_A) - 1).square().mean()
        loss = loss + 10 * (F.l1_loss(rec_A, A) + F.l1_loss(rec_B, B))
        loss = loss + 5 * (F.l1_loss(idt_A, A) + F.l1_loss(idt_B, B))
        adam_G.zero_grad()
        loss.backward()
        adam_G.step()
        for p in discriminators:
            p.requires_grad_(True)
        adam_D.zero_grad()
        for D, real, fake in ((D_A, A, model.pool_A.swap(fake_A)), (D_B, B, model.pool_B.swap(fake_B))):
            (0.5 * ((D(real) - 1).square().mean() + D(fake).square().mean())).backward()
        adam_D.step()

    return step


def data_suite(words: dict[str, str]) -> dict[str, Any]:
    """Pairs from 256 px JPEGs, load 286, crop 256, flip, normalise: ours against Pillow and torchvision, one worker."""
    count, rounds = int(words.pop("count", "100")), int(words.pop("rounds", "7"))
    with tempfile.TemporaryDirectory() as folder:
        write_jpegs(Path(folder), count)
        sides = {"Pillow + torchvision": official_pipeline(Path(folder))}
        for name, cache in (("gan_style, from files", "off"), ("gan_style, warm cache", "auto")):
            sides[name] = our_pipeline(folder, cache)
            if cache == "auto":
                for _ in range(2):  # every picture once more than an epoch has
                    sides[name]()
        times = alternate(sides, rounds)
    result = report(f"{count} pairs of 256 px", times, against="Pillow + torchvision")
    for name, row in result["rows"].items():
        row["pairs_per_s"] = round(count / row["median_ms"] * 1000)
        print(f"  {name:24} {row['pairs_per_s']:6} pairs/s")
    return result


def write_jpegs(folder: Path, count: int) -> None:
    """Drawn scenes of 256 px as JPEGs of quality 90."""
    from PIL import Image

    from gan_style.data.scenes import draw_scene

    for domain in "AB":
        (folder / f"train{domain}").mkdir()
        for i in range(count):
            picture = Image.fromarray(draw_scene(0, i, 256, domain))
            picture.save(folder / f"train{domain}" / f"{i}.jpg", quality=90)


def official_pipeline(folder: Path) -> Step:
    """What the official code does with a picture: open, RGB, bicubic to 286, random crop, flip, tensor, [-1, 1]."""
    from PIL import Image
    from torchvision import transforms

    files = [sorted((folder / f"train{domain}").iterdir()) for domain in "AB"]
    steps = transforms.Compose(
        [
            transforms.Resize([286, 286], transforms.InterpolationMode.BICUBIC),
            transforms.RandomCrop(256),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )

    def epoch() -> None:
        for pair in zip(*files, strict=True):
            for path in pair:
                steps(Image.open(path).convert("RGB"))

    return epoch


def our_pipeline(folder: str, cache: str) -> Step:
    """The data set as training has it, with what it leaves to the device: the way to [-1, 1]."""
    data = build(composed(["data=folders", f"data.root={folder}", f"data.cache={cache}"])["data"])
    data.setup()
    position = iter(range(10**9))

    def epoch() -> None:
        for _ in range(data.epoch_length):
            data.on_after_batch_transfer(data.train_set[next(position)], 0)

    return epoch


def styles_suite(words: dict[str, str]) -> dict[str, Any]:
    """Each at the size of its paper's pictures; VGG's weights are random, which costs the same."""
    size, rounds = int(words.pop("size", "256")), int(words.pop("rounds", "5"))
    picture, style = torch.rand(1, 3, size, size) * 2 - 1, torch.rand(1, 3, size, size) * 2 - 1
    vgg = ["model.vgg.weights=random", f"model.vgg.depth={words.pop('depth', 'relu4_1')}"]
    results = [
        gatys_suite(picture, style, vgg, rounds),
        adain_suite(picture, style, vgg, rounds),
        iterations_suite(size, rounds, words),
    ]
    return {"suites": results}


def gatys_suite(picture: torch.Tensor, style: torch.Tensor, vgg: list[str], rounds: int) -> dict[str, Any]:
    """Twenty steps of the descent against as many passes through VGG, forward and back to the picture."""
    steps = 20
    settings = [f"model.steps={steps}", "model.scales=1"]
    model = build(composed(["model=gatys", "data=tiny", *vgg, *settings])["model"])
    code, layers, network = model.style_code(style), model.perceptual.layers, model.perceptual._vgg[0]
    parameter = torch.nn.Parameter(picture.clone())

    def bare() -> None:
        for _ in range(steps):
            parameter.grad = None
            torch.stack([f.mean() for f in network(parameter, layers).values()]).sum().backward()

    times = alternate({"VGG's passes": bare, "gatys": lambda: model.stylize(picture, code)}, rounds)
    return report(f"Gatys, {steps} steps at {picture.shape[-1]} px", times, against="VGG's passes")


@torch.no_grad()
def adain_suite(picture: torch.Tensor, style: torch.Tensor, vgg: list[str], rounds: int) -> dict[str, Any]:
    """One picture in a known style against the same convolutions and nothing between them."""
    model = build(composed(["model=adain", "data=tiny", *vgg])["model"], channels_A=3, channels_B=3).eval()
    code = model.style_code(style)
    calls: list[tuple[Any, Any]] = []
    convolve = F.conv2d

    def recorded(*words: Any, **named: Any) -> torch.Tensor:
        calls.append((words, named))
        return convolve(*words, **named)

    F.conv2d = recorded
    model.stylize(picture, code)
    F.conv2d = convolve

    def bare() -> None:
        for words, named in calls:
            convolve(*words, **named)

    times = alternate({"convolutions": bare, "adain": lambda: model.stylize(picture, code)}, rounds)
    return report(f"AdaIN, one picture of {picture.shape[-1]} px", times, against="convolutions")


def iterations_suite(size: int, rounds: int, words: dict[str, str]) -> dict[str, Any]:
    """Whole iterations through Lightning, batch 1."""
    data = [f"data.image_size={size}", f"data.load_size={size}", "data.batch_size=1", "data.count=8"]
    with tempfile.TemporaryDirectory() as folder:
        loops = {
            name: LightningLoop(
                composed([f"model={name}", *data, *(f"{k}={v}" for k, v in words.items())]),
                Path(folder) / name,
                batches=2 * rounds + 4,
            )
            for name in ("cyclegan", "cut", "fastcut")
        }
        times = alternate({name: loop.step for name, loop in loops.items()}, rounds)
        for loop in loops.values():
            loop.close()
    return report(f"One iteration, {size} px, batch 1", times, against="cyclegan")


def alternate(sides: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds of each side, in turn, after one warm-up of each."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for step in sides.values():
        step()
    for _ in range(rounds):
        for name, step in sides.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    return times


def report(title: str, times: dict[str, list[float]], *, against: str) -> dict[str, Any]:
    """Print and return medians, and the speed of each side as a ratio of the reference's."""
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(title)
    rows = {}
    for name, median in medians.items():
        pairs = zip(times[against], times[name], strict=True)
        ratio = statistics.median(reference / own for reference, own in pairs)
        rows[name] = {"median_ms": round(median * 1000, 2), "speed": round(ratio, 3)}
        print(f"  {name:24} {median * 1000:10.1f} ms   speed {ratio:6.3f}")
        sys.stdout.flush()
    return {"title": title, "against": against, "rows": rows}


SUITES = {"step": step_suite, "styles": styles_suite, "data": data_suite}

if __name__ == "__main__":
    main()
