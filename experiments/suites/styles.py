"""The style systems: Gatys against VGG's own passes, AdaIN against its convolutions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from suites.common import alternate, composed, report

from gan_style.core.config import build


def run(words: dict[str, str]) -> dict[str, Any]:
    """Each at the size of its paper's pictures; VGG's weights are random, which costs the same."""
    size, rounds = int(words.pop("size", "256")), int(words.pop("rounds", "5"))
    image, style = torch.rand(1, 3, size, size) * 2 - 1, torch.rand(1, 3, size, size) * 2 - 1
    vgg = ["model.vgg.weights=random", f"model.vgg.depth={words.pop('depth', 'relu4_1')}"]
    return {"suites": [gatys_suite(image, style, vgg, rounds), adain_suite(image, style, vgg, rounds)]}


def gatys_suite(image: torch.Tensor, style: torch.Tensor, vgg: list[str], rounds: int) -> dict[str, Any]:
    """Twenty steps of the descent against as many passes through VGG, forward and back to the picture."""
    steps = 20
    settings = [f"model.steps={steps}", "model.scales=1"]
    model = build(composed(["model=gatys", "data=tiny", *vgg, *settings])["model"])
    code, layers, network = model.style_code(style), model.perceptual.layers, model.perceptual._vgg[0]
    parameter = torch.nn.Parameter(image.clone())

    def bare() -> None:
        for _ in range(steps):
            parameter.grad = None
            torch.stack([f.mean() for f in network(parameter, layers).values()]).sum().backward()

    times = alternate({"VGG's passes": bare, "gatys": lambda: model.stylize(image, code)}, rounds)
    return report(f"Gatys, {steps} steps at {image.shape[-1]} px", times, against="VGG's passes")


@torch.no_grad()
def adain_suite(image: torch.Tensor, style: torch.Tensor, vgg: list[str], rounds: int) -> dict[str, Any]:
    """One picture in a known style against the same convolutions and nothing between them."""
    model = build(composed(["model=adain", "data=tiny", *vgg])["model"], channels_A=3, channels_B=3).eval()
    code = model.style_code(style)
    calls: list[tuple[Any, Any]] = []
    convolve = F.conv2d

    def recorded(*words: Any, **named: Any) -> torch.Tensor:
        calls.append((words, named))
        return convolve(*words, **named)

    F.conv2d = recorded
    model.stylize(image, code)
    F.conv2d = convolve

    def bare() -> None:
        for words, named in calls:
            convolve(*words, **named)

    times = alternate({"convolutions": bare, "adain": lambda: model.stylize(image, code)}, rounds)
    return report(f"AdaIN, one picture of {image.shape[-1]} px", times, against="convolutions")
