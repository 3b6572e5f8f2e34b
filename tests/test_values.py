"""From a file through a model into a file: nothing is lost on the way, whatever the pictures are."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gan_style
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.files import read_picture
from gan_style.data.saving import FORMATS, JPEG, save_image
from gan_style.data.values import ValueRange
from gan_style.inference.translator import LoadedTranslator
from tests.conftest import trained_into
from tests.data.test_files import CASES, drawn, values_of
from tests.small_models import loaded


class Identity(torch.nn.Module):
    per_sample = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def identity(A: ValueRange, B: ValueRange | None = None) -> LoadedTranslator:
    translator = loaded("model=cyclegan")
    translator.values = {"A": A, "B": B or A}
    translator.model.G_AB = Identity()
    return translator


LOSSLESS = [case for case in CASES if case[2] not in (*JPEG, ".gif")]


@pytest.mark.parametrize(("dtype", "channels", "suffix"), LOSSLESS)
def test_an_identity_generator_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, channels: int, suffix: str
) -> None:
    values, array = values_of(dtype, channels), drawn(dtype, channels)
    save_image(array, tmp_path / "in" / "deep" / f"x{suffix}")
    monkeypatch.setattr("gan_style.cli.translate.load", lambda *_, **__: identity(values))
    assert main(["translate", "x.ckpt", str(tmp_path / "in"), str(tmp_path / "out")]) == 0
    back = read_picture(tmp_path / "out" / "deep" / f"x{suffix}", values)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    if dtype == "float32":  # a network computes in 24 bits
        assert np.abs(back - array).max() <= (values.high - values.low) * 2**-24
    else:
        np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize(("dtype", "channels"), [*product(("uint8", "uint16", "float32"), (1, 3, 4, 7))])
def test_every_kind_of_argument_comes_back_as_what_it_was(dtype: str, channels: int) -> None:
    values, array = values_of(dtype, channels), drawn(dtype, channels)
    back = identity(values).translate(array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_allclose(back, array, rtol=0, atol=(values.high - values.low) * 2**-24)
    if dtype == "uint8" and channels in (1, 3, 4):
        image = Image.fromarray(array[..., 0] if channels == 1 else array)
        np.testing.assert_array_equal(np.asarray(identity(values).translate(image)), np.asarray(image))


def test_the_target_s_kind_decides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = ValueRange("float32", -1000.0, 3000.0, 3)
    monkeypatch.setattr("gan_style.cli.translate.load", lambda *_, **__: identity(ValueRange(), target))
    save_image(drawn("uint8", 3), tmp_path / "in" / "x.png")
    assert main(["translate", "x.ckpt", str(tmp_path / "in"), str(tmp_path / "out")]) == 0
    written = read_picture(tmp_path / "out" / "x.tif", target)
    np.testing.assert_allclose(written, drawn("uint8", 3) / 255 * 4000 - 1000, atol=1e-3)


def test_a_file_that_cannot_hold_the_result_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gan_style.cli.translate.load", lambda *_, **__: identity(values_of("uint16", 3)))
    save_image(drawn("uint16", 3), tmp_path / "x.png")
    assert main(["translate", "x.ckpt", str(tmp_path / "x.png"), str(tmp_path / "y.jpg")]) == 2
    assert (
        "y.jpg cannot hold uint16 pictures of 3 channels: its name must end in one of .png" in capsys.readouterr().err
    )
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_16_bits_are_not_dropped_by_an_8_bit_model(tmp_path: Path) -> None:
    save_image(drawn("uint16", 3), tmp_path / "x.png")
    with pytest.raises(UserError, match=r"x\.png has 16 bits per channel, of which data\.dtype=uint8 would lose 8"):
        identity(ValueRange()).translate(tmp_path / "x.png")
    save_image(drawn("uint16", 1), tmp_path / "grey.png")
    with pytest.raises(UserError, match="16 bits"), Image.open(tmp_path / "grey.png") as image:
        identity(ValueRange()).translate(image)


def test_a_trained_model_carries_the_kinds_of_both_domains(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for domain, i in product("AB", range(3)):
        array = rng.integers(0, 65536, (36, 36, 4)).astype(np.uint16)
        if domain == "B":
            array = rng.uniform(-50, 50, (36, 36, 1)).astype(np.float32)
        save_image(array, tmp_path / "set" / f"train{domain}" / f"{i}.tif")
    words = ["data=folders", f"data.root={tmp_path / 'set'}", "data.image_size=32", "data.load_size=32"]
    words += [
        "data.dtype={A: uint16, B: float32}",
        "data.low={B: -50}",
        "data.high={B: 50}",
        "data.channels={A: 4, B: 1}",
    ]
    run_dir = trained_into(tmp_path / "run", *words, "model.lambda_idt=0", "trainer.max_steps=2")
    translator = gan_style.load(run_dir / "checkpoints" / "last.ckpt")
    assert translator.written("A2B") == ValueRange("float32", -50.0, 50.0, 1)
    there = translator.translate(tmp_path / "set" / "trainA" / "0.tif", "A2B")
    assert (there.dtype, there.shape) == (np.float32, (36, 36, 1))
    back = translator.translate(there, "B2A")
    assert (back.dtype, back.shape) == (np.uint16, (36, 36, 4))
    assert (tmp_path / "run" / "report.html").stat().st_size > 1000


def test_every_format_is_covered() -> None:
    assert {suffix for _, _, suffix in CASES} == set(FORMATS)


def test_outputs_that_would_meet_keep_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "gan_style.cli.translate.load", lambda *_, **__: identity(ValueRange(), ValueRange("float32", 0.0, 1.0, 3))
    )
    for name in ("x.png", "x.jpg", "y.png", "z.tif"):
        save_image(drawn("uint8", 3), tmp_path / "in" / name)
    assert main(["translate", "x.ckpt", str(tmp_path / "in"), str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x.jpg.tif", "x.png.tif", "y.tif", "z.tif"]
