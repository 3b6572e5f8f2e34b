"""A CycleGAN in plain PyTorch, written apart from the package: functions over a list of weights.

It follows the official step to the letter: separate passes, `lambda_identity=0.5` relative to `lambda_A=10`, half of
the discriminators' loss, a pool with the official rule. It uses none of our classes, only their initial weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = list[Tensor]


def halved(x: Tensor) -> Tensor:
    """Zhang 2019: weights 1 2 1 down and across, every second pixel."""
    x = F.pad(x, (1, 1, 1, 1), mode="reflect")
    for _ in range(2):
        x = (x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:])[..., ::2] / 4
        x = x.transpose(2, 3)
    return x


def doubled(x: Tensor) -> Tensor:
    """Weights 1 3 3 1 of the nearest pixels, the border repeated; no weights of its own."""
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    for _ in range(2):
        left, right = (x[..., :-2] + 3 * x[..., 1:-1]) / 4, (3 * x[..., 1:-1] + x[..., 2:]) / 4
        x = torch.stack((left, right), -1).flatten(-2).transpose(2, 3)
    return x


def resnet(weights: Weights, x: Tensor, anti_aliased: bool = False) -> Tensor:
    """Weights and biases in order: 3 convolutions down, 2 a residual block, 2 up, 1 last."""
    w = iter(weights)

    def convolve(x: Tensor, stride: int, pad: int) -> Tensor:
        return F.conv2d(x, next(w), next(w), stride=stride, padding=pad)

    def norm(x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        variance = ((x - mean) ** 2).mean((2, 3), keepdim=True)
        return (x - mean) / torch.sqrt(variance + 1e-5)

    def reflect(x: Tensor, n: int) -> Tensor:
        return F.pad(x, (n, n, n, n), mode="reflect")

    x = F.relu(norm(convolve(reflect(x, 3), 1, 0)))
    for _ in range(2):
        x = halved(F.relu(norm(convolve(x, 1, 1)))) if anti_aliased else F.relu(norm(convolve(x, 2, 1)))
    blocks = (len(weights) // 2 - 6) // 2
    for _ in range(blocks):
        y = F.relu(norm(convolve(reflect(x, 1), 1, 0)))
        x = x + norm(convolve(reflect(y, 1), 1, 0))
    for _ in range(2):
        if anti_aliased:
            x = F.relu(norm(convolve(doubled(x), 1, 1)))
        else:
            x = F.relu(norm(F.conv_transpose2d(x, next(w), next(w), stride=2, padding=1, output_padding=1)))
    return torch.tanh(convolve(reflect(x, 3), 1, 0))


def patchgan(weights: Weights, x: Tensor, anti_aliased: bool = False) -> Tensor:
    """Weights and biases of five 4x4 convolutions, strides 2 2 2 1 1, a norm on all but the first and last."""
    layers = list(zip(weights[::2], weights[1::2], strict=True))
    for i, (weight, bias) in enumerate(layers):
        x = F.conv2d(x, weight, bias, stride=2 if i < 3 and not anti_aliased else 1, padding=1)
        if 0 < i < len(layers) - 1:
            mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=False)
            x = (x - mean) / torch.sqrt(variance + 1e-5)
        if i < len(layers) - 1:
            x = torch.where(x > 0, x, 0.2 * x)
        if i < 3 and anti_aliased:
            x = halved(x)
    return x


class Pool:
    def __init__(self, size: int, seed: int) -> None:
        self.size, self.kept = size, []
        self.random = torch.Generator().manual_seed(seed)

    def query(self, fake: Tensor) -> Tensor:
        fake = fake.detach().clone()
        if len(self.kept) < self.size:
            self.kept.append(fake)
            return fake
        if torch.randint(2, (), generator=self.random) == 0:
            return fake
        i = int(torch.randint(self.size, (), generator=self.random))
        old, self.kept[i] = self.kept[i], fake
        return old


class Adam:
    """Kingma and Ba 2015, algorithm 1; the betas are those of the CycleGAN paper unless given."""

    def __init__(self, weights: Weights, betas: tuple[float, float] = (0.5, 0.999)) -> None:
        self.weights, self.betas, self.t = weights, betas, 0
        self.m = [torch.zeros_like(w) for w in weights]
        self.v = [torch.zeros_like(w) for w in weights]

    def step(self, gradients: tuple[Tensor, ...], rate: float) -> None:
        self.t += 1
        first, second = self.betas
        with torch.no_grad():
            for w, g, m, v in zip(self.weights, gradients, self.m, self.v, strict=True):
                m.mul_(first).add_(g, alpha=1 - first)
                v.mul_(second).addcmul_(g, g, value=1 - second)
                m_hat, v_hat = m / (1 - first**self.t), v / (1 - second**self.t)
                w -= rate * m_hat / (v_hat.sqrt() + 1e-8)


def train(
    initial: dict[str, Weights], batches: list[tuple[Tensor, Tensor]], rates: list[float], pool_size: int
) -> list[dict[str, float]]:
    """The losses of one iteration per batch, from the initial weights of `G_AB G_BA D_A D_B`."""
    nets = {n: [w.detach().clone().requires_grad_() for w in ws] for n, ws in initial.items()}
    generators, discriminators = nets["G_AB"] + nets["G_BA"], nets["D_A"] + nets["D_B"]
    adam_G, adam_D = Adam(generators), Adam(discriminators)
    pool_A, pool_B = Pool(pool_size, 1), Pool(pool_size, 2)
    history = []
    for (A, B), rate in zip(batches, rates, strict=True):
        fake_B, fake_A = resnet(nets["G_AB"], A), resnet(nets["G_BA"], B)
        rec_A, rec_B = resnet(nets["G_BA"], fake_B), resnet(nets["G_AB"], fake_A)
        idt_A, idt_B = resnet(nets["G_BA"], A), resnet(nets["G_AB"], B)
        loss = {
            "G_gan_B": ((patchgan(nets["D_B"], fake_B) - 1) ** 2).mean(),
            "G_gan_A": ((patchgan(nets["D_A"], fake_A) - 1) ** 2).mean(),
            "G_cycle_A": (rec_A - A).abs().mean(),
            "G_cycle_B": (rec_B - B).abs().mean(),
            "G_idt_A": (idt_A - A).abs().mean(),
            "G_idt_B": (idt_B - B).abs().mean(),
        }
        total = loss["G_gan_B"] + loss["G_gan_A"]
        for domain in "AB":
            total = total + 10 * loss[f"G_cycle_{domain}"] + 10 * 0.5 * loss[f"G_idt_{domain}"]
        gradients_G = torch.autograd.grad(total, generators)
        adam_G.step(gradients_G, rate)
        for domain, real, fake, pool in (("A", A, fake_A, pool_A), ("B", B, fake_B, pool_B)):
            D = nets[f"D_{domain}"]
            judged = patchgan(D, pool.query(fake))
            loss[f"D_{domain}"] = 0.5 * (((patchgan(D, real) - 1) ** 2).mean() + (judged**2).mean())
        adam_D.step(torch.autograd.grad(loss["D_A"] + loss["D_B"], discriminators), rate)
        history.append({name: float(value.detach()) for name, value in loss.items()})
    return history
