"""The colour profile of a picture file: what its numbers mean, for whoever shows it."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from pathlib import Path

from gan_style.data.containers import sniff
from gan_style.data.decoding import READERS, read_bytes

SPACE, SPACES = slice(16, 20), {3: b"RGB ", 1: b"GRAY"}  # ICC.1:2022, section 7.2.6; by channels
LARGEST = 4_000_000  # bytes; a profile has some hundred to a million


def icc_profile(path: Path, channels: int) -> bytes | None:
    """The ICC profile of a file, if it is one for pictures of so many channels.

    Nothing is converted: networks see the numbers as they are, in training as now, so what comes out is in the same
    colours as what went in. A profile of CMYK or of a grey picture is of no use to the RGB that is made of it.
    """
    with suppress(Exception):  # a profile is no reason to refuse a picture
        data = read_bytes(path)
        profile = READERS[sniff(path, data)](BytesIO(data)).info.get("icc_profile")
        if isinstance(profile, bytes) and len(profile) <= LARGEST and profile[SPACE] == SPACES.get(channels):
            return profile
    return None
