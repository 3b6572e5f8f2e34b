"""Geometry and augmentation, all uses of albumentations among them; results are functions of (picture, seed)."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, Protocol

import cv2
import numpy as np

from gan_style.core.errors import UserError
from gan_style.core.memory import raise_if_out
from gan_style.core.seeding import derive_seed
from gan_style.core.sizes import Size, as_given, height_width, sized
from gan_style.core.types import Wrap
from gan_style.data.values import Array, ValueRange

# OpenCV's own threads would compete with the loader workers.
cv2.setNumThreads(0)
# albumentations asks the package index for a newer version on import unless told otherwise.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
# It imports huggingface_hub where that is installed, which warns in a notebook that its own bars want widgets.
warnings.filterwarnings("ignore", message="IProgress not found")

Preprocess = Literal["resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none"]
MULTIPLE = 4  # the sides are multiples of it under preprocess=none, as in the official code
MAX_AREA_CHANNELS = 4  # that OpenCV's INTER_AREA takes at once


class Transform(Protocol):
    """Protocol of a data set's transform."""

    def __call__(self, image: Array, seed: int) -> Array:
        """Map [H, W, C] and a seed to [H', W', C] of the same type."""
        ...

    def fitted_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of a picture after the part of the transform that is not random."""
        ...


def resize(image: Array, height: int, width: int) -> Array:
    """Resize [H, W, C] to [height, width, C]; a side that shrinks by averaging, one that grows by cubic interpolation.

    These are two steps, because OpenCV's INTER_AREA averages only where no side grows.
    """
    old_height, old_width, channels = image.shape
    result: Array = image
    small = (min(height, old_height), min(width, old_width))
    if small != (old_height, old_width):
        parts = range(0, channels, MAX_AREA_CHANNELS)
        shrunk = [
            cv2.resize(image[..., i : i + MAX_AREA_CHANNELS], small[::-1], interpolation=cv2.INTER_AREA) for i in parts
        ]
        result = shrunk[0] if len(shrunk) == 1 else np.concatenate([x.reshape(*small, -1) for x in shrunk], axis=2)
    if small != (height, width):
        result = cv2.resize(result, (width, height), interpolation=cv2.INTER_CUBIC)
    return result.reshape(height, width, channels)  # OpenCV drops a single channel


def random_crop(image: Array, size: tuple[int, int], seed: int) -> Array:
    """Cut [height, width, C] from [H, W, C] at a random place: a view of the image.

    This and `random_flip` are those of albumentations, number by number (a test compares them), without the third of a
    second that its import takes at every start.
    """
    chance = random.Random(seed)
    top, left = (int((side - crop + 1) * chance.random()) for side, crop in zip(image.shape[:2], size, strict=True))
    return image[top : top + size[0], left : left + size[1]]


def random_flip(image: Array, seed: int) -> Array:
    """Mirror half of the pictures, [H, W, C], left and right."""
    if random.Random(seed).random() >= 0.5:
        return image
    return cv2.flip(image, 1).reshape(image.shape)  # OpenCV drops a single channel


class TrainTransform:
    """Transform of training: fit, random crop, flip, rotation, colour jitter, and further transforms.

    Equal seeds give equal geometry for pictures of equal size, so that a mask or a true translation stays aligned with
    its picture when both are transformed with one seed.

    Args:
        load_size: Size after fitting, of a mode that scales the width that width; None crops from the picture as it is.
        image_size: Size of the crop.
        flip: Whether to mirror half of the pictures.
        preprocess: The official code's modes: `resize_and_crop` (to `load_size` first), `crop`, `scale_width` (keeps
            the shape), `scale_width_and_crop`, or `none` (sides to a multiple of 4).
        rotate: Degrees, at most, either way; the edges are mirrored.
        jitter: Strength of random changes of brightness, contrast, saturation and hue, in [0, 1]; colour pictures only.
        augment: Further transforms of albumentations.
        wrap: Directions in which pictures go round: each is rolled there by a random number of pixels. Crops are to be
            whole in them, since networks then take the left border of a crop for the neighbour of the right one.

    Raises:
        UserError: If a size is not positive, the crop is larger than the picture will be, or `wrap` does not fit.
    """

    def __init__(
        self,
        load_size: Size | None,
        image_size: Size,
        flip: bool = True,
        *,
        preprocess: Preprocess = "resize_and_crop",
        rotate: float = 0.0,
        jitter: float = 0.0,
        augment: Sequence[Any] = (),
        wrap: Wrap | None = None,
    ) -> None:
        self.image_size = sized("data.image_size", image_size)
        self.load_size = None if load_size is None else sized("data.load_size", load_size)
        self.size = height_width(self.image_size)
        _check_load_size(self.load_size, self.image_size, preprocess)
        self.preprocess = "crop" if preprocess == "resize_and_crop" and load_size is None else preprocess
        self.flip, self.rotate, self.jitter, self.augment = flip, rotate, jitter, list(augment)
        self.wrap = wrap or ""
        self._check_wrap()

    @property
    def fixed_size(self) -> bool:
        """True if all results have one size, so that they can be stacked."""
        return self.preprocess.endswith("crop")

    def fitted_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width after fitting and before the crop."""
        if self.preprocess == "crop":
            return height, width
        if self.preprocess == "none":
            return (max(1, round(height / MULTIPLE)) * MULTIPLE, max(1, round(width / MULTIPLE)) * MULTIPLE)
        assert self.load_size is not None
        loaded = height_width(self.load_size)
        if self.preprocess == "resize_and_crop":
            return loaded
        return int(max(loaded[1] * height / width, self.size[0])), loaded[1]

    def fit(self, image: Array) -> Array:
        """Apply the part that is not random; a fitted picture stays as it is."""
        return resize(image, *self.fitted_size(*image.shape[:2]))

    def __call__(self, image: Array, seed: int) -> Array:
        """Map [H, W, C] to the size of the crop, or to the fitted size; equal seeds give equal results.

        Raises:
            UserError: a picture is smaller than the crop, or `augment` changed the size of one.
        """
        image = self.fit(image)
        if self.fixed_size and (image.shape[0] < self.size[0] or image.shape[1] < self.size[1]):
            wanted = as_given(self.image_size)
            raise UserError(
                f"A picture is {image.shape[0]}x{image.shape[1]} (height x width), smaller than data.image_size, which "
                f"is {wanted}: set data.load_size={wanted} or more, or remove the picture."
            )
        if self.wrap:
            image = np.roll(image, self._shift(seed, *image.shape[:2]), (0, 1))
        # Each step has a seed of its own: with one for all of them, whether a picture is flipped would depend on where
        # it is cropped.
        done = 0
        if self.fixed_size:
            image = random_crop(image, self.size, derive_seed(seed, done))
            done += 1
        if self.flip:
            image = random_flip(image, derive_seed(seed, done))
            done += 1
        return self._augmented(image, seed, done) if self._augments else image

    @property
    def _augments(self) -> bool:
        return bool(self.rotate or self.jitter or self.augment)

    def _augmented(self, image: Array, seed: int, done: int = 0) -> Array:
        """Apply what comes after crop and flip, which are the first `done` steps."""
        for index, step in enumerate(self._pipeline.transforms, start=done):
            step.set_random_seed(derive_seed(seed, index))
        result: Array = self._pipeline(image=np.ascontiguousarray(image))["image"]
        self._require_size(result)
        return result.reshape(*result.shape[:2], image.shape[2])

    def _shift(self, seed: int, height: int, width: int) -> tuple[int, int]:
        """Draw by how many rows and columns a picture is rolled, 0 where it does not go round."""
        drawn = np.random.default_rng(derive_seed(seed, "wrap"))
        rows, columns = int(drawn.integers(height)), int(drawn.integers(width))
        return rows if "y" in self.wrap else 0, columns if "x" in self.wrap else 0

    def _check_wrap(self) -> None:
        """Raise a UserError where what is trained on would not go round."""
        if not self.wrap:
            return
        if self.rotate:
            raise UserError(f"data.rotate={self.rotate:g} turns pictures that go round: set data.rotate=0, or no wrap")
        if self.preprocess in ("scale_width", "none"):
            return
        wanted = "data.preprocess=resize_and_crop with data.load_size as large as data.image_size"
        loaded = self.load_size if self.preprocess == "resize_and_crop" else None
        sides = zip("yx", height_width(loaded or 1), self.size, strict=True)
        if loaded is None or any(letter in self.wrap and side != crop for letter, side, crop in sides):
            raise UserError(
                f"data.wrap={self.wrap} wants whole pictures, since a crop does not go round: set {wanted}, or train "
                "without it and translate by --wrap"
            )

    @cached_property
    def _pipeline(self) -> Any:
        """Steps after crop and flip, built once per process, and only where asked for: see `random_crop`."""
        import albumentations

        steps: list[Any] = []
        if self.rotate:
            steps.append(albumentations.Rotate(self.rotate, border_mode=cv2.BORDER_REFLECT_101, p=1.0))
        if self.jitter:
            steps.append(albumentations.ColorJitter(*[self.jitter] * 3, hue=self.jitter / 2, p=1.0))
        return albumentations.Compose([*steps, *self.augment])

    def check_augmentation(self, values: Mapping[str, ValueRange]) -> None:
        """Try jitter and further transforms on one random picture of each domain, before training starts.

        Args:
            values: Type, range and channels of each domain.

        Raises:
            UserError: If they would change the values of pictures other than 8-bit grey or RGB, or the size or type of
                any.
        """
        if not (self.jitter or self.augment):
            return
        import albumentations

        for step in self.augment:
            if not isinstance(step, (albumentations.BasicTransform, albumentations.BaseCompose)):
                raise UserError(
                    f"data.augment holds {step!r}, which is no transform of albumentations: write nodes such as "
                    "{_target_: albumentations.GaussianBlur, p: 0.2}"
                )
        for domain, kind in values.items():
            ordinary = kind.dtype == "uint8" and kind.channels in (1, 3)
            geometric = all(isinstance(step, albumentations.DualTransform) for step in self.augment)
            if not ordinary and (self.jitter or not geometric):
                raise UserError(
                    f"data.jitter and data.augment change values as 8-bit pictures of 1 or 3 channels have them, but "
                    f"domain {domain} is {kind.dtype} of {kind.channels}: leave them out, or keep to geometric ones"
                )
            self._try_on(domain, kind)

    def _try_on(self, domain: str, kind: ValueRange) -> None:
        sides = [max(pair) for pair in zip(self.size, height_width(self.load_size or 1), strict=True)]
        drawn = np.random.default_rng(0).uniform(kind.low, kind.high, (*sides, kind.channels)).astype(kind.dtype)
        drawn = self.fit(drawn)
        if self.fixed_size:
            drawn = random_crop(drawn, self.size, 0)
        try:
            found = self._pipeline(image=np.ascontiguousarray(drawn))["image"]
        except Exception as error:  # transforms raise errors of their own
            raise_if_out(error)
            reason = " ".join(str(error).split())[:150]
            raise UserError(
                f"data.augment fails on a picture of domain {domain} ({reason}): mend or remove it"
            ) from error
        if getattr(found, "dtype", None) != drawn.dtype or found.ndim != 3 or found.shape[2] != kind.channels:
            raise UserError(f"data.augment turns {kind.dtype} pictures of domain {domain} into another kind: remove it")
        self._require_size(found)

    def _require_size(self, made: Array) -> None:
        """Raise a UserError where further transforms changed the size of a crop, as a quarter turn of a rectangle."""
        if self.fixed_size and made.shape[:2] != self.size:
            raise UserError(
                f"data.augment gives pictures of {made.shape[0]}x{made.shape[1]} (height x width), but data.image_size "
                f"is {as_given(self.image_size)}: remove what changes the size"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_pipeline"}


class EvalTransform:
    """Transform of evaluation: the training geometry without randomness, to `image_size` or the fitted size.

    Where training keeps the aspect ratio, the size is cut from the middle; else the whole picture is resized to it.

    Args:
        image_size: Size of the result; its width is the width under `scale_width`.
        preprocess: As for training.

    Raises:
        UserError: If it is no size.
    """

    def __init__(self, image_size: Size, preprocess: Preprocess = "resize_and_crop") -> None:
        self.size = height_width(sized("data.image_size", image_size))
        fitted = self.size[1] if preprocess.startswith("scale_width") else image_size
        self._fit = TrainTransform(fitted, image_size, preprocess=preprocess)
        self.fixed_size = self._fit.fixed_size

    def fitted_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the result."""
        if self.fixed_size:
            return self.size
        return self._fit.fitted_size(height, width)

    def __call__(self, image: Array, seed: int = 0) -> Array:
        """Map [H, W, C] to the fitted size; the seed is not used."""
        if self._fit.preprocess not in ("crop", "scale_width_and_crop"):
            return resize(image, *self.fitted_size(*image.shape[:2]))
        (rows, columns), (height, width) = self.size, image.shape[:2]
        scale = max(rows / height, columns / width)
        image = resize(image, max(rows, round(height * scale)), max(columns, round(width * scale)))
        top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
        return np.ascontiguousarray(image[top : top + rows, left : left + columns])


def _check_load_size(load_size: Size | None, image_size: Size, preprocess: Preprocess) -> None:
    """Raise a UserError where pictures of `load_size` hold no crop of `image_size`, or the mode asks for another."""
    scales_width = preprocess.startswith("scale_width")
    if load_size is None:
        if scales_width:
            raise UserError(f"data.preprocess={preprocess} needs the width to scale to: set data.load_size")
        return
    if scales_width and not isinstance(load_size, int):
        raise UserError(
            f"data.load_size={as_given(load_size)} names a height, but data.preprocess={preprocess} scales to a width "
            f"and keeps the shape: set data.load_size={load_size[1]}, or data.preprocess=resize_and_crop"
        )
    if not preprocess.endswith("_and_crop"):
        return
    (height, width), (rows, columns) = height_width(load_size), height_width(image_size)
    if width < columns or (height < rows and not scales_width):
        least = str(columns) if scales_width else as_given(image_size)
        other = "" if scales_width else ", or to null to crop without resizing"
        pair = "" if isinstance(image_size, int) and isinstance(load_size, int) else " (height and width)"
        raise UserError(
            f"data.load_size is {as_given(load_size)}, smaller than data.image_size, which is "
            f"{as_given(image_size)}{pair}: set data.load_size to {least} or more{other}."
        )
