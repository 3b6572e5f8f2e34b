"""The usual adversarial losses, with one equation per player."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.core.precision import at_least_float32

Maps = Tensor | Sequence[Tensor]  # one map of logits, or one for each scale
Logits = Maps | Mapping[str, Maps]  # of a discriminator of several judges, by their names


def lsgan_generator(fake: Tensor) -> Tensor:
    """Compute the least-squares loss of fakes towards 1 (Mao et al. 2017, eq. 9); not halved, as the official code."""
    return (fake - 1).square().mean()


def lsgan_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the least-squares loss of reals towards 1 and fakes towards 0; halved as in the official code."""
    return 0.5 * ((real - 1).square().mean() + fake.square().mean())


def lsgan_sum_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute twice `lsgan_discriminator`, as the official code of U-GAT-IT (Kim et al. 2020): beside a weight decay.

    Adam follows a loss and its half alike, but not where a decay of the weights is added to their gradients.
    """
    return (real - 1).square().mean() + fake.square().mean()


def vanilla_generator(fake: Tensor) -> Tensor:
    """Compute the non-saturating ``-log D(fake)``, D the sigmoid of the logits (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake).mean()


def vanilla_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the cross-entropy (Goodfellow et al. 2014, eq. 1); halved as in the official code."""
    return 0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())


def nonsaturating_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the cross-entropy as it stands in the paper, twice `vanilla_discriminator` (StyleGAN's)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def relativistic_generator(fake: Tensor, real: Tensor) -> Tensor:
    """Compute ``-log D(fake, real)``, D the sigmoid of fake - real: by how much a fake is more real than its partner.

    Jolicoeur-Martineau 2018, arXiv:1807.00734; Huang et al. 2024, arXiv:2501.05441, with R1 and R2. Here the partner
    is the same place of the real image.
    """
    return F.softplus(real - fake).mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute ``-log D(real, fake)``; see `relativistic_generator`."""
    return F.softplus(fake - real).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the hinge loss at the margins 1 and -1 (Lim and Ye 2017; Miyato et al. 2018, eq. 16)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_both_generator(fake: Tensor) -> Tensor:
    """Compute the hinge loss of fakes at the margin 1, as the official DCLGAN code (Han et al. 2021)."""
    return F.relu(1 - fake).mean()


def hinge_both_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute half of `hinge_discriminator`, as the official DCLGAN code (Han et al. 2021)."""
    return 0.5 * hinge_discriminator(real, fake)


def wgan_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the negative estimate of the Wasserstein distance (Arjovsky et al. 2017, eq. 2)."""
    return fake.mean() - real.mean()


def linear_generator(fake: Tensor) -> Tensor:
    """Compute minus the mean logit, for hinge (Miyato et al. 2018, eq. 17) and wgan."""
    return -fake.mean()


@dataclass(frozen=True)
class Adversarial:
    """Both sides of an adversarial loss; `adversarial` builds one by name.

    Logits are [B, 1, h, w] of any height and width, or a list of such tensors, one per scale, over which the mean is
    taken, or such logits by the name of a judge, of which the weighted sum is taken. Half precision is converted to
    float32 first.

    Args:
        mode: name of the loss.
        weights: what each judge's loss counts.
        modes: name of the loss of each judge that has another than `mode`.
    """

    mode: str
    weights: Mapping[str, float] = field(default_factory=dict)
    modes: Mapping[str, str] = field(default_factory=dict)

    @property
    def relative(self) -> bool:
        """True if the generator's loss compares fakes with real images, whose logits it then wants."""
        return RELATIVE in (self.mode, *self.modes.values())

    def generator(self, fake_logits: Logits, real_logits: Logits | None = None) -> Tensor:
        """Return the generator's loss, a scalar; ``fake_logits`` are the discriminator's, with gradient."""
        return self.generator_terms("", fake_logits, real_logits)[0]

    def discriminator(self, real_logits: Logits, fake_logits: Logits) -> Tensor:
        """Return the discriminator's loss, a scalar; the fakes must have been detached before they were judged."""
        return self.discriminator_terms("", real_logits, fake_logits)[0]

    def generator_terms(
        self, name: str, fake_logits: Logits, real_logits: Logits | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the generator's loss and its unweighted terms: one of this name, or `name_judge` of each judge.

        Args:
            name: of the term.
            fake_logits: with gradient.
            real_logits: of as many real images; only a loss that is `relative` looks at them.

        Raises:
            UserError: such a loss was given none.
        """
        if self.relative and real_logits is None:
            raise UserError(
                f"gan_mode={RELATIVE} compares fakes with real pictures, and this method's code gives the generator's "
                "loss none: take another gan_mode"
            )
        reals = by_judge(fake_logits if real_logits is None else real_logits)
        terms = {}
        for judge, maps in by_judge(fake_logits).items():
            equation, compares = _EQUATIONS[self.mode_of(judge)][0], self.mode_of(judge) == RELATIVE
            pairs = zip(_scales(maps), _scales(reals[judge]), strict=True)
            losses = [equation(fake, real) if compares else equation(fake) for fake, real in pairs]
            terms[judge] = torch.stack(losses).mean()
        return self._summed(name, terms)

    def discriminator_terms(
        self, name: str, real_logits: Logits, fake_logits: Logits
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the discriminator's loss and its unweighted terms, named as those of `generator_terms`."""
        terms, fakes = {}, by_judge(fake_logits)
        for judge, maps in by_judge(real_logits).items():
            equation = _EQUATIONS[self.mode_of(judge)][1]
            pairs = zip(_scales(maps), _scales(fakes[judge]), strict=True)
            terms[judge] = torch.stack([equation(real, fake) for real, fake in pairs]).mean()
        return self._summed(name, terms)

    def mode_of(self, judge: str) -> str:
        """Return the name of the loss of a judge."""
        return self.modes.get(judge, self.mode)

    def _weight(self, judge: str) -> float:
        if judge and judge not in self.weights:
            raise UserError(
                f"this method was not told what the discriminator's judge {judge} counts: let its code call "
                "adversarial_loss and judging_loss; until then take model/discriminator=patch70"
            )
        return self.weights.get(judge, 1.0)

    def _summed(self, name: str, terms: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        weighted = [self._weight(judge) * term for judge, term in terms.items()]
        return torch.stack(weighted).sum(), {f"{name}_{judge}" if judge else name: t for judge, t in terms.items()}


def by_judge(logits: Logits) -> dict[str, Maps]:
    """Return logits by the name of their judge; those of a discriminator that is one judge by an empty name."""
    return dict(logits) if isinstance(logits, Mapping) else {"": logits}


def maps_of(logits: Logits) -> list[Tensor]:
    """Return all maps of logits, whatever their judges and scales."""
    judged = by_judge(logits).values()
    return [one for maps in judged for one in ([maps] if isinstance(maps, Tensor) else maps)]


def adversarial(
    mode: str = "lsgan", weights: Mapping[str, float] | None = None, modes: Mapping[str, str] | None = None
) -> Adversarial:
    """Build the loss of this name: ``lsgan`` (CycleGAN's), or another of `core.types.GanMode`.

    Args:
        mode: the name.
        weights, modes: of the judges of the discriminator, see `Adversarial` and `networks.contract.judges_of`.

    Raises:
        ValueError: unknown name.
    """
    for one in (mode, *(modes or {}).values()):
        if one not in _EQUATIONS:
            raise ValueError(f"Unknown adversarial loss {one!r}; choose one of {', '.join(_EQUATIONS)}.")
    return Adversarial(mode, weights or {}, modes or {})


RELATIVE = "relativistic"
# The logit between fake and real; wgan and relativistic, whose logits mean something in differences alone, have none.
THRESHOLDS = {"lsgan": 0.5, "lsgan_sum": 0.5, "vanilla": 0.0, "nonsaturating": 0.0, "hinge": 0.0, "hinge_both": 0.0}

# The generator's, of fakes and in a relative loss of real images, too; the discriminator's, of both.
_EQUATIONS: dict[str, tuple[Callable[..., Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "lsgan": (lsgan_generator, lsgan_discriminator),
    "lsgan_sum": (lsgan_generator, lsgan_sum_discriminator),
    "vanilla": (vanilla_generator, vanilla_discriminator),
    "nonsaturating": (vanilla_generator, nonsaturating_discriminator),
    "hinge": (linear_generator, hinge_discriminator),
    "hinge_both": (hinge_both_generator, hinge_both_discriminator),
    "wgan": (linear_generator, wgan_discriminator),
    RELATIVE: (relativistic_generator, relativistic_discriminator),
}


def _scales(maps: Maps) -> list[Tensor]:
    return [at_least_float32(one) for one in maps_of(maps)]
