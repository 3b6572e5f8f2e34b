"""Forms of files that are legal and rare: each is read as it is meant, or refused by a sentence."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.data.files import decode_image, read_raw, whole
from gan_style.data.ledger import Ledger, Note
from gan_style.data.values import ValueRange
from gan_style.inference.animation import animation, save_animation
from tests.data.image_files import encode
from tests.data.test_references import dicom

rng = np.random.default_rng(0)
WIDE = ValueRange("uint16", 0, 65535, 1)


def tiff(array: np.ndarray, **options: Any) -> bytes:
    stream = BytesIO()
    tifffile.imwrite(stream, array, metadata=None, **{"photometric": "minisblack", **options})
    return stream.getvalue()


def no_data(text: str) -> dict[str, Any]:
    return {"extratags": [(42113, 2, len(text) + 1, text, True)]}


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_grey_jpeg_2000_keeps_its_numbers(bits: int) -> None:
    stored = rng.integers(0, 2**bits, (24, 32)).astype(np.uint16)
    data = imagecodecs.jpeg2k_encode(stored, bitspersample=bits, reversible=True, codecformat="jp2")
    np.testing.assert_array_equal(read_raw(data).array[..., 0], stored)
    eight = decode_image(data, None)[..., 0].astype(float)
    assert np.abs(eight - stored / (2**bits - 1) * 255).max() <= 0.51


def test_a_dicom_table_of_16_bits_is_not_cut_at_those_of_its_index() -> None:
    pydicom = pytest.importorskip("pydicom")
    stored = rng.integers(0, 256, (20, 24)).astype(np.uint16)
    dataset = pydicom.dcmread(BytesIO(dicom(stored)))
    item = pydicom.Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [256, 0, 16], "US"
    item.add_new(0x00283006, "US", [257 * value for value in range(256)])
    dataset.ModalityLUTSequence = pydicom.Sequence([item])
    stream = BytesIO()
    dataset.save_as(stream)
    np.testing.assert_array_equal(read_raw(stream.getvalue()).array[..., 0], 257 * stored)
    np.testing.assert_array_equal(decode_image(stream.getvalue(), None)[..., 0], stored)


def test_bits_above_those_that_are_stored_count_for_nothing() -> None:
    stored = rng.integers(0, 4096, (20, 24)).astype(np.uint16)
    np.testing.assert_array_equal(read_raw(dicom(stored | 0x3000)).array[..., 0], stored)


def test_a_dicom_file_without_its_preamble_is_one() -> None:
    stored = rng.integers(0, 4096, (20, 24)).astype(np.uint16)
    np.testing.assert_array_equal(read_raw(dicom(stored)[132:]).array[..., 0], stored)


def test_no_data_is_what_is_stored_whatever_colour_it_is() -> None:
    stored = np.array([[0, 255, 7, 9]], np.uint8).repeat(4, axis=0)
    white = read_raw(tiff(stored, photometric="miniswhite", **no_data("0")))
    np.testing.assert_array_equal(white.missing, stored == 0)
    colours = np.zeros((3, 256), np.uint16)
    colours[0, 0] = 65535
    palette = read_raw(tiff(stored, photometric="palette", colormap=colours, **no_data("0")))
    np.testing.assert_array_equal(palette.missing, stored == 0)


@pytest.mark.parametrize("text", ["1.#QNAN", "nan", "NaN", "none"])
def test_no_number_for_no_data_is_nan(text: str, tmp_path: Path) -> None:
    array = rng.uniform(0, 1, (16, 20)).astype(np.float32)
    array[:4] = np.nan
    raw = read_raw(tiff(array, **no_data(text)))
    np.testing.assert_array_equal(raw.missing, np.isnan(array))
    assert raw.carried.no_data is not None
    assert np.isnan(float(raw.carried.no_data))


def test_a_camera_s_raw_file_is_not_read_as_its_preview() -> None:
    preview = tiff(np.zeros((12, 16, 3), np.uint8), photometric="rgb", subfiletype=1)
    with pytest.raises(UserError, match="holds a camera's raw data, of which only a small preview"):
        read_raw(preview)


def test_overviews_of_a_picture_are_no_further_pages() -> None:
    stream = BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(np.zeros((64, 64), np.uint8), photometric="minisblack", metadata=None)
        writer.write(np.zeros((32, 32), np.uint8), photometric="minisblack", metadata=None, subfiletype=1)
    assert not read_raw(stream.getvalue()).notes


def test_opaque_is_the_largest_value_of_as_many_bits_as_there_are() -> None:
    array = np.full((8, 10, 4), 100, np.uint16)
    array[..., 3] = 4095
    data = tiff(array, photometric="rgb", extrasamples=["unassalpha"], bitspersample=16)
    raw = read_raw(data)
    raw.bits = 12
    from gan_style.data.files import _white, fit

    fitted = fit(raw.array, ValueRange("uint16", 0, 65535, 3), alpha=True, white=_white(raw.array, raw.bits))
    assert (fitted == 100).all()


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(UserError, match="holds complex64 values, of which half would be lost"):
        read_raw(tiff(np.zeros((8, 8), np.complex64)))


def moving(kind: str, **options: Any) -> bytes:
    frames = [Image.new("RGB", (20, 40), (60 * i, 90, 200 - 30 * i)) for i in range(3)]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)


def test_an_animation_is_upright_without_its_still_and_as_often(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = animation(moving("WEBP", exif=exif.tobytes(), lossless=True), tmp_path / "a.webp")
    assert turned is not None
    assert turned.frames[0].shape == (20, 40, 3)
    still = animation(moving("PNG", default_image=True), tmp_path / "a.png")
    assert still is not None
    assert (len(still.frames), still.durations) == (2, [50, 50])
    once = animation(moving("GIF"), tmp_path / "a.webp")
    assert once is not None
    save_animation(once.frames, once, tmp_path / "a.webp")
    with Image.open(tmp_path / "a.webp") as image:
        assert (image.info["loop"], image.n_frames) == (1, 3)


def test_a_text_that_begins_as_a_bitmap_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a text file"):
        decode_image(b"BMI of all subjects of the study, by age", ValueRange())


def test_a_file_counts_once_however_often_it_is_read() -> None:
    ledger = Ledger()
    for _ in range(3):
        ledger.add("a.png", [Note("alpha")])
    other = Ledger.of_json(ledger.as_json())
    ledger.merge(ledger)
    assert ledger.sentences() == other.sentences() == ["1 with alpha (a.png)"]


def test_what_is_declared_is_kept_where_no_place_has_it() -> None:
    array = rng.uniform(0, 1, (16, 20)).astype(np.float32)
    read = whole(tiff(array, **no_data("-9999")), ValueRange("float32", 0, 1, 1))
    assert read.missing is None
    assert read.carried.no_data == "-9999"
