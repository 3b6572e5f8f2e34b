"""Translations that go round: opposite borders continue each other, whole and in tiles, by every door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import gan_style
from gan_style.checkpoints import checkpoint
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.inference.load import gatys
from gan_style.inference.video.translate import translate_frames
from tests.small_models import loaded, saved

MODELS = {
    "resnet": ("model=cyclegan", "model.generator.init_gain=0.3"),
    "mobile": ("model=cyclegan", "model/generator=mobile", "model.generator.init_gain=0.3"),
    "unet": ("model=cyclegan", "model/generator=unet128", "model.generator.depth=4", "model.generator.init_gain=0.3"),
}


def going_round(height: int, width: int) -> Tensor:
    """A picture that goes round in both directions, [1, 3, H, W]: a few waves of whole periods."""
    rows, columns = (torch.arange(n) * 2 * torch.pi / n for n in (height, width))
    waves = [
        (rows * a + shift).sin()[:, None] * (columns * b).cos() for a, b, shift in ((1, 2, 0), (3, 1, 1), (2, 5, 2))
    ]
    return torch.stack([waves[0] + waves[1], waves[1] - waves[2], waves[2]])[None] * 0.5


def steps_across(image: Tensor, dim: int) -> tuple[float, float]:
    """The mean step between neighbours across the seam, and the largest of those between rows or columns inside."""
    steps = (image - image.roll(1, dim)).abs().mean([d for d in range(4) if d != dim % 4])
    return float(steps[0]), float(steps[1:].max())


def model_of(name: str) -> Any:
    return gan_style.load("microast", device="cpu") if name == "microast" else loaded(*MODELS[name])


@pytest.mark.parametrize("name", [*MODELS, "microast"])
def test_the_seam_is_no_larger_than_what_is_inside(name: str) -> None:
    translator, image = model_of(name), going_round(64, 96)
    style = {"style": -image.flip(1)} if name == "microast" else {}
    plain = translator.translate(image, **style)
    for wrap, dims in (("x", (3,)), ("y", (2,)), ("xy", (2, 3))):
        whole = translator.translate(image, wrap=wrap, tile=None, **style)
        tiles = translator.translate(image, wrap=wrap, tile=32, **style)
        assert torch.allclose(whole, tiles, atol=2e-4)
        for dim in dims:
            for made in (whole, tiles):
                seam, inside = steps_across(made, dim)
                assert seam <= inside
        assert (whole - plain).abs().max() > 1e-3
    rolled = translator.translate(image.roll((16, 32), (2, 3)), wrap="xy", **style)
    assert torch.allclose(rolled, whole.roll((16, 32), (2, 3)), atol=2e-4)
    without = translator.translate(image.roll((16, 32), (2, 3)), **style)
    assert not torch.allclose(without, plain.roll((16, 32), (2, 3)), atol=1e-2)


def test_masks_and_mixes_go_round() -> None:
    translator, image = model_of("microast"), going_round(64, 96)
    styles = [(-image.flip(1), 0.3), (image.roll(1, 1), 0.7)]
    whole = [translator.translate(image, style=[one], wrap="xy") for one in styles]
    left = torch.zeros(64, 96)
    left[:, 16:64] = 1
    regions = [(picture, 1.0) for picture, _ in styles]
    masked = translator.translate(image, style=regions, mask=[left, 1 - left], wrap="xy")
    assert torch.allclose(masked, torch.where(left > 0, *whole), atol=1e-5)
    mixed = translator.translate(image, style=styles, wrap="xy")
    rolled = translator.translate(image.roll((16, 32), (2, 3)), style=styles, wrap="xy")
    assert torch.allclose(rolled, mixed.roll((16, 32), (2, 3)), atol=2e-4)
    assert all((mixed - one).abs().max() > 1e-2 for one in whole)


@pytest.mark.parametrize("smooth", ["off", "norm", "flow"])
def test_the_frames_of_a_video_go_round(tmp_path: Path, smooth: str) -> None:
    """All frames are the same, so that smoothing changes none."""
    translator = loaded(*MODELS["resnet"])
    array = ((going_round(32, 48)[0].permute(1, 2, 0).numpy() + 1) * 127.5).clip(0, 255).astype(np.uint8)
    Image.fromarray(array).save(tmp_path / "in.png")
    results = [tmp_path / f"{number}.png" for number in range(3)]
    translate_frames(translator, [(tmp_path / "in.png", one) for one in results], smooth=smooth, wrap="x")
    expected, plain = (translator.translate(array, wrap=wrap).astype(int) for wrap in ("x", None))
    for one in results:
        assert np.abs(np.asarray(Image.open(one)) - expected).max() <= 1
    assert np.abs(expected - plain).max() > 3


def test_gatys_does_not_go_round() -> None:
    translator = gatys("random", 0, ["model.steps=3", "model.vgg.depth=relu2_1"])
    with pytest.raises(UserError, match="wrap=xy is for models of one pass: leave it out, or take microast"):
        translator.translate(going_round(32, 32), style=going_round(32, 32), wrap="xy")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"wrap": "z"}, "wrap='z' is not known: take x, y, xy or off"),
        ({"wrap": "yx"}, "take x, y, xy or off"),
        ({"wrap": "x", "tile": 16, "tile_mode": "fast"}, "wrap=x needs what stands at the opposite border"),
        ({"wrap": "x", "size": 30}, "a width that is a multiple of 4, .* not 30 pixels: .* 28 or 32"),
        ({"wrap": "x", "size": 30, "tile": 16}, "a width that is a multiple of 4, .* not 30 pixels: .* 28 or 32"),
    ],
)
def test_what_cannot_be_is_said(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        loaded(*MODELS["resnet"]).translate(np.zeros((32, 32, 3), np.uint8), **options)


def test_microast_wants_a_multiple_of_four() -> None:
    translator = gan_style.load("microast", device="cpu")
    with pytest.raises(UserError, match=r"a width that is a multiple of 4, .* not 66 pixels: .* 64 or 68"):
        translator.translate(going_round(64, 66), style=going_round(64, 66), wrap="xy")
    with pytest.raises(UserError, match=r"a height that is a multiple of 2, .* not 63 pixels: .* 62 or 64"):
        translator.translate(going_round(63, 64), style=going_round(63, 65), wrap="xy")  # the style does not go round


def test_a_checkpoint_of_pictures_that_go_round_knows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / "a.ckpt", *MODELS["resnet"])
    content = checkpoint.load(path)
    checkpoint.save(content | {"preprocessing": {"wrap": "x"}}, path)
    translator, image = gan_style.load(path, device="cpu"), going_round(32, 48)
    found = translator.translate(image)
    assert torch.equal(found, translator.translate(image, wrap="x"))
    assert not torch.equal(found, translator.translate(image, wrap="off"))
    assert main(["export", str(path), str(tmp_path / "a.onnx")]) == 2
    assert "pictures that go round (data.wrap=x), which only our own code does" in capsys.readouterr().err
    assert main(["export", str(path), str(tmp_path / "a.safetensors")]) == 0
    assert gan_style.load(tmp_path / "a.safetensors").wrap == "x"
    compiled = gan_style.load(path, device="cpu", compile=True)
    with pytest.raises(UserError, match="wrap=x and compile do not go together"):
        compiled.translate(image)
    checkpoint.save(content | {"preprocessing": {"wrap": "z"}}, path)
    with pytest.raises(UserError, match="was not written by gan_style, or was changed"):
        gan_style.load(path)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    array = ((going_round(32, 48)[0].permute(1, 2, 0).numpy() + 1) * 127.5).clip(0, 255).astype(np.uint8)
    Image.fromarray(array).save(tmp_path / "a.png")
    path = saved(tmp_path / "a.ckpt", *MODELS["resnet"])
    for out, words in (("x.png", ["--wrap", "x"]), ("tiles.png", ["--wrap", "x", "--tile", "16"]), ("no.png", [])):
        assert main(["translate", str(path), str(tmp_path / "a.png"), str(tmp_path / out), *words]) == 0
    made, tiles, plain = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("x", "tiles", "no"))
    expected = gan_style.load(path, device="cpu").translate(array, wrap="x")
    assert np.array_equal(made, expected)
    assert np.abs(made.astype(int) - tiles).max() <= 1
    assert not np.array_equal(made, plain)
    words = ["stylize", str(tmp_path / "a.png"), str(tmp_path / "s.png"), "--style", str(tmp_path / "no.png")]
    assert main([*words, "--wrap", "xy"]) == 0
    assert main([*words, "--wrap", "xy", "--size", "42"]) == 2
    assert "multiple of 4" in capsys.readouterr().err
