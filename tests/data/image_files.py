"""Makes picture files of every kind for the tests."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
WIDE = cv2.resize(rng.integers(0, 65536, (4, 5, 4), dtype=np.uint16), (40, 32), interpolation=cv2.INTER_LINEAR)
RGBA = (WIDE // 257).astype(np.uint8)
RGB = np.ascontiguousarray(RGBA[..., :3])
GREY = np.ascontiguousarray(RGBA[..., 0])


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def encode_wide(array: np.ndarray, suffix: str) -> bytes:
    """16 bits by OpenCV; colour is given as RGB or RGBA."""
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[array.shape[2]]
    return cv2.imencode(suffix, np.ascontiguousarray(array[..., order]))[1].tobytes()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(array: np.ndarray, colour_type: int, bits: int, *extra: bytes) -> bytes:
    """A PNG written by hand, for what no library at hand writes; array is [H, W, C]."""
    height, width = array.shape[:2]
    rows = array.astype(">u2" if bits == 16 else np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(raw))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + body + chunk(b"IEND", b"")


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def white_is_zero(tiff: bytes) -> bytes:
    """Changes the photometric interpretation (tag 262) of a little-endian TIFF from 1 to 0."""
    entry = struct.pack("<HHIH", 262, 3, 1, 1)
    assert tiff.count(entry) == 1
    return tiff.replace(entry, struct.pack("<HHIH", 262, 3, 1, 0))


def with_tag(tiff: bytes, tag: int, value: int) -> bytes:
    """Sets a SHORT tag in the one directory of a little-endian TIFF, by moving the directory to the end."""
    (start,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, start)
    entries = [tiff[start + 2 + 12 * i : start + 14 + 12 * i] for i in range(count)]
    entries = [entry for entry in entries if entry[:2] != struct.pack("<H", tag)]
    entries.append(struct.pack("<HHIHH", tag, 3, 1, value, 0))
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2]))
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return tiff[:4] + struct.pack("<I", len(tiff)) + tiff[8:] + directory
