"""Augmentation: every use of albumentations is here, and each result is a function of (picture, seed)."""

import os
from functools import cache
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from gan_style.data.seeding import derive_seed
from gan_style.errors import UserError

# The loader's workers are the parallelism; OpenCV's own threads would compete with them.
cv2.setNumThreads(0)


class Transform(Protocol):
    """What a dataset needs: uint8 [H, W, C] and a seed in, uint8 [S, S, C] out."""

    def __call__(self, image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]: ...


def resize(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resizes uint8 [H, W, C] to [height, width, C]; a side that shrinks is averaged, else cubic.

    These are two steps, because OpenCV's INTER_AREA averages only where no side grows.
    """
    old_height, old_width, channels = image.shape
    result: NDArray[Any] = image
    small = (min(height, old_height), min(width, old_width))
    if small != (old_height, old_width):
        result = cv2.resize(result, small[::-1], interpolation=cv2.INTER_AREA)
    if small != (height, width):
        result = cv2.resize(result, (width, height), interpolation=cv2.INTER_CUBIC)
    return result.reshape(height, width, channels)  # OpenCV drops a single channel


@cache
def _pipeline(image_size: int, flip: bool) -> Any:
    """The random part, built once per process and imported late, as albumentations takes seconds to load."""
    # It asks the package index for a newer version on import unless told otherwise.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    steps: list[Any] = [albumentations.RandomCrop(image_size, image_size)]
    if flip:
        steps.append(albumentations.HorizontalFlip(p=0.5))
    return albumentations.Compose(steps)


class TrainTransform:
    """Resize to a square, crop a smaller one at random, flip with probability one half.

    Args:
        load_size: Side of the square before the crop; None crops from the picture as it is.
        image_size: Side of the crop.
        flip: Whether to flip at all.

    Raises:
        UserError: If a size is not positive or the crop is larger than the square.
    """

    def __init__(self, load_size: int | None, image_size: int, flip: bool = True) -> None:
        _require_positive("data.image_size", image_size)
        if load_size is not None:
            _require_positive("data.load_size", load_size)
            if load_size < image_size:
                raise UserError(
                    f"data.load_size is {load_size}, smaller than data.image_size, which is {image_size}: "
                    f"set data.load_size to {image_size} or more, or to null to crop without resizing."
                )
        self.load_size = load_size
        self.image_size = image_size
        self.flip = flip

    def __call__(self, image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Maps uint8 [H, W, C] to uint8 [image_size, image_size, C]; equal seeds give equal results."""
        if self.load_size is not None:
            image = resize(image, self.load_size, self.load_size)
        elif min(image.shape[:2]) < self.image_size:
            raise UserError(
                f"A picture is {image.shape[1]}x{image.shape[0]}, smaller than data.image_size, which is "
                f"{self.image_size}: set data.load_size={self.image_size} or more, or remove the picture."
            )
        pipeline = _pipeline(self.image_size, self.flip)
        # The pipeline would give every step the same generator: whether a picture is flipped would then
        # follow from where it is cropped.
        for index, step in enumerate(pipeline.transforms):
            step.set_random_seed(derive_seed(seed, index))
        result: NDArray[np.uint8] = pipeline(image=image)["image"]
        return result


class EvalTransform:
    """Resize to a square; nothing is random.

    Args:
        image_size: Side of the square.

    Raises:
        UserError: If the size is not positive.
    """

    def __init__(self, image_size: int) -> None:
        _require_positive("data.image_size", image_size)
        self.image_size = image_size

    def __call__(self, image: NDArray[np.uint8], seed: int = 0) -> NDArray[np.uint8]:
        """Maps uint8 [H, W, C] to uint8 [image_size, image_size, C]; the seed is not used."""
        return resize(image, self.image_size, self.image_size)


def _require_positive(key: str, value: int) -> None:
    if value < 1:
        raise UserError(f"{key} is {value}, but must be a whole number of pixels of at least 1.")
