"""Folders of pictures: list, read, check and convert to tensors."""

import hashlib
import heapq
import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from gan_style.core.errors import ContentError, UserError
from gan_style.core.machine import usable_cores
from gan_style.core.paths import resolved
from gan_style.core.sizes import Size, as_given, height_width
from gan_style.data.containers import HEAD_BYTES, sniff
from gan_style.data.files import check_image, decode_image, notes_as_rgb
from gan_style.data.ledger import Ledger, Note
from gan_style.data.opened import named_bytes
from gan_style.data.values import ValueRange

# Files of these names are taken for pictures unopened; of others the first bytes decide.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".jp2"),
    *(".npy", ".dcm"),
)
SUFFIX_OF_KIND = {
    **{"JPEG": ".jpg", "PNG": ".png", "WebP": ".webp", "BMP": ".bmp", "TIFF": ".tif", "GIF": ".gif"},
    **{"AVIF": ".avif", "HEIF": ".heic", "JPEG 2000": ".jp2", "NumPy": ".npy", "DICOM": ".dcm"},
}
HEIF_SUFFIXES = (".heic", ".heif", ".hif")
UNREADABLE = Note("pictures that cannot be used", left_out=True)
NEEDS_HEIF = Note("HEIC pictures", "pip install 'gan-style[heif]' reads them", left_out=True)


@dataclass
class ImageCheck:
    """Result of `check_images`.

    Attributes:
        good: Pictures that can be used, in the given order.
        skipped: Pictures left out, each with the sentence that says why.
        ledger: What is done to the good ones beside reading them, such as "CMYK to RGB", and the files left out.
        sizes: Width and height of each good picture, in the order of `good`.
        digests: A hash of 16 bytes of each good picture's file, likewise.
    """

    good: list[Path] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)


def list_images(folder: Path, ledger: Ledger | None = None) -> list[Path]:
    """List the pictures of a folder and of its subfolders, sorted by their path within the folder.

    Hidden files and folders are skipped, links are followed. A file whose name says nothing is judged by its content.

    Args:
        folder: The folder.
        ledger: Gets an entry for each kind of file that is left out.

    Raises:
        UserError: If the folder is missing, is no folder or holds no picture.
    """
    folder = Path(folder)
    if not folder.exists():
        raise UserError(f"The folder {folder} does not exist: check the path or make the folder.")
    if not folder.is_dir():
        raise UserError(f"{folder} is a file, but a folder of pictures is expected: give its folder.")
    try:
        files = sorted(
            (path for _, held in walked(folder) for path in held), key=lambda path: path.relative_to(folder).as_posix()
        )
    except OSError as error:
        raise UserError(f"{error.filename} cannot be listed ({error.strerror}): check its rights.") from error
    ledger = Ledger() if ledger is None else ledger
    images = only_pictures(files, ledger)
    if not images:
        count = "1 file" if len(files) == 1 else f"{len(files)} files"
        found = f", {ledger.sentences()[0]}" if len(ledger) else ""
        raise UserError(f"The folder {folder} holds no picture (found {count}{found}): check the path.")
    return images


def only_pictures(files: Iterable[Path], ledger: Ledger) -> list[Path]:
    """Return the pictures among some files, in their order; each kind of file that is left out gets an entry."""
    images = []
    for path in files:
        note = _why_left_out(path)
        if note is None:
            images.append(path)
        else:
            ledger.add(path, [note])
    return images


def suffix_of(path: Path, data: bytes) -> str:
    """Return the suffix of a picture's name, or that of its format where the name says nothing, in lower case."""
    suffix = path.suffix.lower()
    return suffix if suffix in (*SUFFIXES, *HEIF_SUFFIXES) else SUFFIX_OF_KIND[sniff(data)]


def is_picture(path: Path) -> bool:
    """Check by name, else by content, whether a file is a picture that is read here."""
    return _why_left_out(path) is None


def _why_left_out(path: Path) -> Note | None:
    """Return why a file is left out of a list of pictures; None for a picture."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return None
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            return why_left_out(suffix, file.read(HEAD_BYTES))
    except OSError:
        return Note(f"{suffix or 'nameless'} files that cannot be opened", "check their rights", left_out=True)


def why_left_out(suffix: str, head: bytes) -> Note | None:
    """Return why a file is no picture that is read here, by its name and, where that says nothing, its first bytes.

    Args:
        suffix: In lower case.
        head: HEAD_BYTES at least, or all there are.
    """
    if suffix in HEIF_SUFFIXES:
        return None if importlib.util.find_spec("pillow_heif") else NEEDS_HEIF
    if suffix in SUFFIXES:
        return None
    named = f"{suffix or 'nameless'} files"
    try:
        kind = sniff(head)
    except ContentError as error:
        if str(error).startswith("holds "):
            return Note(f"{named} of a format that is not read", "convert them to PNG or JPEG", left_out=True)
        return Note(f"{named} that are no pictures", left_out=True)
    return NEEDS_HEIF if kind == "HEIF" and not importlib.util.find_spec("pillow_heif") else None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe may block for ever


def walked(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield a folder and all visible ones below it, each with its visible files, and each once.

    Links to folders are followed last, and no folder is entered twice, so that links in a circle end.
    """
    seen: set[Path] = set()
    waiting, links = [folder], list[Path]()
    while waiting or links:
        here = waiting.pop() if waiting else heapq.heappop(links)
        if (real := resolved(here)) in seen:
            continue
        seen.add(real)
        files = []
        for path in here.iterdir():
            if path.name.startswith("."):
                continue
            if not path.is_dir():
                files.append(path)
            elif path.is_symlink():
                heapq.heappush(links, path)
            else:
                waiting.append(path)
        yield here, files


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture of any common kind as RGB.

    The EXIF orientation is applied; grey, palette and CMYK become RGB, transparency is composited over white,
    16 bits are scaled to 8.

    Returns:
        RGB [H, W, 3], uint8.

    Raises:
        UserError: If the picture cannot be read; the sentence says what is wrong with the file.
    """
    with named_bytes(Path(path)) as data:
        return np.asarray(decode_image(data, None))


def survey(paths: Iterable[Path], ledger: Ledger) -> None:
    """Add what reading these files as 8-bit RGB does beside; those that cannot be read are left to who reads them."""
    for path in paths:
        with suppress(UserError), named_bytes(path) as data:
            ledger.add(path, notes_as_rgb(data))


def check_images(
    paths: Sequence[Path],
    on_error: Literal["stop", "skip"] = "stop",
    min_size: Size | None = None,
    values: ValueRange | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImageCheck:
    """Decode every picture once, so that training does not fail at a damaged one after hours.

    Args:
        paths: The pictures.
        on_error: "stop" raises at a bad picture, "skip" leaves it out.
        min_size: Pictures that are lower or narrower are bad; None accepts every size.
        values: Type, range and channels of the domain; None is 8-bit RGB.
        progress: Called with (number checked, number in all) after each picture.

    Raises:
        UserError: If a picture is bad and on_error is "stop", or if every picture is bad.
    """
    if on_error not in ("stop", "skip"):
        raise UserError(f"data.on_error is {on_error!r}, but must be stop or skip.")
    check = ImageCheck()
    wanted = values or ValueRange()
    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        for done, (path, result) in enumerate(
            zip(paths, pool.map(lambda path: _inspect(path, min_size, wanted), paths), strict=True),
            start=1,
        ):
            if isinstance(result, str):
                check.skipped.append((path, result))
                check.ledger.add(path, [UNREADABLE])
            else:
                check.good.append(path)
                check.sizes.append(result[0])
                check.ledger.add(path, result[1])
                check.digests.append(result[2])
            if progress is not None:
                progress(done, len(paths))
    if check.skipped and (on_error == "stop" or not check.good):
        raise UserError(_summary(check, len(paths), on_error))
    return check


def _inspect(path: Path, min_size: Size | None, values: ValueRange) -> tuple[tuple[int, int], list[Note], bytes] | str:
    """Return size, notes and digest of a good picture, or what is wrong with it."""
    try:
        with named_bytes(path) as data:
            size, notes = check_image(data, values)
    except UserError as error:
        return str(error)
    least = height_width(min_size or 1)
    if size[1] < least[0] or size[0] < least[1]:
        return too_small(path, size, min_size or 1)
    return size, notes, hashlib.blake2b(data, digest_size=16).digest()


def too_small(path: Path, size: tuple[int, int], min_size: Size) -> str:
    """Return the sentence about a picture, of this width and height, that is smaller than the crop."""
    return (
        f"{path} is {size[1]}x{size[0]} (height x width), smaller than the crop of {as_given(min_size)}: "
        f"set data.load_size={as_given(min_size)} or more, so that pictures are resized first, or remove it."
    )


def _summary(check: ImageCheck, total: int, on_error: str) -> str:
    """Return one sentence about the bad pictures."""
    first = check.skipped[0][1].rstrip(".")
    if not check.good:
        whole = "the only picture is" if total == 1 else f"all {total} pictures are"
        return f"{first} ({whole} unusable)."
    return f"{first} (unusable: {len(check.skipped)} of {total} pictures; data.on_error=skip leaves such pictures out)."


def to_tensor(array: NDArray[np.uint8]) -> torch.Tensor:
    """Turn uint8 [H, W, C] into float32 [C, H, W] in [-1, 1]."""
    writeable = array if array.flags.writeable else array.copy()
    pixels = torch.from_numpy(np.ascontiguousarray(writeable)).permute(2, 0, 1)
    return pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(127.5).sub_(1)


def to_uint8(tensor: torch.Tensor) -> NDArray[np.uint8]:
    """Turn [C, H, W] or [B, C, H, W] in [-1, 1] into uint8 [H, W, C] or [B, H, W, C].

    Values are rounded to the nearest step and clamped; to_uint8(to_tensor(array)) is the array again.
    """
    pixels = tensor.detach().to("cpu", torch.float32).add(1).mul_(127.5).round_().clamp_(0, 255)
    array: NDArray[np.uint8] = pixels.to(torch.uint8).movedim(-3, -1).contiguous().numpy()
    return array
