"""Endless stream of unpaired training items, and test items in order.

Item number p is a pure function of (seed, p): a run that stops after t batches continues with position
t * batch size, and nothing about the past has to be saved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
from torch.utils.data import Dataset, Sampler

from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed, epoch_order
from gan_style.core.sizes import Size
from gan_style.data.files import read_picture
from gan_style.data.images import check_images
from gan_style.data.ledger import Ledger
from gan_style.data.transforms import Transform
from gan_style.data.values import Array, ValueRange

PLAIN = {"A": ValueRange(), "B": ValueRange()}


class Images(Protocol):
    """Protocol of a sequence of named pictures."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Array:
        """Return picture number `index`, [H, W, C]."""
        ...

    def name(self, index: int, /) -> str:
        """Return its path or another readable name."""
        ...


@runtime_checkable
class StoredImages(Images, Protocol):
    """Protocol of pictures on disk, whose sizes may be known before they are read."""

    values: ValueRange

    @property
    def sizes(self) -> Sequence[tuple[int, int]] | None:
        """Width and height of each."""
        ...

    def first(self, limit: int | None) -> Self:
        """Return the first `limit` pictures; all of them for None."""
        ...

    def state(self) -> list[Any]:
        """Return plain values that change when the pictures do."""
        ...


class FolderImages:
    """Pictures on disk, read when asked for.

    Args:
        paths: One file each.
        values: Type, range and channels.
        sizes: Width and height of each, where they are known.
        digests: Of each file's content, where they are known.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        values: ValueRange | None = None,
        sizes: Sequence[tuple[int, int]] | None = None,
        digests: Sequence[bytes] | None = None,
    ) -> None:
        self.paths, self.values = list(paths), values or ValueRange()
        self.sizes = None if sizes is None else list(sizes)
        self.digests = None if digests is None else list(digests)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int, /) -> Array:
        """Return picture number `index`, [H, W, C]."""
        return read_picture(self.paths[index], self.values)

    def name(self, index: int, /) -> str:
        """Return the path as given."""
        return str(self.paths[index])

    def first(self, limit: int | None) -> Self:
        """Return the first `limit` pictures; all of them for None."""
        return type(self)(
            self.paths[:limit], self.values, self.sizes and self.sizes[:limit], self.digests and self.digests[:limit]
        )

    def content(self) -> str | None:
        """Return a hash of the content of all files, in their order; None where it is not known."""
        return None if self.digests is None else hashlib.blake2b(b"".join(self.digests), digest_size=16).hexdigest()

    def state(self) -> list[Any]:
        """Return plain values that change when the files do."""
        return [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in self.paths]


def open_images(
    what: str,
    paths: Sequence[Path],
    on_error: Literal["stop", "skip"],
    min_size: Size | None,
    notes: list[str],
    ledger: Ledger,
    values: ValueRange | None = None,
) -> FolderImages:
    """Open the usable of these files; adds a message to `notes`, under the name `what`, and entries to the ledger.

    Raises:
        UserError: as `check_images`.
    """
    result = check_images(paths, on_error, min_size, values)
    ledger.merge(result.ledger)
    notes.append(f"{what}: {len(result.good)} pictures")
    return FolderImages(result.good, values, result.sizes, result.digests)


class Shuffled:
    """Endless stream over n indices, with a new permutation in each epoch.

    The last permutation is cached.
    """

    def __init__(self, seed: int, n: int) -> None:
        self.seed, self.n = seed, n
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    def __getitem__(self, position: int) -> int:
        epoch, step = divmod(position, self.n)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, epoch_order(self.seed, epoch, self.n)
        return int(self._order[step])


class UnpairedDataset(Dataset[dict[str, Any]]):
    """Endless stream of items with one picture of each domain.

    Each domain has its own order and length, so all its pictures are seen equally often even where the
    domains differ in size. There is no length: positions are 0, 1, 2, ...

    Args:
        A: Pictures of domain A.
        B: Pictures of domain B.
        transform: Augmentation.
        seed: Decides both orders and every augmentation.
        values: Type, range and channels of each domain.

    Raises:
        UserError: If a domain is empty.
    """

    def __init__(
        self,
        A: Images,
        B: Images,
        transform: Transform,
        seed: int,
        values: Mapping[str, ValueRange] = PLAIN,
    ) -> None:
        _require_images(A, B)
        self.images: dict[str, Images] = {"A": A, "B": B}
        self.values = values
        self.transform = transform
        self.seed = seed
        self._order = {
            domain: Shuffled(derive_seed(seed, domain), len(images)) for domain, images in self.images.items()
        }

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Return the item of an absolute position.

        Returns:
            "A" and "B": [C, H, W], uint8 or, where that cannot hold them, float32 in [-1, 1]; "path_A" and "path_B":
            names. See `UnpairedDataModule.on_after_batch_transfer`.
        """
        item: dict[str, Any] = {}
        for key, index in self.indices(position).items():
            seed = derive_seed(self.seed, position, key)
            item[key] = self.values[key[0]].as_tensor(self.transform(self.images[key][index], seed))
            item[f"path_{key}"] = self.images[key].name(index)
        return item

    def indices(self, position: int) -> dict[str, int]:
        """Return which picture of each domain stands at a position."""
        return {domain: order[position] for domain, order in self._order.items()}


class PairedEvalDataset(Dataset[dict[str, Any]]):
    """Test pictures of both domains in their order; the shorter domain starts over.

    Args:
        A: Pictures of domain A.
        B: Pictures of domain B.
        transform: Without randomness.
        truth_A: Picture i is what B's picture i should become in domain A.
        truth_B: Picture i is what A's picture i should become in domain B.
        limit: At most so many items; None for all.
        values: Type, range and channels of each domain.

    Raises:
        UserError: If a domain is empty or a truth has another length than its source.
    """

    def __init__(
        self,
        A: Images,
        B: Images,
        transform: Transform,
        truth_A: Images | None = None,
        truth_B: Images | None = None,
        limit: int | None = None,
        values: Mapping[str, ValueRange] = PLAIN,
    ) -> None:
        _require_images(A, B)
        self.values = values
        for source, source_name, truth, truth_name in (
            (B, "B", truth_A, "truth_A"),
            (A, "A", truth_B, "truth_B"),
        ):
            if truth is not None and len(truth) != len(source):
                raise UserError(
                    f"{truth_name} has {len(truth)} pictures and domain {source_name} has {len(source)}, but "
                    f"they belong together: give each picture of {source_name} its true translation."
                )
        self.A, self.B, self.truth_A, self.truth_B = A, B, truth_A, truth_B
        self.transform = transform
        longest = max(len(A), len(B))
        self._length = longest if limit is None else min(limit, longest)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return item number `index`.

        Returns:
            "A", "B" and, where given, "truth_A", "truth_B": as in training; "path_A" and "path_B": names;
            "noise_seed_A" and "noise_seed_B": numbers of the pictures, of the noise by which they are translated.
        """
        if not 0 <= index < self._length:
            raise IndexError(index)
        i, j = self.pair(index)
        item: dict[str, Any] = {"path_A": self.A.name(i), "path_B": self.B.name(j)}
        item |= {"noise_seed_A": i, "noise_seed_B": j}
        for key, images, k in (
            ("A", self.A, i),
            ("B", self.B, j),
            ("truth_A", self.truth_A, j),
            ("truth_B", self.truth_B, i),
        ):
            if images is not None:
                item[key] = self.values[key[-1]].as_tensor(self.transform(images[k], 0))
        return item

    def pair(self, index: int) -> tuple[int, int]:
        """Return which picture of A and which of B item number `index` shows."""
        return index % len(self.A), index % len(self.B)


class EndlessBatches(Sampler[list[int]]):
    """Sampler of one process's batches from any iteration on, without an end and so without a length.

    Iteration t covers world_size * batch_size consecutive positions, each rank its own batch of them.

    Args:
        batch_size: Items per batch and rank.
        rank: Number of this process.
        world_size: Number of processes.
        start: Returns the first iteration; called each time an iterator is made.
    """

    def __init__(self, batch_size: int, rank: int, world_size: int, start: Callable[[], int]) -> None:
        if batch_size < 1:
            raise UserError(f"data.batch_size is {batch_size}, but must be at least 1.")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is outside a world of {world_size}")
        self.batch_size, self.rank, self.world_size, self.start = batch_size, rank, world_size, start

    def __iter__(self) -> Iterator[list[int]]:
        iteration = self.start()
        while True:
            first = (iteration * self.world_size + self.rank) * self.batch_size
            yield list(range(first, first + self.batch_size))
            iteration += 1


def _require_images(A: Images, B: Images) -> None:
    for domain, images in (("A", A), ("B", B)):
        if len(images) == 0:
            raise UserError(f"Domain {domain} has no pictures: give at least one.")
