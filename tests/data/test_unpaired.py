"""The stream: every picture equally often, the same whatever the workers, ranks and restarts."""

from collections import Counter
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from gan_style.core.errors import UserError
from gan_style.data.saving import save_image
from gan_style.data.transforms import EvalTransform, TrainTransform
from gan_style.data.unpaired import EndlessBatches, FolderImages, PairedEvalDataset, UnpairedDataset


class Numbered:
    """Flat pictures in memory: number i of a domain is grey level first + i."""

    def __init__(self, n: int, first: int = 0, label: str = "") -> None:
        self.n, self.first, self.label = n, first, label

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int, /) -> np.ndarray:
        return np.full((6, 6, 3), self.first + index, np.uint8)

    def name(self, index: int, /) -> str:
        return f"{self.label}{index}"


class Nothing:
    """Transform that changes nothing and remembers its seeds."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def __call__(self, image: np.ndarray, seed: int) -> np.ndarray:
        self.seeds.append(seed)
        return image


def level(tensor: torch.Tensor) -> int:
    assert tensor.dtype == torch.uint8
    return int(tensor[0, 0, 0])


def unpaired(seed: int = 0, n_A: int = 7, n_B: int = 4) -> UnpairedDataset:
    return UnpairedDataset(Numbered(n_A, 0, "A"), Numbered(n_B, 100, "B"), Nothing(), seed)


@pytest.fixture
def folder(tmp_path: Path) -> FolderImages:
    generator = np.random.default_rng(0)
    for i in range(5):
        save_image(generator.integers(0, 256, (40, 50, 3), dtype=np.uint8), tmp_path / f"{i}.png")
    return FolderImages(sorted(tmp_path.iterdir()))


# The unpaired stream


def test_an_item_holds_both_pictures_and_their_names(folder: FolderImages) -> None:
    item = UnpairedDataset(folder, folder, TrainTransform(36, 32), 0)[3]
    assert set(item) == {"A", "B", "path_A", "path_B"}
    for domain in "AB":
        assert item[domain].shape == (3, 32, 32)
        assert item[domain].dtype == torch.uint8
        assert item[domain].min() < 60 < 190 < item[domain].max()
        assert Path(item[f"path_{domain}"]) in folder.paths


def test_name_and_picture_belong_together() -> None:
    dataset = unpaired()
    for position in range(30):
        item = dataset[position]
        assert item["path_A"] == f"A{level(item['A'])}"
        assert item["path_B"] == f"B{level(item['B']) - 100}"


def test_each_epoch_of_each_domain_is_a_permutation_of_its_own() -> None:
    dataset = unpaired()
    names = [(item["path_A"], item["path_B"]) for item in map(dataset.__getitem__, range(7 * 4 * 5))]
    for n, domain, stream in ((7, "A", [a for a, _ in names]), (4, "B", [b for _, b in names])):
        epochs = [tuple(stream[i : i + n]) for i in range(0, len(stream), n)]
        assert all(sorted(epoch) == [f"{domain}{i}" for i in range(n)] for epoch in epochs)
        assert len(set(epochs)) > 10
    # Every A meets every B: the domains are not tied to each other.
    assert len(Counter(names)) > 20


def test_equal_sizes_do_not_tie_the_domains_together() -> None:
    dataset = unpaired(n_A=50, n_B=50)
    pairs = {(level(item["A"]), level(item["B"]) - 100) for item in map(dataset.__getitem__, range(50))}
    assert sum(a == b for a, b in pairs) < 10


def test_items_do_not_depend_on_what_was_asked_before() -> None:
    dataset, positions = unpaired(), list(range(40))
    forward = {position: dataset[position]["path_A"] for position in positions}
    assert {position: unpaired()[position]["path_A"] for position in positions} == forward
    assert {position: dataset[position]["path_A"] for position in reversed(positions)} == forward


def test_seeds_change_the_order_and_the_augmentation() -> None:
    orders, seeds = [], []
    for seed in (0, 1):
        dataset = unpaired(seed=seed)
        orders.append([dataset[position]["path_A"] for position in range(21)])
        seeds.extend(dataset.transform.seeds)  # type: ignore[attr-defined]
    assert orders[0] != orders[1]
    assert len(set(seeds)) == 2 * 2 * 21


def test_an_empty_domain_is_refused() -> None:
    with pytest.raises(UserError, match="Domain B has no pictures"):
        unpaired(n_B=0)


def test_workers_change_nothing(folder: FolderImages) -> None:
    dataset = UnpairedDataset(folder, FolderImages(folder.paths[:3]), TrainTransform(36, 32), 1)
    batches = []
    for workers in (0, 2):
        loader = DataLoader(dataset, batch_sampler=EndlessBatches(2, 0, 1, lambda: 5), num_workers=workers)
        iterator = iter(loader)
        batches.append([next(iterator) for _ in range(6)])
        del iterator
    for plain, parallel in zip(*batches, strict=True):
        assert plain["path_A"] == parallel["path_A"]
        assert torch.equal(plain["A"], parallel["A"])
        assert torch.equal(plain["B"], parallel["B"])
    # A resumed run sees the items of the positions where it stopped.
    assert torch.equal(batches[0][0]["A"][1], dataset[11]["A"])


def test_a_broken_picture_in_a_worker_is_one_line(folder: FolderImages) -> None:
    folder.paths[0].write_bytes(b"")
    dataset = UnpairedDataset(folder, folder, TrainTransform(36, 32), 1)
    loader = DataLoader(dataset, batch_sampler=EndlessBatches(5, 0, 1, lambda: 0), num_workers=1)
    with pytest.raises(UserError) as caught:
        next(iter(loader))
    assert str(caught.value) == f"{folder.paths[0]} is empty (0 bytes): copy it again or remove it."


# Batches


def take(batches: EndlessBatches, n: int) -> list[list[int]]:
    return list(islice(batches, n))


def test_ranks_share_what_one_process_takes() -> None:
    one = take(EndlessBatches(4, 0, 1, lambda: 0), 5)
    ranks = [take(EndlessBatches(2, rank, 2, lambda: 0), 5) for rank in range(2)]
    assert [first + second for first, second in zip(*ranks, strict=True)] == one
    assert list(chain.from_iterable(one)) == list(range(20))


def test_a_restart_continues_where_it_stopped() -> None:
    iteration = 0
    batches = EndlessBatches(3, 1, 2, lambda: iteration)
    whole = take(batches, 10)
    assert take(batches, 10) == whole
    iteration = 4
    assert take(batches, 6) == whole[4:]


def test_batches_have_no_length_and_check_their_arguments() -> None:
    with pytest.raises(TypeError):
        len(EndlessBatches(1, 0, 1, lambda: 0))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"data\.batch_size is 0"):
        EndlessBatches(0, 0, 1, lambda: 0)
    with pytest.raises(ValueError, match="rank 2 is outside a world of 2"):
        EndlessBatches(1, 2, 2, lambda: 0)


# Evaluation


def test_evaluation_goes_in_order_and_repeats_the_shorter_domain() -> None:
    dataset = PairedEvalDataset(Numbered(5, 0, "A"), Numbered(2, 100, "B"), Nothing())
    assert [(item["path_A"], item["path_B"]) for item in map(dataset.__getitem__, range(len(dataset)))] == [
        ("A0", "B0"),
        ("A1", "B1"),
        ("A2", "B0"),
        ("A3", "B1"),
        ("A4", "B0"),
    ]
    assert [level(dataset[3][domain]) for domain in "AB"] == [3, 101]
    assert [dataset[i]["noise_seed_A"] for i in range(5)] == [0, 1, 2, 3, 4]
    assert [dataset[i]["noise_seed_B"] for i in range(5)] == [0, 1, 0, 1, 0], "the same wherever B0 comes again"
    seeds = {"noise_seed_A", "noise_seed_B"}
    assert set(dataset[0]) == {"A", "B", "path_A", "path_B", *seeds}


def test_truths_go_with_their_source() -> None:
    dataset = PairedEvalDataset(
        Numbered(3), Numbered(2, 100), EvalTransform(8), truth_A=Numbered(2, 50), truth_B=Numbered(3, 200)
    )
    item = dataset[2]
    assert [level(item[key]) for key in ("A", "B", "truth_A", "truth_B")] == [2, 100, 50, 202]
    assert item["truth_B"].shape == (3, 8, 8)
    only = PairedEvalDataset(Numbered(3), Numbered(2), Nothing(), truth_B=Numbered(3))
    assert set(only[0]) == {"A", "B", "path_A", "path_B", "noise_seed_A", "noise_seed_B", "truth_B"}


def test_truths_of_another_length_are_refused() -> None:
    with pytest.raises(UserError, match="truth_B has 2 pictures and domain A has 3"):
        PairedEvalDataset(Numbered(3), Numbered(2), Nothing(), truth_B=Numbered(2))


def test_a_limit_shortens_and_iteration_ends() -> None:
    for limit, length in ((None, 5), (3, 3), (9, 5)):
        dataset = PairedEvalDataset(Numbered(5), Numbered(2), Nothing(), limit=limit)
        assert len(dataset) == length
        assert len(list(dataset)) == length  # type: ignore[call-overload]
    loader = DataLoader(PairedEvalDataset(Numbered(5), Numbered(2), Nothing()), batch_size=2)
    assert [len(batch["A"]) for batch in loader] == [2, 2, 1]
