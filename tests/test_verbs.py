"""`gan-style stylize`, `translate` and `sheet`: what they refuse, and what they do with what is half wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gan_style.cli.main import _parsed, main
from gan_style.core.errors import UserError
from gan_style.data.images import read_image
from gan_style.inference.load import load
from tests.inference.test_inference import TINY_GATYS, draw, run, size_of
from tests.small_models import saved


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for name, seed in (("photo", 0), ("wave", 1), ("night", 2)):
        draw(folder / f"{name}.png", seed)
    draw(folder / "album" / "one.png", 3)
    draw(folder / "album" / "two.png", 4)
    (folder / "album" / "bad.png").write_bytes((folder / "photo.png").read_bytes()[:200])
    mask = np.zeros((30, 40), np.uint8)
    mask[:, :20] = 255
    Image.fromarray(mask).save(folder / "left.png")
    for model in ("adain", "cyclegan"):
        saved(folder / model / "checkpoints" / "last.ckpt", f"model={model}")
    return folder


def checkpoint(files: Path, model: str) -> Path:
    return files / model / "checkpoints" / "last.ckpt"


def mistakes(files: Path, out: Path) -> list[tuple[tuple[Any, ...], str]]:
    photo, wave, adain, cycle = (
        files / "photo.png",
        files / "wave.png",
        checkpoint(files, "adain"),
        checkpoint(files, "cyclegan"),
    )
    style = ("--style", wave)
    by_gatys = ("stylize", photo, out, *style, *TINY_GATYS)
    by_adain = ("stylize", photo, out, *style, "--checkpoint", adain)
    sheet = ("sheet", out, "--content", photo, *style)
    return [
        ((*by_adain, "--size", "0"), "size=0 is not valid: give a whole number of at least 1"),
        ((*by_gatys, "--size", "0"), "size=0 is not valid"),
        ((*by_adain, "--size", "-1"), "size=-1 is not valid"),
        ((*by_gatys, "--set", "model.lr=inf"), "model.lr=inf is not valid: input should be a finite number"),
        ((*by_gatys, "--set", "model.lambda_style=inf"), "model.lambda_style=inf is not valid"),
        ((*by_gatys, "--set", "model.lambda_style=1e39", "--every", "1"), "the result holds values that are NaN"),
        ((*by_gatys, "--every", "-1"), "--every=-1 is not valid"),
        ((*by_adain, "--every", "3"), "--every is for gatys"),
        ((*by_gatys, "--seed", "99999999999999999999"), "--seed=99999999999999999999 is not valid"),
        ((*sheet, "--seed", "-1"), "--seed=-1 is not valid"),
        ((*by_adain, "--method", "gatys"), "--method gatys is not what --checkpoint holds (adain)"),
        ((*by_adain, "--weights", "random"), "--weights is for gatys without a checkpoint"),
        ((*by_adain, "--set", "model.steps=2"), "--set is for gatys without a checkpoint"),
        ((*sheet, "--method", "adain"), "--method adain needs a trained model"),
        ((*sheet, "--method", "adain", "--checkpoint", cycle), "is not what --checkpoint holds (cyclegan)"),
        ((*sheet, "--cell", "0"), "--cell=0 is not valid"),
        ((*sheet, "--cell", "-5"), "--cell=-5 is not valid"),
        ((*sheet, "--style", f"{wave}=0.3"), "a sheet shows each style alone, without a weight"),
        ((*sheet, "--checkpoint", adain, "--checkpoint", adain), "is given twice: leave one out"),
        (("sheet", out, "--content", photo, "--checkpoint", adain), "a sheet needs a style"),
        ((*sheet[:-1], "paintng", "--checkpoint", cycle), "did you mean painting?"),
        ((*by_adain, "--style", "=0.5"), "names no style"),
        ((*by_adain, "--style", ""), "names no style"),
        (("stylize", photo, photo, *style, *TINY_GATYS), "is read and would be overwritten"),
        (("stylize", photo, wave, *style, *TINY_GATYS), "is read and would be overwritten"),
        (("stylize", photo, files / "album" / "new.png", "--style", files / "album"), "which is read"),
        (("sheet", photo, "--content", photo, *style), "is read and would be overwritten"),
        (("translate", cycle, photo, photo), "is read and would be overwritten"),
        (("translate", cycle, photo, files), "is read and would be overwritten"),
        (("translate", cycle, files / "album", files / "album"), "which is read"),
        (("translate", cycle, files / "album", files / "album" / "sub"), "which is read"),
        (("translate", cycle, photo, out, "--mask", files / "left.png"), "mask needs a style"),
        ((*by_gatys, "--set", "model.start=style", "--style", files / "night.png"), "begins with one style picture"),
    ]


def test_mistakes_are_one_line_and_nothing_is_written(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in files.rglob("*.png")}
    for words, message in mistakes(files, tmp_path / "out.png"):
        capsys.readouterr()
        assert run(*words) == 2, words
        stderr = capsys.readouterr().err.strip()
        assert message in stderr, words
        assert len(stderr.splitlines()) == 1, stderr
    assert list(tmp_path.iterdir()) == []
    assert {path: path.read_bytes() for path in files.rglob("*.png")} == before


def test_a_broken_picture_does_not_stop_a_folder(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("translate", checkpoint(files, "cyclegan"), files / "album", tmp_path / "out") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert f"{files / 'album' / 'bad.png'} is cut off" in lines[0]
    assert "1 of 3 pictures cannot be read, see above; 2 are in" in lines[1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one.png", "two.png"]


def test_masks_are_shortened_with_the_content(files: Path, tmp_path: Path) -> None:
    words = ("--style", files / "wave.png", "--mask", files / "left.png", "--size", "20", *TINY_GATYS)
    assert run("stylize", files / "photo.png", tmp_path / "out.png", *words) == 0
    plain = np.asarray(Image.open(files / "photo.png").resize((20, 15), Image.Resampling.BOX)).astype(int)
    output = read_image(tmp_path / "out.png").astype(int)
    assert output.shape == (15, 20, 3)
    assert np.abs(output - plain)[:, 10:].max() <= 2
    assert np.abs(output - plain)[:, :10].max() > 2


def test_gatys_may_begin_with_the_style(files: Path, tmp_path: Path) -> None:
    words = ("--style", files / "wave.png", *TINY_GATYS)
    images = []
    for start in ("content", "style"):
        assert run("stylize", files / "photo.png", tmp_path / "a.png", *words, "--set", f"model.start={start}") == 0
        images.append(read_image(tmp_path / "a.png").astype(int))
    content, style = (read_image(files / f"{name}.png").astype(int) for name in ("photo", "wave"))
    from_content, from_style = (np.abs(one - style).mean() for one in images)
    assert from_style < from_content < np.abs(content - style).mean() + 20
    assert not np.array_equal(*images)


def test_both_families_on_one_sheet(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[str] = []
    made: list[Any] = []

    def keep(rows: Any, names: list[str], *_: Any, **__: Any) -> Any:
        labels[:] = names
        made[:] = rows[0][1]
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr("gan_style.cli.sheet.draw_sheet", keep)
    both = [word for model in ("adain", "cyclegan") for word in ("--checkpoint", checkpoint(files, model))]
    styles = ("--style", files / "wave.png", "--style", files / "night.png")
    sheet = ("sheet", tmp_path / "sheet.png", "--content", files / "photo.png")
    assert run(*sheet, *both, *styles, "--preserve-color") == 0
    assert labels == ["adain: wave", "adain: night", "cyclegan: painting"]
    expected = load(checkpoint(files, "cyclegan")).translate(files / "photo.png", preserve_color=True)
    assert np.array_equal(np.asarray(made[2]), np.asarray(expected))
    assert run(*sheet, *both, *styles, "--mixes", "3") == 0
    assert len(labels) == 4
    assert labels[-1] == "cyclegan: painting"
    assert run(*sheet, *both[2:]) == 0
    assert labels == ["painting"]
    assert run(*sheet, *both[2:], "--style", "photo", "--style", "painting") == 0
    assert labels == ["photo", "painting"]


def test_ctrl_c_is_one_line_and_130(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gan_style.cli.arguments.load", interrupt)
    assert main(["translate", "a.ckpt", str(files / "photo.png"), str(tmp_path / "out.png")]) == 130
    assert capsys.readouterr().err == "gan_style: interrupted\n"


def test_a_nan_checkpoint_writes_nothing(files: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint(files, "adain"), weights_only=True)
    content["state_dict"] = {
        key: value.fill_(torch.nan) if key.startswith("decoder") else value
        for key, value in content["state_dict"].items()
    }
    torch.save(content, tmp_path / "nan.ckpt")
    with pytest.raises(UserError, match="the result holds values that are NaN"):
        load(tmp_path / "nan.ckpt").translate(files / "photo.png", style=files / "wave.png")
    assert run("translate", tmp_path / "nan.ckpt", files / "album" / "one.png", tmp_path / "out.png") == 2
    assert not (tmp_path / "out.png").exists()
    assert size_of(files / "photo.png") == (40, 30)


def test_words_may_stand_on_both_sides_of_the_options() -> None:
    parsed = _parsed(["plan", "model=cut", "--memory", "8GB", "data=tiny", "--hours", "2", "seed=1"])
    assert (parsed.overrides, parsed.hours) == (["model=cut", "data=tiny", "seed=1"], "2")


@pytest.mark.parametrize(
    "words", [("plan", "model=cut", "--memory", "8GB", "--what"), ("report", "runs/x", "--x", "y")]
)
def test_an_unknown_option_is_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        _parsed(list(words))
    assert end.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err
