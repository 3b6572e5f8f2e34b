"""Facts about one picture file, from one read and one full decode; only a thumbnail of its pixels is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gan_style.core.errors import UserError
from gan_style.core.machine import usable_cores
from gan_style.data.inspection.seen import look_at
from gan_style.data.ledger import Note
from gan_style.data.values import Array

SPLITS = ("trainA", "trainB", "valA", "valB", "testA", "testB")
SUFFIXES_OF = {
    "JPEG": (".jpg", ".jpeg", ".jfif", ".jpe"),
    "PNG": (".png",),
    "WebP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
    "JPEG 2000": (".jp2",),
    "NumPy": (".npy",),
    "DICOM": (".dcm",),
}
HASHED, THUMBNAIL = 32, 16  # pixels a side, of the picture that is hashed and of the one that is kept
GREY_TOLERANCE = 3  # levels of 255 between the channels of a grey JPEG stored as RGB, after averaging
MAX_BLANK_STD = 1.5  # levels of 255: the noise of a JPEG of one colour


@dataclass(frozen=True)
class ImageFacts:
    """Facts about a picture that can be read.

    Attributes:
        path: the file.
        bytes: of the file.
        kind: key of SUFFIXES_OF, from the content.
        width: after the EXIF orientation is applied.
        height: likewise.
        mode: Pillow's, such as RGB, L, P or I;16; of arrays NumPy's name of their type.
        channels: as stored.
        bits: per channel, as stored.
        orientation: EXIF's, 1 to 8.
        alpha: whether some pixels may be transparent.
        grey: whether it shows no colour, whatever its channels.
        low: smallest value, on the file's own scale where it has more than 8 bits, else of 255.
        high: largest value, likewise.
        mean: of red, green and blue, of 255; over the picture's own range where it has more than 8 bits.
        std: likewise.
        digest: BLAKE2b of the decoded numbers, of all their bits: the same for a copy with other metadata or in a
            lossless container.
        hash: 64 signs of the lowest cosine frequencies of the brightness.
        thumbnail: [16, 16, 3] uint8.
        notes: what reading it does beside.
    """

    path: Path
    bytes: int
    kind: str
    width: int
    height: int
    mode: str
    channels: int
    bits: int
    orientation: int
    alpha: bool
    grey: bool
    low: float
    high: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    digest: str
    hash: int
    thumbnail: NDArray[np.uint8] = field(repr=False, compare=False)
    notes: tuple[Note, ...] = ()

    @property
    def short_side(self) -> int:
        return min(self.width, self.height)

    @property
    def aspect(self) -> float:
        return self.width / self.height

    @property
    def is_array(self) -> bool:
        """True for numbers that no picture decoder reads: floats, signed ones, many channels."""
        return self.mode.startswith(("bool", "int", "uint", "float"))

    @property
    def deep(self) -> bool:
        """True if unsigned 8 bits cannot hold its values."""
        return self.bits > 8 or self.mode == "int8"

    @property
    def blank(self) -> bool:
        """True if it is one colour all over."""
        return max(self.std) < MAX_BLANK_STD

    @property
    def has_wrong_suffix(self) -> bool:
        return self.path.suffix.lower() not in SUFFIXES_OF[self.kind]


@dataclass(frozen=True)
class Unreadable:
    """File that training would stop at, and the sentence that says why."""

    path: Path
    reason: str


@dataclass
class Split:
    """Pictures of one folder, in the given order."""

    name: str
    images: list[ImageFacts] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)

    @property
    def domain(self) -> str:
        return self.name[-1]

    @property
    def count(self) -> int:
        return len(self.images) + len(self.unreadable)


def gather(
    images: Mapping[str, Sequence[Path]], progress: Callable[[int, int], None] | None = None
) -> dict[str, Split]:
    """Read every picture once, on all processors.

    Args:
        images: files by split, keyed by names of SPLITS; splits may be missing.
        progress: called with (number read, number in all) after each picture.

    Returns: the splits that were given, in the order of SPLITS.
    """
    splits = {name: Split(name) for name in SPLITS if name in images}
    files = [(name, Path(path)) for name in splits for path in images[name]]
    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        facts = pool.map(lambda file: read_facts(file[1]), files)
        for done, ((name, _), fact) in enumerate(zip(files, facts, strict=True), start=1):
            if isinstance(fact, Unreadable):
                splits[name].unreadable.append(fact)
            else:
                splits[name].images.append(fact)
            if progress is not None:
                progress(done, len(files))
    return splits


def read_facts(path: Path) -> ImageFacts | Unreadable:
    """Read and decode a file once."""
    try:
        seen = look_at(path)
    except UserError as error:
        return Unreadable(path, str(error))
    opened, pixels = seen.opened, seen.shown
    small: Any = cv2.resize(pixels, (HASHED, HASHED), interpolation=cv2.INTER_AREA)
    channels = small.astype(np.int16)
    mean, std = cv2.meanStdDev(pixels)
    return ImageFacts(
        path=path,
        bytes=seen.bytes,
        kind=seen.kind,
        width=pixels.shape[1],
        height=pixels.shape[0],
        mode=opened.image.mode if opened else seen.numbers.dtype.name,
        channels=len(opened.image.getbands()) if opened else seen.numbers.shape[2],
        bits=opened.bits if opened else 8 * seen.numbers.dtype.itemsize,
        orientation=opened.orientation if opened else 1,
        alpha=opened is not None and opened.has_alpha,
        grey=bool((channels.max(axis=2) - channels.min(axis=2)).max() <= GREY_TOLERANCE),
        low=seen.low,
        high=seen.high,
        mean=_triple(mean),
        std=_triple(std),
        digest=_digest(seen.numbers),
        hash=perceptual_hash(small),
        notes=seen.notes,
        thumbnail=cv2.resize(small, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.uint8),
    )


def _digest(numbers: Array) -> str:
    """Hash the numbers, their type and their shape."""
    key = f"{numbers.dtype.name} {numbers.shape}".encode()
    return blake2b(np.ascontiguousarray(numbers).data, digest_size=16, key=key).hexdigest()


def perceptual_hash(small: NDArray[np.uint8]) -> int:
    """Hash what a picture shows.

    The signs of the 8 x 8 lowest cosine frequencies change little when a picture is scaled, brightened or encoded
    again. They are compared with 0, not with the median as usual, so that the hash of the mirror image follows from the
    hash.

    Args:
        small: the picture, averaged down to [32, 32, 3].

    Returns: 64 bits, the lowest frequency first.
    """
    brightness = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    lowest = cv2.dct(brightness)[:8, :8] > 0
    return int.from_bytes(np.packbits(lowest).tobytes(), "big")


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = (round(float(value), 2) for value in values.ravel())
    return red, green, blue
