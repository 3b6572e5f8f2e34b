"""Training on pictures that go round: they are rolled, whole, and what does not fit is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gan_style import testing
from gan_style.checkpoints.checkpoint import load
from gan_style.core.errors import UserError
from gan_style.data.transforms import TrainTransform
from gan_style.networks.wrap import directions
from gan_style.training.callbacks import cycle_scores
from tests.conftest import SCORES, small_config


def numbered(height: int, width: int) -> Any:
    return np.arange(height * width * 3, dtype=np.float32).reshape(height, width, 3)


@pytest.mark.parametrize("wrap", ["x", "y", "xy"])
def test_pictures_are_rolled_where_they_go_round(wrap: str) -> None:
    image, seen = numbered(8, 12), set()
    transform = TrainTransform((8, 12), (8, 12), flip=False, wrap=wrap)  # type: ignore[arg-type]
    for seed in range(200):
        made = transform(image, seed)
        row, column = (int(n) for n in np.argwhere(made[..., 0] == 0)[0])
        np.testing.assert_array_equal(made, np.roll(image, (row, column), (0, 1)))
        np.testing.assert_array_equal(made, transform(image, seed))  # a mask of the same seed stays in place
        seen.add((row, column))
    assert len({row for row, _ in seen}) == (8 if "y" in wrap else 1)
    assert len({column for _, column in seen}) == (12 if "x" in wrap else 1)


def test_the_other_direction_may_be_cropped() -> None:
    made = TrainTransform((16, 12), (8, 12), flip=False, wrap="x")(numbered(16, 12), 3)
    assert made.shape == (8, 12, 3)
    with pytest.raises(UserError, match=r"data\.wrap=xy wants whole pictures, since a crop does not go round"):
        TrainTransform((16, 12), (8, 12), wrap="xy")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"load_size": None}, "wants whole pictures"),
        ({"preprocess": "crop"}, "wants whole pictures"),
        ({"preprocess": "scale_width_and_crop"}, "wants whole pictures"),
        ({"load_size": 36}, r"data.load_size as large as data.image_size, or train without it and translate by --wrap"),
        ({"rotate": 5}, "data.rotate=5 turns pictures that go round"),
    ],
)
def test_what_does_not_go_round_is_refused(words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        TrainTransform(**({"load_size": 32, "image_size": 32, "wrap": "x"} | words))


SMALL = ("data.wrap=xy", "data.image_size=32", "data.load_size=32", *(f"~{callback}" for callback in SCORES))


@pytest.mark.parametrize(
    "words", [(), ("trainer.checkpointing=true",), pytest.param(("model=microast",), marks=pytest.mark.slow)], ids=str
)
def test_a_resumed_run_is_bit_exact(tmp_path: Path, words: tuple[str, ...]) -> None:
    testing.check_resume(small_config(*SMALL, *words), tmp_path)


def test_generators_go_round_in_training_and_discriminators_do_not(
    run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[str]] = {"ResnetGenerator": set(), "PatchDiscriminator": set()}
    forward = torch.nn.Conv2d.forward
    inside: list[str] = []

    def called(module: Any, x: Any) -> Any:
        kind = "PatchDiscriminator" if module.kernel_size == (4, 4) else "ResnetGenerator"
        seen[kind].add(directions())
        inside.append(kind)
        return forward(module, x)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", called)
    folder = run("round", *SMALL, "trainer.max_steps=1")
    assert seen == {"ResnetGenerator": {"xy"}, "PatchDiscriminator": {""}}
    content = load(folder / "checkpoints" / "last.ckpt")
    assert content["preprocessing"]["wrap"] == content["config"]["data"]["wrap"] == "xy"


def test_the_cycle_is_scored_on_pictures_that_go_round(
    run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    probe = cycle_scores.steganography_probe

    def probed(*args: Any) -> Any:
        seen.append(directions())
        return probe(*args)

    monkeypatch.setattr(cycle_scores, "steganography_probe", probed)
    for wrap in ("xy", "null"):
        words = (f"data.wrap={wrap}", "callbacks.cycle_scores.images=2", "trainer.val_every=1", "trainer.max_steps=1")
        run(wrap, *SMALL[1:3], *words)
    assert seen == ["xy", "xy", "", ""]


def test_a_run_with_a_picture_of_an_own_size_that_does_not_fit_ends_before_its_folder(
    run: Callable[..., Path], tmp_path: Path
) -> None:
    for domain in "AB":
        (tmp_path / domain).mkdir()
        for number, width in enumerate((64, 64, 72, 64)):
            Image.new("RGB", (width, 64), (number * 40, 90, 20)).save(tmp_path / domain / f"{domain}{number}.png")
    Image.new("RGB", (52, 48)).save(tmp_path / "A" / "odd.png")
    words = (f"data=folders data.A={tmp_path / 'A'} data.B={tmp_path / 'B'} data.preprocess=none data.wrap=x").split()
    unet = ("model/generator=unet128", "model.generator.depth=3", *(f"~{callback}" for callback in SCORES))
    with pytest.raises(
        UserError, match=r"odd\.png is 52x48 .* multiple of 8, .* not 52 pixels: .* 48 or 56, or turn wrap off"
    ):
        run("never", *words, *unet)
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("data.image_size=30", "data.load_size=30"),
            "a height that is a multiple of 4, .* not 30 pixels: .* 28 or 32",
        ),
        (("model=ugatit",), "this network has weights for each place"),
        (("model=gatys",), "data.wrap is for generators"),
        (("data.wrap=z",), r"data\.wrap=z"),
        (("trainer.compile=default",), "data.wrap and trainer.compile do not go together"),
    ],
)
def test_a_run_that_cannot_be_ends_before_its_folder(
    run: Callable[..., Path], tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        run("never", *SMALL, *words)
    assert not (tmp_path / "never").exists()
