"""Trainings on pictures of 64x96 pixels: every model, what goes on after a resume, and the verbs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gan_style.apps.planning.prediction import trial_sizes
from gan_style.apps.planning.proposals import Target, scaled
from gan_style.checkpoints import checkpoint
from gan_style.cli.main import main
from gan_style.core.config import config_dir
from gan_style.core.errors import UserError
from gan_style.inference.load import load
from gan_style.training.run import train
from tests.conftest import SCORES, composed, differences, small_config, small_words, trained_into
from tests.small_models import made, saved

Run = Callable[..., Path]
MODELS = sorted(p.stem for p in (config_dir() / "model").glob("*.yaml"))
RECTANGLE = ("data.image_size=[64,96]", "data.load_size=[72,108]", "data.count=4")
BRIEF = (*(f"~{name}" for name in (*SCORES, "callbacks.image_grid")), "data.val_count=2")


def content_of(run_dir: Path) -> dict[str, Any]:
    return checkpoint.load(run_dir / "checkpoints" / "last.ckpt")


@pytest.mark.parametrize(
    "name", [name if name == "cyclegan" else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_a_model_trains_and_resumes_bit_for_bit(run: Run, name: str) -> None:
    words = (f"model={name}", *RECTANGLE, *BRIEF)
    whole, parts = run("whole", *words, "trainer.max_steps=2"), run("parts", *words, "trainer.max_steps=1")
    assert content_of(parts)["iteration"] == 1
    run("parts", *words, "trainer.max_steps=2", "resume=last")
    found, expected = content_of(parts), content_of(whole)
    for content in (found, expected):
        del content["config"], content["best"]
    assert expected["iteration"] == 2
    assert expected["preprocessing"]["image_size"] == [64, 96]
    assert differences(found, expected) == []


def test_quarter_turns_of_rectangles_are_the_other_way_up() -> None:
    """GcGAN's f gives pictures of 96x64; its second discriminator and its pool see these."""
    model = made("model=gcgan", "model.pool_size=2")
    batch = {letter: torch.rand(2, 3, 64, 96) * 2 - 1 for letter in "AB"}
    images = model.generate(batch)
    _, terms = model.generator_loss(images)
    model.discriminator_loss(images)
    assert [x.shape[-2:] for x in model.pool_T.images] == [(96, 64)] * 2
    assert [x.shape[-2:] for x in model.pool_B.images] == [(64, 96)] * 2
    turned = model.G_AB(batch["A"].rot90(-1, (2, 3))).rot90(1, (2, 3))
    torch.testing.assert_close(terms["geo"], 2 * (turned - model.G_AB(batch["A"])).abs().mean())


@pytest.mark.parametrize("size", ["[96,64]", "64"])
def test_past_fakes_of_another_shape_are_left_out(run: Run, size: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("model=gcgan", *RECTANGLE, *BRIEF, "data.batch_size=2", "model.pool_size=2")
    run("run", *words, "trainer.max_steps=1")
    after = (*words, f"data.image_size={size}", "data.load_size=null", "trainer.max_steps=3", "resume=last")
    folder = run("run", *after)
    said = capsys.readouterr().out
    assert "note: 4 remembered pictures of another size are left out: the image pools begin empty" in said
    (pools,) = content_of(folder)["pools"]
    height, width = pools["pool_B"]["images"][0].shape[-2:]
    assert pools["pool_T"]["images"][0].shape[-2:] == (width, height)


def test_a_square_is_stored_as_a_number_and_goes_on_from_one(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run("run", *BRIEF, "trainer.max_steps=1")
    capsys.readouterr()
    run("run", *BRIEF, "data.image_size=[32,32]", "data.load_size=[36,36]", "trainer.max_steps=2", "resume=last")
    assert "there," not in capsys.readouterr().out
    content = content_of(folder)
    assert content["config"]["data"]["image_size"] == content["preprocessing"]["image_size"] == 32
    assert content["config"]["data"]["load_size"] == content["preprocessing"]["load_size"] == 36


def test_the_full_attention_has_a_weight_for_every_place(tmp_path: Path) -> None:
    translator = load(saved(tmp_path / "last.ckpt", "model=ugatit", "data.image_size=[64,96]"))
    assert translator.model.G_AB.modulation[0].in_features == 16 * 16 * 24
    for size in ((64, 96), (96, 64), (45, 131)):
        image = torch.rand(3, *size) * 2 - 1
        whole, tiled = (translator.translate(image, "A2B", tile=tile) for tile in ("off", 16))
        assert whole.shape == image.shape
        torch.testing.assert_close(tiled, whole, atol=1e-4, rtol=0)


def test_a_side_that_is_too_small_for_the_networks_is_named() -> None:
    words = ("data.image_size=[16,96]", "data.load_size=null", "model.discriminator.layers=3")
    with pytest.raises(
        UserError, match=r"data\.image_size=\[16,96\] is too small for PatchDiscriminator, .* 24 on each"
    ):
        train(small_config(*words))


# The verbs


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training with every callback."""
    folder = tmp_path_factory.mktemp("rectangle") / "run"
    return trained_into(folder, *RECTANGLE, "data.val_count=3", "trainer.max_steps=2", "doctor.every=1", scored=True)


def test_grids_and_reports_show_rectangles(trained_run: Path) -> None:
    *_, grid = sorted((trained_run / "images").iterdir())
    with Image.open(grid) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] == 5 * (2 * 96) + 6 * 4, "five columns, enlarged twice, with margins"
    assert "64 \N{MULTIPLICATION SIGN} 96" in (trained_run / "report.html").read_text(encoding="utf-8")
    scores = json.loads((trained_run / "scores.json").read_text())
    assert scores["protocol"]["size"] == [64, 96]


def test_verbs_say_and_keep_the_size(trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = str(trained_run / "checkpoints" / "last.ckpt")
    assert main(["describe", last]) == 0
    page = capsys.readouterr().out
    assert "size [64,96]\n" in page
    assert "resized to [72,108]\n" in page
    out = str(tmp_path / "scores.json")
    words = ["--data", "scenes", "--limit", "6", "--extractor", "random", "--draws", "20", "--out", out]
    assert main(["evaluate", last, *words]) == 0
    result = json.loads(Path(out).read_text())
    assert result["protocol"]["picture_size"] == [64, 96]
    assert result["scores"]["A2B"]["psnr"]["value"] > 0, "the truth is of the same size"


@pytest.mark.parametrize("tile", ["off", "16"])
def test_translations_have_the_size_of_their_input(trained_run: Path, tmp_path: Path, tile: str) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)).save(tmp_path / "in.png")
    last = trained_run / "checkpoints" / "last.ckpt"
    words = ["translate", last, tmp_path / "in.png", tmp_path / "out.png", "--direction", "A2B", "--tile", tile]
    assert main([str(word) for word in words]) == 0
    with Image.open(tmp_path / "out.png") as image:
        made_of, expected = np.asarray(image), load(last).translate(tmp_path / "in.png", "A2B")
    assert made_of.shape == (64, 96, 3)
    assert np.abs(made_of.astype(int) - np.asarray(expected).astype(int)).max() <= 1


@pytest.mark.slow
def test_what_a_training_costs_is_tried_with_rectangles(tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    words = small_words(*RECTANGLE)
    assert main(["plan", *words, "--iterations", "3", "--hours", "0.00001", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["image_size"] == [64, 96]
    assert [trial["image_size"] for trial in found["trials"]] == [[32, 48], [64, 96]]


@pytest.mark.parametrize(
    ("size", "smallest", "sizes"),
    [
        ((64, 96), 1, ((32, 48), (64, 96))),
        ((64, 96), 64, (64, (64, 96))),
        ((20, 300), 1, ((16, 148), (20, 300))),
        ((16, 24), 16, (16, (16, 24))),
        ((16, 17), 20, ((16, 17), (32, 34))),
        ((200, 300), 32, (96, 160)),
    ],
)
def test_the_sizes_of_trials(size: Any, smallest: int, sizes: Any) -> None:
    assert trial_sizes(size, smallest) == sizes


def test_the_load_size_is_scaled_side_by_side() -> None:
    def loaded(load_size: Any, size: Any) -> Any:
        return scaled(Target((64, 96), 1, 1, 100, load_size), size)

    assert loaded((72, 108), (32, 48)) == (36, 54)
    assert loaded(None, (32, 48)) is None
    assert loaded(108, (32, 48)) == 54, "a square, or the width under scale_width"
    assert loaded((72, 108), 96) == 108
    assert loaded((64, 96), 160) == 160


def test_hydra_takes_a_list() -> None:
    config = composed("data=tiny", "data.image_size=[64,96]", "data.load_size=[72,108]", "model=ugatit", "name=test")
    assert config["model"]["generator"]["image_size"] == config["data"]["image_size"] == [64, 96]
