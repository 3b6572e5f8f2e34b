"""Many styles: each equally often, labelled, the same whatever the workers; found on disk or drawn."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from gan_style.checkpoints import checkpoint
from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.data.scenes.looks import LOOKS, draw_look
from gan_style.data.styles import StyledDataset, StyledEvalDataset, StyleImages, StylesDataModule
from tests.conftest import composed

SMALL = ("data=styles", "data.image_size=32", "data.load_size=36", "data.count=4", "data.val_count=2")


class Flat:
    """Pictures in memory, of one level each, named after their set."""

    def __init__(self, label: str, n: int) -> None:
        self.label, self.n = label, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int, /) -> np.ndarray:
        return np.full((4, 4, 3), index, np.uint8)

    def name(self, index: int, /) -> str:
        return f"{self.label}{index}"


SIZES = {"a": 1, "b": 2, "c": 5}


def flat(seed: int = 0, contents: int = 7) -> StyledDataset:
    styles = StyleImages({name: Flat(name, n) for name, n in SIZES.items()})
    return StyledDataset(Flat("x", contents), styles, lambda image, seed: image, seed)


def module(**settings: Any) -> StylesDataModule:
    small = {"image_size": 32, "load_size": 36, "count": 4, "val_count": 2}
    data = StylesDataModule(**{**small, **settings})
    data.setup()
    return data


def images(folder: Path, count: int, first: int = 0, size: tuple[int, int] = (48, 40)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        noise = np.random.default_rng([len(folder.name), i]).integers(0, 255, (*size, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five contents, and styles of three, one and two pictures."""
    images(tmp_path / "content", 5)
    for name, count in (("monet", 3), ("wave", 1), ("cezanne", 2)):
        images(tmp_path / "styles" / name, count)
    return tmp_path


def notes(data: StylesDataModule) -> str:
    assert data.splits is not None
    return "\n".join(data.splits.notes)


# The stream


def test_every_style_comes_once_a_round_and_its_pictures_equally_often() -> None:
    items = [flat()[position] for position in range(3 * 10 * 6)]
    rounds = [[item["style"] for item in items[i : i + 3]] for i in range(0, len(items), 3)]
    assert all(sorted(styles) == [0, 1, 2] for styles in rounds)
    assert len({tuple(styles) for styles in rounds}) == 6, "rounds are shuffled"
    for key in ("path_B", "path_B2"):
        seen = Counter(item[key] for item in items)
        assert seen == {f"{name}{i}": 60 // n for name, n in SIZES.items() for i in range(n)}


def test_both_pictures_are_of_the_labelled_style_and_two_where_it_has_two() -> None:
    partners = set()
    for position in range(300):
        item = flat()[position]
        style, count = list(SIZES.items())[item["style"]]
        assert item["path_B"][0] == item["path_B2"][0] == style
        assert (item["path_B"] == item["path_B2"]) == (count == 1)
        partners.add((item["path_B"], item["path_B2"]))
    assert len(partners) == 1 + 2 * 1 + 5 * 4, "every picture meets every other one of its style"


def test_contents_keep_their_own_order() -> None:
    paths = [flat()[position]["path_A"] for position in range(21)]
    assert all(len(set(paths[i : i + 7])) == 7 for i in (0, 7, 14))
    pairs = Counter((flat(contents=3)[p]["path_A"], flat(contents=3)[p]["style"]) for p in range(180))
    assert len(pairs) == 9, "as many contents as styles, and yet every content meets every style"


def test_an_item_depends_on_seed_and_position_alone() -> None:
    dataset = module().train_set
    items = {position: dataset[position] for position in (9, 3, 14)}
    again = module().train_set
    for position in (3, 14, 9):
        for key, value in items[position].items():
            other = again[position][key]
            assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other


def test_a_seed_decides_the_order_of_styles_and_of_the_pictures_within_each() -> None:
    def stream(key: str, style: int, seed: int) -> list[str]:
        items = map(flat(seed).__getitem__, range(60))
        return [str(item[key]) for item in items if style in (-1, item["style"])]

    for key, style in (("style", -1), ("path_B", 2), ("path_B2", 2), ("path_B", 1)):
        own = [tuple(stream(key, style, seed)) for seed in range(4)]
        assert len(set(own)) == 4
        assert own[0] == tuple(stream(key, style, 0))


def test_workers_change_nothing() -> None:
    streams = []
    for workers in (0, 2):
        loader = iter(module(num_workers=workers, batch_size=3).train_dataloader())
        streams.append([next(loader) for _ in range(4)])
    for plain, parallel in zip(*streams, strict=True):
        assert plain["style"].dtype == torch.int64
        for key in ("A", "B", "B2", "style"):
            assert torch.equal(plain[key], parallel[key])
        assert plain["path_B2"] == parallel["path_B2"]


def test_validation_shows_every_content_and_every_style() -> None:
    styles = StyleImages({name: Flat(name, n) for name, n in SIZES.items()})

    def shown(contents: int, limit: int = 99) -> list[tuple[Any, ...]]:
        dataset = StyledEvalDataset(Flat("x", contents), styles, lambda image, seed: image, limit)
        keys = ("path_A", "style", "path_B", "path_B2")
        return [tuple(dataset[i][key] for key in keys) for i in range(len(dataset))]

    assert shown(5) == [
        ("x0", 0, "a0", "a0"),
        ("x1", 1, "b0", "b1"),
        ("x2", 2, "c0", "c1"),
        ("x3", 0, "a0", "a0"),
        ("x4", 1, "b1", "b0"),
    ]
    assert [row[:2] for row in shown(2)] == [("x0", 0), ("x1", 1), ("x0", 2)]
    assert len(shown(5, limit=2)) == 2


# Folders


def test_labels_are_those_of_the_folders(root: Path) -> None:
    data = module(root=str(root))
    assert data.style_names == ["cezanne", "monet", "wave"]
    assert data.describe()["styles"] == data.style_names
    for position in range(12):
        item = data.train_set[position]
        name = data.style_names[item["style"]]
        assert Path(item["path_B"]).parent.name == Path(item["path_B2"]).parent.name == name
        assert Path(item["path_A"]).parent.name == "content"
    batch = next(iter(data.val_dataloader()))
    assert batch["B2"].shape == (2, 3, 32, 32)
    assert batch["style"].tolist() == [0, 1]
    assert "cezanne 2, monet 3, wave 1" in notes(data)
    assert "no test_content" in notes(data)


def test_a_style_of_one_picture_gives_two_crops_of_it(root: Path) -> None:
    data = module(root=str(root), image_size=16)
    items = [item for item in map(data.train_set.__getitem__, range(12)) if item["style"] == 2]
    assert all(item["path_B"] == item["path_B2"] for item in items)
    assert not any(torch.equal(item["B"], item["B2"]) for item in items)


def test_pictures_are_styles_alone_and_beside_folders(tmp_path: Path) -> None:
    images(tmp_path / "content", 2)
    images(tmp_path / "styles", 2)
    (tmp_path / "styles" / "notes.txt").write_text("ignored")
    (tmp_path / "styles" / ".hidden").mkdir()
    folders = {"content": str(tmp_path / "content"), "styles": str(tmp_path / "styles")}
    assert module(**folders).style_names == ["0", "1"]
    images(tmp_path / "styles" / "01" / "deeper", 2)
    data = module(**folders)
    assert data.style_names == ["0", "01", "1"]
    assert {Path(data.train_set[p]["path_B"]).parent.name for p in range(3)} == {"styles", "deeper"}


def test_the_root_may_say_style_and_hold_contents_to_look_at(root: Path) -> None:
    (root / "styles").rename(root / "style")
    images(root / "test_content", 3, first=5)
    data = module(root=str(root), val_count=9)
    assert [Path(data.val_set[i]["path_A"]).name for i in range(len(data.val_set))] == ["5.png", "6.png", "7.png"]
    images(root / "elsewhere", 1, first=9)
    other = module(root=str(root), test_content=str(root / "elsewhere"))
    assert Path(other.val_set[0]["path_A"]).name == "9.png"


def test_limit_counts_the_contents_and_the_pictures_of_each_style(root: Path) -> None:
    data = module(root=str(root), limit=2)
    seen = Counter(Path(data.train_set[p]["path_B"]).parent.name for p in range(12))
    assert seen == {"cezanne": 4, "monet": 4, "wave": 4}
    assert {Path(data.train_set[p]["path_B"]).name for p in range(12)} == {"0.png", "1.png"}
    assert [len(sample) for sample in data.sample_images()] == [2, 5]


def test_unreadable_pictures_stop_or_are_skipped_with_a_note(root: Path) -> None:
    for name in ("monet/broken.png", "alone.jpg"):
        (root / "styles" / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"alone\.jpg is empty .*data\.on_error=skip"):
        module(root=str(root))
    data = module(root=str(root), on_error="skip")
    assert data.style_names == ["cezanne", "monet", "wave"]
    assert "styles: 6 pictures" in notes(data)
    assert data.splits is not None
    assert any("2 left out: pictures that cannot be used" in said for said in data.splits.ledger.sentences())
    assert "style alone is left out: it has no usable picture" in notes(data)


@pytest.mark.parametrize("folder", ["content", "styles/wave"])
def test_small_pictures_are_refused_only_where_they_are_not_resized(root: Path, folder: str) -> None:
    images(root / folder, 1, first=7, size=(20, 20))
    assert module(root=str(root)).train_set[0]["B"].shape == (3, 32, 32)
    with pytest.raises(UserError, match=r"7\.png is 20x20 \(height x width\), smaller than the crop of 32"):
        module(root=str(root), load_size=None)


def rename(old: str, new: str) -> Callable[[Path], None]:
    return lambda root: (root / old).rename(root / new) and None


def empty_style(root: Path) -> None:
    (root / "styles" / "void").mkdir()


def twice(root: Path) -> None:
    Image.new("RGB", (40, 40)).save(root / "styles" / "wave.png")


def no_style(root: Path) -> None:
    (root / "styles").rename(root / "away")
    (root / "styles").mkdir()


def cyclegan_layout(root: Path) -> None:
    (root / "content").rename(root / "trainA")
    (root / "styles").rename(root / "trainB")


@pytest.mark.parametrize(
    ("change", "keys", "sentence"),
    [
        (empty_style, ("root",), r"The folder \S+/styles/void holds no picture \(found 0 files"),
        (no_style, ("root",), r"\S+/styles holds no style: it wants a sub-folder of pictures, or one picture, per"),
        (twice, ("root",), r"two styles in \S+/styles are named wave: rename wave\.png"),
        (rename("styles", "looks"), ("content", "styles"), r"there is no folder of styles \S+/styles: name another"),
        (rename("content", "x"), ("content", "styles"), r"The folder \S+/content does not exist"),
        (rename("styles", "looks"), ("root",), r"\S+ has no folder styles; it holds content, looks: it wants content"),
        (cyclegan_layout, ("root",), r"has no folder content and styles; it holds trainA, trainB: data=folders reads"),
        (None, ("content",), r"data\.content is given without data\.styles: give data\.content and data\.styles, or"),
        (None, ("styles",), r"data\.styles is given without data\.content: give"),
        (None, ("test_content",), r"data\.test_content is given without data\.content: give"),
        (None, ("root", "styles"), r"data\.root=\S+ already says where content and styles are: leave out data\.sty"),
    ],
)
def test_each_mistake_is_one_sentence(
    root: Path, change: Callable[[Path], None] | None, keys: tuple[str, ...], sentence: str
) -> None:
    if change is not None:
        change(root)
    with pytest.raises(UserError, match=sentence) as caught:
        module(**{key: str(root if key == "root" else root / key) for key in keys})
    assert "\n" not in str(caught.value)


def test_a_missing_root_and_an_empty_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no folder \S+/none: name one that holds content and styles"):
        module(root=str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"data\.styles= is empty"):
        module(content=str(tmp_path), styles="")


# Drawn


def statistics(image: np.ndarray) -> np.ndarray:
    """Mean and deviation of each channel, and the strength of edges across and down, on [0, 1]."""
    x = image.astype(np.float64) / 255
    edges = [np.abs(np.diff(x.mean(-1), axis=axis)).mean() for axis in (0, 1)]
    return np.array([*x.mean((0, 1)), *x.std((0, 1)), *edges])


def test_looks_differ_more_from_each_other_than_pictures_of_one_look() -> None:
    drawn = np.array([[statistics(draw_look(0, i, 64, look)) for i in range(10)] for look in LOOKS])
    drawn /= drawn.std((0, 1))
    centres = drawn[:, :5].mean(1)
    for k in range(len(LOOKS)):
        for image in drawn[k, 5:]:  # pictures that the centres have not seen
            assert np.linalg.norm(centres - image, axis=1).argmin() == k
    within = np.linalg.norm(drawn - drawn.mean(1, keepdims=True), axis=-1).mean()
    between = min(np.linalg.norm(centres[a] - centres[b]) for a in range(len(LOOKS)) for b in range(a))
    assert between > 2 * within


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_is_of_its_size_and_shows_the_same_at_every_size(look: str) -> None:
    for size in (16, 17, 200):
        image = draw_look(3, 5, size, look)
        assert image.shape == (size, size, 3)
        assert image.dtype == np.uint8
        assert image.std() > 15
    small, large = (cv2.resize(draw_look(0, 1, s, look), (16, 16), interpolation=cv2.INTER_AREA) for s in (64, 256))
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.9


def test_another_process_draws_the_same_looks() -> None:
    code = (
        "import hashlib; from gan_style.data.scenes.looks import LOOKS, draw_look; "
        "print(hashlib.sha256(b''.join(draw_look(4, 11, 48, k).tobytes() for k in LOOKS)).hexdigest())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = hashlib.sha256(b"".join(draw_look(4, 11, 48, look).tobytes() for look in LOOKS)).hexdigest()
    assert result.stdout.strip() == here
    assert not np.array_equal(draw_look(4, 12, 48, "ink"), draw_look(4, 11, 48, "ink"))


def test_no_two_drawn_pictures_show_the_same_scene() -> None:
    data = module(count=3)
    assert data.style_names == list(LOOKS) == sorted(LOOKS)
    assert data.splits is not None
    parts = [data.splits.train_A, data.splits.train_B, data.splits.test_A, data.splits.test_B]
    names = [part.name(i) for part in parts for i in range(len(part))]
    assert len({name.rsplit("-", 1)[0] for name in names}) == len(names) == 3 + 4 * 3 + 2 + 4 * 2
    item = data.train_set[0]
    assert item["path_B"].endswith(data.style_names[item["style"]])


# Runs


def test_every_key_of_the_yaml_is_an_argument_with_its_default() -> None:
    node = composed("data=styles", "run_dir=unused", "name=test")["data"]
    built, bare = build(node), StylesDataModule(image_size=128, load_size=144)
    keys = ("image_size", "load_size", "count", "scene_seed", "val_count", "folders", "on_error", "limit", "batch_size")
    assert {key: getattr(built, key) for key in keys} == {key: getattr(bare, key) for key in keys}


def test_a_method_without_labels_trains_on_styles(run: Callable[..., Path]) -> None:
    folder = run("styles", *SMALL, "trainer.max_steps=2")
    saved = checkpoint.load(folder / "checkpoints" / "last.ckpt")
    assert saved["styles"] == list(LOOKS)
    assert saved["domains"]["B"]["name"] == "style"
    assert list((folder / "images").glob("*.png"))
