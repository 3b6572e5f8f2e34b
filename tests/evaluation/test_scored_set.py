"""Which pictures a set offers to be scored on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gan_style.core.errors import UserError
from gan_style.data.drawn import ScenesDataModule
from gan_style.data.saving import save_image
from gan_style.evaluation.sets import TEST_SCENES, open_set


def folder(root: Path, **counts: int) -> Path:
    for name, count in counts.items():
        for i in range(count):
            save_image(np.full((20, 20, 3), 10 * i, np.uint8), root / name.replace("__", "/") / f"{i}.png")
    return root


def test_scenes_are_none_that_are_trained_on_or_chosen_by() -> None:
    data = open_set("scenes")
    module = ScenesDataModule(image_size=32, load_size=32)
    splits = module.read()
    trained = {name for part in vars(splits).values() if hasattr(part, "name") for name in map(part.name, range(32))}
    parts = ["testA", "testB", "trainA", "trainB", "truthA", "truthB"]
    names = {part: {data.images(part, 32).stem(i) for i in range(TEST_SCENES)} for part in parts}
    assert not any(names[part] & trained for part in parts)
    scenes = {part: {name.rsplit("-", 1)[0] for name in found} for part, found in names.items()}
    assert scenes["truthB"] == scenes["testA"]
    assert scenes["truthA"] == scenes["testB"]
    for i, part in enumerate(parts[:4]):
        assert not any(scenes[part] & scenes[other] for other in parts[i + 1 : 4])
    assert len(data.images("trainB", 32)) >= 2 * len(data.images("testB", 32)), "for a floor at the same numbers"


def test_pictures_come_in_their_size(tmp_path: Path) -> None:
    data = open_set(str(folder(tmp_path, trainA=9, trainB=9, testA=3, testB=4)), limit=2)
    images = data.images("testA", 24)
    assert [len(data.images(part, 24)) for part in ("testA", "testB", "trainA")] == [2, 2, 4]
    assert images[1].shape == (3, 24, 24)
    torch.testing.assert_close(images[1], torch.full((3, 24, 24), 10 / 127.5 - 1))
    assert not data.has("truthB")
    assert len(list(images)) == 2


def test_test_pictures_come_before_those_of_a_validation(tmp_path: Path) -> None:
    root = folder(tmp_path, trainA=2, trainB=2, valA=3, valB=3)
    assert len(open_set(str(root)).images("testA", 16)) == 3
    folder(root, testA=5, testB=5)
    assert len(open_set(str(root)).images("testA", 16)) == 5


def test_styles_are_parted_into_given_and_compared(tmp_path: Path) -> None:
    data = open_set(str(folder(tmp_path, content=4, test_content=3, styles__mist=4, styles__sun=4)))
    given, compared = ({data.images(p, 16).images.name(i) for i in range(4)} for p in ("trainB", "testB"))
    assert len(data.images("testA", 16)) == 3
    assert len(given | compared) == 8


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        ({"trainA": 2, "trainB": 2}, "has no test pictures"),
        ({"photos": 2}, "trainA and trainB"),
        ({}, "is empty"),
    ],
)
def test_what_cannot_be_scored_on_is_said(tmp_path: Path, made: dict[str, int], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        open_set(str(folder(tmp_path, **made)))


def test_an_empty_test_folder_is_said(tmp_path: Path) -> None:
    root = folder(tmp_path, trainA=2, trainB=2)
    for name in ("testA", "testB"):
        (root / name).mkdir()
    with pytest.raises(UserError, match="testA holds no picture"):
        open_set(str(root))
