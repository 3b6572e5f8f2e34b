"""Metadata around the pixels: what is read from it and what is taken away."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_style.data.containers import TruncatedError, orientation_of, strip_jpeg, strip_png
from gan_style.data.images import read_image
from tests.data.image_files import RGB, encode, write


def exif_block(value: int, order: str = ">", kind: int = 3) -> bytes:
    mark = b"MM\0*" if order == ">" else b"II*\0"
    return mark + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, kind, 1, value, 0, 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_orientation_is_read_in_both_byte_orders(order: str, prefix: bytes) -> None:
    for value in range(1, 9):
        assert orientation_of(prefix + exif_block(value, order)) == value


def test_orientation_is_upright_where_exif_is_missing_or_damaged() -> None:
    block = exif_block(6)
    damaged = [b"", b"MM", b"nonsense", exif_block(0), exif_block(9), exif_block(6, kind=2), block[:15]]
    assert [orientation_of(exif) for exif in damaged] == [1] * len(damaged)


def test_padding_between_the_parts_of_a_jpeg_is_skipped(tmp_path: Path) -> None:
    data = encode(Image.fromarray(RGB), "JPEG", exif=b"Exif\0\0" + exif_block(3))
    start = data.index(b"\xff\xe1")
    padded = data[:start] + b"\xff\xff" + data[start:]
    assert strip_jpeg(padded) == strip_jpeg(data)
    np.testing.assert_array_equal(
        read_image(write(tmp_path / "padded.jpg", padded)), read_image(write(tmp_path / "x.jpg", data))
    )


def test_a_jpeg_that_stores_rgb_keeps_the_note_that_says_so(tmp_path: Path) -> None:
    data = encode(Image.fromarray(RGB), "JPEG", keep_rgb=True, quality=100)
    # Components are named R, G, B; as 1, 2, 3 only the Adobe segment tells them from Y, Cb, Cr.
    for marker, step in ((b"\xff\xc0", 3), (b"\xff\xda", 2)):
        names = data.index(b"R", data.index(marker))
        assert data[names : names + 3 * step : step] == b"RGB"
        for i in range(3):
            data = data[: names + step * i] + bytes([i + 1]) + data[names + step * i + 1 :]
    assert np.abs(read_image(write(tmp_path / "x.jpg", data)).astype(int) - RGB).max() <= 2


def test_metadata_is_taken_out() -> None:
    exif = b"Exif\0\0" + exif_block(6)
    jpeg = strip_jpeg(encode(Image.fromarray(RGB), "JPEG", exif=exif, icc_profile=b"profile", comment=b"comment"))
    png = strip_png(encode(Image.fromarray(RGB), "PNG", exif=exif, icc_profile=b"profile"))
    for stripped, kind in ((jpeg, "JPEG"), (png, "PNG")):
        assert (stripped.exif, stripped.profile) == (exif_block(6), b"profile")
        assert stripped.data == encode(Image.fromarray(RGB), kind)


def test_an_end_inside_the_metadata_is_a_truncation() -> None:
    for strip, kind in ((strip_jpeg, "JPEG"), (strip_png, "PNG")):
        data = encode(Image.fromarray(RGB), kind, exif=b"Exif\0\0" + exif_block(6))
        for length in (3, 9, 30, 60):
            with pytest.raises(TruncatedError):
                strip(data[:length])
