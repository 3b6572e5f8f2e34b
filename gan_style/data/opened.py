"""Headers of picture files: what a file is and holds, before its pixels are decoded."""

import errno
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile, logger
from PIL.WebPImagePlugin import WebPImageFile

from gan_style.core.budget import check_pixels, too_large
from gan_style.core.errors import ContentError, UserError
from gan_style.core.memory import raise_if_out, ran_out
from gan_style.data.containers import (
    MAX_PROFILE_BYTES,
    Stripped,
    TruncatedError,
    check_webp,
    damaged,
    orientation_of,
    sniff,
    strip_jpeg,
    strip_png,
    tiff_is_cut,
)
from gan_style.data.ledger import FURTHER_PICTURES, Note
from gan_style.data.values import ValueRange

READERS: dict[str, Callable[[BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WebP": WebPImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
    "GIF": GifImageFile,
    "JPEG 2000": Jpeg2KImageFile,
    "AVIF": AvifImageFile,
    "HEIF": lambda stream: _heif_reader()(stream),
}
COLOUR_NAMES = {"1": "grey", "L": "grey", "LA": "grey", "I": "grey", "P": "palette", "PA": "palette"}
WIDE = ("PNG", "TIFF", "JPEG 2000")  # formats whose 16 bits a channel OpenCV reads
CONVERT_PROFILE = "convert all to sRGB where the profiles of a set differ"
_BITS, PHOTOMETRIC, _ORIENTATION, EXTRA_SAMPLES = 258, 262, 274, 338

_warnings_lock = threading.Lock()
logger.setLevel("CRITICAL")  # Pillow's logger for TIFF: each error that it logs is also raised


@dataclass
class OpenedImage:
    """A picture whose header was read and whose pixels were not.

    Attributes:
        kind: Key of READERS, from the content and not from the name.
        data: The file without metadata.
        image: Pillow's lazy picture.
        bits: Bits per channel.
        orientation: EXIF orientation, 1 to 8.
        cut: Whether the file ends too early, where its header says where it should.
        exif: Its EXIF block; empty where there is none.
        profile: Its ICC profile, likewise.
        xmp: Its XMP packet, likewise.
        pictures: How many pictures, frames or pages the file holds; the first one is used.
        unended: Whether the mark of its end is missing, though all its pixels are there.
    """

    kind: str
    data: bytes
    image: ImageFile
    bits: int
    orientation: int
    cut: bool = False
    exif: bytes = b""
    profile: bytes = b""
    xmp: bytes = b""
    pictures: int = 1
    unended: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height after the EXIF orientation is applied."""
        width, height = self.image.size
        return (height, width) if self.pending_orientation >= 5 else (width, height)

    @property
    def pending_orientation(self) -> int:
        """The orientation that the decoders leave to us; they turn TIFF and HEIF by themselves."""
        return 1 if self.kind in ("TIFF", "HEIF") else self.orientation

    @property
    def has_alpha(self) -> bool:
        """True if some pixels may be transparent."""
        return self.image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in self.image.info

    def notes(self, values: ValueRange) -> list[Note]:
        """List what `decode` does besides decoding to the type and channels of a domain; empty where nothing."""
        mode = self.image.mode.split(";")[0]
        name, notes = COLOUR_NAMES.get(mode, mode), []
        if self.pictures > 1:
            notes.append(FURTHER_PICTURES)
        if values.channels == 3 and not mode.upper().startswith("RGB"):
            notes.append(Note(f"{name} to RGB"))
        elif values.channels == 1 and name != "grey":
            notes.append(Note(f"{name} to grey"))
        elif name not in ("grey", "RGB", "RGBA", "RGBX", "RGBa"):
            notes.append(Note(f"{name} to RGB"))
        if self.narrowed(values):
            notes.append(Note(f"{self.bits} bit to 8 bit"))
        if self.has_alpha and values.channels in (1, 3):
            notes.append(Note("alpha composited over white", "give them the background you want"))
        if self.orientation != 1:
            notes.append(Note("EXIF orientation applied"))
        if self.profile and not is_srgb(self.profile):
            notes.append(Note("a colour profile other than sRGB, whose numbers are taken as they are", CONVERT_PROFILE))
        if self.unended:
            notes.append(Note("a missing end, though all pixels are there", "copy them again if that is unexpected"))
        return notes

    def narrowed(self, values: ValueRange) -> bool:
        """True if the picture has more bits than are read for these values."""
        return self.bits > 8 and (values.dtype == "uint8" or self.kind not in WIDE)


@contextmanager
def _muted() -> Iterator[None]:
    """Suppress Python warnings; one thread at a time, since the filters belong to the process."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def explained(kind: str, cut: bool) -> Iterator[None]:
    """Turn whatever a decoder raises into a ContentError; TIFF's metadata warnings are dropped."""
    try:
        with _muted() if kind == "TIFF" else nullcontext():
            yield
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise too_large() from error
    except Exception as error:  # a broken file can raise nearly anything in a decoder
        raise_if_out(error)
        if cut or isinstance(error, TruncatedError | EOFError) or "truncated" in str(error).lower():
            raise ContentError(f"is cut off (its {kind} data ends too early): copy it again or remove it.") from error
        raise damaged(kind, error) from error


@contextmanager
def named_bytes(path: Path, data: bytes | None = None) -> Iterator[bytes]:
    """Give a file's bytes to a `with` block, and name the file in whatever is wrong with them.

    Args:
        path: Of the file.
        data: Its bytes, where they are at hand.

    Raises:
        UserError: If the file cannot be opened, or for a ContentError that was found in the block.
    """
    try:
        if data is None and not path.is_file() and path.exists() and not path.is_dir():  # a pipe may block for ever
            raise UserError(f"{path} is no regular file (it is a pipe, a socket or a device): remove it.")
        data = path.read_bytes() if data is None else data
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{path} is a link that leads back to itself: remove it.") from error
        if path.is_symlink() and not path.exists():
            raise UserError(f"{path} is a link to a missing file: mend the link or remove it.") from error
        raise UserError(f"{path} cannot be opened ({error.strerror}): check its name and rights.") from error
    try:
        yield data
    except ContentError as error:
        raise error.of(path) from error
    except Exception as error:
        if ran_out(error):
            error.add_note(f"{path} was read")
        raise


def open_bytes(data: bytes) -> OpenedImage:
    """Read the header of a picture.

    Raises:
        ContentError: If it is not a picture that we read, is damaged or too large.
    """
    kind = sniff(data)
    if kind not in READERS:
        raise ContentError(f"holds {kind} data and no picture for the eye: save it as a PNG first.")
    cut = kind == "TIFF" and tiff_is_cut(data)
    with explained(kind, cut):
        strip = {"JPEG": strip_jpeg, "PNG": strip_png}.get(kind, Stripped)
        stripped = strip(data)
        if kind == "WebP":
            check_webp(data)
        image = READERS[kind](BytesIO(stripped.data))  # not Image.open, which would warn about large pictures
        check_pixels(*image.size)
        if kind in ("WebP", "AVIF"):
            stripped.exif, stripped.xmp = (image.info.get(name) or b"" for name in ("exif", "xmp"))
        orientation = orientation_of(stripped.exif, stripped.xmp) if stripped.exif or stripped.xmp else 1
        if isinstance(image, TiffImageFile):
            turned = image.tag_v2.get(_ORIENTATION, 1)
            orientation = turned if turned in range(1, 9) else 1
        if kind == "HEIF":
            orientation = image.info.get("original_orientation") or 1
        pictures = stripped.pictures
        if kind not in ("JPEG", "PNG", "TIFF"):
            with suppress(Exception):  # a later frame that is damaged is not used
                pictures = getattr(image, "n_frames", 1)
        bits = _bits(kind, data, image)
        profile = stripped.profile or image.info.get("icc_profile") or b""
        profile = profile if isinstance(profile, bytes) and len(profile) <= MAX_PROFILE_BYTES else b""
        opened = OpenedImage(
            kind,
            stripped.data,
            image,
            bits,
            orientation,
            cut=cut,
            exif=stripped.exif,
            profile=profile,
            xmp=stripped.xmp,
            pictures=pictures,
            unended=stripped.unended,
        )
    check_pixels(*opened.size)
    return opened


def _bits(kind: str, data: bytes, image: ImageFile) -> int:
    """Return the bits per channel of the file, which may be more than Pillow keeps."""
    if kind == "PNG":
        return data[24]
    if isinstance(image, TiffImageFile):
        return int(max(image.tag_v2.get(_BITS, (8,))))
    if kind == "AVIF":  # its configuration, AV1-ISOBMFF section 2.3.3: a mark for 10, and another for 12
        flags = data[place + 6] if 0 < (place := data.find(b"av1C")) < len(data) - 6 else 0
        return 12 if flags & 0x60 == 0x60 else 10 if flags & 0x40 else 8
    if kind == "JPEG 2000":  # its header says bits minus 1, with a mark for signed numbers above
        place = data.find(b"ihdr") + 14
        return (data[place] & 0x7F) + 1 if 14 <= place < len(data) and data[place] != 0xFF else _siz_bits(data)
    return int(image.info.get("bit_depth", 8))  # of HEIF


def _siz_bits(data: bytes) -> int:
    """Return the bits of the first channel of a JPEG 2000 stream, from its marker SIZ (ISO/IEC 15444-1, A.5.1)."""
    place = data.find(b"\xff\x51") + 40
    return (data[place] & 0x7F) + 1 if 40 <= place < len(data) else 8


def _heif_reader() -> Callable[[BytesIO], ImageFile]:
    """Return the reader of HEIC and HEIF pictures.

    Raises:
        ContentError: If the package for it is not installed.
    """
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise ContentError("is a HEIC picture: pip install 'gan-style[heif]' to read such files.") from error
    return HeifImageFile


def is_srgb(profile: bytes) -> bool:
    """Check whether an ICC profile calls itself one of sRGB.

    Nothing is converted: networks see the numbers as they are, in training and inference alike, so the output is in the
    colour space of the input.
    """
    return b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile
