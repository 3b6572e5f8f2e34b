"""`gan_style.load` and the verbs that make pictures, on models of a few filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import gan_style
from gan_style.checkpoints.checkpoint import load as load_checkpoint
from gan_style.checkpoints.labels import name_checkpoints
from gan_style.cli.arguments import parse_style
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.images import read_image
from tests.conftest import trained_into

TINY_GATYS = (
    "--weights",
    "random",
    "--set",
    "model.vgg.depth=relu2_1",
    "--set",
    "model.steps=2",
    "--set",
    "model.scales=1",
)


def draw(path: Path, seed: int, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (size[1] // 5, size[0] // 5, 3), np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for name, seed in (("photo", 0), ("wave", 1), ("night", 2)):
        draw(folder / f"{name}.png", seed)
    draw(folder / "album" / "one.png", 3)
    draw(folder / "album" / "deep" / "two.png", 4, (33, 47))
    for side, name in ((slice(0, 20), "left"), (slice(20, 40), "right")):
        mask = np.zeros((30, 40), np.uint8)
        mask[:, side] = 255
        Image.fromarray(mask).save(folder / f"{name}.png")
    return folder


def trained(tmp_path_factory: pytest.TempPathFactory, model: str, *overrides: str) -> Path:
    folder = tmp_path_factory.mktemp(model)
    run = trained_into(folder / "run", f"model={model}", "trainer.max_steps=2", *overrides)
    return run / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def adain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory, "adain", "callbacks.ema.decay=0.5")


@pytest.fixture(scope="module")
def cyclegan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory, "cyclegan", "callbacks.ema.decay=0.5")


def test_the_same_kind_and_size_comes_out(files: Path, cyclegan: Path) -> None:
    translator = gan_style.load(cyclegan)
    from_path = translator.translate(files / "photo.png")
    assert isinstance(from_path, Image.Image)
    assert from_path.size == (40, 30)
    array = read_image(files / "photo.png")
    assert np.array_equal(translator.translate(array), np.asarray(from_path))
    assert np.array_equal(np.asarray(translator.translate(Image.fromarray(array))), np.asarray(from_path))
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1) / 127.5 - 1
    single, batch = translator.translate(tensor), translator.translate(tensor[None])
    assert torch.equal(single, batch[0])
    assert np.abs(single.permute(1, 2, 0).numpy() * 127.5 + 127.5 - np.asarray(from_path)).max() <= 0.51


def test_the_averaged_weights_are_used_unless_told_otherwise(files: Path, cyclegan: Path) -> None:
    content = load_checkpoint(cyclegan)
    averages = next(v for k, v in content["callbacks"].items() if k.startswith("EMA"))
    for ema, expected in (
        (True, averages["G_AB"]),
        (False, {k[5:]: v for k, v in content["state_dict"].items() if k[:5] == "G_AB."}),
    ):
        state = gan_style.load(cyclegan, ema=ema).model.G_AB.state_dict()  # type: ignore[union-attr]
        assert all(torch.equal(state[k], expected[k]) for k in expected)


def test_directions_and_domains(files: Path, cyclegan: Path) -> None:
    translator = gan_style.load(cyclegan)
    photo = files / "photo.png"
    there, back = (np.asarray(translator.translate(photo, d)) for d in ("A2B", "B2A"))
    assert not np.array_equal(there, back)
    assert np.array_equal(np.asarray(translator.translate(photo, style="painting")), there)
    assert np.array_equal(np.asarray(translator.translate(photo, style={"B": 2.0})), there)
    half = np.asarray(translator.translate(photo, alpha=0.5)).astype(float)
    assert np.abs(half - (there.astype(float) + read_image(photo)) / 2).max() <= 1.01
    with pytest.raises(UserError, match="paintng is not a domain of this model: did you mean painting"):
        translator.translate(photo, style="paintng")
    with pytest.raises(UserError, match="this model does not translate A2C: there are: A2B, B2A"):
        translator.translate(photo, "A2C")


def test_adain_needs_nothing_but_its_checkpoint(files: Path, adain: Path) -> None:
    translator = gan_style.load(adain)
    photo, wave, night = (files / f"{name}.png" for name in ("photo", "wave", "night"))
    one = np.asarray(translator.translate(photo, style=wave))
    assert one.shape == (30, 40, 3)
    assert np.array_equal(np.asarray(translator.translate(photo, style={wave: 3, night: 0})), one)
    mixed = np.asarray(translator.translate(photo, style={wave: 0.5, night: 0.5}))
    assert not np.array_equal(mixed, one)
    assert not np.array_equal(np.asarray(translator.translate(photo, style=wave, alpha=0.0)), one)
    regions = np.asarray(
        translator.translate(photo, style=[(wave, 1), (night, 1)], mask=[files / "left.png", files / "right.png"])
    )
    assert np.array_equal(regions[:, :20], one[:, :20])
    assert not np.array_equal(regions[:, 20:], one[:, 20:])
    folder = np.asarray(translator.translate(photo, style=files / "album"))
    assert not np.array_equal(folder, one)
    general = np.asarray(translator.translate(photo))
    assert general.shape == one.shape


def run(*words: str) -> int:
    return main([str(word) for word in words])


def test_translate_keeps_names_and_tree(files: Path, cyclegan: Path, tmp_path: Path) -> None:
    assert run("translate", cyclegan, files / "album", tmp_path / "out") == 0
    assert sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png")) == [
        "deep/two.png",
        "one.png",
    ]
    assert size_of(tmp_path / "out" / "deep" / "two.png") == (33, 47)
    assert run("translate", cyclegan, files / "photo.png", tmp_path / "one.jpg", "--direction", "B2A") == 0
    assert size_of(tmp_path / "one.jpg") == (40, 30)


def test_stylize_with_gatys_and_with_a_checkpoint(files: Path, adain: Path, tmp_path: Path) -> None:
    styles = ("--style", f"{files / 'wave.png'}=0.7", "--style", f"{files / 'night.png'}=0.3")
    for number in (1, 2):
        assert (
            run("stylize", files / "photo.png", tmp_path / f"{number}.png", *styles, *TINY_GATYS, "--every", "2") == 0
        )
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
    assert (tmp_path / "1-00002.png").is_file()
    assert run("stylize", files / "photo.png", tmp_path / "a.png", *styles, "--checkpoint", adain, "--size", "20") == 0
    assert size_of(tmp_path / "a.png") == (20, 15)


def test_a_sheet_of_mixes_and_of_methods(files: Path, adain: Path, tmp_path: Path) -> None:
    styles = (
        "--style",
        files / "wave.png",
        "--style",
        files / "night.png",
        "--content",
        files / "photo.png",
        "--cell",
        "64",
    )
    assert run("sheet", tmp_path / "mixes.png", *styles, "--checkpoint", adain, "--mixes", "3") == 0
    assert size_of(tmp_path / "mixes.png") == (4 * 70 + 6, 2 * (48 + 6 + 22) + 6)
    assert run("sheet", tmp_path / "both.png", *styles, *TINY_GATYS) == 0
    assert size_of(tmp_path / "both.png") == (3 * 70 + 6, 2 * (48 + 6 + 22) + 6)


def test_checkpoints_of_a_sheet_keep_apart(tmp_path: Path) -> None:
    paths = [str(tmp_path / run / "checkpoints" / f"{name}.ckpt") for run, name in (("a", "last"), ("b", "last"))]
    assert list(name_checkpoints(paths)) == ["a", "b"]
    paths += [str(tmp_path / "a" / "checkpoints" / "best.ckpt")]
    assert name_checkpoints(paths) == dict(zip(["a/last", "b", "a/best"], paths, strict=True))
    paths += [str(tmp_path / "other" / "a" / "checkpoints" / "best.ckpt")]
    assert list(name_checkpoints(paths)) == ["a/last", "b", paths[2], paths[3]]
    assert list(name_checkpoints(["model.ckpt"]).values()) == ["model.ckpt"]


def test_a_style_picture_is_read_once_for_a_folder(
    files: Path, adain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = gan_style.load(adain)
    calls = []
    encode = translator.model.style_code
    monkeypatch.setattr(translator.model, "style_code", lambda x: calls.append(1) or encode(x))
    images = [translator.translate(files / "photo.png", style=files / "wave.png") for _ in range(3)]
    assert len(calls) == 1
    assert np.array_equal(np.asarray(images[0]), np.asarray(images[2]))


def mistakes(files: Path, adain: Path, cyclegan: Path, out: Path) -> list[tuple[tuple[Any, ...], str]]:
    photo, wave = files / "photo.png", files / "wave.png"
    (files / "empty").mkdir(exist_ok=True)
    with_adain = ("stylize", photo, out, "--checkpoint", adain)
    return [
        ((*with_adain, "--style", files / "none.png"), "there is no style picture, folder or name"),
        ((*with_adain, "--style", files / "empty"), "holds no picture"),
        ((*with_adain, "--style", f"{wave}=abc"), "the weight 'abc' is not a number"),
        ((*with_adain, "--style", f"{wave}=-1"), "give a number of at least 0"),
        ((*with_adain, "--style", f"{wave}=0"), "sum to zero"),
        ((*with_adain, "--style", wave, "--alpha", "2"), "alpha=2 is not a strength"),
        (
            (*with_adain, "--style", wave, "--mask", files / "left.png", "--mask", files / "left.png"),
            "2 masks for 1 styles",
        ),
        ((*with_adain, "--style", wave, "--mask", files / "album" / "deep" / "two.png"), "the mask of style"),
        (("stylize", photo, out), "no style was given"),
        (("stylize", photo, out.with_suffix(".txt"), "--style", wave), "its name must end in one of"),
        (("stylize", photo, files, "--style", wave), "is a folder: name the picture to write"),
        (("stylize", files / "none.png", out, "--style", wave, *TINY_GATYS), "none.png"),
        (("stylize", photo, out, "--style", wave, "--method", "adain"), "needs a trained model: add --checkpoint"),
        (
            ("stylize", photo, out, "--style", wave, "--checkpoint", cyclegan),
            "takes no style pictures: use gan-style translate",
        ),
        (("stylize", photo, out, "--style", wave, "--weights", files / "no.pth"), "there is no file"),
        (("stylize", photo, out, "--style", wave, "--set", "model.stepz=3"), "stepz"),
        (("translate", files / "no.ckpt", photo, out), "there is no checkpoint"),
        (("translate", cyclegan, files / "nothing", out), "there is no file or folder"),
        (("sheet", out, "--content", photo, "--style", wave, "--mixes", "3"), "--mixes 3 with 1 styles does not"),
        (("sheet", out, "--content", photo, "--style", wave, "--style", wave, "--mixes", "1"), "in two steps or more"),
        (("sheet", out, "--content", photo), "a sheet needs a style"),
    ]


def test_mistakes_are_one_line_and_status_2(
    files: Path, adain: Path, cyclegan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, message in mistakes(files, adain, cyclegan, tmp_path / "out.png"):
        capsys.readouterr()
        assert run(*words) == 2, words
        stderr = capsys.readouterr().err.strip()
        assert message in stderr, words
        assert len(stderr.splitlines()) == 1, stderr
    assert list(tmp_path.iterdir()) == []


def test_a_weight_is_what_stands_behind_the_last_equals_sign(tmp_path: Path) -> None:
    odd = draw(tmp_path / "a=0.5.png", 1)
    assert parse_style(str(odd)) == (str(odd), 1.0)
    assert parse_style(f"{odd}=0.25") == (str(odd), 0.25)
    assert parse_style("wave") == ("wave", 1.0)
