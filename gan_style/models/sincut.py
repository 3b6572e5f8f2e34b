"""SinCUT: CUT of one picture of each domain.

Park, Efros, Zhang, Zhu 2020, arXiv:2007.15651, section 4.5. A domain is the crops of one large picture. One patch of
each crop is compared with those of the other crops; the discriminator, which could know its one picture by heart, is
held by R1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.core.types import Weight
from gan_style.models.cut import CUT
from gan_style.models.translator import Images, Terms, kept, l1


class SinCUT(CUT):
    """CUT with an identity loss in pixels.

    Args:
        generator, discriminator: see `CUT`.
        lambda_idt: weight of |G(B) - B|.
        nce_idt: see `CUT`; it makes G(B), too.
        **settings: see `CUT`.

    Raises:
        UserError: an identity loss without G(B), in training one patch alone, which has nothing to be told from, and as
            `CUT`.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        *,
        lambda_idt: Weight = 1.0,
        nce_idt: bool = True,
        **settings: Any,
    ) -> None:
        if lambda_idt > 0 and not nce_idt:
            raise UserError(
                f"model.lambda_idt={lambda_idt:g} is of pictures of B put through the generator, which "
                "model.nce_idt=false leaves out: set model.lambda_idt=0, or model.nce_idt=true"
            )
        super().__init__(generator, discriminator, nce_idt=nce_idt, **settings)
        self.lambda_idt = lambda_idt

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        if self.lambda_nce > 0 and self.H.num_patches * (len(images["real_A"]) if self.batch_negatives else 1) < 2:
            raise UserError(
                "one patch of one crop has no other to be told from: set data.batch_size=16, as published, or "
                "model.num_patches above 1"
            )
        total, terms = super().generator_loss(images)
        if self.lambda_idt > 0:
            real = images["real_B"].flip(3) if kept(images, "mirrored") else images["real_B"]
            terms["idt_B"] = l1(images["idt_B"], real)
            total = total + self.lambda_idt * terms["idt_B"]
        return total, terms
