"""Files of generators that draw noise, and of a CycleGAN whose ways have different networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gan_style
from gan_style.core.errors import UserError
from tests.small_models import loaded, saved

BACK = ("model/generator@model.generator_BA=painter", "model.generator_BA.filters=4", "model.generator_BA.noise=false")
IMAGE = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)


def test_each_way_is_exported_with_its_own_network(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a.ckpt", "model=cyclegan", *BACK)
    whole = gan_style.load(checkpoint)
    for direction in ("A2B", "B2A"):
        gan_style.export(checkpoint, tmp_path / f"{direction}.safetensors", direction=direction)
        alone = gan_style.load(tmp_path / f"{direction}.safetensors")
        expected = whole.translate(IMAGE, direction=direction)
        assert np.array_equal(alone.translate(IMAGE, direction=direction), expected)


def test_the_official_layout_has_no_noise(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a.ckpt", "model=cyclegan", "model.generator.noise=true")
    with pytest.raises(UserError, match="the official layout has no noise: export to"):
        gan_style.export(checkpoint, tmp_path / "latest_net_G.pth", direction="A2B")


def test_blended_tiles_would_repeat_the_noise() -> None:
    translator = loaded("model=cyclegan", "model.generator.noise=true")
    with pytest.raises(UserError, match="fast would repeat"):
        translator.translate(np.tile(IMAGE, (3, 3, 1)), tile=64, tile_mode="fast")
