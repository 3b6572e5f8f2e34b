"""Paired oracle of a benchmark: the network of its cyclegan row, trained with the truth that unpaired methods lack."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gan_style.data.images import to_uint8
from gan_style.data.scenes import starts_of
from gan_style.evaluation.drawn import DrawnJudge
from gan_style.metrics.filters import from_grey_levels
from gan_style.networks.resnet import ResnetGenerator

FILTERS, BLOCKS, LEARNING_RATE = 24, 3, 4e-4  # as in gan_style/apps/bench/small.yaml


def train_and_translate(judge: DrawnJudge, iterations: int, seed: int) -> NDArray[np.uint8]:
    """Train on pairs of training scenes by the mean absolute error, as pix2pix (Isola et al. 2017) without its GAN.

    Args:
        judge: of the task; its test pictures are translated.
        iterations: one pair each, mirrored half of the time; the learning rate falls over the second half.
        seed: of weights and order.

    Returns: translations of `judge.inputs`, uint8 [N, H, W, 3].
    """
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    task, size = judge.task, judge.size
    network = ResnetGenerator(filters=FILTERS, blocks=BLOCKS, upsample="resize")
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE, betas=(0.5, 0.999))
    falls = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min(1.0, 2 * (1 - i / iterations)))
    first = starts_of(task.count, 0)["trainA"]
    for _ in range(iterations):
        index = int(first + random.integers(task.count))
        pair = [task.draw(judge.seed, index, size, domain, part="trainA")[None] for domain in "AB"]
        source, target = (from_grey_levels(x) for x in pair)
        if random.random() < 0.5:
            source, target = source.flip(3), target.flip(3)
        optimizer.zero_grad(set_to_none=True)
        nn.functional.l1_loss(network(source), target).backward()
        optimizer.step()
        falls.step()
    network.eval()
    with torch.no_grad():
        return np.concatenate([to_uint8(network(from_grey_levels(x[None]))) for x in judge.inputs])
