"""Two eyes agree after their translation, by pairs of known shift."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gan_style.data.images import read_image, to_tensor
from gan_style.inference.video.stereo import translate_stereo
from tests.inference.test_inference import run
from tests.small_models import loaded, saved

SHIFT, SIDE, MARGIN = 6, 96, 16  # pixels that the right eye sees everything further to the left by


def pair(seed: int = 0) -> NDArray[np.uint8]:
    """A drawn pair, uint8 [SIDE, 2 SIDE, 3], of a smooth texture that has something to follow."""
    noise = np.random.default_rng(seed).random((SIDE, SIDE + SHIFT, 3)).astype(np.float32)
    scene = cv2.GaussianBlur(noise, (0, 0), 2)
    scene = (255 * (scene - scene.min()) / np.ptp(scene)).astype(np.uint8)
    return np.concatenate([scene[:, :SIDE], scene[:, SHIFT:]], axis=1)


def by_truth(image: Any) -> float:
    """Mean squared difference of a pair along its known shift, in steps of 255, away from the borders."""
    image = np.asarray(image).astype(float)
    left, right = image[:, : image.shape[1] // 2], image[:, image.shape[1] // 2 :]
    inside = slice(MARGIN, -MARGIN)
    left, right = left[inside, MARGIN + SHIFT : -MARGIN + SHIFT], right[inside, inside]
    return float(((left - right) ** 2).mean() ** 0.5)


class Unsteady:
    """Stands in for a model: the identity with a texture that stays where it is in the frame, as networks paint it."""

    def translate_all(self, images: list[Any], direction: str | None = None, **_: Any) -> list[Any]:
        texture = np.random.default_rng(5).normal(0, 20, (SIDE, SIDE, 3))
        return [np.clip(one + texture, 0, 255).astype(np.uint8) for one in images]


def test_the_drawn_pair_has_the_shift() -> None:
    assert by_truth(pair()) == 0


def test_eyes_agree_along_the_true_shift() -> None:
    image = pair()
    apart = np.concatenate(Unsteady().translate_all([image[:, :SIDE], image[:, SIDE:]]), axis=1)
    made = translate_stereo(Unsteady(), image)  # type: ignore[arg-type]
    assert np.array_equal(made.image[:, :SIDE], apart[:, :SIDE])  # the left eye leads
    assert by_truth(apart) > 20
    assert by_truth(made.image) < by_truth(apart) / 4
    found = [127.5 * value**0.5 for value in made.agreement]
    assert found[0] == pytest.approx(by_truth(apart), rel=0.15)  # the estimate of the shift tells what the truth does
    assert found[1] < found[0] / 4
    assert found[2] < 3  # an input without noise


def test_what_one_eye_alone_sees_stays_its_own() -> None:
    image = pair()
    image[30:60, SIDE + 40 : SIDE + 70] = np.random.default_rng(9).integers(0, 255, (30, 30, 3))
    made = translate_stereo(Unsteady(), image).image.astype(int)  # type: ignore[arg-type]
    own = np.asarray(Unsteady().translate_all([image[:, SIDE:]])[0]).astype(int)
    assert np.abs(made[:, SIDE:] - own)[32:58, 42:68].mean() < 2
    assert np.abs(made[:, SIDE:] - own)[70:90, 20:80].mean() > 5  # elsewhere it takes the left eye's texture


@torch.no_grad()
def test_a_network_s_eyes(tmp_path: Path) -> None:
    translator, image = loaded("model=cyclegan"), pair(1)
    made = translate_stereo(translator, image)
    left: Tensor = translator.translate(to_tensor(np.ascontiguousarray(image[:, :SIDE])))
    assert (to_tensor(np.ascontiguousarray(made.image[:, :SIDE])) - left).abs().max() < 1.5 / 127.5
    assert made.image.shape == image.shape
    assert made.agreement.after <= made.agreement.before


def test_the_verb_says_how_well_they_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = saved(tmp_path / "last.ckpt", "model=cyclegan")
    (tmp_path / "in").mkdir()
    Image.fromarray(pair()).save(tmp_path / "in" / "a.png")
    Image.fromarray(pair()[:, 1:]).save(tmp_path / "in" / "odd.png")
    assert run("translate", checkpoint, tmp_path / "in" / "a.png", tmp_path / "a.png", "--stereo") == 0
    said = capsys.readouterr().out
    assert "in 1 pair, root mean square in steps of 255:" in said
    assert "1 pair of eyes into" in said
    assert read_image(tmp_path / "a.png").shape == (SIDE, 2 * SIDE, 3)
    assert run("translate", checkpoint, tmp_path / "in", tmp_path / "out", "--stereo") == 2
    said = capsys.readouterr().err
    assert "odd.png: a stereo pair is two pictures side by side, and a width of 191 pixels has no two halves" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    assert np.array_equal(read_image(tmp_path / "out" / "a.png"), read_image(tmp_path / "a.png"))
    for words, sentence in (
        (("--mask", tmp_path / "a.png"), "--mask is not for --stereo"),
        (("--smooth", "flow"), "--smooth is not for --stereo"),
        (("--resume",), "--resume is not for --stereo"),
    ):
        assert run("translate", checkpoint, tmp_path / "in", tmp_path / "x", "--stereo", *words) == 2
        assert sentence in capsys.readouterr().err
    assert run("translate", checkpoint, tmp_path / "in" / "a.png", tmp_path / "x.mp4", "--stereo") == 2
    assert "is a video" in capsys.readouterr().err
