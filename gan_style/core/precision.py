"""Precision of losses and images: float32 also under autocast, where the networks' outputs are not."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Convert half precision to float32; leave any other tensor as it is."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
