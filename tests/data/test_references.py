"""What is read equals what Pillow, tifffile, pydicom and rasterio read, or an entry of the ledger says why not."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.data.containers import sniff
from gan_style.data.files import read_raw
from tests.data.image_files import RGB, RGBA, chunk, encode, png
from tests.data.references import agreement

SHARED = Path(__file__).parents[3] / "shared/data"
rng = np.random.default_rng(0)


# Pictures for the eye, beside Pillow


def exif(value: int, kind: int = 3, order: str = "<") -> bytes:
    """An EXIF block whose orientation is stored as a whole number of any type."""
    code = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}[kind]
    body = struct.pack(f"{order}{code}", value).ljust(4, b"\0")
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(f"{order}HI", 42, 8)
    return head + struct.pack(f"{order}HHHI", 1, 0x0112, kind, 1) + body + bytes(4)


XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{}"/></x:xmpmeta>'


def eyes() -> Iterator[tuple[str, Callable[[], bytes]]]:
    for kind, mode in itertools.product(
        ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000"), ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK")
    ):
        yield f"{kind} {mode}", lambda kind=kind, mode=mode: saved(kind, mode)
    for value, type_, order in itertools.product((1, 3, 6, 8), (1, 3, 4, 8, 9), "<>"):
        block = exif(value, type_, order)
        yield f"JPEG EXIF {value} {type_} {order}", lambda block=block: encode(picture("RGB"), "JPEG", exif=block)
    for value in (2, 5, 6):
        yield f"PNG eXIf {value}", lambda value=value: encode(picture("RGB"), "PNG", exif=exif(value))
        yield f"WEBP EXIF {value}", lambda value=value: encode(picture("RGB"), "WEBP", lossless=True, exif=exif(value))
        yield f"AVIF EXIF {value}", lambda value=value: encode(picture("RGB"), "AVIF", exif=exif(value))
        yield f"PNG raw profile {value}", lambda value=value: raw_profile(exif(value))
        yield f"JPEG XMP {value}", lambda value=value: encode(picture("RGB"), "JPEG", xmp=XMP.format(value).encode())
        yield f"WEBP XMP {value}", lambda value=value: encode(picture("RGB"), "WEBP", xmp=XMP.format(value).encode())
    for kind in ("WEBP", "PNG", "GIF"):
        yield f"moving {kind}", lambda kind=kind: moving(kind)
    for colour_type, bits in (
        (0, 1),
        (0, 2),
        (0, 4),
        (0, 8),
        (0, 16),
        (2, 8),
        (2, 16),
        (4, 8),
        (4, 16),
        (6, 8),
        (6, 16),
    ):
        yield f"PNG type {colour_type}, {bits} bit", lambda c=colour_type, b=bits: drawn_png(c, b)
    for colour_type, bits in ((0, 8), (0, 16), (2, 8)):
        yield f"PNG tRNS {colour_type}, {bits} bit", lambda c=colour_type, b=bits: drawn_png(c, b, transparent=True)
    yield "two JPEGs", lambda: encode(picture("RGB"), "JPEG") + encode(picture("L"), "JPEG")
    yield "MPO", lambda: encode(picture("RGB"), "MPO", save_all=True, append_images=[picture("RGB")])
    yield "no IEND", lambda: encode(picture("RGB"), "PNG")[:-12]
    yield "trailing", lambda: encode(picture("RGB"), "PNG") + b"more"


def picture(mode: str) -> Image.Image:
    return Image.fromarray(RGBA if mode in ("LA", "RGBA") else RGB).convert(mode)


def saved(kind: str, mode: str) -> bytes:
    try:
        return encode(picture(mode), kind)
    except (OSError, KeyError, ValueError):
        pytest.skip(f"{kind} has no {mode}")


def moving(kind: str) -> bytes:
    frames = [Image.new("RGB", (20, 16), (60 * i, 90, 200 - 30 * i)) for i in range(3)]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)


def raw_profile(block: bytes) -> bytes:
    text = f"\nexif\n{len(block) + 6:8d}\n{(b'Exif' + bytes(2) + block).hex()}\n".encode()
    data = encode(picture("RGB"), "PNG")
    added = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    return data[:33] + added + data[33:]


def drawn_png(colour_type: int, bits: int, transparent: bool = False) -> bytes:
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    array = rng.integers(0, 2**bits, (16, 24, channels))
    if not transparent:
        return packed_png(array, colour_type, bits)
    key = b"".join(struct.pack(">H", int(value)) for value in array[3, 4])
    return packed_png(array, colour_type, bits, chunk(b"tRNS", key))


def packed_png(array: np.ndarray, colour_type: int, bits: int, *extra: bytes) -> bytes:
    if bits >= 8:
        return png(array, colour_type, bits, *extra)
    rows = [np.packbits(np.unpackbits(row.astype(np.uint8)[:, :1], axis=1)[:, 8 - bits :].ravel()) for row in array]
    head = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], bits, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


EYES = dict(eyes())


@pytest.mark.parametrize("name", EYES)
def test_pictures_are_read_as_by_pillow_or_it_is_said(name: str) -> None:
    assert not agreement(EYES[name]()).startswith("refused")


# TIFF, beside tifffile

PACKED: list[dict[str, Any]] = [
    {},
    *({"compression": name} for name in ("zlib", "lzw", "packbits", "zstd", "lzma", "lerc", "jpegxl", "jpeg2000")),
    *({"compression": name, "predictor": True} for name in ("zlib", "zstd", "lzw")),
    {"tile": (16, 16)},
    {"tile": (16, 16), "compression": "zlib", "predictor": True},
    {"rowsperstrip": 5},
    {"bigtiff": True},
    {"byteorder": ">"},
    {"byteorder": ">", "compression": "zlib", "predictor": True},
]
TYPES = ("uint8", "uint16", "int16", "uint32", "float16", "float32", "float64")


def numbers(dtype: str, channels: int) -> np.ndarray:
    shape = (48, 40) if channels == 1 else (48, 40, channels)
    if dtype.startswith("float"):
        return rng.uniform(-100, 100, shape).astype(dtype)
    return rng.integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
@pytest.mark.parametrize("dtype", TYPES)
def test_tiffs_of_every_form_hold_the_numbers_of_tifffile(dtype: str, channels: int) -> None:
    tried = Counter[str]()
    for options, planar in itertools.product(PACKED, ("contig", "separate")):
        photometric = "rgb" if channels in (3, 4) and dtype in ("uint8", "uint16") else "minisblack"
        stream, array = BytesIO(), numbers(dtype, channels)
        more: dict[str, Any] = {"planarconfig": planar} if channels > 1 else {}
        body = array if planar == "contig" or channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))
        try:
            tifffile.imwrite(stream, body, photometric=photometric, metadata=None, **options, **more)
            expected = tifffile.imread(BytesIO(stream.getvalue()))
        except Exception:  # no such combination, or no codec for it here
            tried["not written"] += 1
            continue
        if planar == "separate" and channels > 1:
            expected = expected.transpose(1, 2, 0)
        raw = read_raw(stream.getvalue())
        found = raw.array[..., 0] if channels == 1 else raw.array
        assert found.dtype == expected.dtype.newbyteorder("=") or found.dtype == expected.dtype, options
        np.testing.assert_array_equal(found, expected, str(options))
        assert not raw.notes
        tried["equal"] += 1
    assert tried["equal"] >= 10


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("kind", [3, 4])
def test_a_turned_tiff_is_upright_whatever_the_type_of_its_tag(dtype: str, orientation: int, kind: int) -> None:
    stream, array = BytesIO(), numbers(dtype, 1)
    tifffile.imwrite(
        stream, array, photometric="minisblack", metadata=None, extratags=[(274, kind, 1, orientation, True)]
    )
    turned = {
        1: array,
        2: array[:, ::-1],
        3: array[::-1, ::-1],
        4: array[::-1],
        5: array.T,
        6: np.rot90(array, -1),
        7: array[::-1, ::-1].T,
        8: np.rot90(array),
    }[orientation]
    raw = read_raw(stream.getvalue())
    np.testing.assert_array_equal(raw.array[..., 0], turned)
    assert [note.kind for note in raw.notes] == (["EXIF orientation applied"] if orientation > 1 else [])


@pytest.mark.parametrize("text", ["-9999", "-9999.0", " -9999 ", "-9.999e3", "-9999\0", "-09999"])
def test_every_way_to_write_a_number_for_no_data_is_understood(text: str) -> None:
    stream, array = BytesIO(), numbers("float32", 1)
    array[5:9, 3:30] = -9999
    tifffile.imwrite(
        stream, array, photometric="minisblack", metadata=None, extratags=[(42113, 2, len(text) + 1, text, True)]
    )
    missing = read_raw(stream.getvalue()).missing
    assert missing is not None
    np.testing.assert_array_equal(missing, array == -9999)
    rasterio = pytest.importorskip("rasterio")
    with rasterio.MemoryFile(stream.getvalue()) as memory, memory.open() as dataset:
        np.testing.assert_array_equal(missing, dataset.read_masks(1) == 0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_ink_is_turned_to_light(dtype: str) -> None:
    stream, ink = BytesIO(), rng.integers(0, np.iinfo(dtype).max + 1, (20, 24, 4)).astype(dtype)
    tifffile.imwrite(stream, ink, photometric="separated", metadata=None)
    white = np.iinfo(dtype).max
    light = 1 - ink / white
    expected = white * light[..., :3] * light[..., 3:]
    raw = read_raw(stream.getvalue())
    assert np.abs(raw.array - expected).max() <= 1
    assert [note.kind for note in raw.notes] == ["CMYK to RGB"]


def test_a_codec_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = BytesIO()
    tifffile.imwrite(stream, numbers("float32", 1), photometric="minisblack", metadata=None, compression="zlib")
    data = bytearray(stream.getvalue())
    with tifffile.TiffFile(BytesIO(data)) as file:
        tag = file.pages[0].tags["Compression"]
        data[tag.valueoffset : tag.valueoffset + 2] = struct.pack("<H", 34887)  # LERC
    monkeypatch.setattr(tifffile.TIFF, "DECOMPRESSORS", {})
    with pytest.raises(UserError, match=r"compressed as LERC \(number 34887\).*pip install 'gan-style\[tiff\]'"):
        read_raw(bytes(data))


# DICOM, beside pydicom


def dicom(stored: np.ndarray, kind: str = "MONOCHROME2", explicit: bool = True, **elements: Any) -> bytes:
    pydicom = pytest.importorskip("pydicom")
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1" if explicit else "1.2.840.10008.1.2"
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    dataset = pydicom.Dataset()
    dataset.file_meta, dataset.PhotometricInterpretation = meta, kind
    frames = stored.shape[0] if stored.ndim == 3 else 1
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.SamplesPerPixel, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 16, 12, 11
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


DICOMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "implicit": {"explicit": False},
    "rescaled": {"RescaleSlope": "2", "RescaleIntercept": "-1024"},
    "rescaled MONOCHROME1": {"kind": "MONOCHROME1", "RescaleSlope": "1", "RescaleIntercept": "-1024"},
    "units of one": {"kind": "MONOCHROME1", "RescaleSlope": "1", "RescaleIntercept": "0", "RescaleType": "HU"},
}


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
@pytest.mark.parametrize("name", DICOMS)
def test_dicom_is_read_in_the_units_of_pydicom(name: str, dtype: Any) -> None:
    pydicom = pytest.importorskip("pydicom")
    stored = rng.integers(-400 if dtype is np.int16 else 0, 2000, (20, 24)).astype(dtype)
    data = dicom(stored, **DICOMS[name])
    raw = read_raw(data)
    dataset = pydicom.dcmread(BytesIO(data))
    expected = pydicom.pixels.apply_modality_lut(dataset.pixel_array, dataset)
    np.testing.assert_array_equal(raw.array[..., 0], expected)
    assert bool(raw.notes) == (name not in ("plain", "implicit"))


def test_low_values_that_are_white_are_turned_where_they_have_no_unit_and_this_is_said() -> None:
    stored = rng.integers(0, 4096, (20, 24)).astype(np.uint16)
    raw = read_raw(dicom(stored, "MONOCHROME1"))
    np.testing.assert_array_equal(raw.array[..., 0], 4095 - stored)
    assert [note.kind for note in raw.notes] == ["MONOCHROME1, whose low values are white, turned over"]


def test_of_several_frames_the_first_is_read_and_this_is_said() -> None:
    stored = rng.integers(0, 4096, (3, 20, 24)).astype(np.uint16)
    raw = read_raw(dicom(stored))
    np.testing.assert_array_equal(raw.array[..., 0], stored[0])
    assert "further frames" in raw.notes[0].kind


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize(("value", "limit"), [(-2000, None), (-2000, -1990), (63536, None)])
def test_padding_is_missing(explicit: bool, value: int, limit: int | None) -> None:
    stored = rng.integers(-400, 2000, (20, 24)).astype(np.int16)
    stored[:4] = -2000
    if limit is not None:
        stored[4:6] = -1995
    pydicom = pytest.importorskip("pydicom")
    data = dicom(stored, explicit=explicit)
    dataset = pydicom.dcmread(BytesIO(data))
    dataset.add_new(0x00280120, "SS" if value < 0 else "US", value)
    if limit is not None:
        dataset.add_new(0x00280121, "SS", limit)
    stream = BytesIO()
    dataset.save_as(stream)
    missing = read_raw(stream.getvalue()).missing
    assert missing is not None
    np.testing.assert_array_equal(missing, stored < -1000)


# Real files


def at_hand() -> list[Path]:
    folders = [SHARED / name for name in ("awkward/pictures", "awkward/sets", "awkward/dicom", "edge_cases/ok")]
    return sorted(path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file())


@pytest.mark.skipif(not at_hand(), reason="the awkward files and edge cases are not at hand")
def test_files_at_hand_are_read_as_by_pillow_or_it_is_said() -> None:
    results = Counter[str]()
    for path in at_hand():
        data = path.read_bytes()
        try:
            if sniff(data) not in ("NumPy", "DICOM"):
                results[agreement(data)] += 1
        except UserError:
            results["no picture"] += 1
    print(dict(results))
    assert results["equal"] >= 50
