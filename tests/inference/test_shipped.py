"""The model in the package: there without a file, a network or an account, and quick from a fresh process."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gan_style
from gan_style.checkpoints.checkpoint import SHIPPED
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.scenes import draw_scene
from gan_style.data.scenes.looks import draw_look

MAX_BYTES = 1_500_000
FREE = ("CC0", "public domain", "Kodak PhotoCD suite, released for unrestricted use")
HEAVY = ("hydra", "pytorch_lightning", "torchvision", "albumentations", "gradio", "torchmetrics", "scipy", "sympy")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(draw_scene(0, 0, 64, "A")).save(folder / "photo.png")
    for look in ("ink", "woodcut"):
        Image.fromarray(draw_look(0, 1, 64, look)).save(folder / f"{look}.png")
    left = np.zeros((64, 64), np.uint8)
    left[:, :32] = 255
    Image.fromarray(left).save(folder / "left.png")
    Image.fromarray(255 - left).save(folder / "right.png")
    return folder


def stylized(files: Path, out: Path, *words: object) -> np.ndarray:
    assert main(["stylize", str(files / "photo.png"), str(out), *map(str, words)]) == 0
    return np.asarray(Image.open(out))


def test_it_is_small_and_in_float16() -> None:
    path = SHIPPED["microast"]
    assert path.stat().st_size <= MAX_BYTES
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert {one["dtype"] for name, one in header.items() if name != "__metadata__"} == {"F16"}
    described = " ".join(header["__metadata__"].values())
    assert "/tmp" not in described
    assert "/work" not in described


def test_every_picture_it_learned_from_is_listed_and_free() -> None:
    rows = list(csv.DictReader(SHIPPED["microast"].with_suffix(".csv").read_text().splitlines()))
    assert {row["use"] for row in rows} == {"content", "style"}
    assert all(row["licence"].startswith(FREE) for row in rows)
    assert not any("nst" in row["file"] for row in rows)


def test_stylize_takes_it_where_nothing_else_is_named(files: Path, tmp_path: Path) -> None:
    found = stylized(files, tmp_path / "out.png", "--style", files / "ink.png")
    translator = gan_style.load("microast", device="cpu")
    wanted = np.asarray(translator.translate(files / "photo.png", style=files / "ink.png"))
    assert np.array_equal(found, wanted)
    same = stylized(files, tmp_path / "same.png", "--style", files / "ink.png", "--method", "microast")
    assert np.array_equal(found, same)


def test_it_is_the_style_interfaces(files: Path, tmp_path: Path) -> None:
    """Mixes, strength, colours and masks change what comes out, each in its way."""
    ink, wood = ("--style", files / "ink.png"), ("--style", files / "woodcut.png")
    photo = np.asarray(Image.open(files / "photo.png")).astype(float)
    one = stylized(files, tmp_path / "a.png", *ink).astype(float)
    other = stylized(files, tmp_path / "b.png", *wood).astype(float)
    assert np.abs(one - other).mean() > 5
    mixed = stylized(files, tmp_path / "c.png", "--style", f"{files / 'ink.png'}=0.5", "--style", f"{wood[1]}=0.5")
    assert max(np.abs(mixed - one).mean(), np.abs(mixed - other).mean()) < np.abs(one - other).mean()
    assert np.abs(stylized(files, tmp_path / "d.png", *ink, "--alpha", 0) - one).mean() > 2
    kept = stylized(files, tmp_path / "e.png", *ink, "--preserve-color").astype(float)
    blue_red = [image[..., 2] - image[..., 0] for image in (kept, one, photo)]
    assert np.abs(blue_red[0] - blue_red[2]).mean() < np.abs(blue_red[1] - blue_red[2]).mean()
    masks = ("--mask", files / "left.png", "--mask", files / "right.png")
    halves = stylized(files, tmp_path / "f.png", *ink, *wood, *masks).astype(float)
    assert np.abs(halves[:, :32] - one[:, :32]).max() <= 1
    assert np.abs(halves[:, 32:] - other[:, 32:]).max() <= 1


def test_it_keeps_the_content_and_takes_the_style_s_colours(files: Path) -> None:
    """Of drawn pictures it has not seen: nearer to the style in mean colour than the photo, edges where they were."""
    translator = gan_style.load("microast", device="cpu")
    photo = torch.from_numpy(draw_scene(3, 5, 128, "A")).permute(2, 0, 1)[None] / 127.5 - 1
    nearer = []
    for look in ("ink", "pointillism", "woodcut", "painting"):
        style = torch.from_numpy(draw_look(3, 9, 128, look)).permute(2, 0, 1)[None] / 127.5 - 1
        made = translator.translate(photo, style=style)
        apart = [(x.mean((2, 3)) - style.mean((2, 3))).abs().mean() for x in (made, photo)]
        nearer.append(bool(apart[0] < apart[1]))
        grey = [x.mean(1).flatten() for x in (made, photo)]
        assert float(torch.corrcoef(torch.stack(grey))[0, 1]) > 0.5, look
    assert sum(nearer) >= 3


def test_gatys_is_asked_for_by_name_or_by_its_own_settings(files: Path, tmp_path: Path) -> None:
    quick = ("--weights", "random", "--set", "model.steps=1", "--size", 16)
    named = stylized(files, tmp_path / "a.png", "--style", files / "ink.png", "--method", "gatys", *quick)
    meant = stylized(files, tmp_path / "b.png", "--style", files / "ink.png", *quick)
    assert np.array_equal(named, meant)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--method", "microast", "--weights", "random"), "--weights is for gatys without a checkpoint: leave it or"),
        (("--method", "microast", "--every", "3"), "--every is for gatys"),
        (("--method", "adain"), "--method adain needs a trained model"),
    ],
)
def test_what_is_of_another_method_is_refused(
    files: Path, tmp_path: Path, words: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    style = str(files / "ink.png")
    assert main(["stylize", str(files / "photo.png"), str(tmp_path / "x.png"), "--style", style, *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


def test_a_sheet_takes_it_too(files: Path, tmp_path: Path) -> None:
    words = ["sheet", tmp_path / "sheet.png", "--content", files / "photo.png", "--style", files / "ink.png"]
    assert main([str(word) for word in words]) == 0
    assert (tmp_path / "sheet.png").is_file()


def test_other_verbs_know_its_name_and_a_file_of_that_name_goes_first(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.png"
    assert main(["translate", "microast", str(files / "photo.png"), str(out), "--style", str(files / "ink.png")]) == 0
    assert main(["describe", "microast"]) == 0
    assert "MicroAST" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    Path("microast").write_text("mine")
    with pytest.raises(UserError, match="microast"):
        gan_style.load("microast")


CODE = """
import sys
from gan_style.cli.main import main
assert main(sys.argv[1:]) == 0
print(*[name for name in {heavy} if name in sys.modules])
"""


def fresh(files: Path, out: Path) -> str:
    words = ["stylize", files / "photo.png", out, "--style", files / "ink.png"]
    code = CODE.format(heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_fresh_process_imports_nothing_heavy(files: Path, tmp_path: Path) -> None:
    assert fresh(files, tmp_path / "out.png") == f"{tmp_path / 'out.png'}: 64x64 pixels"
