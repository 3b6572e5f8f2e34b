"""Colour profiles of picture files: how a viewer shows their numbers."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from pathlib import Path

from gan_style.data.containers import sniff
from gan_style.data.decoding import READERS, read_bytes

SPACE, SPACES = slice(16, 20), {3: b"RGB ", 1: b"GRAY"}  # ICC.1:2022, section 7.2.6; by channels
MAX_PROFILE_BYTES = 4_000_000  # usual profiles have some hundred to a million


def icc_profile(path: Path, channels: int) -> bytes | None:
    """Return the ICC profile of a file, if it is one for pictures of so many channels.

    Nothing is converted: networks see the numbers as they are, in training and inference alike, so the output is in the
    colour space of the input. A profile of CMYK or grey does not fit the RGB that the file is converted to.
    """
    with suppress(Exception):  # a profile is no reason to refuse a picture
        data = read_bytes(path)
        profile = READERS[sniff(path, data)](BytesIO(data)).info.get("icc_profile")
        if isinstance(profile, bytes) and len(profile) <= MAX_PROFILE_BYTES and profile[SPACE] == SPACES.get(channels):
            return profile
    return None
