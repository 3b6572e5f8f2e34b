"""The settings of a run on a machine, and the Lightning trainer made from them."""

from __future__ import annotations

import logging
import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins import MixedPrecision

from gan_style.core.commands import launched_train
from gan_style.core.devices import has_amx
from gan_style.core.errors import UserError
from gan_style.core.sizes import Size
from gan_style.core.types import Count
from gan_style.models.translator import Translator
from gan_style.networks.fast_convolutions import is_faster
from gan_style.training.engine.batch_norm import SyncBatchNorms
from gan_style.training.engine.engine import Engine
from gan_style.training.strategy import strategy_of

EPOCHS_WITHOUT_END = 200  # where no schedule says an end; those of CycleGAN (Zhu et al. 2017, section 4)


class ScaledByPlayer(MixedPrecision):
    """float16 without Lightning's one scaler for all: an `Engine` has one for each player."""

    def __init__(self, device: str) -> None:
        super().__init__("16-mixed", device)
        self.scaler = None


@dataclass
class TrainerSettings:
    """Settings of a run on a machine: length, hardware, precision, intervals.

    Args:
        accelerator: "auto" takes a GPU where there is one.
        devices: how many processes on this machine, "auto" as many as there are GPUs.
        num_nodes: machines; each starts the same command under torchrun or SLURM.
        strategy: name of one of Lightning's that trains whole models in several processes: ddp, or
            ddp_find_unused_parameters_true; null: that where there are several.
        sync_batchnorm: whether batch norms take their statistics over the batches of all processes, so that N of batch
            B train what one of batch N B trains; false: over each one's own, and what they learn is averaged; null:
            true.
        precision: "bf16-mixed" and "16-mixed" compute the networks in half precision and the losses in float32; the
            second scales each player's loss so that small gradients do not vanish. "tf32" rounds the factors of float32
            multiplications to 10 bits on a GPU that has such units; elsewhere it is "32-true". torch's default does so
            in convolutions only. "auto" is "bf16-mixed" on a CPU with AMX, elsewhere "32-true".
        max_steps: exactly this many iterations; one is a batch through all turns. Wins over max_epochs.
        max_epochs: exactly this many epochs of the larger domain; without either, to the end of the method's schedule.
        val_every: iterations between two validations; null: five in a run, at least one per 5,000.
        save_every: iterations between two checkpoints; null: with each validation.
        log_every: iterations between two rows of metrics.csv; null: 200 rows, at least one per 50.
        deterministic: refuse operations that are not reproducible on a GPU.
        fast_convolutions: on a CPU, layers in stages, in float32 with Winograd's convolutions (`networks.stages`);
            null: where crops are large and the processor multiplies matrices fast enough for it to pay, and in
            "bf16-mixed" where it has AMX (docs/performance.md).
        checkpointing: residual blocks of the generators keep only their input and are recomputed in the backward pass:
            same numbers, less memory, more time.
        compile: "default" compiles the networks, which takes minutes at the start and is for batches of one size; "max"
            also records CUDA graphs on a GPU. Without a compiler a note says so and nothing is compiled.
        channels_last: keep the weights, and with them the maps, in the layout that tensor cores read. On a CPU
            `fast_convolutions` has its own, and without it instance norm makes this one slower.
        profiler: Lightning's, for `debug=profile`.
    """

    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: Count | Literal["auto"] = 1
    num_nodes: Count = 1
    strategy: str | None = None
    sync_batchnorm: bool | None = None
    precision: Literal["32-true", "tf32", "bf16-mixed", "16-mixed", "64-true", "auto"] = "32-true"
    max_steps: Count | None = None
    max_epochs: Count | None = None
    val_every: Count | None = None
    save_every: Count | None = None
    log_every: Count | None = None
    deterministic: bool = False
    fast_convolutions: bool | None = None
    checkpointing: bool = False
    compile: Literal["off", "default", "max"] = "off"
    channels_last: bool = False
    profiler: Literal["simple", "advanced", "pytorch"] | None = None

    def __post_init__(self) -> None:
        if self.precision == "auto":
            self.precision = "bf16-mixed" if self.device_type == "cpu" and has_amx() else "32-true"

    @property
    def device_count(self) -> int:
        """Number of processes on this machine."""
        if self.devices != "auto":
            return self.devices
        return max(1, torch.cuda.device_count()) if self.accelerator in ("auto", "gpu") else 1

    @property
    def device_type(self) -> str:
        """Kind of device that the run trains on: "cuda", "mps" or "cpu"."""
        if torch.cuda.is_available() and self.accelerator in ("auto", "gpu"):
            return "cuda"
        return "mps" if torch.backends.mps.is_available() and self.accelerator in ("auto", "mps") else "cpu"

    @property
    def world_size(self) -> int:
        return self.device_count * self.num_nodes

    def iterations(self, per_epoch: float, method: Translator) -> int:
        """Return the iteration at which training ends: where the command says, else where the method's schedule ends.

        Args:
            per_epoch: iterations of an epoch, which need not be whole.
            method: what is trained; over an end of its own only max_steps wins.
        """
        if self.max_steps is not None:
            return self.max_steps
        if method.last_iteration is not None:
            return method.last_iteration
        end_of = getattr(method.schedule, "end", None)  # a schedule of the user's own may have one, too
        end = end_of(per_epoch) if self.max_epochs is None and callable(end_of) else None
        length = (self.max_epochs or EPOCHS_WITHOUT_END) * per_epoch if end is None else end
        return math.ceil(length - 1e-9)

    def uses_fast_convolutions(self, image_size: Size) -> bool:
        """Check whether `fast_convolutions` computes the generators; compiled networks take their own."""
        if self.compile != "off":
            return False
        if self.fast_convolutions is not None:
            return self.fast_convolutions
        return has_amx() if self.precision == "bf16-mixed" else is_faster(image_size)

    def tell(self, engine: Engine, image_size: Size) -> None:
        """Tell an engine how to compute, before it trains."""
        engine.fast_convolutions, engine.compiled = self.uses_fast_convolutions(image_size), self.compile
        engine.checkpointing = self.checkpointing
        if self.channels_last:
            engine.to(memory_format=torch.channels_last)

    def cadence(self, iterations: int) -> tuple[int, int, int]:
        """Return the iterations between validations, checkpoints and rows of metrics.csv."""
        val = self.val_every or max(1, min(5000, iterations // 5))
        return val, self.save_every or val, self.log_every or max(1, min(50, iterations // 200))

    def refuse_what_cannot_work(self, multirun: bool) -> None:
        """Raise the errors that Lightning would raise late, or not at all.

        Raises:
            UserError: no such device or strategy, or a multirun whose jobs would each start processes of their own.
        """
        strategy_of(self.strategy, self.world_size)
        if self.checkpointing and self.compile != "off":
            raise UserError(
                f"trainer.checkpointing=true and trainer.compile={self.compile} exclude each other: leave one out"
            )
        if self.accelerator == "gpu" and not torch.cuda.is_available():
            raise UserError("trainer.accelerator=gpu, but torch sees no CUDA device: use trainer=cpu or auto")
        if torch.cuda.is_available() and self.accelerator in ("auto", "gpu"):
            there = torch.cuda.device_count()
            if self.device_count > there:
                raise UserError(f"trainer.devices={self.devices}, but there are {there} GPUs")
        if self.accelerator == "mps" and not torch.backends.mps.is_available():
            raise UserError("trainer.accelerator=mps, but torch sees no such device: use trainer=cpu or auto")
        launched = any(name in os.environ for name in ("TORCHELASTIC_RUN_ID", "SLURM_PROCID"))
        if self.num_nodes > 1 and not launched:
            raise UserError(
                f"trainer.num_nodes={self.num_nodes} needs a launcher on each machine, such as "
                f"torchrun --nnodes=N --nproc_per_node=M {launched_train()} ... (docs/design.md)"
            )
        if multirun and self.world_size > 1 and not launched:
            raise UserError(
                "--multirun runs its jobs in one process, which cannot start the processes of several devices: "
                "start one command per job, or set trainer.devices=1"
            )

    def make(self, callbacks: list[pl.Callback], loggers: list[Logger], run_dir: Path, val: int) -> pl.Trainer:
        """Make the Lightning trainer, with every option that does not fit two players left to us.

        Iterations, accumulation, clipping, schedules, checkpoints and the sampler are not Lightning's: it counts
        optimiser steps, refuses clipping and accumulation, steps no schedule and replaces the sampler.
        """
        on_gpu = self.device_type == "cuda"
        if self.precision == "tf32" and on_gpu:
            torch.set_float32_matmul_precision("high")  # of matrix multiplications: convolutions use TF32 by default
        in_lightning: Any = "32-true" if self.precision == "tf32" else self.precision  # it knows no tf32
        half = [ScaledByPlayer("cuda" if on_gpu else "cpu")] if self.precision == "16-mixed" else []
        together = [SyncBatchNorms(on_gpu)] if self.world_size > 1 and self.sync_batchnorm is not False else []
        return pl.Trainer(
            accelerator=self.accelerator,
            devices=self.device_count,
            num_nodes=self.num_nodes,
            strategy=strategy_of(self.strategy, self.world_size),
            precision=None if half else in_lightning,
            plugins=[*half, *together],
            max_epochs=-1,  # one endless stream; Keeper ends it at the exact iteration
            val_check_interval=val,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            deterministic=self.deterministic,
            profiler=self.profiler,
            callbacks=callbacks,
            logger=loggers,
            default_root_dir=run_dir,
            enable_checkpointing=False,
            enable_model_summary=False,
            log_every_n_steps=1_000_000_000,  # rows are LogLosses' business
        )


def machine(trainer: pl.Trainer) -> dict[str, Any]:
    """Describe the hardware, for run.json and the report."""
    import platform

    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return {"python": platform.python_version(), "torch": torch.__version__, "device": name}


def quiet_lightning() -> None:
    """Keep Lightning's advertisements, device tables and one deprecation of its own out of the output."""
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # scores are gathered before they are logged
    warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")  # VGG stays frozen
    for advice in ("persistent_workers=True", "does not have many workers"):  # data.num_workers is the user's choice
        warnings.filterwarnings("ignore", message=f".*{advice}.*")
    names = [n for n in logging.root.manager.loggerDict if n.startswith(("pytorch_lightning", "lightning_fabric"))]
    for name in ("pytorch_lightning", "lightning_fabric", *names):
        logging.getLogger(name).setLevel(logging.WARNING)
