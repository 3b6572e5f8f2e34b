"""Everything that reads bytes from elsewhere, as functions of bytes that may only return or raise a `UserError`.

`tests/fuzz/test_properties.py` feeds them by hypothesis, `experiments/fuzz.py` by atheris, and each file below `seeds/`
is an input that once broke the target it is named after. A target gets its bytes as a file in an empty folder.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gan_style.apps.studio.runs import card
from gan_style.checkpoints import official
from gan_style.core.errors import UserError
from gan_style.data.files import check_image, decode_image, read_raw
from gan_style.data.ledger import Ledger
from gan_style.data.named.unpacking import unpack
from gan_style.data.opened import named_bytes
from gan_style.data.shards import open_shards
from gan_style.data.sources import list_source
from gan_style.data.values import ValueRange
from gan_style.inference.images import given_image, given_mask
from gan_style.inference.load import load
from gan_style.inference.video.reading import VideoReader
from gan_style.report.comparison import render_comparison
from gan_style.report.page import render
from gan_style.report.read import read_run
from tests.data.references import agreement

SEEDS = Path(__file__).parent / "seeds"
FORMATS = (".png", ".jpg", ".webp", ".bmp", ".tif", ".npy", ".dcm")
RANGES = (ValueRange(), ValueRange(dtype="uint16"), ValueRange(dtype="float32", low=0, high=1, channels=1))
FRAMES = 20  # that are read of a video


class Broken(AssertionError):  # noqa: N818 (a finding)
    """A target answered in another way than by a sentence."""


@dataclass(frozen=True)
class Target:
    """What is fed.

    Attributes:
        run: takes a file and its bytes; the first byte of `choices` chooses among suffixes.
        suffixes: what the file may be called.
    """

    run: Callable[[Path, bytes], Any]
    suffixes: tuple[str, ...]


def feed(name: str, data: bytes) -> str:
    """One input. The first byte chooses the suffix where a target has several.

    Returns: the sentence that refused it, or nothing.

    Raises:
        Broken: an error other than UserError, a warning, or a sentence of more than one line.
        AssertionError: the target wrote beside its file.
    """
    target = TARGETS[name]
    if len(target.suffixes) > 1:
        choice, data = data[0] if data else 0, data[1:]
    else:
        choice = 0
    with tempfile.TemporaryDirectory(prefix="gan_style-fuzz-", dir=_memory()) as folder:
        path = Path(folder) / "inside" / f"given{target.suffixes[choice % len(target.suffixes)]}"
        path.parent.mkdir()
        path.write_bytes(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                target.run(path, data)
        except UserError as error:
            said = str(error)
            if "\n" in said or "Traceback" in said or not said.strip():
                raise Broken(f"{name}: no sentence: {said!r}") from error
            return said
        except Exception as error:
            raise Broken(f"{name}: {type(error).__name__}: {error}") from error
        finally:
            beside = os.listdir(folder)
            assert beside == ["inside"], f"{name} wrote {beside}"
    return ""


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def image(path: Path, data: bytes) -> None:
    with named_bytes(path, data):
        for values in RANGES:
            try:
                decode_image(data, values)
                check_image(data, values)
            except UserError:
                continue
        read_raw(data)


def reader(path: Path, data: bytes) -> None:
    """What is read equals what Pillow reads, or an entry of the ledger says why not."""
    if data[:6] != b"\x93NUMPY" and data[128:132] != b"DICM":
        agreement(data)


def whole_checkpoint(path: Path, data: bytes) -> None:
    load(path, device="cpu")


def structure(path: Path, data: bytes) -> None:
    """A checkpoint of ours in which the bytes change values: two say where, one what is put there."""
    content = _copied(_content())
    for place, step, odd in zip(data[::3], data[1::3], data[2::3], strict=False):
        change(content, place, step, odd)
    torch.save(content, path)
    load(path, device="cpu").translate(torch.zeros(3, 16, 16))


def config(path: Path, data: bytes) -> None:
    """A checkpoint of ours whose model is what JSON says."""
    try:
        model = json.loads(data)
    except (ValueError, RecursionError):
        return
    content = _content()
    torch.save(content | {"config": content["config"] | {"model": model}}, path)
    load(path, device="cpu").translate(torch.zeros(3, 16, 16))


def official_names(path: Path, data: bytes) -> None:
    """An official generator in which the bytes change tensors and names."""
    state: Any = _copied(_official())
    for place, step, odd in zip(data[::3], data[1::3], data[2::3], strict=False):
        change(state, place, step, odd)
    torch.save(state, path)
    official.read(path)


def mask(path: Path, data: bytes) -> None:
    content = given_image(torch.zeros(3, 8, 8))
    given_mask(path, "a style", content)


def archive(path: Path, data: bytes) -> None:
    unpack(io.BytesIO(data), "the zip", path.parent / "set", say=lambda line: None)


def listing(path: Path, data: bytes) -> None:
    list_source("data.A", str(path))


def shard(path: Path, data: bytes) -> None:
    images = open_shards("A", [path], "stop", None, [], Ledger(), ValueRange())
    for index in range(min(len(images), 4)):
        images[index]


def video(path: Path, data: bytes) -> None:
    with VideoReader(path) as reader:
        assert isinstance(reader.expected, int)
        for _, _ in zip(range(FRAMES), reader.items(), strict=False):
            pass


def run_folder(path: Path, data: bytes) -> None:
    """The files that the report and the studio's runs read; a NUL byte parts them."""
    names = ("metrics.csv", "scores.json", "run.json", "config.yaml", "findings.jsonl")
    for name, part in zip(names, data.split(b"\0"), strict=False):
        (path.parent / name).write_bytes(part)
    run = read_run(path.parent)
    for page in (render(run), render_comparison([run, run]), card("inside", path.parent)):
        page.encode()  # as it is written, or sent


TARGETS = {
    "picture": Target(image, FORMATS),
    "reader": Target(reader, (".png",)),
    "checkpoint": Target(whole_checkpoint, (".ckpt", ".safetensors")),
    "structure": Target(structure, (".ckpt",)),
    "config": Target(config, (".ckpt",)),
    "official": Target(lambda path, data: official.read(path), (".pth", ".safetensors")),
    "official_names": Target(official_names, (".pth",)),
    "mask": Target(mask, FORMATS[:5]),
    "archive": Target(archive, (".zip",)),
    "listing": Target(listing, (".csv", ".txt")),
    "shard": Target(shard, (".tar",)),
    "video": Target(video, (".mp4", ".mkv", ".avi")),
    "run_folder": Target(run_folder, (".none",)),
}

ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**40, 0.5, float("nan"), "", "x", "../x", b"x", [], {}, [[]], {"_target_": "os.system"}),
    *({"_target_": "gan_style.core.paths.write_whole", "path": "x", "text": "x"}, {1: 2}, "???", "${oc.env:HOME}"),
    *(torch.zeros(()), torch.zeros(0), torch.full((2, 2), float("nan")), torch.zeros(3, dtype=torch.int8)),
    *(torch.zeros(1, 1).to_sparse(), torch.zeros(2, dtype=torch.complex64)),
)


def change(node: Any, place: int, step: int, odd: int) -> None:
    """Put something odd into a nested structure, or take something out; numbers say where and what."""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = keys[place % len(keys)]
        if step % 4 and isinstance(node[key], dict | list) and len(node[key]):
            node, place, step = node[key], place // len(keys) + step, step // 4
            continue
        if odd >= len(ODD) * 8:
            del node[key]
        else:
            node[key] = _copied(ODD[odd % len(ODD)])
        return


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value


@cache
def _content() -> dict[str, Any]:
    from tests.small_models import saved

    with tempfile.TemporaryDirectory() as folder:
        path = saved(Path(folder) / "a.ckpt", "model=cut")
        return dict(torch.load(path, weights_only=True))


@cache
def _official() -> dict[str, Any]:
    from gan_style.networks.resnet import ResnetGenerator

    return dict(official.to_official(ResnetGenerator(filters=2, blocks=1)))


def saved_bytes(content: Any, **options: Any) -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def examples(name: str) -> list[bytes]:
    """Valid inputs of a target, to begin from."""
    from tests.fuzz import valid

    return [bytes(one) for one in getattr(valid, name)()]


def as_array(data: bytes) -> np.ndarray:
    """For tests that count bytes."""
    return np.frombuffer(data, np.uint8)
