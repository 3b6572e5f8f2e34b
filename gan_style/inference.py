"""A trained model from its checkpoint alone, for pictures of any kind and size."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gan_style import checkpoint
from gan_style.config import ALLOWED_FROM_CHECKPOINT, build, did_you_mean, takes, target_of
from gan_style.data.images import list_images, read_image, to_tensor, to_uint8
from gan_style.data.transforms import resize
from gan_style.errors import UserError
from gan_style.models.translator import StyleCode, Translator
from gan_style.styles import Style, apply_styles, direction_to, mix_codes

Picture = str | Path | Image.Image | NDArray[np.uint8] | Tensor


class LoadedTranslator:
    """What `gan_style.load` gives: translate pictures, with any mix of styles.

    Args:
        model: on its device, in evaluation mode.
        domains: letter -> name, from the checkpoint.
        style_names: styles that the model has learned by name.
    """

    def __init__(self, model: Translator, domains: Mapping[str, str], style_names: Sequence[str] = ()) -> None:
        self.model = model
        self.domains = dict(domains)
        self.style_names = list(style_names)
        self._codes: dict[tuple[str, int, int], StyleCode] = {}

    @torch.no_grad()
    def translate(
        self,
        image: Picture,
        direction: str | None = None,
        *,
        style: Picture | Mapping[Any, float] | Sequence[tuple[Picture, float]] | None = None,
        alpha: float = 1.0,
        preserve_color: bool = False,
        mask: Sequence[Picture] | None = None,
        size: int | None = None,
        **options: Any,
    ) -> Any:
        """Translate one picture, or a batch of them as a tensor.

        Args:
            image: a path, a PIL picture, uint8 [H, W, C], or float [C, H, W] or [B, C, H, W] in [-1, 1].
            direction: "A2B" or "B2A"; None is the model's first.
            style: what to look like: a picture, a folder, a name; or a mapping of these to weights, or pairs.
            alpha: strength in [0, 1]; 0 is the method's own reconstruction of the picture.
            preserve_color: keep the picture's own colours.
            mask: a picture per style, white where it holds.
            size: shorten the longer side of the picture to so many pixels first.
            **options: of the method's own `stylize`, such as the `progress` of Gatys.

        Returns: the same kind and size; a PIL picture for a path.

        Raises:
            UserError: a direction, style, weight or mask that does not fit the model.
        """
        images = _batch(image, size).to(self.device)
        if style is None:
            return _as_given(self._translate_plain(images, direction, alpha, preserve_color), image)
        chosen = _pairs(style)
        if direction is not None:
            raise UserError("give a direction or styles, not both: a style says where to go")
        side = max(images.shape[-2:])
        masks: list[Tensor | None] = [_mask(m) for m in mask] if mask else [None] * len(chosen)
        if len(masks) != len(chosen):
            raise UserError(f"{len(masks)} masks for {len(chosen)} styles: give one mask for each style, or none")
        styles = [self.style(what, w, m, side=side) for (what, w), m in zip(chosen, masks, strict=True)]
        output = apply_styles(self.model, images, styles, alpha=alpha, preserve_color=preserve_color, **options)
        return _as_given(output, image)

    def style(self, what: Picture, weight: float = 1.0, mask: Tensor | None = None, *, side: int = 512) -> Style:
        """A style from a picture, a folder of them, a learned name, or the name of a domain.

        Args:
            what: see above.
            weight: in proportion to the others.
            mask: [1, 1, H, W] in [0, 1].
            side: longer side, in pixels, to which pictures are shortened before they are looked at.

        Raises:
            UserError: nothing has that name; the nearest is offered.
        """
        if not self.model.takes_style:
            return Style(direction_to(self.domains, self.model.directions, str(what)), None, weight, mask)
        if isinstance(what, str) and what in self.style_names:
            return Style(what, self.model.known_style(self.style_names.index(what)), weight, mask)
        if isinstance(what, (str, Path)) and not Path(what).expanduser().exists():
            names = f"{did_you_mean(str(what), self.style_names)}" if self.style_names else ""
            raise UserError(f"there is no style picture, folder or name {what}{names}")
        if isinstance(what, (str, Path)) and Path(what).expanduser().is_dir():
            codes = [self._code(path, side) for path in list_images(Path(what).expanduser())]
            return Style(str(what), mix_codes(codes, [1 / len(codes)] * len(codes)), weight, mask)
        name = str(what) if isinstance(what, (str, Path)) else f"picture {id(what)}"
        return Style(name, self._code(what, side), weight, mask)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _translate_plain(self, images: Tensor, direction: str | None, alpha: float, preserve_color: bool) -> Tensor:
        known = self.model.directions
        chosen = direction or (known[0] if known else "")
        if chosen not in known:
            there = f"there are: {', '.join(known)}" if known else "it needs a style"
            raise UserError(f"this model does not translate {chosen or 'without a style'}: {there}")
        code = self.model.general_style() if self.model.takes_style else None
        return apply_styles(self.model, images, [Style(chosen, code)], alpha=alpha, preserve_color=preserve_color)

    def _code(self, what: Picture, side: int) -> StyleCode:
        """The code of a picture; a file's is kept, for the next picture of a folder."""
        if not isinstance(what, (str, Path)):
            return self.model.style_code(_batch(what, side).to(self.device))
        path = Path(what).expanduser()
        key = (str(path), path.stat().st_mtime_ns, side)
        if key not in self._codes:
            self._codes[key] = self.model.style_code(_batch(path, side).to(self.device))
        return self._codes[key]


def load(path: str | Path, *, device: str | None = None, ema: bool = True) -> LoadedTranslator:
    """A trained model, ready to translate.

    Args:
        path: a checkpoint of ours; it carries everything that is needed.
        device: "cuda", "cpu", ...; None takes a GPU where there is one.
        ema: the averaged weights of the generators, where training kept them.

    Raises:
        UserError: not a checkpoint of ours, or no such device.
    """
    content = checkpoint.load(Path(path).expanduser())
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if where.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device={where}, but torch sees no CUDA device: use cpu")
    model = restore(content)
    averages: Mapping[str, Any] = content["callbacks"].get("EMA", {})
    for name, state in averages.items() if ema else ():
        getattr(model, name).load_state_dict(state)
    domains = {letter: str(domain["name"]) for letter, domain in content["domains"].items()}
    model.requires_grad_(False).eval().to(where)
    return LoadedTranslator(model, domains, content.get("styles", ()))


def restore(content: Mapping[str, Any]) -> Translator:
    """The model of a checkpoint, with its raw weights."""
    config = copy.deepcopy(dict(content["config"]["model"]))
    state = content["state_dict"]
    target = target_of(config, ALLOWED_FROM_CHECKPOINT)
    for node in (config.get("vgg"), (config.get("discriminator") or {}).get("vgg")):
        if node and not target.reads_vgg:  # training is over; an encoder's weights are in the checkpoint
            own = state.get("encoder._extra_state", {})
            node.update({"weights": "random", "depth": own.get("depth", node["depth"])})
    extra: dict[str, Any] = {f"channels_{letter}": d["channels"] for letter, d in content["domains"].items()}
    if content.get("styles") and takes(config, "styles", ALLOWED_FROM_CHECKPOINT):
        extra["styles"] = len(content["styles"])
    model: Translator = build(config, ALLOWED_FROM_CHECKPOINT, **extra)
    wanted = {key: value for key, value in state.items() if key.split(".")[0] not in model.discriminators}
    try:
        missing, unknown = model.load_state_dict(wanted, strict=False)
    except RuntimeError as error:
        raise UserError(f"the checkpoint does not fit its own config: {' '.join(str(error).split())[:200]}") from error
    wrong = [*unknown, *(key for key in missing if key.split(".")[0] not in model.discriminators)]
    if wrong:
        raise UserError(f"the checkpoint does not fit its own config: {wrong[0]}")
    return model


def _batch(image: Picture, side: int | None = None) -> Tensor:
    """[B, C, H, W] in [-1, 1] of any kind of picture, its longer side at most `side`."""
    if isinstance(image, Tensor):
        images = image if image.dim() == 4 else image[None]
        if images.dim() != 4 or not images.is_floating_point():
            raise UserError(f"a tensor must be float [C, H, W] or [B, C, H, W], not {image.dtype} {tuple(image.shape)}")
        return images.float()
    if isinstance(image, (str, Path)):
        array = read_image(Path(image).expanduser())
    else:
        array = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
    if array.dtype != np.uint8 or array.ndim != 3:
        raise UserError(f"an array must be uint8 [H, W, C], not {array.dtype} {array.shape}")
    height, width = array.shape[:2]
    if side is not None and max(height, width) > side:
        scale = side / max(height, width)
        array = resize(array, max(1, round(height * scale)), max(1, round(width * scale)))
    return to_tensor(array)[None]


def _pairs(style: Any) -> list[tuple[Any, float]]:
    if isinstance(style, Mapping):
        return list(style.items())
    if isinstance(style, (list, tuple)):
        return list(style)
    return [(style, 1.0)]


def _mask(mask: Picture) -> Tensor:
    """[1, 1, H, W] in [0, 1], white where a style holds."""
    return (_batch(mask).mean(dim=1, keepdim=True) + 1) / 2


def _as_given(output: Tensor, image: Picture) -> Any:
    if isinstance(image, Tensor):
        return (output if image.dim() == 4 else output[0]).to(image.dtype)
    array = to_uint8(output)[0]
    if isinstance(image, np.ndarray):
        return array
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
