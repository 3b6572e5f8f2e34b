"""Translation of pictures of any kind and size by a trained model, with any mix of styles."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gan_style.checkpoints import hub
from gan_style.core.checks import require_finite, require_whole, shown
from gan_style.core.direction import Direction
from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.paths import absent, expanded
from gan_style.core.types import Wrap
from gan_style.data.images import list_images, to_uint8
from gan_style.data.ledger import FileNote, Ledger
from gan_style.data.raw import Mask, with_no_data
from gan_style.data.values import Array, ValueRange
from gan_style.inference.before_after import BeforeAfter
from gan_style.inference.heat import overlaid
from gan_style.inference.images import Given, ImageLike, given_image, given_mask, joined_given, read_file, style_pairs
from gan_style.inference.openvino import OpenVino
from gan_style.inference.styles import Style, apply_styles, direction_to, mix_codes
from gan_style.inference.tiling.tiled import Mode, Tile, Tiled, Watch
from gan_style.models.styled import Styled, styled
from gan_style.models.translator import StyleCode, Translator
from gan_style.networks.fast_convolutions import fast_convolutions
from gan_style.networks.wrap import OFF, wrapping

NOISE = "noise"  # `noise:NAME:SEED` is a random code of a style
RESULT = (
    "the result holds values that are NaN or infinite and was not kept: lower the weights and rates of the method, or "
    "take another checkpoint"
)


class LoadedTranslator:
    """A trained model, as `gan_style.load` returns it: translates pictures, with any mix of styles.

    Args:
        model: on its device, in evaluation mode.
        domains: letter -> name, from the checkpoint.
        style_names: styles that the model has learned by name.
        values: letter -> type, range and channels of a domain's pictures; without them everything is 8-bit RGB, and
            files of other kinds are reduced to it.
        precision: of the networks' passes, "32" or "bf16".
        fast_convolutions: compute the networks by `networks.fast_convolutions`; for a CPU.
        about: description of the checkpoint, see checkpoints/safetensors.py; None where there is none.
        wrap: directions in which the pictures of its training went round; None in none.
    """

    def __init__(
        self,
        model: Translator,
        domains: Mapping[str, str],
        style_names: Sequence[str] = (),
        values: Mapping[str, ValueRange] | None = None,
        precision: str = "32",
        fast_convolutions: bool = False,
        about: Mapping[str, Any] | None = None,
        wrap: str | None = None,
    ) -> None:
        self.model, self.wrap = model, wrap
        self.domains = dict(domains)
        self.style_names = list(style_names)
        self.values = values
        self.precision, self.fast_convolutions = precision, fast_convolutions
        self.engine: OpenVino | None = None  # computes the networks of pictures without tiles, in place of torch
        self.watch: Watch | None = None  # told how far a tiled picture is
        self.about = about
        self.notes = Ledger()  # what reading files left out or changed
        self._codes: dict[tuple[str, int, int, Direction | None], StyleCode] = {}

    def translate(self, image: ImageLike, direction: str | None = None, **options: Any) -> Any:
        """Translate one picture, or a batch of them as a tensor.

        Args:
            image: a path, a PIL picture, an array [H, W, C] of the domain's type (uint8 unless it was trained on
                another), or float [C, H, W] or [B, C, H, W] in [-1, 1].
            direction: "A2B" or "B2A" (or a `Direction`); None is the model's first. Beside a style it says of which
                domain its picture is, where the model has styles of both.
            **options: as `translate_all` takes them: style, alpha, preserve_color, mask, size, tile and so on.

        Returns: the same kind and size, in the type and range of the domain it is translated to; a PIL picture for a
            path, or an array where Pillow has no such pictures.

        Raises:
            UserError: a picture, direction, style, weight, mask or option that does not fit the model, or a result
                that is not finite.

        Warns:
            FileNote: reading a file left something out or changed it; also in `notes`.
        """
        before, self.notes = self.notes, Ledger()
        try:
            return self.translate_all([image], direction, **options)[0]
        finally:
            for sentence in self.notes.sentences():
                warnings.warn(sentence, FileNote, stacklevel=2)
            before.merge(self.notes)
            self.notes = before

    def before_after(self, image: ImageLike, direction: str | None = None, **options: Any) -> BeforeAfter:
        """Translate one picture as `translate` does, and return it beside its translation, which a notebook shows."""
        return BeforeAfter(image, self.translate(image, direction, **options))

    @torch.no_grad()
    def translate_all(
        self,
        images: Sequence[ImageLike],
        direction: str | None = None,
        *,
        style: Any = None,
        alpha: float = 1.0,
        preserve_color: bool = False,
        mask: Sequence[Any] | None = None,
        size: int | None = None,
        tile: Tile = "auto",
        tile_mode: Mode = "exact",
        wrap: str | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> list[Any]:
        """Translate several pictures of one size in one pass; each comes out as `translate` gives it.

        Args:
            images, direction: as of `translate`.
            style: a picture, a folder, a name, or a result of `style`; or pairs of these and their weights, or a
                mapping of paths and names to weights.
            alpha: strength in [0, 1]; 0 is the method's own reconstruction of the picture.
            preserve_color: keep the picture's own colours.
            mask: one per style, of the picture's size before it is shortened: a picture, white where the style
                holds, or a tensor [H, W], [1, H, W] or [1, 1, H, W] in [0, 1].
            size: shorten the longer side of the picture to so many pixels first.
            tile: side of a tile for pictures that do not fit into memory whole; "auto" takes tiles where they are
                needed, None never.
            tile_mode: "exact" gives the result of a pass over the whole picture; "fast" blends independent tiles.
            wrap: directions in which pictures go round, so that opposite borders of the result continue each other:
                "x", "y", "xy", or "off"; None is what the model was trained with.
            seed: of the noise that a generator with `noise` draws, another rendition each; 0 if none is given.
            **options: of the method's own `stylize`, such as the `progress` of Gatys.

        Raises:
            UserError: as `translate`.
        """
        passes, around = self._passes(tile, tile_mode), self.around(wrap, tile_mode)
        if style is None:
            for name in (*(["mask"] if mask else []), *options):
                raise UserError(f"{name} needs a style: give one, or leave {name} out")
            chosen = self.direction_of(direction)
            source, target = chosen.source, chosen.target
            given = self._given(images, source, size)
            styles = [self._general_style(chosen, seed)]
        else:
            self._refuse_unknown(options)
            pairs = style_pairs(style)
            way = self._way(direction, pairs)
            source, target = self._ends(pairs, way)
            given = self._given(images, source, size)
            styles = self._styles(pairs, mask, joined_given(given), way)
        joined = joined_given(given).images.to(self.device)
        seeded = self._seeded(seed, [one.direction for one in styles], style is not None)
        with self._precision(alpha), wrapping(around), seeded:
            output = apply_styles(passes, joined, styles, alpha=alpha, preserve_color=preserve_color, **options).float()
        require_finite(output, RESULT)
        made = zip(output.split([len(one.images) for one in given]), images, given, strict=True)
        return [_as_given(part, image, self._values(target) or ValueRange(), one.missing) for part, image, one in made]

    @torch.no_grad()
    def explain(
        self,
        image: ImageLike,
        direction: str | None = None,
        *,
        size: int | None = None,
        tile: Tile = "auto",
        wrap: str | None = None,
        overlay: bool = False,
    ) -> Any:
        """Show what each place of a picture means to its translation, such as the attention of U-GAT-IT.

        Args:
            image, direction, size, tile, wrap: as of `translate_all`.
            overlay: draw the map over the picture, instead of returning its numbers.

        Returns: float32 [H, W] in [0, 1] as an array, or [1, H, W] or [B, 1, H, W] of a tensor; as an overlay uint8
            [H, W, 3], or a PIL picture of a path or of a PIL picture.

        Raises:
            UserError: the model's method does not explain its translations, or as `translate`.
        """
        chosen = self.direction_of(direction)
        self.require_explains(chosen)
        around, images = self.around(wrap, "exact"), self._given([image], chosen.source, size)[0].images
        with self._by_torch(), wrapping(around):
            heat = self._passes(tile, "exact").explain(images.to(self.device), chosen).float().cpu()
        require_finite(heat, RESULT)
        if overlay:
            return _as_given(overlaid(images, heat), image, ValueRange())
        if isinstance(image, Tensor):
            return (heat if image.dim() == 4 else heat[0]).to(image)
        return heat[0, 0].numpy()

    def require_explains(self, direction: str | None = None) -> None:
        """Raise a UserError unless the model's method explains its translations in a direction, or its first."""
        name, known = type(self.model).__name__, self.model.explains
        if not known:
            raise UserError(
                f"{name} does not explain its translations: take a model of a method that does (docs/translate.md)"
            )
        if (chosen := self.direction_of(direction)) not in known:
            raise UserError(f"{name} does not explain {chosen}: take direction {' or '.join(known)}")

    def read(self, path: str | Path, direction: str | None = None, style: Any = None) -> Array:
        """Read a file as an array [H, W, C], of the type of the domain that `translate` would take it for.

        Raises:
            UserError: it cannot be read, or holds what that domain would lose.
        """
        return read_file(path, self.taken(direction, style), self.notes).array

    def taken(self, direction: str | None = None, style: Any = None) -> ValueRange | None:
        """Return type, range and channels of what `translate` takes; None is 8-bit RGB, to which files are reduced."""
        return self._values(self.ends(direction, style)[0])

    def written(self, direction: str | None = None, style: Any = None) -> ValueRange:
        """Return type, range and channels of the result of `translate`."""
        return self._values(self.ends(direction, style)[1]) or ValueRange()

    def ends(self, direction: str | None, style: Any) -> tuple[str, str]:
        """Return the letters of the domains that a translation comes from and goes to."""
        if style is not None:
            pairs = style_pairs(style)
            return self._ends(pairs, self._way(direction, pairs))
        chosen = self.direction_of(direction)
        return chosen.source, chosen.target

    def style(
        self,
        what: Any,
        weight: float = 1.0,
        mask: Tensor | None = None,
        *,
        side: int = 512,
        direction: str | None = None,
    ) -> Style:
        """Make a style from a picture, a folder of them, a learned name, noise, or the name of a domain.

        Args:
            what: see above; `noise:NAME` is a random code of a learned style, and `noise:NAME:7` that of seed 7.
            weight: in proportion to the others.
            mask: [1, 1, H, W] in [0, 1].
            side: longer side, in pixels, to which pictures are shortened before they are encoded.
            direction: into the domain of a picture, for a model that has styles of both; None is the model's first.

        Raises:
            UserError: nothing has that name; the nearest is offered.
        """
        if isinstance(what, Style):
            return replace(what, weight=weight, mask=what.mask if mask is None else mask)
        if not self.model.takes_style:
            domain = self._word(what)
            return Style(domain, None, weight, mask, direction_to(self.domains, self.model.directions, domain))
        way = self.direction_of(direction) if self._of_both else None
        if not isinstance(what, (str, Path)):
            return Style(f"picture {id(what)}", self._encoded(what, side, way), weight, mask, way)
        name, path = str(what), expanded(what)
        if not name:
            raise UserError("the name of a style is empty: give a picture, a folder or a name")
        if name in self.style_names:
            method, index, way = self._learned(name)
            return Style(name, method.known_style(index), weight, mask, way)
        if not path.exists():
            if name.split(":")[0] == NOISE and self.model.takes_noise:
                return self._noise(name, weight, mask)
            names = did_you_mean(name, self.style_names) if self.style_names else ""
            raise UserError(f"there is no style picture, folder or name {absent(name)}{names}")
        paths = list_images(path, self.notes) if path.is_dir() else [path]
        codes = [self._of_file(one, side, way) for one in paths]
        return Style(name, mix_codes(codes, [1 / len(codes)] * len(codes)), weight, mask, way)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder of a model hub, see `gan_style.checkpoints.hub.save_pretrained`."""
        hub.save_pretrained(self.model, self.about, folder)

    def push_to_hub(self, name: str, *, private: bool = False) -> str:
        """Upload to a repository of the hub, see `gan_style.checkpoints.hub.push_to_hub`; its address."""
        return hub.push_to_hub(self.model, self.about, name, private)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def learned(self, direction: str) -> list[str]:
        """List the names of the styles of a direction's target that the model has learned."""
        return [name for name in self.style_names if self._learned(name)[2] in (None, direction)]

    @property
    def _of_both(self) -> bool:
        """True if the model has styles of both domains."""
        return self.model.takes_style and len(self.model.directions) > 1

    def _learned(self, name: str) -> tuple[Styled, int, Direction | None]:
        """Return the method of a style that was learned by name, its number there, and the direction of both."""
        index = self.style_names.index(name)
        if not self._of_both:
            return styled(self.model), index, None
        way = self.model.directions[index]  # each has one style
        return styled(self.model, way), 0, way

    def _way(self, direction: str | None, pairs: Sequence[tuple[Any, Any]]) -> Direction | None:
        """Return where styles go, for a model that has some of both domains.

        Raises:
            UserError: a direction beside styles that say it, or that go elsewhere.
        """
        if not self._of_both:
            if direction is not None:
                raise UserError("give a direction or styles, not both: a style says where to go")
            return None
        said = [self._said(what) for what, _ in pairs]
        ways = sorted({way for way in said if way} | ({self.direction_of(direction)} if direction else set()))
        if len(ways) > 1:
            ends = " and to ".join(self.domains.get(way.target, way.target) for way in ways)
            raise UserError(
                f"styles and direction lead to {ends}: name styles of one domain, with its direction or none"
            )
        return ways[0] if ways else self.model.directions[0]

    def _said(self, what: Any) -> Direction | None:
        """Return the direction that a style has by itself; None of a picture, which may be of either domain."""
        if isinstance(what, Style):
            return what.direction
        name = str(what)
        if name not in self.style_names and name.split(":")[0] == NOISE and not expanded(name).exists():
            name = f"{name}::".split(":")[1]
        return self._learned(name)[2] if name in self.style_names else None

    def _general_style(self, direction: Direction, seed: int | None) -> Style:
        """Return the style of a direction for which none is named, of a seed where the model draws it."""
        if not self.model.takes_style:
            return Style(str(direction), None, direction=direction)
        if self.about and self.about.get("imported"):
            raise UserError("this model was imported, and no file tells the styles it was trained on: give it a style")
        with self._seeded(seed, [direction]):
            return Style(str(direction), styled(self.model, direction).general_style(), direction=direction)

    def _styles(
        self, pairs: Sequence[tuple[Any, Any]], mask: Any, given: Given, way: Direction | None = None
    ) -> list[Style]:
        """Make all styles, each with its weight and its mask."""
        if mask is not None and not isinstance(mask, (list, tuple)):
            raise UserError("mask must be a list with one mask for each style: put it into a list")
        masks = list(mask or [None] * len(pairs))
        if len(masks) != len(pairs):
            raise UserError(f"{len(masks)} masks for {len(pairs)} styles: give one mask for each style, or none")
        side, styles = max(given.images.shape[-2:]), []
        for (what, weight), one in zip(pairs, masks, strict=True):
            style = self.style(what, weight, side=side, direction=way)
            styles.append(style if one is None else replace(style, mask=given_mask(one, style.name, given)))
        return styles

    def direction_of(self, direction: str | None) -> Direction:
        """Parse a direction that the model knows; None is the model's first.

        Raises:
            UserError: it does not know that one.
        """
        known = self.model.directions
        chosen = direction if direction is not None or not known else known[0]
        if chosen not in known:
            there = f"there are: {', '.join(known)}" if known else "it needs a style"
            what = "without a style" if chosen is None else str(chosen)
            raise UserError(f"this model does not translate {what}: {there}")
        return Direction(chosen)

    def _ends(self, pairs: Sequence[tuple[Any, Any]], way: Direction | None) -> tuple[str, str]:
        if self.model.takes_style:
            return (way.source, way.target) if way else ("A", "B")
        found = sorted({direction for what, _ in pairs if (direction := self.style(what).direction)})
        letters = [letter for direction in found for letter in (direction.source, direction.target)]
        if len({self._values(letter) for letter in letters}) > 1 and len(found) > 1:
            raise UserError("the domains of this model hold other kinds of pictures and cannot be mixed: name one")
        return (found[0].source, found[0].target) if found else ("A", "A")

    def _given(self, images: Sequence[ImageLike], source: str, size: int | None) -> list[Given]:
        if size is not None:
            require_whole("size", size, 1)
        return [given_image(image, values=self._values(source), side=size, ledger=self.notes) for image in images]

    def _passes(self, tile: Tile, mode: Mode) -> Any:
        """Wrap the model in tiles where it can be tiled."""
        tiled = Tiled(self.model, tile, mode, self.watch)
        if not self.model.optimizes_images:
            return tiled
        if isinstance(tile, int):
            raise UserError("gatys optimises a whole picture and cannot be tiled: leave tile out, or give a size")
        return self.model

    def around(self, wrap: str | None, mode: Mode = "exact") -> str:
        """Return the directions in which pictures go round: "x", "y", "xy", or "" for none.

        Args:
            wrap: what was asked for, as of `translate_all`.
            mode: of tiles.

        Raises:
            UserError: no such directions, or what the model or its tiles cannot do.
        """
        if wrap not in (None, "off", *get_args(Wrap)):
            raise UserError(f"wrap={shown(wrap)} is not known: take x, y, xy or off")
        around = "" if wrap == "off" else wrap or self.wrap or ""
        if around and mode == "fast":
            raise UserError(f"wrap={around} needs what stands at the opposite border: take tile_mode=exact")
        if around:
            self.require_layers(f"wrap={around}", f", or {OFF}")
        if around and any(module._compiled_call_impl for module in self.model.modules()):
            raise UserError(f"wrap={around} and compile do not go together: leave compile out, or {OFF}")
        if around and self.model.optimizes_images:
            raise UserError(
                f"wrap={around} is for models of one pass: leave it out, or take microast in place of gatys"
            )
        return around

    def require_layers(self, what: str, otherwise: str = "") -> None:
        """Raise a UserError unless torch computes the networks layer by layer, which `what` changes."""
        if self.engine is not None:
            raise UserError(f"{what} changes layers, which engine=openvino has compiled: leave engine out{otherwise}")

    def _values(self, letter: str) -> ValueRange | None:
        return None if self.values is None else self.values.get(letter, ValueRange())

    def _refuse_unknown(self, options: Mapping[str, Any]) -> None:
        known = list(inspect.signature(styled(self.model).stylize).parameters)[2:] if self.model.takes_style else []
        for name in options:
            if name not in known:
                there = did_you_mean(name, known) if known else "; there are none"
                raise UserError(f"{name} is not an option of this model{there}")

    def _precision(self, alpha: float) -> AbstractContextManager[None]:
        """Compute passes of a strength inside a `with` block by the engine and in the precision of this translator."""
        return self._by_torch() if self.engine is None else self.engine.computing(alpha != 0)

    def _by_torch(self) -> AbstractContextManager[None]:
        """Compute passes inside a `with` block in the precision, and by the convolutions, of this translator."""
        bf16 = self.precision == "bf16"
        if self.fast_convolutions:
            return fast_convolutions(self.model, bf16=bf16)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)

    def _seeded(
        self, seed: int | None, directions: Sequence[str | None], has_style: bool = False
    ) -> AbstractContextManager[None]:
        """Let noise follow from a seed that was given, inside a `with` block; refuse one that would change nothing."""
        if seed is None:
            return nullcontext()
        require_whole("seed", seed, 0, 2**63 - 1)
        parts = [part for direction in directions for part in self.model.noised(direction)]
        if has_style and parts and all(part is self.model for part in parts):
            raise UserError(
                f"seed={seed} is of the style that is drawn where none is given: leave seed out, or the style"
            )
        if not parts:
            ways = " and ".join(str(direction) for direction in directions if direction)
            where = ways and f" on the way {ways}"
            raise UserError(
                f"seed={seed} is of a generator's noise, but this model draws none{where}: leave seed out, or train "
                "one with model.generator.noise=true"
            )
        return self.model.seeded(seed)

    def _word(self, what: Any) -> str:
        if not isinstance(what, (str, Path)):
            names = ", ".join(dict.fromkeys(self.domains.values()))
            raise UserError(f"this model takes no style pictures: name one of its domains ({names})")
        return str(what)

    def _noise(self, text: str, weight: float, mask: Tensor | None) -> Style:
        name, _, seed = text.partition(":")[2].partition(":")
        if name not in self.style_names:
            raise UserError(f"{text}: noise is of a style, as in {NOISE}:NAME{did_you_mean(name, self.style_names)}")
        if seed and not (seed.isascii() and seed.isdigit() and int(seed) < 2**63):
            raise UserError(f"{text}: the seed {seed} is not a whole number of at least 0, as in {NOISE}:{name}:7")
        method, index, way = self._learned(name)
        z = torch.randn(1, method.latent_size, generator=torch.Generator().manual_seed(int(seed or 0)))
        return Style(text, method.latent_style(index, z.to(self.device)), weight, mask, way)

    def _encoded(self, what: ImageLike, side: int, way: Direction | None) -> StyleCode:
        values = self._values(way.target if way else "B")  # in a domain of 8 bits, a style of 16 bits is reduced to 8
        values = None if values and values.plain else values
        images = given_image(what, values=values, side=side, ledger=self.notes).images
        if len(images) != 1:
            raise UserError(f"a style is one picture, not a batch of {len(images)}: give pairs of one and its weight")
        passes = self._passes("auto", "exact")
        return (passes.towards(way) if way else passes).style_code(images)

    def _of_file(self, path: Path, side: int, way: Direction | None) -> StyleCode:
        """Encode a style file, and keep the code for the next picture of a folder."""
        key = (str(path), path.stat().st_mtime_ns, side, way)
        if key not in self._codes:
            self._codes[key] = self._encoded(path, side, way)
        return self._codes[key]


def _as_given(output: Tensor, image: ImageLike, values: ValueRange, missing: Mask | None = None) -> Any:
    if isinstance(image, Tensor):
        return (output if image.dim() == 4 else output[0]).to(image)
    array = to_uint8(output)[0] if values.plain else values.restore(output[0])
    if missing is not None:
        array = with_no_data(array, missing)
    if isinstance(image, np.ndarray) or array.dtype != np.uint8 or array.shape[-1] not in (1, 2, 3, 4):
        return array
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
