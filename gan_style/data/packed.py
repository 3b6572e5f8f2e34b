"""Data that unpack to far more than what they hold should take: found before they are unpacked."""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable
from typing import Any

ZLIB, LZMA = (8, 32946), 34925  # TIFF's numbers of the kinds of packing that tifffile does by itself
# Bytes of a strip or tile from which on it is looked at: what is less than that unpacks to half a gigabyte at most,
# and most strips are smaller, so that they are not unpacked twice.
LOOKED_AT = {**dict.fromkeys(ZLIB, 500_000), LZMA: 70_000}
TIMES, SPARE = 20, 64_000_000  # of a DICOM file that is packed as a whole: as of zips, and bytes beside
DEFLATED, HEAD = b"1.2.840.10008.1.2.1.99", 2**16  # what its header says then, and where


def tiff_unpacks_to_more(page: Any, data: bytes) -> bool:
    """Whether a strip or tile of a TIFF holds more than its pixels.

    Args:
        page: of tifffile.
        data: of the file.
    """
    key = page.keyframe  # which says what all pages of a series have in common
    least = LOOKED_AT.get(int(key.compression))
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
    """Whether a DICOM file that is packed as a whole holds far more than such files do.

    Raises:
        ValueError, struct.error, zlib.error: it says that it is packed, and it cannot be found where.
    """
    if DEFLATED not in data[:HEAD]:
        return False
    place, syntax = 132 if data[128:132] == b"DICM" else 0, b""
    while data[place : place + 2] == b"\2\0":  # the elements of the header: tag, type, length, value
        wide = data[place + 4 : place + 6] in (b"OB", b"UN")
        (length,) = struct.unpack_from("<I" if wide else "<H", data, place + (8 if wide else 6))
        start = place + (12 if wide else 8)
        if data[place + 2 : place + 4] == b"\x10\0":
            syntax = data[start : start + length].rstrip(b"\0 ")
        place = start + length
    if syntax != DEFLATED:
        raise ValueError("its header names a packed form in another place than it should")
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacker.decompress(data[place:], TIMES * len(data) + SPARE)
    return bool(unpacker.unconsumed_tail)
