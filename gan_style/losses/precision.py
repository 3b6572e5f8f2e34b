"""Losses are computed in float32 under autocast, where the networks' outputs are not."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Raise half precision to float32; anything else stays as it is."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
