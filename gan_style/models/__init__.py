"""The methods, one paper per file: networks, weights of the loss terms, two equations."""

from __future__ import annotations

from typing import Any

from gan_style.core.lazy import lazily

# Imported when they are asked for: Lightning takes seconds.
PLACES = {
    "CUT": "cut",
    "AdaIN": "adain",
    "ConstantThenLinear": "schedules",
    "CycleGAN": "cyclegan",
    "Gatys": "gatys",
    "Generated": "translator",
    "ImagePool": "image_pool",
    "MicroAST": "microast",
    "PerceptualGAN": "perceptual_gan",
    "Pretrained": "pretrained",
    "StyleConditional": "style_conditional",
    "Styled": "styled",
    "Translator": "translator",
}


def __getattr__(name: str) -> Any:
    return lazily(__name__, PLACES, name)
