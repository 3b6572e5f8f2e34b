"""What the class of a method may not say, and the sentence that it gets."""

from __future__ import annotations

from typing import Any

import pytest

from gan_style.models.translator import NOT_CALLED, Translator


@pytest.mark.parametrize("hook", NOT_CALLED)
def test_a_hook_of_lightning_is_refused_since_nothing_calls_it(hook: str) -> None:
    with pytest.raises(TypeError, match=rf"Mine\.{hook} would never be called: write "):
        type("Mine", (Translator,), {hook: lambda self, *args: None})


@pytest.mark.parametrize("directions", [("A2C",), property(lambda self: ("A2B",)), 3])
def test_directions_are_a_tuple_of_texts(directions: Any) -> None:
    with pytest.raises(TypeError, match=r'Mine\.directions is to be a tuple of "A2B" and "B2A"'):
        type("Mine", (Translator,), {"directions": directions})
    assert type("Mine", (Translator,), {"directions": ("A2B",)}).directions == ("A2B",)
