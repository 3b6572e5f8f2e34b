"""Makes sets of pictures, clean ones and ones with planted faults."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from gan_style.data.images import list_images, read_image
from gan_style.data.scenes import draw_scene

SIDE, CROP = 96, 32
COUNTS = {"trainA": 56, "trainB": 56, "testA": 8, "testB": 8}
Plant = Callable[[Path], None]


def scene(index: int, domain: str, side: int = SIDE, seed: int = 0) -> np.ndarray:
    return draw_scene(seed, index, side, domain)


def save(pixels: np.ndarray, path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def make_clean(root: Path, seed: int = 0) -> Path:
    """Four folders of scenes, all different."""
    index = 0
    for split, count in COUNTS.items():
        for i in range(count):
            save(scene(index, split[-1], seed=seed), root / split / f"{i:03}.png")
            index += 1
    return root


def some(root: Path, split: str, count: int, skip: int = 0) -> list[Path]:
    """Each fault takes its own pictures, so that faults can be planted together."""
    return list_images(root / split)[skip : skip + count]


# Ways to make a copy that is not the same file


def reencoded(path: Path, target: Path) -> None:
    save(read_image(path), target.with_suffix(".jpg"), quality=60)


def halved(path: Path, target: Path) -> None:
    save(cv2.resize(read_image(path), (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA), target)


def brightened(path: Path, target: Path) -> None:
    save(np.clip(read_image(path) * 1.1, 0, 255).astype(np.uint8), target)


def mirrored(path: Path, target: Path) -> None:
    save(np.ascontiguousarray(read_image(path)[:, ::-1]), target)


def mirrored_and_worn(path: Path, target: Path) -> None:
    pixels = np.clip(read_image(path)[:, ::-1] * 1.1, 0, 255).astype(np.uint8)
    save(
        cv2.resize(pixels, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA), target.with_suffix(".jpg"), quality=75
    )


def same_pixels(path: Path, target: Path) -> None:
    save(read_image(path), target.with_suffix(".bmp"))


COPIES = {
    "reencoded": reencoded,
    "halved": halved,
    "brightened": brightened,
    "mirrored": mirrored,
    "mirrored and worn": mirrored_and_worn,
}


def copies(source: str, target: str, count: int, ways: Iterable[Callable[[Path, Path], None]] = ()) -> Plant:
    """Puts copies of the first pictures of a split into a split, each way in turn; without a way the files."""

    def plant(root: Path) -> None:
        turns = list(ways) or [lambda path, copy: shutil.copy(path, copy)]
        for i, path in enumerate(some(root, source, count)):
            turns[i % len(turns)](path, root / target / f"copy{i:03}-{source}.png")

    return plant


# Faults


def unreadable(root: Path) -> None:
    files = some(root, "trainA", 4)
    files[0].write_bytes(b"")
    files[1].write_bytes(files[1].read_bytes()[:-500])
    files[2].write_text("<html>not found</html>")
    files[3].write_bytes(b"version https://git-lfs.github.com/spec/v1")


def wrong_suffix(root: Path) -> None:
    for path in some(root, "trainB", 3):
        path.rename(path.with_suffix(".jpg"))


def tiny(root: Path) -> None:
    for i in range(3):
        save(scene(900 + i, "A", side=20), root / "trainA" / f"tiny{i}.png")


def large(root: Path) -> None:
    for i in range(3):
        save(scene(900 + i, "A", side=300), root / "trainA" / f"large{i}.png")


def wide(root: Path) -> None:
    for i in range(3):
        save(scene(900 + i, "A", side=160)[:SIDE], root / "trainA" / f"wide{i}.png")


def grey(root: Path) -> None:
    for i, path in enumerate(some(root, "trainA", 4, skip=4)):
        pixels = np.asarray(Image.fromarray(read_image(path)).convert("L"))
        save(pixels if i % 2 else np.stack([pixels] * 3, axis=-1), path)


def all_grey(root: Path) -> None:
    for path in [*list_images(root / "trainA"), *list_images(root / "testA")]:
        save(np.stack([np.asarray(Image.fromarray(read_image(path)).convert("L"))] * 3, axis=-1), path)


def deepen(paths: Iterable[Path]) -> None:
    for path in paths:
        cv2.imwrite(str(path), read_image(path)[..., ::-1].astype(np.uint16) * 257)


def some_deep(root: Path) -> None:
    deepen(some(root, "trainB", 3, skip=4))


def all_deep(root: Path) -> None:
    deepen([*list_images(root / "trainB"), *list_images(root / "testB")])


def transparent(root: Path) -> None:
    for path in some(root, "trainA", 3, skip=8):
        save(np.dstack([read_image(path), np.full((SIDE, SIDE), 200, np.uint8)]), path)


def turned(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in some(root, "trainA", 3, skip=12):
        save(read_image(path), path.with_suffix(".jpg"), exif=exif, quality=95)
        path.unlink()


def blank(root: Path) -> None:
    for path in [*some(root, "trainA", 3, skip=16), *some(root, "trainB", 2, skip=16)]:
        save(np.full((SIDE, SIDE, 3), (90, 140, 200), np.uint8), path)


def many(root: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(170):
        save(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8), root / "trainA" / f"noise{i}.png")


def few(root: Path) -> None:
    for path in list_images(root / "trainA")[30:]:
        path.unlink()


def untested(root: Path) -> None:
    shutil.rmtree(root / "testA")
    shutil.rmtree(root / "testB")


def one_domain(root: Path) -> None:
    for i, path in enumerate(list_images(root / "trainB")):
        save(scene(1000 + i, "A"), path)
    for i, path in enumerate(list_images(root / "testB")):
        save(scene(1100 + i, "A"), path)


# Clean pictures that look alike


def skies(root: Path) -> None:
    """Plain skies, gradients and soft clouds: no two the same, most of them much alike."""
    rng = np.random.default_rng(0)
    down, across = np.mgrid[-1:1:96j, -1:1:96j]
    for i in range(40):
        top, bottom = rng.normal((60, 110, 190), 15), rng.normal((170, 200, 230), 12)
        height = ((down + 1) / 2)[..., None] ** rng.uniform(0.6, 1.6)
        sky = top * (1 - height) + bottom * height + rng.normal(0, 1.5, (SIDE, SIDE, 3))
        angle = rng.uniform(0, 2 * np.pi)
        slope = (across * np.cos(angle) + down * np.sin(angle))[..., None]
        gradient = rng.normal((130, 120, 110), 10) + slope * rng.uniform(20, 80, 3)
        lumps = cv2.resize(rng.normal(0, 1, (5, 5)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)[..., None]
        clouds = np.array([120, 160, 210]) + lumps * rng.uniform(5, 25)
        for name, pixels in (("sky", sky), ("gradient", gradient), ("clouds", clouds)):
            save(np.clip(pixels, 0, 255).astype(np.uint8), root / ("trainA", "trainB")[i % 2] / f"{name}{i}.png")


def paired(root: Path) -> None:
    """A test set whose B shows the same scenes as its A, painted: a translation is no copy."""
    for split in ("testA", "testB"):
        for i, path in enumerate(list_images(root / split)):
            save(scene(2000 + i, split[-1]), path)
