"""Bounds on the size of a picture: a small file can claim gigabytes, so its header is checked before it is decoded."""

from __future__ import annotations

import os

from gan_style.core.errors import ContentError, UserError

SETTING = "GAN_STYLE_MAX_PIXELS"
MAX_PIXELS = 178_956_970
"""Larger pictures are refused unless the environment says otherwise, as by Pillow."""
MAX_CHANNELS_AT_FULL_SIZE = 4  # pictures of more channels may have fewer pixels in proportion


def max_pixels() -> int:
    """Return the bound in force: the environment's, or MAX_PIXELS.

    Raises:
        UserError: the environment holds no whole number above 0.
    """
    given = os.environ.get(SETTING)
    if given is None:
        return MAX_PIXELS
    if not given.strip().isdecimal() or int(given) == 0:
        raise UserError(f"{SETTING}={given} in the environment is not valid: give a whole number of pixels above 0")
    return int(given)


def check_pixels(width: int, height: int, channels: int = 1) -> None:
    """Check the size that a header claims against the bound, before memory is taken for the pixels.

    Args:
        width, height, channels: of the picture; slices or pages count as channels.

    Raises:
        ContentError: it is larger.
    """
    most = max_pixels()
    if width * height > most or width * height * channels > most * MAX_CHANNELS_AT_FULL_SIZE:
        raise too_large()


def too_large() -> ContentError:
    """Return the error about a picture above the bound."""
    return ContentError(
        f"claims more than {pixels_in_words()}: make it smaller or remove it, or raise {SETTING} in the environment."
    )


def pixels_in_words() -> str:
    """Return the bound in force as `178 million pixels`."""
    most = max_pixels()
    return f"{most // 10**6} million pixels" if most >= 10**6 else f"{most:,} pixels"
