"""Pictures of every type, number of channels and format: nothing is lost, or it is refused."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.data.files import check_image, read_picture
from gan_style.data.ledger import FURTHER_PICTURES
from gan_style.data.opened import named_bytes
from gan_style.data.saving import FORMATS, JPEG, save_image
from gan_style.data.values import ValueRange

SIDE = (13, 17)
RANGES = {"uint8": (None, None), "uint16": (None, None), "float32": (-1024.0, 3071.0)}


def checked(path: Path, values: ValueRange) -> tuple[tuple[int, int], list[str]]:
    with named_bytes(path) as data:
        size, notes = check_image(data, values)
        return size, [note.kind for note in notes]


def values_of(dtype: str, channels: int) -> ValueRange:
    return ValueRange.of(dtype, *RANGES[dtype], channels)  # type: ignore[arg-type]


def drawn(dtype: str, channels: int) -> np.ndarray:
    rng, values = np.random.default_rng(channels), values_of(dtype, channels)
    if dtype == "float32":
        return rng.uniform(values.low, values.high, (*SIDE, channels)).astype(np.float32)
    array = rng.integers(0, int(values.high) + 1, (*SIDE, channels)).astype(dtype)
    array[0, 0], array[0, 1] = 0, int(values.high)
    return array


CASES = [
    (dtype, channels, suffix)
    for dtype, channels, suffix in product(RANGES, (1, 3, 4, 7), FORMATS)
    if dtype in FORMATS[suffix][0] and (FORMATS[suffix][1] is None or channels in FORMATS[suffix][1])
]


@pytest.mark.parametrize(("dtype", "channels", "suffix"), CASES)
def test_what_is_saved_is_read_again(tmp_path: Path, dtype: str, channels: int, suffix: str) -> None:
    array, path = drawn(dtype, channels), tmp_path / f"x{suffix}"
    save_image(array, path)
    again = read_picture(path, values_of(dtype, channels))
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    if suffix in (*JPEG, ".gif"):
        assert np.abs(again.astype(int) - array).mean() < 40  # noise is the worst that can happen to a JPEG
    else:
        np.testing.assert_array_equal(again, array)
    size, notes = checked(path, values_of(dtype, channels))
    assert size == SIDE[::-1]
    assert notes == ([f"palette to {'RGB' if channels == 3 else 'grey'}"] if suffix == ".gif" else [])


@pytest.mark.parametrize(("dtype", "channels"), [*product(RANGES, (1, 3, 4, 7))])
def test_to_the_network_and_back_is_the_same_picture(dtype: str, channels: int) -> None:
    array, values = drawn(dtype, channels), values_of(dtype, channels)
    tensor = values.normalise(torch.from_numpy(array.transpose(2, 0, 1).copy()))
    assert tensor.dtype == torch.float32
    assert -1 <= tensor.min() < -0.9 < 0.9 < tensor.max() <= 1
    back = values.restore(tensor)
    if dtype == "float32":  # a network computes in 24 bits
        assert np.abs(back - array).max() <= (values.high - values.low) * 2**-24
    else:
        np.testing.assert_array_equal(back, array)


def test_float_in_a_symmetric_power_of_two_is_exact() -> None:
    values = ValueRange("float32", -4.0, 4.0, 2)
    array = np.random.default_rng(0).normal(0, 1, (9, 9, 2)).clip(-4, 4).astype(np.float32)
    np.testing.assert_array_equal(values.restore(values.as_tensor(array)), array)


def test_every_value_of_both_integer_types_survives_also_in_a_narrow_range() -> None:
    for dtype, high in (("uint8", 255), ("uint8", 3), ("uint16", 65535), ("uint16", 4095)):
        values = ValueRange.of(dtype, 0, high, 1)  # type: ignore[arg-type]
        every = np.arange(high + 1).astype(dtype).reshape(1, -1, 1)
        tensor = values.normalise(torch.from_numpy(every.transpose(2, 0, 1).copy()))
        assert (tensor.min(), tensor.max()) == (-1, 1)
        np.testing.assert_array_equal(values.restore(tensor), every)


@pytest.mark.parametrize(
    ("suffix", "array", "wanted", "sentence"),
    [
        (".png", np.zeros((4, 4, 3), np.uint16), ("uint8", 3), "16 bits per channel, of which data.dtype=uint8 would"),
        (".tif", np.zeros((4, 4, 3), np.uint16), ("uint8", 3), "16 bits per channel, of which data.dtype=uint8 would"),
        (".npy", np.zeros((4, 4, 3), np.uint16), ("uint8", 3), "train with data.dtype=uint16"),
        (".npy", np.full((4, 4, 1), -7.5), ("uint16", 1), "train with data.dtype=float32 data.low=-7.5"),
        (".npy", np.full((4, 4, 1), np.nan), ("float32", 1), "not finite"),
        (
            ".tif",
            np.zeros((4, 4, 7), np.uint8),
            ("uint8", 3),
            "7 channels, but data.channels is 3: train with data.channels=7",
        ),
        (".png", np.zeros((4, 4, 3), np.uint8), ("uint8", 4), "3 channels, but data.channels is 4"),
        (".npy", np.zeros((4, 4, 4, 4), np.uint8), ("uint8", 3), "has the shape (4, 4, 4, 4)"),
        (".npy", np.zeros((4, 4, 1), np.complex64), ("float32", 1), "holds complex64 values"),
    ],
)
def test_what_would_be_lost_is_refused_with_the_setting(
    tmp_path: Path, suffix: str, array: np.ndarray, wanted: tuple[str, int], sentence: str
) -> None:
    path = tmp_path / f"x{suffix}"
    if suffix == ".npy":
        np.save(path, array)
    else:
        save_image(array, path)
    for read in (read_picture, checked):
        with pytest.raises(UserError) as caught:
            read(path, values_of(*wanted))
        assert str(path) in str(caught.value)
        assert sentence in str(caught.value)


def test_conversions_that_lose_nothing_are_made_and_said(tmp_path: Path) -> None:
    rgb = drawn("uint8", 3)
    save_image(rgb, tmp_path / "rgb.png")
    wide = read_picture(tmp_path / "rgb.png", values_of("uint16", 3))
    np.testing.assert_array_equal(wide, rgb.astype(np.uint16) * 257)
    grey = read_picture(tmp_path / "rgb.png", values_of("uint8", 1))
    assert np.abs(grey[..., 0] - np.asarray(Image.fromarray(rgb).convert("L")).astype(int)).max() <= 1
    assert checked(tmp_path / "rgb.png", values_of("uint16", 1))[1] == ["RGB to grey", "uint8 to uint16"]
    beyond = ValueRange("float32", 0.0, 100.0, 3)
    assert checked(tmp_path / "rgb.png", beyond)[1][-1] == "values outside 0 to 100, clamped"
    save_image(drawn("uint8", 4), tmp_path / "rgba.png")
    assert read_picture(tmp_path / "rgba.png", ValueRange()).shape == (*SIDE, 3)
    save_image(drawn("uint16", 1), tmp_path / "grey.png")
    repeated = read_picture(tmp_path / "grey.png", values_of("uint16", 3))
    np.testing.assert_array_equal(repeated, np.repeat(drawn("uint16", 1), 3, axis=2))


def test_tiffs_of_others(tmp_path: Path) -> None:
    array = drawn("uint16", 7)
    tifffile.imwrite(
        tmp_path / "planes.tif", array.transpose(2, 0, 1), planarconfig="separate", photometric="minisblack"
    )
    np.testing.assert_array_equal(read_picture(tmp_path / "planes.tif", values_of("uint16", 7)), array)
    signed = np.random.default_rng(0).integers(-2000, 3000, SIDE).astype(np.int16)
    tifffile.imwrite(tmp_path / "signed.tif", signed)
    np.testing.assert_array_equal(read_picture(tmp_path / "signed.tif", values_of("float32", 1))[..., 0], signed)
    tifffile.imwrite(tmp_path / "deflated.tif", drawn("float32", 3), compression="zlib", photometric="rgb")
    np.testing.assert_array_equal(read_picture(tmp_path / "deflated.tif", values_of("float32", 3)), drawn("float32", 3))
    (tmp_path / "cut.tif").write_bytes((tmp_path / "planes.tif").read_bytes()[:300])
    with pytest.raises(UserError, match=r"cut\.tif is (cut off|a damaged TIFF file)"):
        read_picture(tmp_path / "cut.tif", values_of("uint16", 7))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", r"is empty"), (b"\x93NUMPY", "is a damaged NumPy file"), (b"junk" * 99, "is a text file and not a picture")],
)
def test_a_damaged_array_is_named_and_runs_no_code(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(UserError, match=rf"x\.npy {said}"):
        read_picture(tmp_path / "x.npy", ValueRange())
    np.save(tmp_path / "objects.npy", np.array([[{"a": 1}]], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"objects\.npy is a damaged NumPy file"):
        read_picture(tmp_path / "objects.npy", ValueRange())


def test_dicom_in_hounsfield_units(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    stored = np.random.default_rng(0).integers(0, 4096, SIDE).astype(np.uint16)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(tmp_path / "x.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = *SIDE, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.PixelData = stored.tobytes()
    pydicom.dcmwrite(tmp_path / "x.dcm", dataset)
    array = read_picture(tmp_path / "x.dcm", values_of("float32", 1))
    np.testing.assert_array_equal(array[..., 0], stored.astype(np.float32) - 1024)
    (tmp_path / "bad.dcm").write_bytes(bytes(128) + b"DICMno")
    with pytest.raises(UserError, match=r"bad\.dcm is a DICOM file without pixels"):
        read_picture(tmp_path / "bad.dcm", values_of("float32", 1))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("uint8", 9, 9), r"data\.low=9 is not below data\.high=9"),
        (("uint8", 0, 256), "are not values that uint8 holds"),
        (("uint16", -1, 9), "are not values that uint16 holds"),
        (("float32", None, 1), r"data\.dtype=float32 has no range of its own"),
        (("float32", 0, float("inf")), "are not values that float32 holds"),
    ],
)
def test_a_range_that_is_none_is_refused(settings: tuple[str, float | None, float | None], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        ValueRange.of(*settings, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dtype", "channels", "suffix"), sorted(set(product(RANGES, (1, 3, 4, 7), FORMATS)) - set(CASES))
)
def test_a_format_that_cannot_hold_a_picture_is_refused(tmp_path: Path, dtype: str, channels: int, suffix: str) -> None:
    with pytest.raises(UserError, match=f"cannot hold {dtype} pictures of {channels} channel"):
        save_image(drawn(dtype, channels), tmp_path / f"x{suffix}")
    assert list(tmp_path.iterdir()) == []


BANDS = np.random.default_rng(4).integers(0, 256, (*SIDE, 4), np.uint8)


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        ({"photometric": "rgb", "extrasamples": ["unspecified"]}, 4),
        ({"photometric": "minisblack", "planarconfig": "contig"}, 4),
        ({"photometric": "minisblack", "planarconfig": "contig"}, 2),
        ({"photometric": "minisblack", "planarconfig": "separate"}, 3),
        ({"photometric": "rgb", "planarconfig": "separate"}, 3),
        ({"photometric": "minisblack"}, 7),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_band_of_a_tiff_is_read(tmp_path: Path, options: dict[str, Any], channels: int, dtype: str) -> None:
    array = np.concatenate([BANDS, 255 - BANDS], axis=2)[..., :channels].astype(dtype)
    whole = "separate" if channels == 7 else options.get("planarconfig", "contig")
    tifffile.imwrite(tmp_path / "x.tif", array if whole == "contig" else array.transpose(2, 0, 1), **options)
    np.testing.assert_array_equal(read_picture(tmp_path / "x.tif", values_of(dtype, channels)), array)
    if channels in (2, 4):
        with pytest.raises(UserError, match=f"has {channels} channels, but data.channels is {channels - 1}"):
            read_picture(tmp_path / "x.tif", values_of(dtype, channels - 1))


def test_of_pages_of_colour_the_first_is_used_and_this_is_said(tmp_path: Path) -> None:
    pages = np.stack([np.full((*SIDE, 3), 40 * number, np.uint8) for number in range(1, 6)])
    tifffile.imwrite(tmp_path / "x.tif", pages, photometric="rgb")
    np.testing.assert_array_equal(read_picture(tmp_path / "x.tif", ValueRange()), pages[0])
    assert checked(tmp_path / "x.tif", ValueRange())[1] == [FURTHER_PICTURES.kind]


def test_bands_of_an_array_are_no_transparency(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", BANDS)
    with pytest.raises(UserError, match=r"has 4 channels, but data\.channels is 3: train with data\.channels=4"):
        read_picture(tmp_path / "x.npy", ValueRange())
    np.save(tmp_path / "first.npy", BANDS[..., :3].transpose(2, 0, 1))
    with pytest.raises(UserError, match="its channels first: save it as"):
        read_picture(tmp_path / "first.npy", ValueRange())


def test_numbers_of_other_kinds(tmp_path: Path) -> None:
    swapped = np.arange(12, dtype=">u2").reshape(3, 4)
    np.save(tmp_path / "x.npy", swapped)
    np.testing.assert_array_equal(read_picture(tmp_path / "x.npy", values_of("uint16", 1))[..., 0], swapped)
    np.save(tmp_path / "long.npy", np.array([[2**24 + 1]]))
    with pytest.raises(UserError, match=r"beyond 2\^24, which float32 cannot tell apart"):
        read_picture(tmp_path / "long.npy", values_of("float32", 1))
    np.save(tmp_path / "truth.npy", np.array([[True, False]]))
    assert read_picture(tmp_path / "truth.npy", values_of("float32", 1)).ravel().tolist() == [1.0, 0.0]
    assert read_picture(tmp_path / "truth.npy", values_of("uint8", 1)).ravel().tolist() == [255, 0]
    with pytest.raises(UserError, match="are not values that float32 holds"):
        ValueRange.of("float32", 0, 1e39, 1)
