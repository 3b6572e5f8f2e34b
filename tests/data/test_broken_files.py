"""Every kind of broken file gets its own sentence, and harmless flaws pass in silence."""

import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.data import decoding
from gan_style.data.images import check_images, list_images, read_image
from gan_style.data.opened import open_bytes
from gan_style.data.values import ValueRange
from tests.data.image_files import RGB, RGBA, WIDE, chunk, encode, encode_wide, png, rng, write

EDGE_CASES = Path(__file__).parents[3] / "shared/data/edge_cases"

JPEG = encode(Image.fromarray(RGB), "JPEG")
BROKEN = {
    "zero.jpg": (b"", r"is empty \(0 bytes\)"),
    "zeros.jpg": (bytes(500), "nothing but zeros"),
    "text.jpg": (b"not an image\n", "is a text file"),
    "page.png": ("<!DOCTYPE html><p>Größe</p>".encode(), "is a text file"),
    "pointer.jpg": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run `git lfs pull`"),
    "new.jpg": (b"\xff\x0a" + bytes(range(99)), "holds JPEG XL data"),
    "film.jpg": (b"\0\0\0\x18ftypmp42\0\0\0\0isomavc1", "holds video data"),
    "phone.jpg": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC picture|is a damaged HEIF file"),
    "random.png": (bytes(range(256)), "not a picture of a known format"),
    "damaged.png": (JPEG.replace(JPEG[:3], b"\x89PNG\r\n\x1a\n"), "is cut off"),
    "float.tif": (
        encode(Image.fromarray(RGB).convert("F"), "TIFF"),
        "holds float32 values, whose white point is unknown",
    ),
    "int.tif": (encode(Image.fromarray(RGB).convert("I"), "TIFF"), "holds int32 values, whose white point is unknown"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_kind_of_broken_file_is_named(tmp_path: Path, name: str) -> None:
    data, reason = BROKEN[name]
    path = write(tmp_path / name, data)
    with pytest.raises(UserError, match=rf"{re.escape(str(path))}.*({reason})") as caught:
        read_image(path)
    assert re.fullmatch(r"[^\n]+: [^\n]+\.", str(caught.value))
    skipped = check_images([path, write(tmp_path / "ok.jpg", JPEG)], "skip").skipped
    if name in ("float.tif", "int.tif"):
        assert "which data.dtype=uint8 would lose: train with data.dtype=float32 data.low=4" in skipped[0][1]
    else:
        assert skipped == [(path, str(caught.value))]


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    data = bytearray(png(np.zeros((1, 1, 3)), 2, 8))
    data[16:24] = struct.pack(">II", 60000, 60000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(UserError, match="claims more than 178 million pixels: make it smaller"):
        read_image(write(tmp_path / "bomb.png", bytes(data)))


def test_a_large_picture_is_read_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for suffix in ("jpg", "png", "webp", "bmp", "tif"):
        kind = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
        path = write(tmp_path / f"x.{suffix}", encode(Image.fromarray(RGBA if suffix == "png" else RGB), kind))
        assert read_image(path).shape == (32, 40, 3)


@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9, 0.995])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.jpg", {}),
        ("progressive.jpg", {"progressive": True}),
        ("x.png", {}),
        ("x.bmp", {}),
        ("x.webp", {}),
        ("x.tif", {}),
        ("lzw.tif", {"compression": "tiff_lzw"}),
    ],
)
def test_files_that_are_cut_off_are_found_by_reading_and_by_checking(
    tmp_path: Path, name: str, options: dict[str, Any], fraction: float
) -> None:
    kind = {".jpg": "JPEG", ".tif": "TIFF"}.get(name[-4:], name[-4:].strip(".").upper())
    large = Image.fromarray(rng.integers(0, 256, (120, 90, 3), dtype=np.uint8))
    data = encode(large, "WEBP" if name.endswith("webp") else kind, **options)
    path = write(tmp_path / name, data[: int(len(data) * fraction)])
    with pytest.raises(UserError, match="is cut off"):
        read_image(path)
    with pytest.raises(UserError, match="is cut off"):
        check_images([path])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_two_missing_bytes_are_noticed(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UserError, match="is cut off"):
        check_images([write(tmp_path / "x.jpg", encode(Image.fromarray(RGB), kind)[:-2])])


@pytest.mark.parametrize("name", ["x.jpg", "x.png"])
def test_damage_in_the_middle_is_told_from_truncation(tmp_path: Path, name: str) -> None:
    if name == "x.jpg":
        data = JPEG[:30] + bytes(60) + JPEG[90:]
    else:
        data = bytearray(encode(Image.fromarray(RGB), "PNG"))
        data[60:90] = bytes(30)
    with pytest.raises(UserError, match=r"is a damaged (JPEG|PNG) file \("):
        read_image(write(tmp_path / name, bytes(data)))


def test_a_missing_file_and_a_folder_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.jpg cannot be opened \(No such file"):
        read_image(tmp_path / "x.jpg")
    with pytest.raises(UserError, match=r"cannot be opened \(Is a directory"):
        read_image(tmp_path)


def test_broken_metadata_harms_nothing_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\0\x07\xff\xff\xff\xff\xff\xff"
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    noisy = JPEG[:2] + segment + JPEG[2:-2] + b"extra bytes" + JPEG[-2:]
    np.testing.assert_array_equal(
        read_image(write(tmp_path / "noisy.jpg", noisy)), read_image(write(tmp_path / "x.jpg", JPEG))
    )
    profile = chunk(b"iCCP", b"bad\0\0" + zlib.compress(b"short"))
    for bits, array in ((8, RGB), (16, WIDE[..., :3])):
        read_image(write(tmp_path / "noisy.png", png(array, 2, bits, profile, chunk(b"acTL", bytes(8)))))
    read_image(write(tmp_path / "rgba16.tif", encode_wide(WIDE, ".tif")))
    assert capfd.readouterr() == ("", "")


def test_one_eighth_of_a_jpeg_is_never_returned(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jpg", JPEG)
    image = open_bytes(path.read_bytes())
    assert image.size == (40, 32)
    decoding.verify(image)
    assert read_image(path).shape == (32, 40, 3)


# Files collected elsewhere


@pytest.fixture
def edge_cases() -> Path:
    if not EDGE_CASES.is_dir():
        pytest.skip("the optional folder shared/data/edge_cases is not beside the repository")
    return EDGE_CASES


def test_every_good_edge_case_loads(edge_cases: Path) -> None:
    paths = list_images(edge_cases / "ok")
    for path in paths:
        array = read_image(path)
        assert array.ndim == 3
        assert array.shape[2] == 3
    check = check_images(paths, on_error="skip")
    wide = [path for path in paths if "16bit" in path.name]
    assert check.good == [path for path in paths if path not in wide]
    assert check.sizes == [read_image(path).shape[1::-1] for path in check.good]
    assert all(
        "data.dtype=uint8 would lose 8: train with data.dtype=uint16" in sentence for _, sentence in check.skipped
    )
    assert check_images(paths, values=ValueRange.of("uint16", None, None, 3)).good == paths


def test_every_broken_edge_case_has_its_own_message(edge_cases: Path) -> None:
    reasons = set()
    paths = list_images(edge_cases / "broken")
    for path in paths:
        with pytest.raises(UserError) as caught:
            read_image(path)
        assert str(path) in str(caught.value)
        reasons.add(str(caught.value).replace(str(path), ""))
    assert len(reasons) == len(paths)
    assert len(paths) == sum(not path.name.startswith(".") for path in (edge_cases / "broken").iterdir())


def test_the_package_loads_without_its_heavy_libraries() -> None:
    code = "import sys, gan_style; print([m for m in ('cv2', 'albumentations', 'torch') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
