"""The data module of a run: two unpaired domains to train on, and pictures to look at and score."""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from gan_style.core.errors import UserError
from gan_style.core.machine import usable_cores
from gan_style.core.sizes import Size, as_given, height_width, stored
from gan_style.core.types import Count, CountOrNone, Seed, Share, Weight, Wrap
from gan_style.data.cache import share_out
from gan_style.data.image_sets import content_of, first
from gan_style.data.ledger import Ledger
from gan_style.data.transforms import EvalTransform, Preprocess, TrainTransform
from gan_style.data.unpaired import PLAIN, EndlessBatches, Images, PairedEvalDataset, StoredImages, UnpairedDataset
from gan_style.data.values import ValueRange

MAX_WORKERS = 4  # that "auto" starts beside a GPU
MAX_STRETCH = 0.05  # of width by height, between training pictures and those to look at, before it is said


@dataclass
class Splits:
    """The pictures of a data set; `truth_B` holds the true translation of `test_A`, picture by picture."""

    train_A: Images
    train_B: Images
    test_A: Images
    test_B: Images
    truth_A: Images | None = None
    truth_B: Images | None = None
    notes: list[str] = field(default_factory=list)  # messages for the user about the pictures
    ledger: Ledger = field(default_factory=Ledger)  # what reading them leaves out or changes


class UnpairedDataModule(pl.LightningDataModule):
    """Data loaders over two domains; a subclass implements `read`.

    Training is one endless stream: the item at position p is a pure function of (seed, p), so that a resumed run only
    needs to know its iteration, and the loader is never rebuilt between epochs. An epoch is as many positions as the
    larger domain has pictures.

    Args:
        image_size: size of the crops that the networks see: N, a square, or [H, W], height and width, in pixels.
        load_size: likewise, to which pictures are resized before the crop; null crops from the picture itself. Where
            the width is scaled it is that width.
        preprocess: `resize_and_crop`, `crop`, `scale_width`, `scale_width_and_crop` or `none`, as in the official code.
        batch_size: pairs per iteration and device.
        flip: mirror half of the pictures.
        rotate: degrees, at most, of a random rotation.
        jitter: strength of random changes of colour, in [0, 1].
        augment: further transforms, nodes such as `{_target_: albumentations.GaussianBlur, p: 0.2}`.
        wrap: directions in which pictures go round, as textures and panoramas do: they are rolled, and generators pad
            by the opposite border (`gan_style.networks.wrap`).
        epoch: length of an epoch: the pictures of "A", of "B", of the "longest" domain, or a number of positions.
        cache: GB of memory, shared by all processes of a machine, that keep fitted pictures; "auto" or "off".
        limit: use only the first so many pictures of each training domain.
        val_count: pictures of each domain in a validation.
        num_workers: loader processes; "auto" is one where training on a CPU leaves it a core, up to 4 beside a GPU.
        seed: of order and augmentation.
    """

    names: dict[str, str] = {"A": "A", "B": "B"}

    def __init__(
        self,
        *,
        image_size: Size = 256,
        load_size: Size | None = 286,
        batch_size: Count = 1,
        flip: bool = True,
        preprocess: Preprocess = "resize_and_crop",
        rotate: Weight = 0.0,
        jitter: Share = 0.0,
        augment: list[Any] | None = None,
        wrap: Wrap | None = None,
        epoch: Literal["A", "B", "longest"] | Count = "longest",
        cache: Literal["auto", "off"] | Weight = "auto",
        limit: Count | None = None,
        val_count: Count = 32,
        num_workers: CountOrNone | Literal["auto"] = "auto",
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.transform = TrainTransform(
            load_size,
            image_size,
            flip,
            preprocess=preprocess,
            rotate=rotate,
            jitter=jitter,
            augment=augment or (),
            wrap=wrap,
        )
        self.look_transform = EvalTransform(image_size, self.transform.preprocess)
        if batch_size > 1 and not self.transform.fixed_size:
            raise UserError(
                f"data.preprocess={preprocess} gives pictures of their own sizes, which cannot be stacked: set "
                "data.batch_size=1, or a preprocess that crops"
            )
        self.values: dict[str, ValueRange] = dict(PLAIN)
        self.wrap = wrap
        self.epoch, self.cache = epoch, cache
        self.image_size: Size = self.transform.image_size  # a square's side, else (height, width)
        self.load_size: Size | None = self.transform.load_size
        self.batch_size = batch_size
        self.limit = limit
        self.val_count = val_count
        self.num_workers = num_workers
        self.seed = seed
        self.splits: Splits | None = None
        self.smallest: tuple[str, int, int] | None = None  # name, height, width of one, where they have own sizes
        self.style_names: list[str] = []  # of data that has many styles
        self._known: dict[str, dict[str, Any]] | None = None  # see `_images`

    def read(self) -> Splits:
        """Find, check and open the pictures."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        if self.splits is not None:
            return
        self.transform.check_augmentation(self.values)
        self.splits = self.limited(self.read())
        self.smallest = None if self.transform.fixed_size else self._smallest(self.on_disk(self.splits).values())
        self.splits = self.cached(self.splits)
        self.train_set, self.val_set = self.datasets(self.splits)

    def _smallest(self, stored: Iterable[StoredImages]) -> tuple[str, int, int] | None:
        """Return name, height and width of the picture with the shortest fitted side, where sizes are known."""
        fitted = (
            (images.name(index), *self.transform.fitted_size(height, width))
            for images in stored
            for index, (width, height) in enumerate(images.sizes or ())
        )
        return min(fitted, key=lambda one: min(one[1:]), default=None)

    def limited(self, splits: Splits) -> Splits:
        """Keep the first `limit` training pictures."""
        A, B = first(splits.train_A, self.limit), first(splits.train_B, self.limit)
        return replace(splits, train_A=A, train_B=B)

    def cached(self, splits: Splits) -> Splits:
        """Keep training pictures from disk in memory, within the budget."""
        kept = share_out(self.on_disk(splits), self.transform, self.cache)
        if kept:
            bytes_kept, slots = (sum(getattr(p, name) for p in kept.values()) for name in ("nbytes", "count"))
            total = sum(map(len, kept.values()))
            splits.notes.append(f"cache: {bytes_kept / 1e6:,.1f} MB for {slots} of {total} training pictures")
        return self.with_cache(splits, kept)

    def on_disk(self, splits: Splits) -> dict[str, StoredImages]:
        """Return the training pictures of each domain that lies on disk."""
        both = {"A": splits.train_A, "B": splits.train_B}
        return {domain: images for domain, images in both.items() if isinstance(images, StoredImages)}

    def with_cache(self, splits: Splits, kept: Mapping[str, Images]) -> Splits:
        """Read training pictures through the cache, of the domains that have one."""
        return replace(splits, train_A=kept.get("A", splits.train_A), train_B=kept.get("B", splits.train_B))

    def datasets(self, splits: Splits) -> tuple[UnpairedDataset, PairedEvalDataset]:
        """Build the data sets to train on and to look at."""
        look = PairedEvalDataset(
            splits.test_A,
            splits.test_B,
            self.look_transform,
            truth_A=splits.truth_A,
            truth_B=splits.truth_B,
            limit=self.val_count,
            values=self.values,
        )
        return UnpairedDataset(splits.train_A, splits.train_B, self.transform, self.seed, self.values), look

    @property
    def channels(self) -> dict[str, int]:
        """Channels of each domain."""
        return {domain: values.channels for domain, values in self.values.items()}

    @property
    def epoch_length(self) -> int:
        """Positions of the stream that count as an epoch."""
        if isinstance(self.epoch, int):
            return self.epoch
        lengths = {domain: len(self.train_set.images[domain]) for domain in "AB"}
        return lengths.get(self.epoch, max(lengths.values()))

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Normalise the pictures of a batch to float32 in [-1, 1], on the device that uses them."""
        images = {
            key: self.values[key.removeprefix("truth_")[0]].normalise(value)
            for key, value in batch.items()
            if isinstance(value, Tensor) and value.dtype == torch.uint8
        }
        if self.trainer:  # Lightning has converted only tensors that were float before
            images = self.trainer.precision_plugin.convert_input(images)
        return batch | images

    def train_dataloader(self) -> DataLoader[Any]:
        batches = EndlessBatches(self.batch_size, self._rank(), self._world_size(), start=self._iteration)
        return DataLoader(self.train_set, batch_sampler=batches, **self._loading())

    def val_dataloader(self) -> DataLoader[Any]:
        count, world = len(self.val_set), self._world_size()
        # A process without a picture would make Lightning stop: it gets one of another process, whose scores do not
        # count.
        mine = torch.utils.data.Subset(self.val_set, [i % count for i in range(self._rank(), max(count, world), world)])
        return DataLoader(mine, batch_size=min(4, len(self.val_set)) if self.look_transform.fixed_size else 1)

    @property
    def smallest_image(self) -> Size | None:
        """Size that a training picture needs, where it is not resized first."""
        return self.image_size if self.transform.preprocess == "crop" else None

    @property
    def images_per_iteration(self) -> int:
        """Positions of the stream that one iteration of all devices takes; a position is a pair."""
        return self.batch_size * self._world_size()

    def sample_images(self, count: int = 64) -> tuple[Tensor, Tensor]:
        """Return the first training pictures of A and of B, [N, C, H, W] in [-1, 1], for statistics of a domain."""
        assert self.splits is not None
        fit = EvalTransform(self.image_size)

        def stack(images: Images, values: ValueRange) -> Tensor:
            chosen = [values.as_tensor(fit(images[i])) for i in range(min(count, len(images)))]
            return torch.stack([values.normalise(x) if x.dtype == torch.uint8 else x for x in chosen])

        return stack(self.splits.train_A, self.values["A"]), stack(self.splits.train_B, self.values["B"])

    def notes_of_shape(self) -> list[str]:
        """Return a note where pictures are resized to another shape in training than where they are looked at."""
        if self.transform.preprocess != "resize_and_crop" or self.load_size is None:
            return []
        (height, width), (rows, columns) = height_width(self.load_size), self.transform.size
        if abs(width * rows / (height * columns) - 1) <= MAX_STRETCH:
            return []
        scale = max(height / rows, width / columns)
        better = as_given((round(rows * scale), round(columns * scale)))
        return [
            f"note: data.load_size={as_given(self.load_size)} resizes training pictures to another shape than "
            f"data.image_size={as_given(self.image_size)} (height, width), to which pictures to look at are resized: "
            f"data.load_size={better} keeps one shape"
        ]

    def describe(self) -> dict[str, Any]:
        """Describe the data for a checkpoint: the domains, and how a file becomes a tensor."""
        return {
            "domains": {d: {"name": self.names[d], **self.values[d].describe()} for d in "AB"},
            "preprocessing": {
                "preprocess": self.transform.preprocess,
                "pictures": self._images(),
                "image_size": stored(self.image_size),
                "load_size": None if self.load_size is None else stored(self.load_size),
                "range": [-1.0, 1.0],
                **({"wrap": self.wrap} if self.wrap else {}),
            },
        }

    def _images(self) -> dict[str, dict[str, Any]]:
        """Count and hash the pictures to train on (A, B) and, where they are others, those to look at (test_A, test_B).

        `names` and, for files, `content` are hashes that do not change when the files are moved.
        """
        if self._known is None:
            assert self.splits is not None
            parts = {"A": self.splits.train_A, "B": self.splits.train_B}
            for domain, looked_at in (("A", self.splits.test_A), ("B", self.splits.test_B)):
                if looked_at.name(0) != parts[domain].name(0):
                    stored = isinstance(looked_at, StoredImages)
                    parts[f"test_{domain}"] = first(looked_at, self.val_count) if stored else looked_at
            self._known = {part: _fingerprint(images) for part, images in parts.items()}
        return self._known

    def _loading(self) -> dict[str, Any]:
        workers = self.workers
        if workers == 0:
            return {"num_workers": 0}
        return {
            "num_workers": workers,
            "prefetch_factor": 4,
            "pin_memory": self._on_gpu(),
            "worker_init_fn": leave_signals_to_the_main_process,
        }

    @property
    def workers(self) -> int:
        """Loader processes of this process: `num_workers`, or what "auto" comes to here."""
        if self.num_workers != "auto":
            return self.num_workers
        if self._on_gpu():
            return max(1, min(MAX_WORKERS, self.spare_cores))
        # One keeps ahead of a CPU. Without a core of its own it only takes turns with training; and it has to begin as
        # a copy of this process: started anew it imports torch, and a script that calls `gan_style.train` once more.
        starts = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
        return int(self.spare_cores > 0 and starts == "fork")

    @property
    def spare_cores(self) -> int:
        """Cores of this machine, for each of its processes, beyond those on which the training itself computes."""
        processes = self.trainer.num_devices if self.trainer else 1
        return usable_cores() // processes - (1 if self._on_gpu() else torch.get_num_threads())

    def _on_gpu(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"

    def _iteration(self) -> int:
        if not self.trainer:
            return 0
        engine: Any = self.trainer.lightning_module
        return int(engine.position)

    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer else 1


def _fingerprint(images: Images) -> dict[str, Any]:
    names = "\n".join(Path(images.name(i)).name for i in range(len(images)))
    digest = hashlib.blake2b(names.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    content = content_of(images)
    return {"count": len(images), "names": digest} | ({} if content is None else {"content": content})


def leave_signals_to_the_main_process(worker: int) -> None:
    """Ignore signals in a loader worker: Ctrl-C reaches all processes, and a dying worker would stop training."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
