"""Checks against compression bombs: data that would unpack to far more than a picture of its kind."""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable
from typing import Any

ZLIB, LZMA = (8, 32946), 34925  # TIFF's numbers of the compressions that tifffile decodes by itself
# Bytes of a compressed strip or tile from which on it is checked. Smaller ones unpack to half a gigabyte at most; most
# strips are smaller, so that they need not be unpacked twice.
MIN_CHECKED_BYTES = {**dict.fromkeys(ZLIB, 500_000), LZMA: 70_000}
MAX_RATIO, SPARE_BYTES = 20, 64_000_000  # a deflated DICOM file may unpack to ratio * its size + spare
DEFLATED = b"1.2.840.10008.1.2.1.99"  # transfer syntax of a DICOM file that is compressed as a whole
HEADER_BYTES = 2**16  # of a DICOM file, in which the transfer syntax stands


def tiff_unpacks_to_more(page: Any, data: bytes) -> bool:
    """Check whether a strip or tile of a TIFF unpacks to more than its pixels.

    Args:
        page: a page of tifffile.
        data: the bytes of the file.
    """
    key = page.keyframe  # holds what all pages of a series have in common
    least = MIN_CHECKED_BYTES.get(int(key.compression))
    if least is None:
        return False
    unpacker: Callable[[], Any] = lzma.LZMADecompressor if key.compression == LZMA else zlib.decompressobj
    most = _pixels_of_a_segment(key) * key.samplesperpixel * max(1, key.bitspersample // 8)
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if count >= least and len(unpacker().decompress(data[offset : offset + count], most + 1)) > most:
            return True
    return False


def _pixels_of_a_segment(page: Any) -> int:
    if page.is_tiled:
        return int(page.tilewidth * page.tilelength * page.tiledepth)
    return int(page.imagewidth * min(page.imagelength, page.rowsperstrip or page.imagelength))


def dicom_unpacks_to_more(data: bytes) -> bool:
    """Check whether a deflated DICOM file unpacks to far more than such files hold.

    Raises:
        ValueError, struct.error, zlib.error: it claims to be deflated, but the compressed data is not found.
    """
    if DEFLATED not in data[:HEADER_BYTES]:
        return False
    position, syntax = 132 if data[128:132] == b"DICM" else 0, b""
    while data[position : position + 2] == b"\2\0":  # the elements of the header: tag, type, length, value
        wide = data[position + 4 : position + 6] in (b"OB", b"UN")
        (length,) = struct.unpack_from("<I" if wide else "<H", data, position + (8 if wide else 6))
        start = position + (12 if wide else 8)
        if data[position + 2 : position + 4] == b"\x10\0":
            syntax = data[start : start + length].rstrip(b"\0 ")
        position = start + length
    if syntax != DEFLATED:
        raise ValueError("its header names a packed form in another position than it should")
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacker.decompress(data[position:], MAX_RATIO * len(data) + SPARE_BYTES)
    return bool(unpacker.unconsumed_tail)
