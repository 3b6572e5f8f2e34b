"""Fitted pictures in shared memory: the same numbers, once per machine, within the budget, gone afterwards."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_style.core.errors import UserError
from gan_style.data import cache
from gan_style.data.cache import CachedImages, bytes_wanted, share_out
from gan_style.data.folders import FoldersDataModule
from gan_style.data.saving import save_image
from gan_style.data.transforms import TrainTransform
from gan_style.data.unpaired import FolderImages
from gan_style.data.values import ValueRange


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the machine's memory file system, and a run of its own."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr(cache, "memory_folder", lambda: folder)
    monkeypatch.setenv(cache.TOKEN, "test")
    return folder


def drawn(folder: Path, count: int, values: ValueRange | None = None) -> FolderImages:
    folder.mkdir(parents=True)
    values = values or ValueRange()
    for i in range(count):
        noise = np.random.default_rng(i).uniform(values.low, values.high, (30 + i, 40, values.channels))
        save_image(noise.astype(values.dtype), folder / f"{i}{'.npy' if values.channels > 4 else '.png'}")
    return FolderImages(sorted(folder.iterdir()), values, [(40, 30 + i) for i in range(count)])


def shared(images: FolderImages, transform: TrainTransform, budget: float | str = "auto") -> CachedImages:
    return share_out({"A": images}, transform, budget)["A"]  # type: ignore[arg-type]


@pytest.mark.parametrize("preprocess", ["resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none"])
@pytest.mark.parametrize("values", [ValueRange(), ValueRange("uint16", 0, 65535, 7)], ids=["RGB", "7 x 16 bit"])
def test_a_cached_picture_gives_the_same_item(tmp_path: Path, preprocess: str, values: ValueRange) -> None:
    images = drawn(tmp_path / "A", 4, values)
    transform = TrainTransform(20, 16, preprocess=preprocess)  # type: ignore[arg-type]
    kept = shared(images, transform)
    for _ in range(2):  # filled, then found
        for i in range(4):
            np.testing.assert_array_equal(transform(kept[i], i), transform(images[i], i))
    assert kept.name(1) == images.name(1)
    assert not kept[1].flags.writeable


def test_the_budget_is_kept_and_the_rest_is_read(tmp_path: Path) -> None:
    images, transform = drawn(tmp_path / "A", 6), TrainTransform(20, 16)
    all_bytes = bytes_wanted([(20, 20)] * 6, ValueRange())
    kept = shared(images, transform, 0.5 * all_bytes / cache.GIGABYTE)
    assert 0.9 * 0.5 * all_bytes <= kept.nbytes + 20 * 20 * 3
    assert kept.nbytes <= 0.5 * all_bytes
    assert os.stat(kept.path).st_size == kept.nbytes
    assert 0 < kept.count < 6
    for i in range(6):
        np.testing.assert_array_equal(kept[i], transform.fit(images[i]))
    assert share_out({"A": images}, transform, "off") == {}


def test_every_picture_is_decoded_once_by_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, transform = drawn(tmp_path / "A", 3), TrainTransform(20, 16)
    kept = shared(images, transform)
    again = shared(FolderImages(images.paths, sizes=images.sizes), transform)  # as another rank opens it
    travelled = pickle.loads(pickle.dumps(kept))  # as a spawned worker gets it
    assert again.path == kept.path == travelled.path
    expected = [kept[i].copy() for i in range(3)]
    for path in images.paths:
        path.unlink()
    for other in (again, travelled):
        for i in range(3):
            np.testing.assert_array_equal(other[i], expected[i])


def test_changed_files_and_other_sizes_get_memory_of_their_own(tmp_path: Path) -> None:
    images = drawn(tmp_path / "A", 2)
    first = shared(images, TrainTransform(20, 16))
    assert shared(images, TrainTransform(24, 16)).path != first.path
    os.utime(images.paths[0], ns=(1, 1))
    assert shared(images, TrainTransform(20, 16)).path != first.path


def test_memory_is_given_back_and_what_killed_runs_left_is_swept(tmp_path: Path, memory: Path) -> None:
    left = memory / f"{cache.PREFIX}killed-1"
    left.write_bytes(b"x" * 100)
    kept = shared(drawn(tmp_path / "A", 2), TrainTransform(20, 16))
    assert list(memory.iterdir()) == [kept.path], "swept, and nothing temporary stays"
    cache.sweep()
    assert kept.path.exists(), "in use"
    del kept
    assert list(memory.iterdir()) == []


def test_a_promise_that_the_machine_cannot_keep_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = drawn(tmp_path / "A", 6)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"data\.cache=1 GB is more than .* can give .*data\.cache=auto or off"):
        shared(images, TrainTransform(20, 16), 1)
    assert shared(images, TrainTransform(20, 16), "auto").count == 0, "auto takes what there is"
    monkeypatch.undo()
    monkeypatch.setattr(cache, "memory_folder", lambda: tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"shared memory cannot be had in .*No space left on device.*data\.cache=off"):
        shared(images, TrainTransform(20, 16))


CHILD = """
import sys, time
from pathlib import Path
from gan_style.data import cache
cache.memory_folder = lambda: Path(sys.argv[1])
from gan_style.data.transforms import TrainTransform
from gan_style.data.unpaired import FolderImages
paths = sorted(Path(sys.argv[2]).iterdir())
kept = cache.share_out({"A": FolderImages(paths, sizes=[(40, 30 + i) for i in range(len(paths))])},
                       TrainTransform(20, 16), "auto")["A"]
kept[0]
print("ready", flush=True)
time.sleep(60)
"""


def test_a_killed_process_leaves_nothing_for_the_next_run(tmp_path: Path, memory: Path) -> None:
    images = drawn(tmp_path / "A", 3)
    words = [sys.executable, "-c", CHILD, str(memory), str(tmp_path / "A")]
    environment = os.environ | {cache.TOKEN: "other"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        kept = shared(images, TrainTransform(20, 16))
        assert len(list(memory.iterdir())) == 2, "another run's memory is left alone"
        child.kill()
        child.wait()
    cache.sweep()
    assert list(memory.iterdir()) == [kept.path]


def test_training_batches_are_the_same_with_and_without(tmp_path: Path) -> None:
    for domain in "AB":
        drawn(tmp_path / "set" / f"train{domain}", 5)

    def batches(words: str | float, workers: int) -> list[torch.Tensor]:
        data = FoldersDataModule(
            str(tmp_path / "set"), image_size=16, load_size=20, cache=words, num_workers=workers, batch_size=2
        )
        data.setup()
        assert data.splits is not None
        assert any("cache: " in note for note in data.splits.notes) == (words != "off")
        loader = iter(data.train_dataloader())
        return [next(loader)[key] for _ in range(7) for key in "AB"]

    expected = batches("off", 0)
    for words, workers in (("auto", 0), ("auto", 2), (1e-5, 1)):
        assert all(torch.equal(a, b) for a, b in zip(expected, batches(words, workers), strict=True))
