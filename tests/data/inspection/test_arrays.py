"""Pictures that 8-bit RGB does not hold: 16 bits, floats, many channels."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.contact_sheet import GAP, HEAD
from gan_style.data.files import read_picture
from gan_style.data.inspection.contact import CELL, draw_contact_sheet
from gan_style.data.inspection.examine import examine
from gan_style.data.inspection.facts import ImageFacts, Unreadable, read_facts
from gan_style.data.inspection.findings import Finding
from gan_style.data.inspection.seen import look_at
from gan_style.data.opened import named_bytes, open_bytes
from gan_style.data.values import ValueRange
from tests.data.inspection.image_sets import save, scene


def facts(path: Path) -> ImageFacts:
    found = read_facts(path)
    assert isinstance(found, ImageFacts)
    return found


def store(path: Path, values: np.ndarray) -> Path:
    """As the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".tif":
        colours = values.shape[2:] == (3,)
        contiguous = "contig" if values.ndim == 3 else None
        tifffile.imwrite(path, values, photometric="rgb" if colours else "minisblack", planarconfig=contiguous)
    else:
        cv2.imwrite(str(path), values[..., ::-1] if values.ndim == 3 else values)
    return path


def noise(seed: int, channels: int, most: float = 200, dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, most, (40, 40, channels)).astype(dtype)


def report(root: Path) -> dict[str, Finding]:
    images = {folder.name: sorted(folder.iterdir()) for folder in sorted(root.iterdir())}
    return {finding.code: finding for finding in examine(images, root, 32)[1]}


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize("channels", [1, 3])
def test_dark_pictures_of_16_bits_are_told_apart(tmp_path: Path, suffix: str, channels: int) -> None:
    values = [noise(seed, channels, most=120) for seed in (0, 1)]
    stored = [v if channels == 3 else v[..., 0] for v in values]
    one, other = (facts(store(tmp_path / f"{i}{suffix}", v)) for i, v in enumerate(stored))
    assert one.digest != other.digest
    assert not one.blank
    assert (one.low, one.high, one.bits) == (values[0].min(), values[0].max(), 16)
    assert one.thumbnail.std() > 1


def test_the_last_of_16_bits_counts_and_another_container_does_not(tmp_path: Path) -> None:
    values = noise(0, 3, most=65535)
    digest = facts(store(tmp_path / "x.png", values)).digest
    assert facts(store(tmp_path / "x.npy", values)).digest == digest
    assert facts(store(tmp_path / "swapped.npy", values.astype(">u2"))).digest == digest
    assert facts(store(tmp_path / "y.png", values ^ 1)).digest != digest


def test_a_picture_of_16_bits_is_no_exact_copy_of_one_of_8(tmp_path: Path) -> None:
    grey = scene(0, "A")[..., 0]
    for folder, values in (("trainA", grey), ("trainB", grey.astype(np.uint16) * 257 + 5)):
        store(tmp_path / folder / "x.png", values)
    assert "1 near" in report(tmp_path)["shared"].sentence


def test_one_value_all_over_is_blank_in_16_bits(tmp_path: Path) -> None:
    assert facts(store(tmp_path / "x.png", np.full((8, 8), 40_000, np.uint16))).blank


def test_transparency_of_16_bits_is_no_value(tmp_path: Path) -> None:
    values = np.dstack([noise(0, 3, most=900), np.full((40, 40), 65535, np.uint16)])
    cv2.imwrite(str(tmp_path / "x.png"), values)
    found = facts(tmp_path / "x.png")
    assert (found.alpha, found.channels, found.high) == (True, 4, values[..., :3].max())


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("x.npy", noise(0, 2, dtype="float32")),
        ("x.npy", noise(0, 3, most=2) > 0),
        ("x.tif", noise(0, 1, dtype="float32")[..., 0]),
        ("x.tif", noise(0, 7)),
        ("x.png", noise(0, 3)),
    ],
)
def test_the_sheet_shows_whatever_was_read(tmp_path: Path, name: str, values: np.ndarray) -> None:
    path = store(tmp_path / name, values)
    sheet = draw_contact_sheet(examine({"trainA": [path]}, tmp_path, 32)[0])
    cell = sheet[GAP + HEAD : -2 * GAP, GAP : GAP + CELL]
    assert len(np.unique(cell[cell.min(axis=2) < 255])) > (1 if values.dtype == bool else 20)
    assert look_at(path).shown.max() == 255


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_what_is_not_finite_is_unreadable_as_in_training(tmp_path: Path, bad: float, suffix: str) -> None:
    values = noise(0, 3, dtype="float64")
    values[3, 4, 1] = bad
    path = store(tmp_path / "trainA" / f"x{suffix}", values)
    found = read_facts(path)
    assert isinstance(found, Unreadable)
    assert found.reason.startswith(f"{path} holds values that are not finite")
    with np.errstate(over="ignore"), pytest.raises(UserError, match="not finite"):
        read_picture(path, ValueRange("float32", 0, 1, 3))
    store(tmp_path / "trainB" / "x.npy", values * 0 if np.isfinite(bad) else noise(1, 3))
    out = tmp_path / "found.json"
    assert main(["inspect", str(tmp_path), "--out", str(out)]) == 1
    json.loads(out.read_text(), parse_constant=lambda word: pytest.fail(word))


def test_complex_numbers_are_a_sentence(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.ones((8, 8), np.complex64))
    found = read_facts(tmp_path / "x.tif")
    assert isinstance(found, Unreadable)
    assert "holds complex64 values" in found.reason


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "q.png"
    os.mkfifo(pipe)
    (tmp_path / "link.png").symlink_to(pipe)
    for path in (pipe, tmp_path / "link.png"):
        with pytest.raises(UserError, match=rf"{path.name} is no regular file"), named_bytes(path):
            pass
    assert isinstance(read_facts(pipe), Unreadable)


def test_many_channels_are_not_logged_for_every_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = store(tmp_path / "x.tif", noise(0, 7))
    with caplog.at_level(logging.DEBUG):
        facts(path)
        with pytest.raises(UserError):
            open_bytes(path.read_bytes())
    assert caplog.records == []


def test_8_bit_pictures_keep_their_range(tmp_path: Path) -> None:
    pixels = scene(0, "A") // 4
    shown = look_at(save(pixels, tmp_path / "x.png")).shown
    np.testing.assert_array_equal(shown, np.asarray(Image.open(tmp_path / "x.png")))
    np.testing.assert_array_equal(look_at(store(tmp_path / "x.npy", pixels)).shown, pixels)


HALF = np.clip(noise(0, 2, dtype="float16") // 1, 0, 198)


def test_the_real_range_of_16_bit_colours_is_named(tmp_path: Path) -> None:
    values = noise(0, 3, most=900)
    for domain in "AB":
        store(tmp_path / f"train{domain}" / "x.png", values)
    sentence = report(tmp_path)["sixteen-bit"].sentence
    assert f"their values go from {values.min()} to {values.max()}." in sentence


@pytest.mark.parametrize(
    ("A", "B", "settings"),
    [
        (noise(0, 7), noise(1, 7), "data.channels=7 data.dtype=uint16"),
        (noise(0, 7), noise(1, 3), "'data.channels={A:7,B:3}' data.dtype=uint16"),
        (noise(0, 5, dtype="uint8"), noise(1, 5, dtype="uint8"), "data.channels=5"),
        (HALF, HALF.copy(), "data.channels=2 data.dtype=float32 data.low=0 data.high=198"),
    ],
)
def test_the_setting_for_many_channels_is_named_and_works(
    tmp_path: Path, A: np.ndarray, B: np.ndarray, settings: str, capsys: pytest.CaptureFixture[str]
) -> None:
    suffix = ".npy" if A.shape[2] < 7 else ".tif"
    path = store(tmp_path / "trainA" / f"x{suffix}", A)
    store(tmp_path / "trainB" / f"x{suffix}", B)
    finding = report(tmp_path)["channels"]
    assert (finding.severity, finding.remedy) == ("warning", f"set {settings}")
    assert f"1 of 1 pictures of domain A have {A.shape[2]} channels" in finding.sentence or "domain B" in str(finding)
    chosen = dict(word.strip("'").split("=") for word in settings.split())
    limits = [float(chosen[key]) if key in chosen else None for key in ("data.low", "data.high")]
    values = ValueRange.of(chosen.get("data.dtype", "uint8"), *limits, A.shape[2])  # type: ignore[arg-type]
    assert read_picture(path, values).shape == A.shape
    main(["inspect", str(tmp_path)])
    assert f"{A.shape[2]} ({A.dtype.name})" in " ".join(capsys.readouterr().out.split())


def test_pictures_without_the_usual_channels_are_removed_or_the_others(tmp_path: Path) -> None:
    for i, channels in enumerate((7, 7, 3)):
        store(tmp_path / "trainA" / f"{i}.tif", noise(i, channels))
    store(tmp_path / "trainB" / "x.tif", noise(9, 7))
    images = {folder.name: sorted(folder.iterdir()) for folder in sorted(tmp_path.iterdir())}
    first, second = (f for f in examine(images, tmp_path, 32)[1] if f.code == "channels")
    assert first.sentence.startswith("2 of 3 pictures of domain A have 7 channels, where")
    assert first.remedy == "set data.channels=7 data.dtype=uint16, and remove the others"
    assert second.remedy == "set data.channels=7 data.dtype=uint16"
