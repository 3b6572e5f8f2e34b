"""`gan-style translate`: tiles, batches, going on, profiles and mistakes, on models of a few filters."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.files import Picture
from gan_style.data.images import read_image
from gan_style.data.raw import Carried
from gan_style.inference.files import Read, by_size, read_ahead
from gan_style.inference.tiling import tiled
from gan_style.inference.translator import LoadedTranslator
from tests.small_models import loaded, saved

RESNET = ("model=cut", "model.generator.init_gain=0.1")
GENERATORS = {
    "resnet": ("model=cut",),
    "unet": ("model=cyclegan", "model/generator=unet128", "model.generator.depth=3"),
    "two_branch": ("model=two_branch", "model.generator.depth=2"),
    "path": ("model=santa",),
    "attention": ("model=ugatit",),
    "styled": ("model=style_conditional",),
    "adain": ("model=adain",),
    "microast": ("model=microast",),
}


def draw(path: Path, seed: int, size: tuple[int, int] = (40, 30), **words: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (size[1] // 5, size[0] // 5, 3), np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(path, **words)
    return path


def run(*words: Any) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("model") / "cut.ckpt", *RESNET)


@pytest.fixture(scope="module")
def translator() -> LoadedTranslator:
    return loaded(*RESNET)


@pytest.mark.parametrize("name", GENERATORS)
def test_the_size_is_kept_around_every_stride(name: str) -> None:
    model = loaded(*GENERATORS[name])
    sides = sorted({k * stride + extra for stride in (4, 8) for k in (1, 2, 3) for extra in (0, 1, 3)})
    for height, width in zip(sides, reversed(sides), strict=True):
        x = torch.rand(3, height, width) * 2 - 1
        y = model.translate(x)
        assert y.shape == x.shape
        assert bool(y.isfinite().all())


@pytest.mark.parametrize("name", GENERATORS)
def test_tiles_give_what_the_whole_gives(name: str) -> None:
    model = loaded(*GENERATORS[name])
    x = torch.rand(2, 3, 45, 38) * 2 - 1
    torch.testing.assert_close(model.translate(x, tile=16), model.translate(x, tile=None), atol=1e-4, rtol=0)


def test_tiles_with_styles_strength_masks_and_colours() -> None:
    model, x = loaded("model=adain"), torch.rand(3, 40, 37) * 2 - 1
    styles = [(torch.rand(3, 30, 30) * 2 - 1, weight) for weight in (0.3, 0.7)]
    left = (torch.arange(37) < 20).float().expand(40, 37)
    for words in (
        {"style": styles, "alpha": 0.6, "preserve_color": True},
        {"style": [(style, 1) for style, _ in styles], "mask": [left, 1 - left]},
    ):
        whole = model.translate(x, tile=None, **words)
        torch.testing.assert_close(model.translate(x, tile=16, **words), whole, atol=1e-4, rtol=0)


def test_auto_takes_tiles_where_memory_wants_them(translator: LoadedTranslator, monkeypatch: Any) -> None:
    x, told = torch.rand(3, 64, 96) * 2 - 1, []
    whole = translator.translate(x)
    translator.watch = lambda *words: told.append(words)
    monkeypatch.setattr(tiled, "MAX_UNTILED_PIXELS", 0)
    assert torch.equal(translator.translate(x), whole)
    assert told == []
    monkeypatch.setattr(tiled, "MAX_PASS_BYTES", 300_000)
    monkeypatch.setattr(tiled, "MAX_TILE_BYTES", 200_000)
    torch.testing.assert_close(translator.translate(x), whole, atol=1e-4, rtol=0)
    assert told[0][0] == 0
    assert 10 < told[-1][0] == told[-1][1]
    assert "96x64 in tiles of 64, with " in told[0][2]
    translator.watch = None


def test_what_is_counted_before_grows_as_what_is_taken() -> None:
    """Whole passes cost in proportion to the pixels; with tiles only the disk does."""
    network = loaded("model=cut").model.G_AB
    small, large = (torch.zeros(1, 3, side, side) for side in (128, 256))
    cpu = torch.device("cpu")
    one, two = (tiled.counted(network, x, None, cpu) for x in (small, large))
    assert 3.8 < two.together / one.together < 4.1
    one, two = (tiled.counted(network, x, 32, cpu) for x in (small, large))
    assert one.memory == pytest.approx(two.memory, rel=0.1)
    assert two.disk == 4 * one.disk


def test_fast_tiles_are_close_smooth_and_not_exact(translator: LoadedTranslator) -> None:
    ramp = torch.linspace(-1, 1, 96)
    x = torch.stack([ramp.expand(80, 96), ramp.flip(0).expand(80, 96), ramp[:80, None].expand(80, 96)])
    whole, fast = translator.translate(x, tile=None), translator.translate(x, tile=32, tile_mode="fast")
    assert not torch.allclose(whole, fast, atol=1e-3)
    assert torch.equal(translator.translate(x, tile=96, tile_mode="fast"), whole)


@pytest.mark.parametrize(("side", "tile"), [(96, 32), (97, 32), (31, 32), (33, 32), (200, 48)])
def test_blending_weights_cover_a_side_evenly(side: int, tile: int) -> None:
    x = torch.rand(1, 3, side, 20)
    torch.testing.assert_close(tiled.blended(lambda part: part * 2, x, tile), x * 2)
    places = tiled.starts(side, tile, tile // 4)
    assert places[0] == 0
    assert max(places) + tile >= side
    assert all(b - a <= tile - tile // 4 for a, b in itertools.pairwise(places))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"tile": 3}, "tile=3 is not valid: give auto, off or a whole number of at least 16"),
        ({"tile": "big"}, "tile='big' is not valid"),
        ({"tile": 32.5}, "tile=32.5 is not valid"),
        ({"tile_mode": "rough"}, "tile_mode=rough is not known: take exact or fast"),
    ],
)
def test_other_tiles_are_refused(words: dict[str, Any], sentence: str, translator: LoadedTranslator) -> None:
    with pytest.raises(UserError, match=sentence):
        translator.translate(torch.zeros(3, 20, 20), **words)


def test_gatys_is_not_tiled() -> None:
    with pytest.raises(UserError, match="gatys optimises a whole picture and cannot be tiled"):
        loaded("model=gatys").translate(torch.zeros(3, 20, 20), style=torch.zeros(3, 20, 20), tile=32)


NOISY = ("model=cyclegan", "model/generator=painter", "model.generator.depth=2", "model.generator.init_gain=0.2")
ONE_WAY = ("model/generator@model.generator_BA=unet128", "model.generator_BA.filters=2", "model.generator_BA.depth=2")


def test_a_seed_is_another_rendition_in_tiles_and_batches_alike() -> None:
    translator, x = loaded(*NOISY), torch.rand(2, 3, 50, 41) * 2 - 1
    one, other = translator.translate(x, seed=1), translator.translate(x, seed=2)
    assert not torch.allclose(one, other, atol=1e-2)
    torch.testing.assert_close(translator.translate(x, seed=0), translator.translate(x))
    torch.testing.assert_close(translator.translate(x[1], seed=1), one[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(translator.translate(x, seed=1, tile=16), one, atol=1e-4, rtol=0)
    torch.testing.assert_close(translator.translate(x, style="painting", seed=1), one)
    torch.testing.assert_close(translator.translate(x), translator.translate(x, seed=0))  # no seed stays


def test_the_verb_takes_a_seed(tmp_path: Path) -> None:
    checkpoint, picture = saved(tmp_path / "a.ckpt", *NOISY), draw(tmp_path / "in.png", 0)
    for name, words in (("none", ()), ("0", ("--seed", "0")), ("5", ("--seed", "5")), ("again", ("--seed", "5"))):
        assert main(["translate", str(checkpoint), str(picture), str(tmp_path / f"{name}.png"), *words]) == 0
    none, zero, five, again = (read_image(tmp_path / f"{name}.png") for name in ("none", "0", "5", "again"))
    assert np.array_equal(none, zero)
    assert np.array_equal(five, again)
    assert not np.array_equal(none, five)


@pytest.mark.parametrize(
    ("words", "given", "sentence"),
    [
        (("model=cyclegan",), {}, "seed=3 is of a generator's noise, but this model draws none on the way A2B: leave"),
        ((*NOISY, *ONE_WAY), {"direction": "B2A"}, "draws none on the way B2A: leave seed out, or train one with"),
        ((*NOISY, *ONE_WAY), {"style": "photo"}, "draws none on the way B2A"),
        (("model=adain",), {"style": torch.zeros(3, 20, 20)}, "this model draws none: leave seed out"),
        (NOISY, {"seed": -1}, "seed=-1 is not valid: give a whole number of at least 0"),
        (NOISY, {"seed": 1.5}, "seed=1.5 is not valid"),
        (NOISY, {"seed": 2**63}, "is not valid: give a whole number"),
    ],
)
def test_a_seed_without_noise_is_refused(words: tuple[str, ...], given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        loaded(*words).translate(torch.zeros(3, 20, 20), **({"seed": 3} | given))


def test_pictures_of_one_size_in_one_pass(translator: LoadedTranslator, tmp_path: Path) -> None:
    arrays = [read_image(draw(tmp_path / f"{i}.png", i)) for i in range(3)]
    together = translator.translate_all(arrays)
    for array, image in zip(arrays, together, strict=True):
        alone = translator.translate(array).astype(int)
        assert np.abs(alone - image).max() <= 1  # a value between two steps may be rounded either way
    with pytest.raises(UserError, match="must have one size, but there are 40x30 and 40x35"):
        translator.translate_all([arrays[0], np.zeros((35, 40, 3), np.uint8)])


def blank(height: int) -> Picture:
    return Picture(np.zeros((height, 4, 3), np.uint8), [], None, Carried())


def test_batches_hold_one_size_and_few_wait() -> None:
    sizes = [4, 5, 4, 6, 5, 4, 7, 8, 9, 4]
    images = [Read(Path(str(i)), Path(), blank(size)) for i, size in enumerate(sizes)]
    images.insert(3, Read(Path("bad"), Path(), None, problem="it is bad"))
    groups = list(by_size(iter(images), 2))
    assert sorted(one.path.name for group in groups for one in group) == sorted(one.path.name for one in images)
    assert max(map(len, groups)) == 2
    assert all(len({one.array.shape for one in group if one.array is not None}) <= 1 for group in groups)
    assert [[one.path.name for one in group] for group in groups[:3]] == [["0", "2"], ["bad"], ["1", "4"]]
    many = (Read(Path(str(i)), Path(), blank(i + 1)) for i in range(100))
    first = next(by_size(many, 2))
    assert first[0].path.name == "0"
    assert next(many).path.name == "8"  # no more than 4 times the batch was taken


def test_reading_ahead_keeps_the_order_and_says_what_is_bad(tmp_path: Path) -> None:
    files = [draw(tmp_path / f"{i}.png", i) for i in range(4)]
    files[2].write_bytes(b"nothing")
    found = list(read_ahead([(path, path) for path in files], None, 2))
    assert [one.path for one in found] == files
    assert [one.array is None for one in found] == [False, False, True, False]
    assert "2.png" in found[2].problem


def test_a_folder_in_batches_and_tiles_is_the_same_folder(checkpoint: Path, tmp_path: Path) -> None:
    for i, size in enumerate(((40, 30), (33, 47), (40, 30), (40, 30))):
        draw(tmp_path / "in" / f"deep{i % 2}" / f"{i}.png", i, size)
    (tmp_path / "in" / "note.txt").write_text("not a picture")
    assert run("translate", checkpoint, tmp_path / "in", tmp_path / "one", "--tile", "off") == 0
    assert run("translate", checkpoint, tmp_path / "in", tmp_path / "two", "--batch", 3, "--tile", 16) == 0
    names = [
        sorted(str(p.relative_to(tmp_path / side)) for p in (tmp_path / side).rglob("*.*")) for side in ("one", "two")
    ]
    assert names[0] == names[1] == ["deep0/0.png", "deep0/2.png", "deep1/1.png", "deep1/3.png"]
    for name in names[0]:
        one, two = (read_image(tmp_path / side / name).astype(int) for side in ("one", "two"))
        assert np.abs(one - two).max() <= 1


def test_resume_leaves_what_is_there(checkpoint: Path, tmp_path: Path, capsys: Any) -> None:
    for i in range(3):
        draw(tmp_path / "in" / f"{i}.png", i)
    words = ("translate", checkpoint, tmp_path / "in", tmp_path / "out")
    assert run(*words) == 0
    (tmp_path / "out" / "1.png").unlink()
    (tmp_path / "out" / "0.png").write_bytes(b"older")
    capsys.readouterr()
    assert run(*words, "--resume") == 0
    assert "3 pictures into" in (said := capsys.readouterr().out)
    assert "(2 were there)" in said
    assert (tmp_path / "out" / "0.png").read_bytes() == b"older"
    assert read_image(tmp_path / "out" / "1.png").shape == (30, 40, 3)


def test_one_bad_file_is_told_and_the_others_done(checkpoint: Path, tmp_path: Path, capsys: Any) -> None:
    for i in range(3):
        draw(tmp_path / "in" / f"{i}.png", i)
    (tmp_path / "in" / "1.png").write_bytes((tmp_path / "in" / "1.png").read_bytes()[:200])
    assert run("translate", checkpoint, tmp_path / "in", tmp_path / "out", "--batch", 2) == 2
    said = capsys.readouterr().err
    assert "1.png is cut off" in said
    assert "1 of 3 pictures cannot be read" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "2.png"]


def test_a_turned_picture_comes_out_upright_and_in_its_colours(checkpoint: Path, tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(tmp_path / "in" / "a.jpg", 0, (40, 30), exif=exif, icc_profile=profile)
    grey = profile[:16] + b"GRAY" + profile[20:]  # says that it is of another kind of picture
    draw(tmp_path / "in" / "b.png", 0, (40, 30), icc_profile=grey)
    assert run("translate", checkpoint, tmp_path / "in", tmp_path / "out") == 0
    with Image.open(tmp_path / "out" / "a.jpg") as image:
        assert image.size == (30, 40)
        assert image.getexif().get(0x0112, 1) == 1
        assert image.info["icc_profile"] == profile
        ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    with Image.open(tmp_path / "out" / "b.png") as image:
        assert "icc_profile" not in image.info


def test_mistakes_are_one_line(checkpoint: Path, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    photo = draw(tmp_path / "in" / "photo.png", 0)
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    for words, sentence in (
        ((photo, photo), "is read and would be overwritten"),
        ((tmp_path / "in", tmp_path / "in"), "which is read"),
        ((tmp_path / "empty", out), "holds no picture"),
        ((photo, out, "--tile", "4"), "tile=4 is not valid"),
        ((photo, out, "--tile", "big"), "tile='big' is not valid"),
        ((photo, out, "--batch", "0"), "--batch=0 is not valid"),
        ((photo, out, "--tile", "16"), "cannot be written to"),
        ((photo, out, "--device", "tpu9"), "device=tpu9 cannot be used"),
    ):
        capsys.readouterr()
        assert run("translate", checkpoint, *words) == 2, words
        said = capsys.readouterr().err.strip()
        assert sentence in said, words
        assert len(said.splitlines()) == 1, said
    assert not out.exists()
