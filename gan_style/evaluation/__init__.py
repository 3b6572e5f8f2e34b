"""Numbers of a trained model, or of a folder of pictures."""

from __future__ import annotations

from typing import Any

from gan_style.core.lazy import lazily

PLACES = {"DrawnJudge": "drawn"}  # imported when it is asked for: torch takes seconds


def __getattr__(name: str) -> Any:
    return lazily(__name__, PLACES, name)
