"""U-GAT-IT: Unsupervised Generative Attentional Networks with Adaptive Layer-Instance Normalization.

Kim, Kim, Kang, Lee 2020, ICLR, arXiv:1907.10830. A cycle of two generators that look where a classifier of the two
domains looks, judged by discriminators that look where a classifier of real and fake looks (section 2.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.direction import Direction
from gan_style.core.errors import UserError
from gan_style.core.precision import at_least_float32
from gan_style.core.types import Count, Weight
from gan_style.models.passes import joined
from gan_style.models.translator import Generated, Images, Terms, Translator, kept, l1
from gan_style.networks.attention import AttentionGenerator, clip_rho
from gan_style.networks.factory import require_same_channels


class UGATIT(Translator):
    """Two generators with attention that undo each other, and a discriminator per domain, of several judges.

    Args:
        generator: factory, `(in_channels=, out_channels=)` -> `AttentionGenerator`; called once per direction.
        discriminator: factory, `(in_channels=)` -> network; called once per domain.
        channels_A, channels_B: of the pictures of each domain; equal, since each generator is given both.
        lambda_cycle: weight of the L1 between a picture and its reconstruction.
        lambda_idt: weight of the L1 between a picture and itself put through the generator into its own domain.
        lambda_cam: weight of the cross-entropy of each generator's classifier, which tells the domain that it
            translates from (1) from that which it translates to (0).
        **training: adversarial loss and penalties, optimisers, schedule, seed and the like: see `Translator`.

    Raises:
        UserError: domains with different channels, or a generator of another kind.
    """

    generators = ("G_AB", "G_BA")
    discriminators = ("D_A", "D_B")
    gan_mode = "lsgan_sum"
    turns = ("D", "G")
    directions = (Direction.A2B, Direction.B2A)
    explains = (Direction.A2B, Direction.B2A)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        *,
        channels_A: Count = 3,
        channels_B: Count = 3,
        lambda_cycle: Weight = 10.0,
        lambda_idt: Weight = 10.0,
        lambda_cam: Weight = 1000.0,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        require_same_channels(channels_A, channels_B, "a classifier of the two domains")
        self.G_AB, self.G_BA = (
            with_attention(generator(in_channels=channels_A, out_channels=channels_B)) for _ in self.generators
        )
        self.D_A = discriminator(in_channels=channels_A)
        self.D_B = discriminator(in_channels=channels_B)
        self.lambda_cycle, self.lambda_idt, self.lambda_cam = lambda_cycle, lambda_idt, lambda_cam

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        output: Tensor = {"A2B": self.G_AB, "B2A": self.G_BA}[direction](images)
        return output

    def explain(self, images: Tensor, direction: str = "A2B") -> Tensor:
        """Return where the generator looked, from 0 to 1 in each picture: the map that figure 2 of the paper draws."""
        return {"A2B": self.G_AB, "B2A": self.G_BA}[direction].attention_map(images)

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        """Make the images, and keep what each generator's classifier said of both domains."""
        real_A, real_B = batch["A"], batch["B"]
        (fake_B, from_A), (idt_B, not_from_A) = joined(self.G_AB, real_A, real_B, method="forward_with_logits")
        (fake_A, from_B), (idt_A, not_from_B) = joined(self.G_BA, real_B, real_A, method="forward_with_logits")
        images = {
            **{"real_A": real_A, "fake_B": fake_B, "real_B": real_B, "fake_A": fake_A},
            **{"rec_A": self.G_BA(fake_B), "rec_B": self.G_AB(fake_A), "idt_A": idt_A, "idt_B": idt_B},
        }
        return Generated(images, cam={"B": (from_A, not_from_A), "A": (from_B, not_from_B)})

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        gan_B, terms_B = self.adversarial_loss("gan_B", self.D_B, images["fake_B"], images["real_B"])
        gan_A, terms_A = self.adversarial_loss("gan_A", self.D_A, images["fake_A"], images["real_A"])
        total, terms = gan_B + gan_A, {**terms_B, **terms_A}
        for domain in "BA":
            real = images[f"real_{domain}"]
            own = {
                f"cycle_{domain}": (self.lambda_cycle, l1(images[f"rec_{domain}"], real)),
                f"idt_{domain}": (self.lambda_idt, l1(images[f"idt_{domain}"], real)),
                f"cam_{domain}": (self.lambda_cam, cam_loss(*kept(images, "cam")[domain])),
            }
            terms |= {name: term for name, (_, term) in own.items()}
            total = total + torch.stack([weight * term for weight, term in own.values()]).sum()
        return total, terms

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        return self.judging_both(images)

    def after_iteration(self, optimizers: Mapping[str, torch.optim.Optimizer]) -> None:
        """Hold rho in [0, 1]: only its next value is clipped, not its gradient, as in the official code."""
        for network in self.networks("G"):
            clip_rho(network)


def with_attention(network: nn.Module) -> AttentionGenerator:
    """Return a generator that has attention.

    Raises:
        UserError: it has none.
    """
    if isinstance(network, AttentionGenerator):
        return network
    raise UserError(
        f"model/generator: {type(network).__name__} has no attention: take model/generator=attention or attention_light"
    )


def cam_loss(source: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropies of logits [B, 2] of pictures of the source (1) and of the target (0), summed."""
    source, target = at_least_float32(source), at_least_float32(target)
    of_source = F.binary_cross_entropy_with_logits(source, torch.ones_like(source))
    return of_source + F.binary_cross_entropy_with_logits(target, torch.zeros_like(target))
