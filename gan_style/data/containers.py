"""Headers of picture files, read from their bytes before any decoder sees them."""

import os
import re
import struct
import zlib
from dataclasses import dataclass
from typing import IO

from gan_style.core.budget import check_pixels
from gan_style.core.errors import ContentError
from gan_style.core.memory import raise_if_out

MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF8": "GIF",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\x93NUMPY": "NumPy",
}
DICOM_AT = 128  # bytes of preamble before "DICM"
BARE_DICOM = re.compile(rb"[\x02\x08]\0[\0\x01\x05\x08]\0(UL|OB|CS|UI|SH)", re.DOTALL)  # no preamble; a first element
BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # their sizes: "BM" alone also begins texts
AVIF_BRANDS = (b"avif", b"avis")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # ISO/IEC 23008-12
HEAD_BYTES = 512  # from which `sniff` tells the format
FOREIGN = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL": "JPEG XL",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
    b"PK\x03\x04": "ZIP",
}
LFS_POINTER = b"version https://git-lfs"
MAX_PROFILE_BYTES = 4_000_000  # usual profiles have some hundred to a million
TIFF_OFFSETS, TIFF_LENGTHS = (273, 324), (279, 325)  # of strips and of tiles
ORIENTATION, WHOLE_NUMBERS = 0x0112, {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # of TIFF, by number
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=\"|='|>)([0-9])")
PNG_END = bytes.fromhex("0000000049454e44ae426082")
PNG_ESSENTIAL = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


class TruncatedError(Exception):
    """A file ends before the structure it announced does."""


def sniff(data: bytes) -> str:
    """Tell the format of a picture from its first HEAD_BYTES; a name says nothing.

    Returns:
        A key of `opened.READERS`, "NumPy" or "DICOM".

    Raises:
        ContentError: If it is none of these, which the message then names.
    """
    if not data:
        raise ContentError("is empty (0 bytes): copy it again or remove it.")
    if data.startswith(LFS_POINTER):
        raise ContentError("is a Git LFS pointer and not the picture itself: run `git lfs pull`.")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[DICOM_AT : DICOM_AT + 4] == b"DICM" or BARE_DICOM.match(data):
        return "DICOM"
    for magic, kind in MAGIC.items():
        if data.startswith(magic) and (kind != "BMP" or int.from_bytes(data[14:18], "little") in BMP_HEADERS):
            return kind
    kind = next((kind for magic, kind in FOREIGN.items() if data.startswith(magic)), "")
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4], "big"), HEAD_BYTES)
        brands = {data[i : i + 4] for i in (8, *range(16, end, 4))}  # the main one, and after a version the others
        if brands & set(AVIF_BRANDS):
            return "AVIF"
        if brands & set(HEIF_BRANDS):
            return "HEIF"
        kind = "video"
    if kind:
        raise ContentError(f"holds {kind} data, which is not read here: convert it to PNG or JPEG.")
    if not data.strip(b"\0"):
        raise ContentError("holds nothing but zeros: copy it again or remove it.")
    if _is_text(data[:512]):
        raise ContentError("is a text file and not a picture: replace or remove it.")
    raise ContentError("is not a picture of a known format: replace or remove it.")


def _is_text(head: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 32 or byte == 127 for byte in head)


def check_webp(data: bytes) -> None:
    """Check the size of a WebP: its reader allocates two pictures before it tells their size.

    Raises:
        ContentError: If the file is cut off or the picture too large.
    """
    if len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise ContentError("is cut off (its WebP data ends too early): copy it again or remove it.")
    check_pixels(*webp_size(data))


def webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height of the canvas that a WebP claims; (0, 0) where its first chunk does not say."""
    part, begin = data[12:16], data[20:30]
    if part == b"VP8X" and len(begin) == 10:
        return int.from_bytes(begin[4:7], "little") + 1, int.from_bytes(begin[7:10], "little") + 1
    if part == b"VP8L" and begin[:1] == b"\x2f":
        bits = int.from_bytes(begin[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if part == b"VP8 " and begin[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(begin[6:8], "little") & 0x3FFF, int.from_bytes(begin[8:10], "little") & 0x3FFF
    return 0, 0


def damaged(kind: str, error: Exception) -> ContentError:
    """Return the error about a file that no decoder can read; raises the given one if memory ran out."""
    raise_if_out(error)
    reason = " ".join(str(error).split())[:150].rstrip(".") or type(error).__name__
    return ContentError(f"is a damaged {kind} file ({reason}): copy it again or remove it.")


@dataclass
class Stripped:
    """File without its metadata, so that no decoder fails or warns because of it.

    Attributes:
        data: With only what says how to decode.
        exif: Its EXIF block; empty where there is none.
        xmp: Its XMP packet, likewise.
        profile: Its ICC profile, likewise.
        pictures: How many pictures the file says that it holds.
        unended: Whether the mark of its end is missing.
    """

    data: bytes
    exif: bytes = b""
    xmp: bytes = b""
    profile: bytes = b""
    pictures: int = 1
    unended: bool = False


def strip_jpeg(data: bytes) -> Stripped:
    """Remove the metadata of a JPEG but those application segments that say how to decode (JFIF, Adobe).

    Raises:
        TruncatedError: If the file ends before the pixel data.
    """
    kept, found, position = [data[:2]], Stripped(b""), 2
    while True:
        if position + 4 > len(data):
            raise TruncatedError
        marker = data[position + 1]
        if data[position] != 0xFF or marker == 0xDA:  # pixel data, or damage that the decoder reports
            found.data = b"".join([*kept, data[position:]])
            return found
        if marker == 0xFF:  # padding
            position += 1
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if end > len(data):
            raise TruncatedError
        if marker == 0xE1 and not found.exif and data[position + 4 : position + 10] == b"Exif\0\0":
            found.exif = data[position + 10 : end]
        if marker == 0xE1 and data[position + 4 : end].startswith(XMP_HEAD):
            found.xmp = data[position + 4 + len(XMP_HEAD) : end]
        if marker == 0xE2 and data[position + 4 : position + 16] == b"ICC_PROFILE\0":
            found.profile += data[position + 18 : end]  # its parts follow each other in this order
        if marker == 0xE2 and data[position + 4 : position + 8] == b"MPF\0":
            found.pictures = max(2, _multi_pictures(data[position + 8 : end]))
        if not (0xE1 <= marker <= 0xED or marker in (0xEF, 0xFE)):
            kept.append(data[position:end])
        position = end


def _multi_pictures(index: bytes) -> int:
    """Read the number of pictures (tag 0xB001) of a multi-picture index, CIPA DC-007; 0 where it cannot be read."""
    order = {b"II": "<", b"MM": ">"}.get(index[:2], "<")
    try:
        (start,) = struct.unpack_from(f"{order}I", index, 4)
        (count,) = struct.unpack_from(f"{order}H", index, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHII", index, entry)
            if tag == 0xB001:
                return int(value)
    except struct.error:
        pass
    return 0


def strip_png(data: bytes) -> Stripped:
    """Remove the metadata and further frames of a PNG.

    Raises:
        ContentError: If it is in a form that only Apple's programs read.
        TruncatedError: If the file ends before its last chunk does.
    """
    kept, found, position, name = [data[:8]], Stripped(b""), 8, b""
    while name != b"IEND":
        if position == len(data) and name == b"IDAT":  # whether all pixels are there the decoder sees
            found.data, found.unended = b"".join([*kept, PNG_END]), True
            return found
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        name = data[position + 4 : position + 8]
        if end > len(data):
            raise TruncatedError
        if name == b"CgBI":
            raise ContentError(
                "is a PNG in Apple's own form (CgBI): convert it with xcrun pngcrush -revert-iphone-optimizations."
            )
        body = data[position + 8 : end - 4]
        if name == b"eXIf":
            found.exif = body
        elif name == b"iCCP":
            found.profile = _unpacked(body.partition(b"\0")[2][1:])
        elif name == b"acTL" and len(body) == 8:
            found.pictures = int.from_bytes(body[:4], "big")
        elif name in (b"tEXt", b"zTXt", b"iTXt"):
            _read_text(name, body, found)
        elif name in PNG_ESSENTIAL:
            kept.append(data[position:end])
        position = end
    found.data = b"".join(kept)
    return found


def _read_text(name: bytes, body: bytes, found: Stripped) -> None:
    """Take EXIF and XMP out of a text chunk of a PNG, where programs put them before there was a chunk for EXIF."""
    key, _, text = body.partition(b"\0")
    if key == b"XML:com.adobe.xmp" and name == b"iTXt" and text[:1] == b"\0":  # not compressed
        found.xmp = text.split(b"\0", 4)[-1]
    elif key == b"Raw profile type exif" and not found.exif:
        lines = (_unpacked(text[1:]) if name == b"zTXt" else text).split(b"\n")
        try:
            found.exif = bytes.fromhex(b"".join(lines[3:]).decode("ascii"))
        except ValueError:
            found.exif = b""


def _unpacked(packed: bytes) -> bytes:
    """Unpack what a chunk holds, no more than metadata ever is; empty where it is damaged."""
    try:
        return zlib.decompressobj().decompress(packed, MAX_PROFILE_BYTES)
    except zlib.error:
        return b""


def tiff_is_cut(data: bytes) -> bool:
    """Check whether a TIFF that no decoder could read ends before its directory or its pixels do."""
    order, sizes = ("<" if data[:2] == b"II" else ">"), {3: "H", 4: "I"}
    found: dict[int, tuple[int, ...]] = {}
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, length = struct.unpack_from(f"{order}HHI", data, entry)
            if tag in (*TIFF_OFFSETS, *TIFF_LENGTHS) and kind in sizes:
                layout = f"{order}{length}{sizes[kind]}"
                inside = struct.calcsize(layout) <= 4
                (offset,) = (entry + 8,) if inside else struct.unpack_from(f"{order}I", data, entry + 8)
                found[tag] = struct.unpack_from(layout, data, offset)
    except struct.error:
        return True
    return any(
        offset + length > len(data)
        for offsets, lengths in zip(TIFF_OFFSETS, TIFF_LENGTHS, strict=True)
        for offset, length in zip(found.get(offsets, ()), found.get(lengths, ()), strict=False)
    )


def tiff_goes_round(data: bytes) -> bool:
    """Check whether a TIFF's chain of directories leads back to one of them: a reader of all would never end."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        (magic,) = struct.unpack_from(f"{order}H", data, 2)
        # 43 is BigTIFF. Formats of a count and an offset, bytes of an entry, position of the first offset.
        many, long, entry, first = ("Q", "Q", 20, 8) if magic == 43 else ("H", "I", 12, 4)
        seen: set[int] = set()
        (start,) = struct.unpack_from(f"{order}{long}", data, first)
        while start and start not in seen:
            seen.add(start)
            (count,) = struct.unpack_from(f"{order}{many}", data, start)
            (start,) = struct.unpack_from(f"{order}{long}", data, start + struct.calcsize(many) + entry * count)
    except (struct.error, OverflowError):
        return False  # the chain ends, though damaged
    return start != 0


def orientation_of(exif: bytes, xmp: bytes = b"") -> int:
    """Read the orientation of an EXIF block, however damaged, else of an XMP packet; 1 (upright) where neither says."""
    found = _exif_orientation(exif)
    if found is None and (said := XMP_ORIENTATION.search(xmp)):
        found = int(said[1])
    return found if found is not None and 1 <= found <= 8 else 1


def _exif_orientation(exif: bytes) -> int | None:
    """Return what the orientation tag of an EXIF block holds, in any of the types that a whole number may have."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
            if tag == ORIENTATION and kind in WHOLE_NUMBERS:
                return int(struct.unpack_from(f"{order}{WHOLE_NUMBERS[kind]}", exif, entry + 8)[0])
    except struct.error:
        pass
    return None


class Bounded:
    """File wrapper that never reads more than the file holds: a tar header may claim any number of bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.size = file, file.seek(0, os.SEEK_END)
        self.tell = file.tell
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        """Read at most so many bytes."""
        return self.file.read(min(size, self.size))

    def seek(self, position: int) -> int:
        """Move to a position, or to the end where that comes first."""
        return self.file.seek(min(position, self.size))
