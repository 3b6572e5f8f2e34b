"""What a run reads: two unpaired domains to train on, and pictures to look at and score."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from gan_style.data.images import to_tensor
from gan_style.data.pictures import First
from gan_style.data.transforms import EvalTransform, TrainTransform
from gan_style.data.unpaired import (
    EndlessBatches,
    PairedEvalDataset,
    Pictures,
    UnpairedDataset,
)
from gan_style.types import Count, CountOrNone, Seed


@dataclass
class Splits:
    """The pictures of a data set; `truth_B` holds the true translation of `test_A`, picture by picture."""

    train_A: Pictures
    train_B: Pictures
    test_A: Pictures
    test_B: Pictures
    truth_A: Pictures | None = None
    truth_B: Pictures | None = None
    notes: list[str] = field(default_factory=list)  # what was done to the pictures, for people to read


class UnpairedDataModule(pl.LightningDataModule):
    """Loaders over two domains; a subclass writes `read`.

    Training is one endless stream: position p of it is a pure function of (seed, p), so a resumed run needs
    to know its iteration and nothing else, and the loader is never rebuilt between epochs. An epoch is as
    many positions as the larger domain has pictures.

    Args:
        image_size: side of the square crops that the networks see.
        load_size: pictures are resized to this side before the crop; null crops from the picture itself.
        batch_size: pairs per iteration and device.
        flip: mirror half of the pictures.
        limit: use only the first so many pictures of each training domain.
        val_count: pictures of each domain in a validation.
        num_workers: loader processes; "auto" is none on a CPU, where they would take cores from training.
        seed: of order and augmentation.
    """

    channels: ClassVar[dict[str, int]] = {"A": 3, "B": 3}
    names: ClassVar[dict[str, str]] = {"A": "A", "B": "B"}

    def __init__(
        self,
        *,
        image_size: Count = 256,
        load_size: Count | None = 286,
        batch_size: Count = 1,
        flip: bool = True,
        limit: Count | None = None,
        val_count: Count = 32,
        num_workers: CountOrNone | Literal["auto"] = "auto",
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.transform = TrainTransform(load_size, image_size, flip)
        self.image_size = image_size
        self.load_size = load_size
        self.batch_size = batch_size
        self.limit = limit
        self.val_count = val_count
        self.num_workers = num_workers
        self.seed = seed
        self.splits: Splits | None = None
        self.style_names: list[str] = []  # of data that has many styles

    def read(self) -> Splits:
        """Find, check and open the pictures."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        if self.splits is not None:
            return
        self.splits = self.limited(self.read())
        self.train_set, self.val_set = self.datasets(self.splits)

    def limited(self, splits: Splits) -> Splits:
        """Keep the first `limit` training pictures."""
        A, B = First(splits.train_A, self.limit), First(splits.train_B, self.limit)
        return replace(splits, train_A=A, train_B=B)

    def datasets(self, splits: Splits) -> tuple[UnpairedDataset, PairedEvalDataset]:
        """What to train on and what to look at."""
        look = PairedEvalDataset(
            splits.test_A,
            splits.test_B,
            EvalTransform(self.image_size),
            truth_A=splits.truth_A,
            truth_B=splits.truth_B,
            limit=self.val_count,
        )
        return UnpairedDataset(splits.train_A, splits.train_B, self.transform, self.seed), look

    def train_dataloader(self) -> DataLoader[Any]:
        batches = EndlessBatches(self.batch_size, self._rank(), self._world_size(), start=self._iteration)
        return DataLoader(self.train_set, batch_sampler=batches, **self._loading())

    def val_dataloader(self) -> DataLoader[Any]:
        count, world = len(self.val_set), self._world_size()
        # A process without a picture would stop Lightning: it looks at one again, and its scores are not counted.
        mine = torch.utils.data.Subset(self.val_set, [i % count for i in range(self._rank(), max(count, world), world)])
        return DataLoader(mine, batch_size=min(4, len(self.val_set)))

    @property
    def smallest_picture(self) -> int | None:
        """Shorter side that a training picture needs, where it is not resized first."""
        return self.image_size if self.load_size is None else None

    @property
    def images_per_iteration(self) -> int:
        """Positions of the stream that one iteration of all devices takes; a position is a pair."""
        return self.batch_size * self._world_size()

    def sample_pictures(self, count: int = 64) -> tuple[Tensor, Tensor]:
        """The first training pictures of A and of B, [N, C, S, S] in [-1, 1]: for statistics of a domain."""
        assert self.splits is not None
        resize = EvalTransform(self.image_size)

        def stack(pictures: Pictures) -> Tensor:
            return torch.stack([to_tensor(resize(pictures[i])) for i in range(min(count, len(pictures)))])

        return stack(self.splits.train_A), stack(self.splits.train_B)

    def describe(self) -> dict[str, Any]:
        """What a checkpoint says about its data: the domains, and how a file becomes a tensor."""
        domain = {"dtype": "uint8", "low": 0, "high": 255}
        return {
            "domains": {d: {"name": self.names[d], "channels": self.channels[d], **domain} for d in "AB"},
            "preprocessing": {
                "image_size": self.image_size,
                "load_size": self.load_size,
                "range": [-1.0, 1.0],
            },
        }

    def _loading(self) -> dict[str, Any]:
        workers = self.num_workers
        if workers == "auto":
            workers = 4 if torch.cuda.is_available() else 0
        if workers == 0:
            return {"num_workers": 0}
        return {
            "num_workers": workers,
            "prefetch_factor": 4,
            "pin_memory": torch.cuda.is_available(),
            "worker_init_fn": leave_signals_to_the_main_process,
        }

    def _iteration(self) -> int:
        return int(self.trainer.lightning_module.iteration) if self.trainer else 0  # type: ignore[arg-type]

    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer else 1


def leave_signals_to_the_main_process(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; a loader worker that dies of it would take training along."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
