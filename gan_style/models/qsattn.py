"""QS-Attn: Query-Selected Attention for Contrastive Learning in I2I Translation.

Hu, Zhou, Huang, Shi, Sun, Li 2022, CVPR, arXiv:2203.08483. CUT whose deeper patches are not drawn: those are compared
whose attention is the surest, and each is what its attention gathers, in the input and in the output alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from gan_style.core.errors import UserError
from gan_style.core.types import Count
from gan_style.models.cut import CUT
from gan_style.networks.query_attention import AttendingProjector, Attention


class QSAttn(CUT):
    """CUT on the patches that attention selects; attention is of the input's features and has no weights.

    Args:
        generator, discriminator: see `CUT`.
        attention: "global" attends to all places and "local" to a window; "local_global" selects by the window and
            routes from all places.
        attention_layers: the deepest so many layers are attended, the others have random places.
        window: side of the window, odd.
        num_patches: see `CUT`.
        **settings: see `CUT`.

    Raises:
        UserError: a window without a middle, and as `CUT`.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        *,
        attention: Attention = "global",
        attention_layers: Count = 2,
        window: Count = 7,
        num_patches: Count = 256,
        **settings: Any,
    ) -> None:
        if window % 2 == 0:
            raise UserError(f"model.window={window} has no place in its middle: take an odd one, such as {window + 1}")
        super().__init__(generator, discriminator, num_patches=num_patches, **settings)
        self.H = AttendingProjector(
            self.G_AB.feature_channels,
            attention=attention,
            layers=attention_layers,
            window=window,
            num_patches=num_patches,
        )
