"""`--explain` and `translator.explain`: what each place meant, of a method that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import gan_style
from gan_style.cli.main import main
from gan_style.core.direction import Direction
from gan_style.core.errors import UserError
from gan_style.inference.heat import overlaid
from gan_style.models.cut import CUT
from tests.small_models import loaded, saved


def redness(self: Any, images: Tensor, direction: str) -> Tensor:
    return (images[:, 0:1] + 1) * 0.5


@pytest.fixture
def explaining(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUT as a method that explains its translations by how red the picture is."""
    monkeypatch.setattr(CUT, "explains", (Direction.A2B,))
    monkeypatch.setattr(CUT, "explain", redness)


def ramp(size: tuple[int, int] = (40, 30)) -> Image.Image:
    red = np.linspace(0, 255, size[0], dtype=np.uint8)
    return Image.fromarray(np.stack([np.tile(red, (size[1], 1)), *np.zeros((2, size[1], size[0]), np.uint8)], -1))


def run(*words: Any) -> int:
    return main([str(word) for word in words])


@pytest.mark.usefixtures("explaining")
def test_numbers_and_drawings_for_each_kind_of_picture() -> None:
    model, image = loaded("model=cut"), ramp()
    heat = model.explain(image)
    assert heat.shape == (30, 40)
    assert np.allclose(heat, np.asarray(image)[..., 0] / 255, atol=1e-6)
    tensor = torch.rand(2, 3, 30, 40) * 2 - 1
    assert model.explain(tensor).shape == (2, 1, 30, 40)
    assert torch.equal(model.explain(tensor[0]), model.explain(tensor)[0])
    assert model.explain(image, size=20).shape == (15, 20)
    np.testing.assert_allclose(model.explain(image, tile=16), heat)
    drawn = np.asarray(model.explain(image, overlay=True)).astype(int)
    assert drawn.shape == (30, 40, 3)
    assert isinstance(model.explain(image, overlay=True), Image.Image)
    assert drawn[:, 4, 2].mean() > drawn[:, 4, 0].mean() + 20  # little is blue, much is red
    assert drawn[:, -1, 0].mean() > drawn[:, -1, 2].mean() + 20


def test_the_picture_is_seen_in_grey_below() -> None:
    images, heat = torch.rand(1, 3, 4, 5) * 2 - 1, torch.zeros(1, 1, 4, 5)
    drawn = overlaid(images, heat) - overlaid(-torch.ones_like(images), heat)
    grey = (images[:, 0] * 0.299 + images[:, 1] * 0.587 + images[:, 2] * 0.114 + 1) / 2
    torch.testing.assert_close(drawn, grey[:, None].expand(-1, 3, -1, -1), atol=1e-6, rtol=0)
    assert overlaid(torch.zeros(2, 5, 3, 3), torch.ones(2, 1, 3, 3)).shape == (2, 3, 3, 3)


@pytest.mark.usefixtures("explaining")
def test_a_folder_keeps_its_names_and_tree(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "cut.ckpt", "model=cut")
    for name, size in (("one.png", (40, 30)), ("deep/two.jpg", (20, 25))):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        ramp(size).save(tmp_path / "in" / name)
    words = ("translate", checkpoint, tmp_path / "in", tmp_path / "out", "--explain", tmp_path / "why")
    assert run(*words) == 0
    for name, size in (("one.png", (40, 30)), ("deep/two.jpg", (20, 25))):
        for folder in ("out", "why"):
            with Image.open(tmp_path / folder / name) as image:
                assert image.size == size
    (tmp_path / "why" / "one.png").unlink()
    before = (tmp_path / "why" / "deep" / "two.jpg").stat().st_mtime_ns
    assert run(*words, "--resume") == 0
    assert (tmp_path / "why" / "one.png").is_file()
    assert (tmp_path / "why" / "deep" / "two.jpg").stat().st_mtime_ns == before


@pytest.mark.usefixtures("explaining")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--explain", "{out}"), "would overwrite the translations: name another folder"),
        (("--explain", "{why}", "--tile-mode", "fast"), "take exact"),
        (("--explain", "{why}", "--style", "painting"), "leave --style out"),
        (("--explain", "{why}", "--smooth", "norm"), "--explain are for single pictures"),
        (("--explain", "{file}"), "is a file: name another one"),
        (("--explain", "{in}"), "write somewhere else"),
    ],
)
def test_what_would_not_fit_is_refused(
    words: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = saved(tmp_path / "cut.ckpt", "model=cut")
    (tmp_path / "in").mkdir()
    ramp().save(tmp_path / "in" / "one.png")
    places = {"out": tmp_path / "out", "why": tmp_path / "why", "file": checkpoint, "in": tmp_path / "in"}
    given = [word.format(**places) for word in words]
    assert run("translate", checkpoint, tmp_path / "in", tmp_path / "out", *given) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_a_method_that_explains_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="CUT does not explain its translations: take a model of a method that does"):
        loaded("model=cut").explain(ramp())
    checkpoint = saved(tmp_path / "cut.ckpt", "model=cut")
    ramp().save(tmp_path / "one.png")
    words = ("translate", checkpoint, tmp_path / "one.png", tmp_path / "out.png", "--explain", tmp_path / "why")
    assert run(*words) == 2
    assert "does not explain its translations" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out.png").exists()


def test_the_map_of_a_picture_that_goes_round_goes_round(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ckpt", "model=stegogan", "model.generator.init_gain=0.3")
    translator = gan_style.load(path, device="cpu")
    array = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    around, plain = (translator.explain(array, "B2A", wrap=wrap) for wrap in ("xy", None))
    rolled = translator.explain(np.roll(array, (8, 12), (0, 1)), "B2A", wrap="xy")
    np.testing.assert_allclose(rolled, np.roll(around, (8, 12), (0, 1)), atol=1e-5)
    assert np.abs(around - plain).max() > 1e-3
    Image.fromarray(array).save(tmp_path / "a.png")
    words = ("translate", path, tmp_path / "a.png", tmp_path / "out.png", "--direction", "B2A")
    assert run(*words, "--wrap", "xy", "--explain", tmp_path / "why") == 0
    expected = translator.explain(array, "B2A", wrap="xy", overlay=True)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "why" / "out.png")), expected)
    translator.wrap = "xy"  # as of a checkpoint that was trained on such pictures
    assert np.array_equal(translator.explain(array, "B2A"), around)
    assert np.array_equal(translator.explain(array, "B2A", wrap="off"), plain)
    with pytest.raises(UserError, match="wrap='z' is not known"):
        translator.explain(array, "B2A", wrap="z")
