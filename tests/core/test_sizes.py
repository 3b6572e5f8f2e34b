"""A size of pictures: N, or height and width."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gan_style.core.errors import UserError
from gan_style.core.hints import converted
from gan_style.core.sizes import Size, as_given, height_width, in_pixels, parsed, pixels_of, sized, stored


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (64, 64),
        ("64", 64),
        (64.0, 64),
        (np.int64(64), 64),
        ([64, 96], (64, 96)),
        ((96, 64), (96, 64)),
        ([64, 64], 64),
        (["64", 96.0], (64, 96)),
        ("64,96", (64, 96)),
        ("[64, 96]", (64, 96)),
    ],
)
def test_what_is_a_size(given: Any, size: Any) -> None:
    assert parsed(given) == size
    assert sized("x", given) == size


@pytest.mark.parametrize(
    "given",
    [
        *(0, -1, 64.5, float("nan"), float("inf"), True, None, "x", "", "64x96", "9" * 400, {"a": 1}),
        *([], [64], [64, 96, 3], [64, 0], [64, -1], [64, None], [True, 64], [[64], 96], "[64]", "64,96,3", "64,"),
    ],
)
def test_what_is_no_size_is_refused_in_one_sentence_by_its_name(given: Any) -> None:
    assert parsed(given) is None
    for refuse in (lambda: sized("data.image_size", given), lambda: converted(given, Size, "data.image_size")):
        with pytest.raises(UserError) as error:
            refuse()
        said = str(error.value)
        assert said.startswith("data.image_size=")
        assert said.endswith("give N, the side of a square, or [H,W], height and width, in whole pixels of 1 or more")
        assert len(said.splitlines()) == 1


def test_a_config_keeps_a_square_as_a_number_and_a_rectangle_as_a_list() -> None:
    assert converted([64, 64], Size, "data.image_size") == 64
    assert converted("64", Size, "data.image_size") == 64
    assert converted([64, 96], Size, "data.image_size") == [64, 96]
    assert converted(None, Size | None, "data.load_size") is None


def test_a_size_is_written_and_said_height_first() -> None:
    assert (stored(64), stored((64, 96))) == (64, [64, 96])
    assert (as_given(64), as_given((64, 96))) == ("64", "[64,96]")
    assert (in_pixels(64), in_pixels([64, 96])) == ("64 px", "64x96 px (height x width)")
    assert (height_width(64), height_width([64, 96]), pixels_of((64, 96))) == ((64, 64), (64, 96), 6144)
