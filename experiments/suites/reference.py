"""A plain CycleGAN, written out as the official step is: separate passes, float32, eager, torch's own layers.

It is what every ratio of `suite=step` is measured against. Its layers come in the order of ours, so that both sides can
begin with the same weights.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        half = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels)]
        other = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels)]
        self.layers = nn.Sequential(*half, nn.ReLU(True), *other)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def generator(filters: int = 64, blocks: int = 9) -> nn.Module:
    """The ResNet generator of the paper."""
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, filters, 7), nn.InstanceNorm2d(filters)]
    layers.append(nn.ReLU(True))
    for width in (filters, 2 * filters):
        layers += [nn.Conv2d(width, 2 * width, 3, 2, 1), nn.InstanceNorm2d(2 * width), nn.ReLU(True)]
    layers += [Block(4 * filters) for _ in range(blocks)]
    for width in (4 * filters, 2 * filters):
        layers += [nn.ConvTranspose2d(width, width // 2, 3, 2, 1, 1), nn.InstanceNorm2d(width // 2), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(filters, 3, 7), nn.Tanh())


def discriminator(filters: int = 64) -> nn.Module:
    """The 70x70 PatchGAN."""
    layers: list[nn.Module] = [nn.Conv2d(3, filters, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for width, wider, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
        layers += [nn.Conv2d(width * filters, wider * filters, 4, stride, 1), nn.InstanceNorm2d(wider * filters)]
        layers.append(nn.LeakyReLU(0.2, True))
    return nn.Sequential(*layers, nn.Conv2d(8 * filters, 1, 4, 1, 1))


class Pool:
    """Fifty past fakes; each picture is exchanged for an old one half of the time."""

    def __init__(self, size: int = 50) -> None:
        self.size, self.images = size, list[Tensor]()

    def query(self, images: Tensor) -> Tensor:
        given = []
        for image in images.detach():
            if len(self.images) < self.size:
                self.images.append(image.clone())
                given.append(image)
            elif random.random() > 0.5:
                place = random.randrange(self.size)
                given.append(self.images[place])
                self.images[place] = image.clone()
            else:
                given.append(image)
        return torch.stack(given)


class ReferenceCycleGAN:
    """Two generators, two discriminators, and the official order of passes; least squares, cycle 10, identity 5.

    Args:
        filters: channels of the generators' first layers; `judge_filters` of the discriminators'.
        blocks: residual blocks of the generators.
        device: of everything.
    """

    def __init__(
        self, filters: int = 64, blocks: int = 9, judge_filters: int = 64, device: str | torch.device = "cpu"
    ) -> None:
        self.G_AB, self.G_BA = generator(filters, blocks).to(device), generator(filters, blocks).to(device)
        self.D_A, self.D_B = discriminator(judge_filters).to(device), discriminator(judge_filters).to(device)
        self.pool_A, self.pool_B = Pool(), Pool()
        self.adversarial, self.distance = nn.MSELoss(), nn.L1Loss()
        self.judges = [*self.D_A.parameters(), *self.D_B.parameters()]
        self.adam_G = torch.optim.Adam([*self.G_AB.parameters(), *self.G_BA.parameters()], 2e-4, (0.5, 0.999))
        self.adam_D = torch.optim.Adam(self.judges, 2e-4, (0.5, 0.999))

    def networks(self) -> Iterator[tuple[str, nn.Module]]:
        for name in ("G_AB", "G_BA", "D_A", "D_B"):
            yield name, getattr(self, name)

    def take_weights(self, model: nn.Module) -> None:
        """Begin with those of ours: the same tensors in the same order."""
        for name, network in self.networks():
            for own, other in zip(network.parameters(), getattr(model, name).parameters(), strict=True):
                own.data.copy_(other.data)

    def gan(self, logits: Tensor, real: bool) -> Tensor:
        loss: Tensor = self.adversarial(logits, torch.tensor(float(real), device=logits.device).expand_as(logits))
        return loss

    def step(self, A: Tensor, B: Tensor) -> dict[str, Tensor]:
        """One iteration on real pictures [B, 3, H, W] in [-1, 1]; the terms of both players before their weights."""
        fake_B = self.G_AB(A)
        rec_A = self.G_BA(fake_B)
        fake_A = self.G_BA(B)
        rec_B = self.G_AB(fake_A)
        for parameter in self.judges:
            parameter.requires_grad_(False)
        self.adam_G.zero_grad()
        terms = {
            "G_idt_B": self.distance(self.G_AB(B), B),
            "G_idt_A": self.distance(self.G_BA(A), A),
            "G_gan_B": self.gan(self.D_B(fake_B), True),
            "G_gan_A": self.gan(self.D_A(fake_A), True),
            "G_cycle_A": self.distance(rec_A, A),
            "G_cycle_B": self.distance(rec_B, B),
        }
        weights = {"idt": 5.0, "gan": 1.0, "cycle": 10.0}
        torch.stack([weights[name.split("_")[1]] * value for name, value in terms.items()]).sum().backward()
        self.adam_G.step()
        for parameter in self.judges:
            parameter.requires_grad_(True)
        self.adam_D.zero_grad()
        terms["D_A"] = self._judge(self.D_A, A, self.pool_A.query(fake_A))
        terms["D_B"] = self._judge(self.D_B, B, self.pool_B.query(fake_B))
        self.adam_D.step()
        return {name: term.detach() for name, term in terms.items()}

    def _judge(self, network: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        loss = 0.5 * (self.gan(network(real), True) + self.gan(network(fake.detach()), False))
        loss.backward()
        return loss
