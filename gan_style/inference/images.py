"""Conversion of a caller's picture, mask or style of any kind to tensors, by the same rules everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gan_style.core.checks import require_finite
from gan_style.core.errors import ContentError, UserError
from gan_style.core.memory import ran_out
from gan_style.core.paths import expanded
from gan_style.data.decoding import decode
from gan_style.data.files import Picture, fit, whole
from gan_style.data.images import to_tensor
from gan_style.data.ledger import NO_DATA_KEPT, Ledger
from gan_style.data.opened import OpenedImage, named_bytes
from gan_style.data.raw import Mask
from gan_style.data.transforms import resize
from gan_style.data.values import Array, ValueRange
from gan_style.inference.styles import Style, check_mask_size

ImageLike = str | Path | Image.Image | NDArray[np.uint8] | Tensor
Size = tuple[int, int]
ORIENTATION = 0x0112  # EXIF's tag


class Given(NamedTuple):
    """Picture as the networks take it."""

    images: Tensor  # [B, C, H, W] in [-1, 1]
    size: Size  # height and width before it was resized
    missing: Mask | None = None  # [H, W] before, true where a file holds no data


def read_file(path: str | Path, values: ValueRange | None = None, ledger: Ledger | None = None) -> Picture:
    """Read a file with the values of a domain; without one as 8-bit RGB, even if that loses something.

    Args:
        path: The file.
        values: Of the domain.
        ledger: Gets entries for what was done beside reading.
    """
    path = expanded(path)
    with named_bytes(path) as data:
        read = whole(data, values)
    if ledger is not None:
        ledger.add(path, read.notes if read.missing is None else [*read.notes, NO_DATA_KEPT])
    return read


def given_image(
    image: ImageLike, *, values: ValueRange | None = None, side: int | None = None, ledger: Ledger | None = None
) -> Given:
    """Convert a picture, or a batch of them, of any kind.

    Args:
        image: a file, a PIL picture, [H, W, C] of the type of `values`, or float [C, H, W] or [B, C, H, W] in [-1, 1].
        values: type, range and channels that the model takes; None is 8-bit RGB, to which files are reduced.
        side: maximum of the longer side in pixels; larger pictures are resized.
        ledger: gets entries for what was done with a file beside reading it.

    Raises:
        UserError: not a picture, of another type or number of channels, empty, or with values that are not finite.
    """
    missing = None
    if isinstance(image, Tensor):
        images = _checked_tensor(image)
        size = (images.shape[-2], images.shape[-1])
        shape = _shortened(size, side)
        images = images if shape == size else _resized(images, shape)
    else:
        if isinstance(image, (str, Path)):
            read = read_file(image, values, ledger)
            array, missing = read.array, read.missing
        else:
            array = _array(image, values)
            if ledger is not None and isinstance(image, Image.Image):
                ledger.add(f"the PIL picture {id(image)}", _opened(image).notes(values or ValueRange()))
        size = (array.shape[0], array.shape[1])
        tensor = (values or ValueRange()).as_tensor(shortened(array, side))
        images = ((values or ValueRange()).normalise(tensor) if tensor.dtype == torch.uint8 else tensor)[None]
    found, channels = images.shape[1], (values or ValueRange()).channels
    if found != channels:
        has = f"{_name(image)} has {found} channel{'s' * (found > 1)}"
        raise UserError(f"{has}, but this model takes pictures of {channels}: convert it")
    return Given(images, size, missing)


def shortened(image: Array, side: int | None) -> Array:
    """Resize an array [H, W, C] whose longer side is more than so many pixels; None leaves any as it is."""
    size = (image.shape[0], image.shape[1])
    shape = _shortened(size, side)
    return image if shape == size else resize(image, *shape)


def joined_given(given: Sequence[Given]) -> Given:
    """Join pictures of one size to a batch.

    Raises:
        UserError: they differ in size.
    """
    if len(given) == 1:
        return given[0]
    sizes = sorted({(one.images.shape[-1], one.images.shape[-2]) for one in given})
    if len(sizes) > 1:
        raise UserError(
            f"pictures of one pass must have one size, but there are {sizes[0][0]}x{sizes[0][1]} and "
            f"{sizes[1][0]}x{sizes[1][1]}: translate them one by one"
        )
    return Given(torch.cat([one.images for one in given]), given[0].size)


def given_mask(mask: Any, style: str, content: Given) -> Tensor:
    """Convert the mask of a style to [1, 1, H, W] in [0, 1], resized as its content was.

    Args:
        mask: a picture, white where the style holds; or [H, W], [1, H, W] or [1, 1, H, W] in [0, 1] as a tensor or
            as an array of another type than uint8.
        style: its name, for messages.
        content: the picture that it belongs to.

    Raises:
        UserError: values outside [0, 1], another shape, or another size than the content's.
    """
    wanted = (content.images.shape[-2], content.images.shape[-1])
    values: Tensor | None = None
    if isinstance(mask, Tensor) or (isinstance(mask, np.ndarray) and mask.dtype != np.uint8):
        values = _checked_mask(mask, style)
        size = (values.shape[-2], values.shape[-1])
    else:
        plane = isinstance(mask, np.ndarray) and mask.ndim == 2
        file = isinstance(mask, (str, Path))
        array = read_file(mask).array if file else _array(mask[..., None] if plane else mask)
        size = (array.shape[0], array.shape[1])
    if size != wanted:  # checked first, because floats take four times the memory of bytes
        check_mask_size(style, size, content.size)
    if values is None:
        values = (to_tensor(array).mean(dim=0)[None, None] + 1) / 2
    return values if size == wanted else _resized(values, wanted).clamp(0, 1)


def style_pairs(style: Any) -> list[tuple[Any, Any]]:
    """Return pairs of style and weight from whatever `translate` takes as `style`.

    Raises:
        UserError: a list of anything other than pairs.
    """
    if isinstance(style, Mapping):
        return list(style.items())
    if not isinstance(style, (list, tuple)):
        return [(style, style.weight if isinstance(style, Style) else 1.0)]
    pairs: list[tuple[Any, Any]] = []
    for one in style:
        if isinstance(one, Style):
            pairs.append((one, one.weight))
        elif isinstance(one, (list, tuple)) and len(one) == 2:
            pairs.append((one[0], one[1]))
        else:
            raise UserError(
                f"style holds {_name(one)} without a weight: give one picture, or pairs such as "
                "[(picture, 0.7), (another, 0.3)], or a mapping of names to weights"
            )
    return pairs


def _array(image: Any, values: ValueRange | None = None) -> Array:
    """Convert a picture or array of the caller's to [H, W, C]."""
    if not isinstance(image, (Image.Image, np.ndarray)):
        raise UserError(f"{_name(image)} is no picture: give a path, a PIL picture, an array or a tensor")
    if values is not None and not values.plain:
        array = np.asarray(image)
        if array.ndim not in (2, 3) or array.size == 0:
            raise UserError(f"an array must be [H, W, C] and not empty, not {list(array.shape)}")
        with _called("the picture"):
            return fit(array[..., None] if array.ndim == 2 else array, values)
    if isinstance(image, Image.Image):
        with _called("the PIL picture"):
            if values is not None and image.mode.startswith(("I", "F")):
                fit(np.asarray(image)[..., None], values)  # raises if something would be lost
            return _decoded(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.size == 0:
        raise UserError(f"an array must be uint8 [H, W, C] and not empty, not {image.dtype} {list(image.shape)}")
    return image


@contextmanager
def _called(name: str) -> Iterator[None]:
    """Name a picture of the caller's in what is wrong with it."""
    try:
        yield
    except ContentError as error:
        raise error.of(name) from error
    except Exception as error:
        if ran_out(error):
            error.add_note(f"{name} was read")
        raise


def _decoded(image: Image.Image) -> NDArray[np.uint8]:
    """Convert a PIL picture as `read_image` does a file: upright, over white, 8 bits, RGB.

    Pillow itself keeps only the upper 8 of 16 bits of a colour, so such a picture may differ by one step.
    """
    if 0 in image.size:
        raise UserError(f"a PIL picture must not be empty, but this one is {image.width}x{image.height}")
    return decode(_opened(image))


def _opened(image: Image.Image) -> OpenedImage:
    image.load()  # on load, Pillow turns a TIFF and removes its orientation tag
    turned = image.getexif().get(ORIENTATION, 1)
    bits = 16 if image.mode.startswith("I;16") else 8
    return OpenedImage(
        image.format or "PIL",
        b"",
        image,  # type: ignore[arg-type] # any PIL picture has what the decoder uses
        bits,
        turned if turned in range(1, 9) else 1,
    )


def _checked_tensor(image: Tensor) -> Tensor:
    """Check a tensor and return it as float32 [B, C, H, W]."""
    images = image if image.dim() == 4 else image[None]
    if images.dim() != 4 or not images.is_floating_point() or images.numel() == 0:
        raise UserError(
            f"a tensor must be float [C, H, W] or [B, C, H, W] and not empty, not {image.dtype} {list(image.shape)}"
        )
    require_finite(images, "a picture given as a tensor holds values that are NaN or infinite: give values in [-1, 1]")
    return images.float()


def _checked_mask(mask: Any, style: str) -> Tensor:
    numeric = isinstance(mask, Tensor) or mask.dtype.kind in "bfiu"
    values = torch.as_tensor(mask).float() if numeric else torch.empty(0)
    if values.dim() not in (2, 3, 4) or values.numel() == 0 or any(n != 1 for n in values.shape[:-2]):
        raise UserError(
            f"the mask of style {style} must be [H, W], [1, H, W] or [1, 1, H, W] in [0, 1], not {list(mask.shape)}"
        )
    if not bool(((values >= 0) & (values <= 1)).all()):  # also where one is NaN
        raise UserError(f"the mask of style {style} has values outside [0, 1]: give 1 where the style holds, else 0")
    return values.reshape(1, 1, *values.shape[-2:])


def _shortened(size: Size, side: int | None) -> Size:
    """Return height and width with a longer side of at most `side`."""
    longer = max(size)
    if side is None or longer <= side:
        return size
    return max(1, round(size[0] * (side / longer))), max(1, round(size[1] * (side / longer)))


def _resized(images: Tensor, size: Size) -> Tensor:
    """Resize [B, C, H, W] to a smaller size, averaging as for files."""
    arrays = [resize(np.ascontiguousarray(x.movedim(0, -1).cpu().numpy()), *size) for x in images.detach()]
    return torch.stack([torch.from_numpy(array).movedim(-1, 0) for array in arrays]).to(images)


def _name(image: Any) -> str:
    return str(image) if isinstance(image, (str, Path)) else f"a value of type {type(image).__name__}"
