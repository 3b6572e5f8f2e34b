"""Shards hold the files as they are, any WebDataset reader reads them, and training is the same as on the files."""

from __future__ import annotations

import gc
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import webdataset

from gan_style.checkpoints.checkpoint import load
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data import shard_writer
from gan_style.data.cache import CachedImages
from gan_style.data.folders import FoldersDataModule
from gan_style.data.layout import find_layout
from gan_style.data.ledger import Ledger
from gan_style.data.saving import save_image
from gan_style.data.shard_writer import UNFINISHED, write_shards
from gan_style.data.sharded import ShardsDataModule, expand, find_shards
from gan_style.data.shards import ShardImages, index_path, open_shards, read_index, scan
from gan_style.data.unpaired import FolderImages
from gan_style.data.values import ValueRange
from tests.conftest import composed, differences
from tests.test_resume import Run, assert_same

PARTS = {"trainA": 7, "trainB": 5, "testA": 2, "testB": 2}
SMALL = 12_000  # bytes, some pictures


def noise(seed: int, dtype: str = "uint8", channels: int = 3, side: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 250, (side, side + 3, channels)).astype(dtype)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A set with sub-folders that hold files of the same name, in several formats."""
    suffixes = (".jpg", ".png", ".JPEG", ".webp", ".tif", ".bmp")
    for number, (part, count) in enumerate(PARTS.items()):
        for i in range(count):
            name = f"deep.er/{i // 2}{suffixes[i % 6].lower()}" if i % 2 else f"{i // 2}{suffixes[i % 6].lower()}"
            save_image(noise(100 * number + i), tmp_path / "set" / part / name)
    (tmp_path / "set/trainA/0.jpg").rename(tmp_path / "set/trainA/0.one.JPG")
    return tmp_path / "set"


@pytest.fixture
def packed(root: Path, tmp_path: Path) -> Path:
    assert main(["shards", str(root), str(tmp_path / "packed"), "--size", str(SMALL / 1e6)]) == 0
    return tmp_path / "packed"


def opened(folder: Path, part: str = "trainA", **settings: Any) -> ShardImages:
    arguments: dict[str, Any] = {"on_error": "stop", "min_size": None, "notes": [], "ledger": Ledger()} | settings
    return open_shards(part, sorted(folder.glob(f"{part}-*.tar")), **arguments)


def test_the_command_packs_every_file_unchanged(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "packed"
    assert main(["shards", str(root), str(packed), "--size", str(SMALL / 1e6)]) == 0
    for part, files in find_layout(root).parts.items():
        images, plain = opened(packed, part), FolderImages(files)
        assert len(images) == PARTS[part]
        for i, path in enumerate(files):
            assert images.data(i) == path.read_bytes()
            np.testing.assert_array_equal(images[i], plain[i])
            assert images.name(i).endswith(f".tar/{i:06d}{path.suffix.lower()}")
            assert images.sizes[i] == plain[i].shape[1::-1]
    said = capsys.readouterr().out
    assert f"trainA: 7 pictures in {len(list(packed.glob('trainA-*.tar')))} shards" in said
    assert len(list(packed.glob("trainA-*.tar"))) > 2
    assert not (packed / UNFINISHED).exists()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves closing to the garbage collector
def test_webdataset_reads_the_same_samples(packed: Path, root: Path) -> None:
    files = find_layout(root).parts["trainA"]
    shards = [str(path) for path in sorted(packed.glob("trainA-*.tar"))]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    gc.collect()
    assert [sample["__key__"] for sample in samples] == [f"{i:06d}" for i in range(7)]
    for sample, path in zip(samples, files, strict=True):
        assert sample[path.suffix.lower().lstrip(".")] == path.read_bytes()


def test_shards_that_webdataset_wrote_are_read(tmp_path: Path) -> None:
    with webdataset.TarWriter(str(tmp_path / "trainA-000000.tar")) as writer:
        for i in range(3):
            save_image(noise(i), tmp_path / "x.png")
            writer.write({"__key__": f"some/where/{i}", "png": (tmp_path / "x.png").read_bytes(), "json": {"i": i}})
    images = opened(tmp_path)
    assert len(images) == 3
    for i in range(3):
        np.testing.assert_array_equal(images[i], noise(i))


@pytest.mark.parametrize(
    ("values", "suffix"),
    [
        (ValueRange.of("uint16", None, None, 3), ".png"),
        (ValueRange.of("uint16", None, None, 7), ".tif"),
        (ValueRange.of("float32", 0, 300, 5), ".npy"),
        (ValueRange.of("float32", 0, 300, 1), ".tif"),
    ],
)
def test_wide_pictures(tmp_path: Path, values: ValueRange, suffix: str) -> None:
    array = noise(0, values.dtype, values.channels)
    save_image(array, tmp_path / f"x{suffix}")
    write_shards({"trainA": [tmp_path / f"x{suffix}"]}, tmp_path / "out", SMALL)
    np.testing.assert_array_equal(opened(tmp_path / "out", values=values)[0], array)
    with pytest.raises(UserError, match=r"trainA-000000\.tar/000000\..*data\.(dtype|channels)"):
        opened(tmp_path / "out")  # before training, not at the first item


def test_the_shuffled_order_is_another_and_the_same_every_time(root: Path, tmp_path: Path) -> None:
    parts = find_layout(root).parts
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_shards(parts, tmp_path / name, SMALL, seed)
    contents = [[p.read_bytes() for p in sorted((tmp_path / name).glob("*.tar"))] for name in "abc"]
    assert contents[0] == contents[1] != contents[2]
    images = opened(tmp_path / "a")
    files = [path.read_bytes() for path in parts["trainA"]]
    found = [images.data(i) for i in range(len(images))]
    assert found != files
    assert sorted(found) == sorted(files)


def test_the_index_is_made_again_where_it_is_missing_or_stale(
    packed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tar = packed / "trainA-000000.tar"
    index = index_path(tar)
    written, shard = index.read_text(), scan(tar)
    known = read_index(tar)
    assert known is not None
    assert known.names == shard.names
    np.testing.assert_array_equal(known.entries, shard.entries)
    capsys.readouterr()
    opened(packed)
    assert capsys.readouterr().out == ""
    before, after = tar.stat().st_mtime_ns - 1, tar.stat().st_mtime_ns
    other_size = json.dumps(json.loads(written) | {"size": 1})
    for text, when in ((None, after), ("{", after), ("[]", after), (other_size, after), (written, before)):
        index.unlink()
        if text is not None:
            index.write_text(text)
            os.utime(index, ns=(when, when))
        assert read_index(tar) is None
        opened(packed)
        assert capsys.readouterr().out == "trainA: 1 shards without an index are read, once\n"
        assert index.read_text() == written
    index.unlink()

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("gan_style.data.shards.write_index", refused)
    assert len(opened(packed)) == 7
    assert not index.exists()


def settings(**more: Any) -> dict[str, Any]:
    return {"image_size": 16, "load_size": 20, "batch_size": 2, "num_workers": 0, "cache": "off"} | more


def batches(data: FoldersDataModule | ShardsDataModule) -> list[torch.Tensor]:
    data.setup()
    loader = iter(data.train_dataloader())
    taken = [next(loader) for _ in range(9)] + list(data.val_dataloader())
    return [batch[key] for batch in taken for key in "AB"]


@pytest.mark.parametrize("more", [{"num_workers": 2}, {"cache": "auto"}, {"limit": 3}, {"preprocess": "crop"}, {}])
def test_batches_are_those_of_the_folders(root: Path, packed: Path, more: dict[str, Any]) -> None:
    expected = batches(FoldersDataModule(str(root), **settings(**more | {"num_workers": 0})))
    data = ShardsDataModule(str(packed), **settings(**more))
    assert all(torch.equal(a, b) for a, b in zip(expected, batches(data), strict=True))
    assert data.splits is not None
    assert isinstance(data.splits.train_A, CachedImages if "cache" in more else ShardImages)


def test_every_rank_reads_its_own_positions(packed: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = batches(ShardsDataModule(str(packed), **settings(batch_size=4)))
    monkeypatch.setattr(ShardsDataModule, "_world_size", lambda _: 2)
    ranks = []
    for rank in (0, 1):
        monkeypatch.setattr(ShardsDataModule, "_rank", lambda _, rank=rank: rank)
        ranks.append(batches(ShardsDataModule(str(packed), **settings(num_workers=rank)))[:18])
    for a, b, both in zip(*ranks, whole[:18], strict=True):
        assert torch.equal(torch.cat([a, b]), both)


def test_a_resumed_run_is_bit_exact_and_that_of_the_folders(run: Run, packed: Path, root: Path) -> None:
    common = ("data.image_size=32", "data.load_size=36", "data.val_count=2", "seed=5")
    shards = ("data=shards", f"data.root={packed}", *common)
    whole = run("whole", *shards, "trainer.max_steps=4")
    run("parts", *shards, "trainer.max_steps=2")
    parts = run("parts", *shards, "trainer.max_steps=4", "resume=last", "data.num_workers=2")
    assert_same(whole, parts)
    folders = run("folders", "data=folders", f"data.root={root}", *common, "trainer.max_steps=4")
    a, b = (load(run_dir / "checkpoints" / "last.ckpt") for run_dir in (whole, folders))
    for part in ("state_dict", "optimizers", "pools", "callbacks"):
        assert differences(a[part], b[part]) == []


def test_another_process_reads_on(packed: Path) -> None:
    """A spawned loader worker gets the pictures pickled."""
    images = opened(packed)
    again = pickle.loads(pickle.dumps(images))
    np.testing.assert_array_equal(again[6], images[6])
    assert images.first(2).state() != images.state() == again.state()


def test_shards_on_several_disks(packed: Path, root: Path, tmp_path: Path) -> None:
    for number, tar in enumerate(sorted(packed.glob("trainA-*.tar"))):
        disk = tmp_path / f"disk{number % 2}"
        disk.mkdir(exist_ok=True)
        shutil.move(tar, disk / f"photos-{number:03d}.tar")
    last = len(list(tmp_path.glob("disk*/*.tar"))) - 1
    pattern = f"{tmp_path}/disk{{0,1}}/photos-*.tar"
    assert len(find_shards("data.A", pattern)) == last + 1
    for A in (pattern, f"{{{tmp_path}/disk0,{tmp_path}/disk1/*.tar}}"):
        data = ShardsDataModule(A=A, B=str(packed / "trainB-*.tar"), **settings())
        data.setup()
        assert data.splits is not None
        assert len(data.splits.train_A) == 7
        assert "the grids show training pictures" in data.splits.notes[0]
    assert expand("data.A", "d{1,2}/x-{008..010}{8..9}.tar")[:3] == ["d1/x-0088.tar", "d1/x-0089.tar", "d1/x-0098.tar"]
    words = ["data=shards", "data.A='x-{000..041}.tar'", "name=test", "run_dir=unused"]
    assert composed(*words)["data"]["A"] == "x-{000..041}.tar"


def rewritten(folder: Path, change: Callable[[bytes], bytes]) -> None:
    tar = folder / "trainA-000000.tar"
    tar.write_bytes(change(tar.read_bytes()))


def cut_at_member(data: bytes) -> bytes:
    with tarfile.open(fileobj=BytesIO(data)) as tar:
        return data[: tar.getmembers()[1].offset]


def broken_header(data: bytes) -> bytes:
    with tarfile.open(fileobj=BytesIO(data)) as tar:
        offset = tar.getmembers()[1].offset
    return data[:offset] + b"x" * 100 + data[offset + 100 :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:3000], "is cut off"),
        (lambda data: data[:100], "is cut off or no tar"),
        (lambda data: b"", "is cut off or no tar"),
        (cut_at_member, "is cut off or damaged after 1 members"),
        (broken_header, "is cut off or damaged after 1 members"),
        (lambda data: b"\x1f\x8b" + data, "is compressed: unpack it"),
    ],
)
def test_a_broken_tar_is_named(packed: Path, change: Callable[[bytes], bytes], message: str) -> None:
    rewritten(packed, change)
    with pytest.raises(UserError, match=rf"the shard .*trainA-000000\.tar {message}"):
        opened(packed)


def pack(path: Path, **members: bytes) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name.replace("_", "."))
            info.size = len(data)
            tar.addfile(info, BytesIO(data))


def test_a_tar_must_hold_one_picture_per_sample(tmp_path: Path, packed: Path) -> None:
    png = opened(packed, "testA").data(1)
    pack(tmp_path / "trainA-000000.tar", **{"a_txt": b"x", "._b_png": b"x"})
    with pytest.raises(UserError, match=r"trainA-000000\.tar holds no picture \(2 members, such as a\.txt\)"):
        opened(tmp_path)
    pack(tmp_path / "trainA-000000.tar")
    with pytest.raises(UserError, match=r"holds no picture \(0 members\)"):
        opened(tmp_path)
    pack(tmp_path / "trainA-000000.tar", a_png=png, a_mask_png=png)
    with pytest.raises(UserError, match=r"two pictures of one sample, a\.png and a\.mask\.png"):
        opened(tmp_path)


def test_unusable_headers_stop_or_are_skipped(tmp_path: Path, packed: Path) -> None:
    png = opened(packed, "testA").data(1)
    pack(tmp_path / "trainA-000000.tar", a_png=png, b_png=b"", c_png=png[:30], d_png=png)
    with pytest.raises(UserError, match=r"tar/b\.png is empty.*unusable: 2 of 4 pictures; data\.on_error=skip"):
        opened(tmp_path)
    notes: list[str] = []
    images = opened(tmp_path, on_error="skip", notes=notes)
    assert [Path(images.name(i)).name for i in range(len(images))] == ["a.png", "d.png"]
    assert "2 pictures in 1 shards, their headers checked" in notes[0]
    with pytest.raises(UserError, match=r"tar/a\.png is 40x43 \(height x width\), smaller than the crop of 99"):
        opened(tmp_path, on_error="skip", min_size=99)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_is_named_in_training(packed: Path, workers: int) -> None:
    images = opened(packed)
    index = next(i for i in range(7) if images.name(i).endswith(".png"))
    number, offset, size = images.entries[index, :3].tolist()
    tar = images.shards[number]
    data = bytearray(tar.read_bytes())
    data[offset + size // 3 : offset + size] = bytes(size - size // 3)
    tar.write_bytes(data)
    with pytest.raises(UserError) as caught:
        batches(ShardsDataModule(str(packed), **settings(num_workers=workers)))
    assert f"{images.name(index)} is" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shard_that_shrinks_or_goes_is_named_in_training(packed: Path) -> None:
    images = opened(packed)
    rewritten(packed, lambda data: data[:600])
    with pytest.raises(UserError, match=r"trainA-000000\.tar/000000\.\w+ is cut off, because its shard is"):
        images[0]
    (packed / "trainA-000000.tar").unlink()
    with pytest.raises(UserError, match=r"trainA-000000\.tar cannot be opened \(No such file"):
        images[0]


def test_mistakes_of_the_settings(packed: Path, root: Path, tmp_path: Path) -> None:
    def message(root: Path | str | None = None, **given: str) -> str:
        with pytest.raises(UserError) as caught:
            ShardsDataModule(None if root is None else str(root), **given).layout()
        return str(caught.value)

    tars = str(packed / "trainA-*.tar")
    assert "has no shards trainA-000000.tar and so on: gan-style shards" in message(root)
    assert "there is no folder" in message(tmp_path / "none")
    assert "no pictures are named" in message()
    assert "is not on a disk: copy or mount" in message("s3://bucket/shards")
    assert "is not on a disk: copy or mount" in message(A="https://x/{0..3}.tar", B=tars)
    assert "data.A names" in message(A=str(packed / "trainX-*.tar"), B=tars)
    assert "trainA-000099.tar, but there is no such shard" in message(
        A=f"{packed}/trainA-{{000000,000099}}.tar", B=tars
    )
    assert "data.A holds {4..2}, which is no range" in message(A="x{4..2}.tar", B=tars)
    assert "data.A and data.B both name" in message(A=tars, B=tars)
    assert "data.B is given without data.A" in message(B=tars)
    (packed / "trainB-000001.tar").rename(tmp_path / "away.tar")
    assert "lacks the shard trainB-000001.tar" in message(packed)
    (packed / UNFINISHED).mkdir()
    assert "is not finished" in message(packed)


def test_mistakes_of_the_command(root: Path, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def message(*words: str) -> str:
        capsys.readouterr()
        assert main(["shards", *words]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    before = {path: path.stat().st_mtime_ns for path in packed.iterdir()}
    assert "is not empty (it holds testA-000000.tar)" in message(str(root), str(packed))
    assert {path: path.stat().st_mtime_ns for path in packed.iterdir()} == before
    assert "there is no folder nothing" in message("nothing", str(tmp_path / "x"))
    assert "--size 0 is no size" in message(str(root), str(tmp_path / "x"), "--size", "0")
    assert "shards cannot be written to" in message(str(root), str(tmp_path / ("x" * 300)))
    (root / "trainB" / "z.png").write_bytes(b"no picture")
    assert "trainB/z.png" in message(str(root), str(tmp_path / "x"))
    assert list((tmp_path / "x").iterdir()) == [], "nothing of what was written before stays"


def test_a_full_disk_leaves_nothing(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shard_writer.os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot be written to .*No space left"):
        write_shards(find_layout(root).parts, tmp_path / "out", SMALL)
    assert list((tmp_path / "out").iterdir()) == []


CHILD = """
import sys, time
from pathlib import Path
from gan_style.data.layout import find_layout
from gan_style.data.shard_writer import write_shards
done = []
def wait():
    done.append(1)
    if len(done) == 5:
        print("ready", flush=True)
        time.sleep(60)
write_shards(find_layout(Path(sys.argv[1])).parts, Path(sys.argv[2]), 12_000, progress=wait)
"""


@pytest.mark.slow
def test_a_killed_run_leaves_no_shard_that_looks_whole(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-c", CHILD, str(root), str(out)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.kill()
        child.wait()
    assert list(out.glob("*.tar")) == []
    assert list((out / UNFINISHED).glob("*.tar")) != []
    with pytest.raises(UserError, match=r"is not finished \(it holds \.unfinished\)"):
        ShardsDataModule(str(out)).layout()
    with pytest.raises(UserError, match=r"holds \.unfinished, of a gan-style shards that was stopped"):
        write_shards(find_layout(root).parts, out, SMALL)


def test_ctrl_c_while_writing_cleans_up(root: Path, tmp_path: Path) -> None:
    left = iter(range(5))

    def stop() -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(find_layout(root).parts, tmp_path / "out", SMALL, progress=stop)
    assert list((tmp_path / "out").iterdir()) == []
