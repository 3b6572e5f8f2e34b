"""Cheap numbers about pictures, all on their own device: nothing here waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.core.direction import Direction

SIDE = 16  # of the small copies that outputs are compared by
STRIDES = 4  # the longest period of a grid: two layers of stride 2
SMALLEST = 16  # pictures below this many pixels show no grid that could be told from their content
LIMIT = 0.99  # from here on a value stands at the end of [-1, 1]
FLAT = 0.02  # deviation in [0, 1] below which pictures do not differ, or have no light and dark

Sketch = dict[str, Tensor]


@torch.no_grad()
def sketch(images: Mapping[str, Tensor]) -> Sketch:
    """What is kept of one iteration's pictures.

    Args:
        images: `real_A`, `fake_B`, ..., [B, C, H, W] in [-1, 1]; see docs/glossary.md.

    Returns: by direction: small copies, how far the output lies from the input, the shares of values at the limits
        and the grids of output and target.
    """
    found: Sketch = {}
    for direction in Direction:
        source, target = direction.source, direction.target
        if not {f"real_{source}", f"fake_{target}", f"real_{target}"} <= set(images):
            continue
        real, fake, other = (images[name].float() for name in (f"real_{source}", f"fake_{target}", f"real_{target}"))
        for kind, pictures in (("input", real), ("output", fake), ("target", other)):
            found[f"{direction}/{kind}"] = F.adaptive_avg_pool2d(pictures, SIDE)
        if real.shape == fake.shape:
            found[f"{direction}/moved"] = (fake - real).abs().mean()
        found[f"{direction}/saturated"] = (fake.abs() > LIMIT).float().mean()
        found[f"{direction}/saturated_real"] = (other.abs() > LIMIT).float().mean()
        if min(*fake.shape[-2:], *other.shape[-2:]) >= SMALLEST:
            found[f"{direction}/grid"], found[f"{direction}/grid_real"] = grid(fake), grid(other)
    return found


@torch.no_grad()
def measure(sketches: Sequence[Sketch]) -> dict[str, Tensor]:
    """Numbers about the pictures of a few iterations that follow each other.

    Returns: scalars by name; NaN where the pictures cannot say.
        `A2B/spread`: deviation over inputs of the output, divided by the smaller one of input and target.
        `A2B/correlation`: of light and dark between input and output.
        `A2B/moved`: mean absolute difference of output and input, in [0, 2].
        `A2B/saturated`, `A2B/saturated_real`: shares of values at the limits.
        `A2B/grid`, `A2B/grid_real`: deviation of what repeats with a period of 2 or 4 pixels.
    """
    found: dict[str, Tensor] = {}
    for direction in Direction:
        rows = [one for one in sketches if f"{direction}/output" in one]
        if not rows:
            continue
        small = {kind: [row[f"{direction}/{kind}"] for row in rows] for kind in ("input", "output", "target")}
        found[f"{direction}/spread"] = spread(*(torch.cat(small[kind]) for kind in ("input", "output", "target")))
        found[f"{direction}/correlation"] = correlation(torch.cat(small["input"]), torch.cat(small["output"]))
        for kind in ("moved", "saturated", "saturated_real"):
            if values := [row[f"{direction}/{kind}"] for row in rows if f"{direction}/{kind}" in row]:
                found[f"{direction}/{kind}"] = torch.stack(values).mean()
        for kind in ("grid", "grid_real"):
            if grids := [row[f"{direction}/{kind}"] for row in rows if f"{direction}/{kind}" in row]:
                found[f"{direction}/{kind}"] = torch.stack(grids).mean(0).std(correction=0)
    return found


def spread(inputs: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
    """Deviation over pictures of the outputs [N, C, h, w] against the smaller one of inputs and targets.

    NaN where there are fewer than three pictures, or where inputs or targets do not differ themselves.
    """
    if len(inputs) < 3:
        return torch.full((), torch.nan, device=inputs.device)
    out, *others = (x.var(0, correction=0).mean().sqrt() for x in (outputs, inputs, targets))
    least = torch.minimum(*others)
    return torch.where(least > FLAT, out / least, torch.nan)


def correlation(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Mean over pictures of the correlation of their luminance, [N, C, h, w] twice; flat pictures do not count."""
    a, b = (x.mean(1).flatten(1) for x in (inputs, outputs))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    deviations = a.square().mean(1).sqrt(), b.square().mean(1).sqrt()
    each = (a * b).mean(1) / (deviations[0] * deviations[1]).clamp_min(1e-12)
    return torch.where(torch.minimum(*deviations) > FLAT, each, torch.nan).nanmean()


def grid(pictures: Tensor) -> Tensor:
    """What repeats every four pixels, [4, 4], of pictures [B, C, H, W].

    This is the spectrum at the frequencies of strides 2 and 4 and nowhere else (Odena et al. 2016, "Deconvolution
    and checkerboard artifacts"), taken by folding: what does not repeat averages out.
    """
    light = pictures.mean(1, keepdim=True)
    # Holds no period of 2 or 4 itself, and is even: a slope leaves no saw behind.
    taps = torch.tensor([1.0, 2.0, 2.0, 2.0, 1.0], device=light.device) / 8
    smooth = F.conv2d(F.conv2d(light, taps.view(1, 1, 5, 1)), taps.view(1, 1, 1, 5))
    fine = light[..., 2:-2, 2:-2] - smooth
    height, width = (side - side % STRIDES for side in fine.shape[-2:])
    cells = fine[..., :height, :width].reshape(-1, height // STRIDES, STRIDES, width // STRIDES, STRIDES)
    return cells.mean((0, 1, 3))
