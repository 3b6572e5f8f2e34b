"""Every kind of picture file comes out as the same RGB."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from gan_style.core.errors import UserError
from gan_style.data.files import read_picture
from gan_style.data.images import check_images, read_image
from gan_style.data.opened import open_bytes
from gan_style.data.values import ValueRange
from tests.data.image_files import (
    GREY,
    RGB,
    RGBA,
    WIDE,
    chunk,
    encode,
    encode_wide,
    png,
    white_is_zero,
    with_tag,
    write,
)


def converted(path: Path) -> str | None:
    """What reading a picture converts, None for plain RGB with 8 bits."""
    return ", ".join(note.kind for note in open_bytes(path.read_bytes()).notes(ValueRange())) or None


def over_white(array: np.ndarray, white: int = 255) -> np.ndarray:
    """Reference in floating point: [H, W, C + 1] in [0, white] to unrounded [H, W, C] in [0, 255]."""
    values = array.astype(np.float64) / white
    return 255 * (values[..., :-1] * values[..., -1:] + 1 - values[..., -1:])


def grey_to_rgb(array: np.ndarray) -> np.ndarray:
    return array.reshape(*array.shape[:2], 1).repeat(3, axis=2)


ALPHA_OF_GREY = np.stack([GREY, RGBA[..., 3]], axis=2)
EXACT: dict[str, tuple[Callable[[], bytes], np.ndarray, str | None]] = {
    "rgb.png": (lambda: encode(Image.fromarray(RGB), "PNG"), RGB, None),
    "name with spaces.PNG": (lambda: encode(Image.fromarray(RGB), "PNG"), RGB, None),
    "rgb.bmp": (lambda: encode(Image.fromarray(RGB), "BMP"), RGB, None),
    "rgb.tif": (lambda: encode(Image.fromarray(RGB), "TIFF"), RGB, None),
    "lzw.tiff": (lambda: encode(Image.fromarray(RGB), "TIFF", compression="tiff_lzw"), RGB, None),
    "rgb.webp": (lambda: encode(Image.fromarray(RGB), "WEBP", lossless=True), RGB, None),
    "png_named.jpg": (lambda: encode(Image.fromarray(RGB), "PNG"), RGB, None),
    "grey.png": (lambda: encode(Image.fromarray(GREY), "PNG"), grey_to_rgb(GREY), "grey to RGB"),
    "grey.tif": (lambda: encode(Image.fromarray(GREY), "TIFF"), grey_to_rgb(GREY), "grey to RGB"),
    "one_bit.png": (
        lambda: encode(Image.fromarray(GREY > 127), "PNG"),
        grey_to_rgb((GREY > 127) * np.uint8(255)),
        "grey to RGB",
    ),
    "one_bit.tif": (
        lambda: encode(Image.fromarray(GREY > 127), "TIFF", compression="group4"),
        grey_to_rgb((GREY > 127) * np.uint8(255)),
        "grey to RGB",
    ),
    "grey_alpha.png": (
        lambda: png(ALPHA_OF_GREY, 4, 8),
        grey_to_rgb(over_white(ALPHA_OF_GREY)),
        "grey to RGB, alpha composited over white",
    ),
    "rgba.png": (
        lambda: encode(Image.fromarray(RGBA), "PNG"),
        over_white(RGBA),
        "alpha composited over white",
    ),
    "rgba.tif": (
        lambda: encode(Image.fromarray(RGBA), "TIFF"),
        over_white(RGBA),
        "alpha composited over white",
    ),
    "grey16.png": (
        lambda: encode_wide(WIDE[..., :1], ".png"),
        grey_to_rgb(WIDE[..., :1] / 257),
        "grey to RGB, 16 bit to 8 bit",
    ),
    "grey16.tif": (
        lambda: encode_wide(WIDE[..., :1], ".tif"),
        grey_to_rgb(WIDE[..., :1] / 257),
        "grey to RGB, 16 bit to 8 bit",
    ),
    "grey16_big_endian.tif": (
        lambda: encode(Image.frombytes("I;16B", (40, 32), WIDE[..., 0].astype(">u2").tobytes()), "TIFF"),
        grey_to_rgb(WIDE[..., :1] / 257),
        "grey to RGB, 16 bit to 8 bit",
    ),
    "grey16_white_is_zero.tif": (
        lambda: white_is_zero(encode_wide(WIDE[..., :1], ".tif")),
        255 - grey_to_rgb(WIDE[..., :1] / 257),
        "grey to RGB, 16 bit to 8 bit",
    ),
    "rgb16.png": (lambda: encode_wide(WIDE[..., :3], ".png"), WIDE[..., :3] / 257, "16 bit to 8 bit"),
    "rgb16.tif": (lambda: encode_wide(WIDE[..., :3], ".tif"), WIDE[..., :3] / 257, "16 bit to 8 bit"),
    "rgba16.png": (
        lambda: encode_wide(WIDE, ".png"),
        over_white(WIDE, 65535),
        "16 bit to 8 bit, alpha composited over white",
    ),
    "rgba16.tif": (
        lambda: encode_wide(WIDE, ".tif"),
        over_white(WIDE, 65535),
        "16 bit to 8 bit, alpha composited over white",
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_lossless_files_come_out_as_rounded_rgb(tmp_path: Path, name: str) -> None:
    make, expected, conversion = EXACT[name]
    path = write(tmp_path / name, make())
    result = read_image(path)
    assert result.dtype == np.uint8
    assert result.shape == (32, 40, 3)
    assert result.flags.c_contiguous
    # Two roundings (composite, then scale) may differ from one by a hair beyond one half.
    assert np.abs(result - expected).max() <= 0.51
    assert converted(path) == conversion


def test_all_65536_grey_levels_are_rounded_to_nearest(tmp_path: Path) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    for suffix in (".png", ".tif"):
        colour = read_image(write(tmp_path / f"c{suffix}", encode_wide(levels.repeat(3, axis=2), suffix)))
        grey = read_image(write(tmp_path / f"g{suffix}", encode_wide(levels, suffix)))
        np.testing.assert_array_equal(colour, np.rint(levels.repeat(3, axis=2) / 257))
        np.testing.assert_array_equal(grey, colour)


def test_palettes_with_and_without_transparency(tmp_path: Path) -> None:
    indexed = Image.fromarray(RGB).quantize(16)
    expected = np.asarray(indexed.convert("RGB"))
    path = write(tmp_path / "p.png", encode(indexed, "PNG"))
    np.testing.assert_array_equal(read_image(path), expected)
    assert converted(path) == "palette to RGB"
    path = write(tmp_path / "t.png", encode(indexed, "PNG", transparency=3))
    clear = (np.asarray(indexed) == 3)[..., None]
    assert clear.any()
    np.testing.assert_array_equal(read_image(path), np.where(clear, 255, expected))
    assert converted(path) == "palette to RGB, alpha composited over white"


@pytest.mark.parametrize(("colour_type", "bits"), [(0, 8), (2, 8), (0, 16), (2, 16)])
def test_a_transparent_colour_becomes_white(tmp_path: Path, colour_type: int, bits: int) -> None:
    channels = 3 if colour_type == 2 else 1
    array = (WIDE if bits == 16 else RGBA)[..., :channels]
    key = chunk(b"tRNS", struct.pack(f">{channels}H", *array[5, 6]))
    path = write(tmp_path / "t.png", png(array, colour_type, bits, key))
    clear = (array == array[5, 6]).all(axis=2, keepdims=True)
    expected = np.where(clear, 255, np.rint(array / (257 if bits == 16 else 1)))
    np.testing.assert_array_equal(read_image(path), np.broadcast_to(expected, (32, 40, 3)))
    assert "alpha composited over white" in str(converted(path))


def test_cmyk_is_ink_on_paper(tmp_path: Path) -> None:
    inks = np.zeros((16, 48, 4), np.uint8)
    inks[:, :16, 0], inks[:, 16:32, 3], inks[:, 32:, 1:3] = 255, 255, 255
    expected = np.repeat([[[0, 255, 255], [0, 0, 0], [255, 0, 0]]], 16, axis=1).repeat(16, axis=0)
    for name, kind, tolerance in (("c.jpg", "JPEG", 4), ("c.tif", "TIFF", 0)):
        path = write(tmp_path / name, encode(Image.fromarray(inks, "CMYK"), kind))
        assert np.abs(read_image(path).astype(int) - expected).max() <= tolerance
        assert converted(path) == "CMYK to RGB"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientations_are_applied(tmp_path: Path, kind: str, orientation: int) -> None:
    upright = Image.fromarray(RGB)
    # Pillow turns the picture back by the inverse; 6 and 8 are each other's, all others their own.
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    exif = Image.Exif()
    exif[0x0112] = inverse
    stored = Image.fromarray(RGB)
    stored.info["exif"] = exif.tobytes()
    stored.getexif()[0x0112] = inverse
    stored = ImageOps.exif_transpose(stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    if kind == "JPEG":
        options = {"quality": 100, "subsampling": 0}
    path = write(tmp_path / f"x.{kind.lower()}", encode(stored, kind, exif=exif.tobytes(), **options))
    result = read_image(path)
    assert result.shape == (32, 40, 3)
    assert np.abs(result.astype(int) - np.asarray(upright)).max() <= (6 if kind == "JPEG" else 0)
    assert converted(path) == (None if orientation == 1 else "EXIF orientation applied")
    assert check_images([path]).sizes == [(40, 32)]


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_and_an_orientation_together(tmp_path: Path, suffix: str, channels: int, orientation: int) -> None:
    turns = {1: 0, 3: 2, 6: 1}[orientation]
    data = encode_wide(np.ascontiguousarray(np.rot90(WIDE[..., :channels], turns)), suffix)
    if suffix == ".png":
        tag = b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 1, orientation, 0) + bytes(4)
        data = data[:33] + chunk(b"eXIf", tag) + data[33:]
    else:
        data = with_tag(data, 0x0112, orientation)
    path = write(tmp_path / f"x{suffix}", data)
    expected = np.broadcast_to(np.rint(WIDE[..., :channels] / 257), (32, 40, 3))
    np.testing.assert_array_equal(read_image(path), expected)
    wide = ValueRange.of("uint16", None, None, channels)
    assert check_images([path], values=wide).sizes == [(40, 32)]
    np.testing.assert_array_equal(read_picture(path, wide), WIDE[..., :channels])
    with pytest.raises(UserError, match=r"train with data\.dtype=uint16"):
        check_images([path])


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}])
def test_jpeg_agrees_with_opencv(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write(tmp_path / "x.jpg", encode(Image.fromarray(RGB), "JPEG", **options))
    # Both use libjpeg-turbo; one step of rounding is left to differing versions.
    reference = cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(read_image(path).astype(int) - reference).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp"])
def test_lossless_files_agree_with_opencv(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x{suffix}", cv2.imencode(suffix, RGB[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])[1])
    np.testing.assert_array_equal(read_image(path), cv2.imread(str(path))[..., ::-1])
