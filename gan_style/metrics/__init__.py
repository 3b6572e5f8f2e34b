"""Scores: pictures in, numbers out."""

from __future__ import annotations

from typing import Any

from gan_style.core.lazy import lazily

# Imported when they are asked for: torchmetrics and torchvision take seconds. The functions `manifold` and `diversity`
# have the names of their modules and stay there.
PLACES = {
    "LPIPS": "lpips",
    "ContentDistance": "pairs",
    "Score": "table",
    "SetMetric": "as_torchmetrics",
    "StructureDistance": "structure",
    "StyleDistance": "pairs",
    "cmmd": "kernel",
    "cycle_error": "pairs",
    "edge_agreement": "edges",
    "frechet_distance": "frechet",
    "kid": "kernel",
    "psnr": "truth",
    "sliced_wasserstein": "sliced",
    "ssim": "truth",
    "steganography_probe": "probe",
}


def __getattr__(name: str) -> Any:
    return lazily(__name__, PLACES, name)
