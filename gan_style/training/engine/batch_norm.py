"""Batch norm over the batches of all processes, so that N of batch B train what one of batch N B trains."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.plugins.layer_sync import LayerSync, TorchSyncBatchNorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_style.core.precision import at_least_float32
from gan_style.models.processes import averaged, count
from gan_style.models.translator import Translator
from gan_style.training.engine.engine import method_of


class _Sum(torch.autograd.Function):
    """Sum over all processes; its gradient is summed, too, since every process's loss depends on every part."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _sum(gradient.contiguous())


def _sum(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)
    return total


class SyncedBatchNorm(_BatchNorm):
    """A batch norm whose statistics in training are those of all processes together (Ioffe and Szegedy 2015).

    Unlike `torch.nn.SyncBatchNorm` it also computes on a CPU, and its gradient has a gradient.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [B, C, ...] over the batches of all processes."""
        if not self.training or count() == 1:
            return super().forward(x)
        return self._together(x)

    @torch.compiler.disable
    def _together(self, x: Tensor) -> Tensor:
        wide = at_least_float32(x)
        others = [dim for dim in range(x.dim()) if dim != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        here = wide.new_tensor([x.numel() / x.shape[1]])
        total = _sum(torch.cat([wide.sum(others), here]))
        values = total[-1].detach()
        mean = total[:-1] / values
        centred = wide - mean.view(shape)
        variance = _sum(centred.square().sum(others)) / values
        self._remember(mean.detach(), variance.detach() * values / (values - 1))
        y = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            y = torch.addcmul(self.bias.view(shape), y, self.weight.view(shape))
        return y.to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), weight)
        self.running_var.lerp_(variance.to(self.running_var), weight)

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of dimensions: images, sequences and volumes."""


class SyncBatchNorms(LayerSync):
    """Lightning's plugin for `trainer.sync_batchnorm`: replaces batch norms while a run trains.

    On a GPU by torch's own, except in the discriminators: a gradient penalty differentiates those twice, which
    torch's cannot. The names of parameters and buffers stay.

    Args:
        on_gpu: where the run trains.
    """

    def __init__(self, on_gpu: bool) -> None:
        self._on_gpu = on_gpu
        self._before: dict[nn.Module, type[nn.Module]] = {}

    def apply(self, model: nn.Module) -> nn.Module:
        method = _method_of(model)
        if self._on_gpu:
            for name in (*method.generators, *method.helpers):
                setattr(method, name, nn.SyncBatchNorm.convert_sync_batchnorm(getattr(method, name)))
        for module in batch_norms(method):
            if not isinstance(module, nn.SyncBatchNorm):
                self._before[module] = type(module)
                module.__class__ = SyncedBatchNorm  # parameters, buffers and hooks stay
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        method = _method_of(model)
        for module, kind in self._before.items():
            module.__class__ = kind
        self._before = {}
        if self._on_gpu:
            for name in (*method.generators, *method.helpers):
                setattr(method, name, TorchSyncBatchNorm().revert(getattr(method, name)))
        return model


def _method_of(module: nn.Module) -> Translator:
    assert isinstance(module, pl.LightningModule)
    return method_of(module)


def batch_norms(model: Translator) -> list[_BatchNorm]:
    """Return the batch norms of the networks that are trained."""
    networks = [network for player in model.players() for network in model.networks(player)]
    return [module for network in networks for module in network.modules() if isinstance(module, _BatchNorm)]


def computes_together(model: Translator) -> bool:
    """Check whether a pass waits for the other processes: then no process may make one by itself."""
    return any(isinstance(module, SyncedBatchNorm | nn.SyncBatchNorm) for module in batch_norms(model))


def agree_on_statistics(model: Translator) -> None:
    """Average over processes what batch norms that are not synchronised have learned in an iteration."""
    if count() == 1:
        return
    apart = [module for module in batch_norms(model) if not isinstance(module, SyncedBatchNorm | nn.SyncBatchNorm)]
    learned = [t for module in apart for t in (module.running_mean, module.running_var) if t is not None]
    if learned:
        for tensor, mean in zip(learned, averaged(learned), strict=True):
            tensor.copy_(mean)
