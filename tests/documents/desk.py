"""The folder that documents speak of, small: pictures, checkpoints, runs and sets under the names that they use."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from gan_style.cli.main import main
from gan_style.training.run import train
from tests.conftest import small_config
from tests.inference.video.clips import clip
from tests.small_models import saved

SIDE = 40  # of the pictures


def draw(path: Path, seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> Path:
    """A picture with large and small parts; one like no other for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 5, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    fine = random.integers(-20, 21, (size[1], size[0], 3))
    Image.fromarray((np.asarray(coarse) + fine).clip(0, 255).astype(np.uint8)).save(path)
    return path


def lay(desk: Path) -> Path:
    """Fill an empty folder."""
    _images(desk)
    _runs(desk)
    _models(desk)
    return desk


def _images(desk: Path) -> None:
    for seed, name in enumerate(("photo.jpg", "wave.jpg", "night.jpg", "scan.tif", "panorama.png", "texture.png")):
        draw(desk / name, seed)
    folders = ("photos", "paintings", "frames", "more", "scans/deep")
    parts = ("trainA", "trainB", "testA", "testB", "content", "test_content", "styles/monet")
    for number, folder in enumerate((*folders, *(f"data/mine/{part}" for part in parts)), start=1):
        suffix = "tif" if folder.startswith("scans") else "png"
        for i in range(8 if folder.startswith("data") else 4):
            draw(desk / folder / f"{i}.{suffix}", 100 * number + i)
            draw(desk / "other" / "out" / f"{i}.png", 10_000 + i)
    draw(desk / "data" / "mine" / "styles" / "wave.jpg", 1)
    (desk / "lists").mkdir()
    (desk / "lists" / "test.csv").write_text("path\n../photo.jpg\n../night.jpg\n")
    for i in range(2):  # of two eyes side by side
        draw(desk / "pairs" / f"{i}.png", 90 + i, (2 * SIDE, SIDE))
    clip(desk / "clip.mp4", 4)


def _models(desk: Path) -> None:
    for name in ("best.ckpt", "last.ckpt"):
        shutil.copy(desk / "runs" / "mine" / "checkpoints" / name, desk)
    saved(desk / "adain.ckpt", "model=adain")
    saved(desk / "ugatit.ckpt", "model=ugatit_light")
    for letter, direction in (("A", "A2B"), ("B", "B2A")):
        out = desk / f"latest_net_G_{letter}.pth"
        assert main(["export", str(desk / "best.ckpt"), str(out), "--direction", direction]) == 0
    assert main(["import", str(desk / "latest_net_G_A.pth"), str(desk / "mine.ckpt")]) == 0
    assert main(["shards", str(desk / "data" / "mine"), str(desk / "DIR")]) == 0


def _runs(desk: Path) -> None:
    mine = desk / "runs" / "mine"
    train(small_config("trainer.max_steps=2", "data.val_count=2", f"run_dir={mine}"))
    for copy in ("a", "b", "multirun-1/0", "multirun-1/1", "sweeps/lambdas/0"):
        shutil.copytree(mine, desk / "runs" / copy)
