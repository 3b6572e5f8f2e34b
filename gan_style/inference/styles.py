"""The style interface of all methods: weights, strength, colours and masks.

A style is a picture, a set of pictures, a style that the model has learned by name, or a domain. A method with styles
encodes each as a code, and a mix is the weighted mean of the codes. For a method of two domains a mix is the weighted
mean of its output pictures. Strength 0 is the content's own code, or the content itself (docs/styles.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gan_style.core.checks import is_number, shown
from gan_style.core.direction import Direction
from gan_style.core.errors import UserError, did_you_mean
from gan_style.models.styled import styled
from gan_style.models.translator import StyleCode, Translator

# From RGB to YIQ, the luminance and two colour differences of NTSC (Gatys et al. 2016b, section 3).
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
MAX_OVERLAP = 8 / 255  # of masks in a pixel: smooth borders are rounded twice, and JPEG adds errors of its own


@dataclass(frozen=True)
class Style:
    """Style with its weight and region.

    Args:
        name: for messages, and to recognise the same style given twice.
        code: of one entry; None for a domain of a method without codes.
        weight: in proportion to the other styles.
        mask: [1, 1, H, W] in [0, 1], the region of the style; None is the whole picture.
        direction: into the domain; None is the picture itself, or with a code the model's first.
    """

    name: str
    code: StyleCode | None
    weight: float = 1.0
    mask: Tensor | None = None
    direction: Direction | None = None


def normalised(styles: Sequence[Style]) -> list[Style]:
    """Sort styles by name, join equal ones, drop those of weight 0 and scale the weights to sum to 1.

    Raises:
        UserError: a weight is negative or not a number, or they sum to zero.
    """
    for style in styles:
        if not is_number(style.weight, 0):
            raise UserError(f"the weight of style {style.name} is {shown(style.weight)}: give a number of at least 0")
    largest = max(style.weight for style in styles)
    if largest == 0:
        raise UserError("the weights of all styles sum to zero: give one of them a weight above 0")
    # Divided by the largest, so that huge weights do not overflow; `fsum` is exact, so that no order changes the sum.
    total = math.fsum(style.weight / largest for style in styles)
    kept: list[Style] = []
    for style in sorted(styles, key=lambda s: (s.direction or "", s.name)):
        if style.weight == 0:
            continue
        share = style.weight / largest / total
        same = next((i for i, other in enumerate(kept) if _equal(style, other)), None)
        if same is None:
            kept.append(replace(style, weight=share))
        else:
            kept[same] = replace(kept[same], weight=kept[same].weight + share)
    if len(kept) == 1:
        return [replace(kept[0], weight=1.0)]
    return kept


def mix_codes(codes: Sequence[StyleCode], weights: Sequence[float]) -> StyleCode:
    """Compute the weighted mean of codes."""
    if len(codes) == 1 and weights[0] == 1:
        return dict(codes[0])
    return {
        name: torch.stack([w * c[name] for c, w in zip(codes, weights, strict=True)]).sum(dim=0) for name in codes[0]
    }


def apply_styles(
    model: Translator,
    images: Tensor,
    styles: Sequence[Style],
    *,
    alpha: float = 1.0,
    preserve_color: bool = False,
    **options: Any,
) -> Tensor:
    """Apply a mix of styles to pictures, or one style to each region.

    Args:
        model: any method.
        images: [B, C, H, W] in [-1, 1].
        styles: with their weights; either all of them have a mask or none.
        alpha: strength in [0, 1]; 0 is the method's own reconstruction of the content.
        preserve_color: keep the content's colours and take the luminance only.
        **options: of the method's `stylize`.

    Returns: the same shape.

    Raises:
        UserError: no style, a strength outside [0, 1], weights or masks that do not fit.
    """
    if not styles:
        raise UserError("no style was given: name at least one")
    if not is_number(alpha, 0, 1):
        raise UserError(f"alpha={shown(alpha)} is not a strength: give a number from 0 to 1")
    if any(style.mask is not None for style in styles):
        output = _by_region(model, images, styles, alpha, options)
    else:
        output = _mixed(model, images, normalised(styles), alpha, options)
    return keep_colours(images, output) if preserve_color else output


def keep_colours(content: Tensor, output: Tensor) -> Tensor:
    """Combine the luminance of `output` with the colours of `content`, [B, 3, H, W] in [-1, 1] (Gatys et al. 2016b)."""
    if content.shape[1] != 3 or output.shape[1] != 3:
        raise UserError(f"preserve_color needs pictures of 3 channels, not {content.shape[1]}: leave it out")
    matrix = torch.tensor(YIQ, dtype=output.dtype, device=output.device)
    luminance = torch.einsum("c,bchw->bhw", matrix[0], output)[:, None]
    colours = torch.einsum("dc,bchw->bdhw", matrix[1:], content.to(output.dtype))
    back = torch.einsum("cd,bdhw->bchw", torch.linalg.inv(matrix), torch.cat([luminance, colours], dim=1))
    return back.clamp(-1, 1)


def direction_to(domains: Mapping[str, str], directions: Sequence[Direction], wanted: str) -> Direction | None:
    """Return the direction whose target domain has this name or letter.

    None for a domain that is only a source: the picture itself. A model of two directions translates into either of its
    domains, since it does not know which of them a picture is from.

    Raises:
        UserError: no domain has the name; suggests the nearest.
    """
    by_name = {domains.get(d.target, d.target): d for d in directions} | {d.target: d for d in directions}
    sources = {domains.get(d.source, d.source) for d in directions} | {d.source for d in directions}
    if wanted in by_name:
        return by_name[wanted]
    if wanted in sources:
        return None
    raise UserError(f"{wanted} is not a domain of this model{did_you_mean(wanted, [*by_name, *sources])}")


def _mixed(model: Translator, images: Tensor, styles: Sequence[Style], alpha: float, options: Any) -> Tensor:
    codes = [style.code for style in styles if style.code is not None]
    if not codes:
        parts = [
            style.weight * (model.interpolate(images, style.direction, alpha) if style.direction else images)
            for style in styles
        ]
        return torch.stack(parts).sum(dim=0) if len(parts) > 1 else parts[0]
    method, ways = styled(model), {style.direction for style in styles if style.direction}
    if len(ways) > 1:
        raise UserError(f"the styles are of two domains ({' and '.join(sorted(ways))}) and cannot be mixed: name one")
    if ways:
        method = method.towards(ways.pop())
    code = mix_codes(codes, [style.weight for style in styles])
    if alpha < 1:
        own = method.style_code(images)
        code = own if alpha == 0 else {name: torch.lerp(own[name], value, alpha) for name, value in code.items()}
    return method.stylize(images, code, **options)


def _by_region(model: Translator, images: Tensor, styles: Sequence[Style], alpha: float, options: Any) -> Tensor:
    masks = checked_masks(styles, (int(images.shape[-2]), int(images.shape[-1])))
    output, rest = torch.zeros_like(images), torch.ones_like(images[:1, :1])
    for style, one in zip(styles, masks, strict=True):
        mask = one.to(images)
        output = output + mask * _mixed(model, images, [replace(style, weight=1.0, mask=None)], alpha, options)
        rest = rest - mask
    return output + rest * images


def checked_masks(styles: Sequence[Style], size: tuple[int, int]) -> list[Tensor]:
    """Check the masks of styles, and return them scaled to sum to at most 1 in each pixel.

    Args:
        styles: with masks.
        size: height and width of the content.

    Raises:
        UserError: a style has no mask, one of another size, or two of them overlap.
    """
    masks = []
    for style in styles:
        if style.mask is None:
            raise UserError(f"style {style.name} has no mask: give one mask for each style, or none at all")
        if style.weight != 1:
            raise UserError(
                f"style {style.name} has a mask and the weight {shown(style.weight)}: regions are not weighed"
            )
        check_mask_size(style.name, (style.mask.shape[-2], style.mask.shape[-1]), size)
        masks.append(style.mask.to("cpu", torch.float32))
    total = torch.cat(masks).sum(dim=0, keepdim=True)
    overlap = int((total > 1 + MAX_OVERLAP).sum())
    if overlap:
        raise UserError(f"the masks overlap in {overlap} pixels: each pixel may belong to one style only")
    return [mask / total.clamp_min(1) for mask in masks]


def check_mask_size(name: str, mask: tuple[int, int], content: tuple[int, int]) -> None:
    """Raise a UserError unless the mask of a style has the content's height and width."""
    if mask != content:
        raise UserError(
            f"the mask of style {name} is {mask[1]}x{mask[0]}, but the content is {content[1]}x{content[0]} "
            "(width x height): make them equal"
        )


def _equal(a: Style, b: Style) -> bool:
    if a.code is None or b.code is None or a.direction != b.direction:
        return a.direction == b.direction
    return a.code.keys() == b.code.keys() and all(torch.equal(a.code[k], b.code[k]) for k in a.code)
