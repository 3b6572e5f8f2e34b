"""A direction is its text wherever it is written, and knows its ends."""

from __future__ import annotations

import json

import pytest

from gan_style.core.direction import Direction
from gan_style.models.translator import Translator, network_of
from tests.small_models import loaded


def test_it_is_its_text_in_keys_names_and_files() -> None:
    there, back = Direction
    assert (there.source, there.target, there.back) == ("A", "B", back)
    assert (back.source, back.target, back.back) == ("B", "A", there)
    assert {"A2B": 1}[there] == 1
    assert f"val/{there}/psnr" == "val/A2B/psnr"
    assert json.loads(json.dumps({there: [back]})) == {"A2B": ["B2A"]}
    assert type(str(there)) is str, "what is saved is plain"
    assert network_of("B2A") == "G_BA"


def test_a_method_may_write_texts_and_there_is_no_third_direction() -> None:
    class Mine(Translator):
        directions = ("B2A",)

    assert Mine.directions == (Direction.B2A,)
    assert type(Mine.directions[0]) is Direction
    with pytest.raises(TypeError, match=r"Wrong\.directions is to be a tuple"):
        type("Wrong", (Translator,), {"directions": ("A2C",)})


def test_a_loaded_model_takes_a_text_and_names_its_styles_by_their_domains() -> None:
    translator = loaded()
    assert translator.ends("B2A", None) == ("B", "A")
    assert translator.direction_of(None) is Direction.A2B
    style = translator.style("painting")
    assert (style.name, style.direction, style.code) == ("painting", Direction.A2B, None)
