"""How far a thing walks does not grow: a command, a config, a style and an image (docs/design.md, `tests/walks.py`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.small_models import saved
from tests.walks import Walk, walk_of_config, walks_of_translate

# Functions and files that are handed the thing itself.
MOST = {
    "a command of translate": (1, 1),
    "a style": (8, 4),
    "one image": (11, 7),
    "the config of train": (8, 4),
}


def check(name: str, walk: Walk) -> None:
    functions, files = MOST[name]
    assert walk, name
    assert len(walk) <= functions, (name, sorted(walk))
    assert len({file for file, _ in walk}) <= files, (name, sorted(walk))


def test_a_command_a_style_and_an_image_walk_no_further(tmp_path: Path) -> None:
    checkpoint, styled = saved(tmp_path / "a.ckpt", "model=cyclegan"), saved(tmp_path / "b.ckpt", "model=adain")
    found = dict(walks_of_translate(checkpoint, styled, tmp_path))
    assert set(found) == set(MOST) - {"the config of train"}
    for name, walk in found.items():
        check(name, walk)


@pytest.mark.slow
def test_a_config_walks_no_further(tmp_path: Path) -> None:
    check("the config of train", walk_of_config(tmp_path))
