"""Value ranges of files, and their mapping to [-1, 1] and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_style.core.errors import UserError

Array = NDArray[Any]
DType = Literal["uint8", "uint16", "float32"]
FLOAT32 = (-3.4e38, 3.4e38)
LIMITS = {"uint8": (0.0, 255.0), "uint16": (0.0, 65535.0)}


@dataclass(frozen=True)
class ValueRange:
    """Type, range and channels of a domain's pictures; stored in every checkpoint.

    Attributes:
        dtype: Of the arrays and of what is saved.
        low: The value that becomes -1.
        high: The value that becomes 1.
        channels: Of each picture.
    """

    dtype: DType = "uint8"
    low: float = 0.0
    high: float = 255.0
    channels: int = 3

    def __post_init__(self) -> None:
        """Check the range.

        Raises:
            UserError: If low is not below high, or an integer type does not hold both.
        """
        if not self.low < self.high:
            raise UserError(f"data.low={self.low:g} is not below data.high={self.high:g}: give the range of the values")
        least, most = LIMITS.get(self.dtype, FLOAT32)
        if not (least <= self.low and self.high <= most):
            raise UserError(
                f"data.low={self.low:g} data.high={self.high:g} are not values that {self.dtype} holds: "
                f"give them within {least:g} to {most:g}"
            )

    @classmethod
    def of(cls, dtype: DType, low: float | None, high: float | None, channels: int) -> ValueRange:
        """Build a range whose limits are those of the type unless given.

        Raises:
            UserError: As the constructor, or if a type without limits of its own comes without a range.
        """
        if dtype not in LIMITS and (low is None or high is None):
            raise UserError(
                f"data.dtype={dtype} has no range of its own: give the values that become black and white with "
                "data.low= and data.high= (gan-style inspect shows what the files hold)"
            )
        least, most = LIMITS.get(dtype, (0.0, 0.0))
        return cls(dtype, float(least if low is None else low), float(most if high is None else high), channels)

    @property
    def plain(self) -> bool:
        """True for ordinary 8-bit RGB pictures."""
        return self == ValueRange()

    def describe(self) -> dict[str, Any]:
        """Convert to plain types, for a checkpoint."""
        return asdict(self)

    @classmethod
    def described(cls, values: Mapping[str, Any]) -> ValueRange:
        """Build from what `describe` returned; other keys are ignored."""
        return cls(**{key: values[key] for key in ("dtype", "low", "high", "channels") if key in values})

    def normalise(self, values: Tensor) -> Tensor:
        """Map [..., C, H, W] of the files' numbers to float32 in [-1, 1]; what lies outside is clamped."""
        if (self.dtype, self.low, self.high) == ("uint8", 0, 255):  # one rounding step less, nothing to clamp
            by_table = values.device.type == "cpu" and values.dtype == torch.uint8 and values.is_contiguous()
            return _looked_up(values) if by_table else _scaled(values)
        wide = values.to(torch.float64).sub_(self.low).mul_(2 / (self.high - self.low)).sub_(1)
        return wide.clamp_(-1, 1).to(torch.float32)

    def restore(self, image: Tensor) -> Array:
        """Map [C, H, W] in [-1, 1] to [H, W, C] of the files' type; integers are rounded to the nearest."""
        wide = image.detach().to("cpu", torch.float64).clamp(-1, 1).add_(1).mul_((self.high - self.low) / 2)
        values = wide.add_(self.low).movedim(-3, -1).contiguous().numpy()
        return np.asarray((values.round() if self.dtype in LIMITS else values).astype(self.dtype))

    def as_tensor(self, array: Array) -> Tensor:
        """Convert [H, W, C] to [C, H, W]: uint8 as it is, to be normalised on the device; anything else normalised."""
        tensor = torch.from_numpy(_channels_first(array))
        return tensor if array.dtype == np.uint8 else self.normalise(tensor)


def _scaled(values: Tensor) -> Tensor:
    return values.to(torch.float32).div_(127.5).sub_(1)


def _looked_up(values: Tensor) -> Tensor:
    """Return `_scaled` of contiguous uint8 on the CPU, by a table of all 256 results: one pass in place of three."""
    import cv2  # only where pictures are read: a checkpoint is described without it

    pixels, table = values.numpy(), _scaled(torch.arange(256)).numpy()
    return torch.from_numpy(cv2.LUT(pixels.reshape(-1, pixels.shape[-1]), table).reshape(pixels.shape))


def _channels_first(array: Array) -> Array:
    """Copy [H, W, C] to [C, H, W]; OpenCV does so in half of the time where an image is of 8 bits."""
    import cv2

    height, width, channels = array.shape
    if array.dtype != np.uint8 or channels not in (3, 4):
        return np.array(array.transpose(2, 0, 1), order="C")
    planes = np.empty((channels, height, width), array.dtype)
    cv2.split(np.ascontiguousarray(array), [*planes])
    return planes
