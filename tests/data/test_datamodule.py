"""The two data modules: splits, stream, and what they say."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.data import datamodule
from gan_style.data.drawn import ScenesDataModule
from gan_style.data.folders import FoldersDataModule
from gan_style.data.image_sets import SceneImages
from gan_style.data.scenes import TASKS, draw_scene

REAL = Path(__file__).parents[3] / "shared" / "data"


def scenes(**changes: object) -> ScenesDataModule:
    settings = {"image_size": 32, "load_size": 36, "count": 6, "val_count": 3}
    data = ScenesDataModule(**{**settings, **changes})  # type: ignore[arg-type]
    data.setup()
    return data


def folders(root: Path, **changes: object) -> FoldersDataModule:
    settings = {"image_size": 32, "load_size": 36, "val_count": 3}
    data = FoldersDataModule(str(root), **{**settings, **changes})  # type: ignore[arg-type]
    data.setup()
    return data


def test_scenes_are_unpaired_in_training_and_paired_with_their_truth_in_tests() -> None:
    splits = scenes().splits
    assert splits is not None
    names = {k: {p.name(i)[:-2] for i in range(len(p))} for k, p in vars(splits).items() if hasattr(p, "name")}
    assert names["train_A"].isdisjoint(names["train_B"])
    assert (names["train_A"] | names["train_B"]).isdisjoint(names["test_A"] | names["test_B"])
    assert names["test_A"].isdisjoint(names["test_B"])
    assert (names["truth_B"], names["truth_A"]) == (names["test_A"], names["test_B"])


def test_the_truth_is_the_same_scene_in_the_other_domain() -> None:
    data = scenes()
    item = data.on_after_batch_transfer(data.val_set[1], 0)
    photo, painting = (draw_scene(0, 2 * 6 + 1, 32, domain) for domain in "AB")
    as_tensor = [torch.from_numpy(x).permute(2, 0, 1) / 127.5 - 1 for x in (photo, painting)]
    assert torch.allclose(item["A"], as_tensor[0], atol=1e-6)
    assert torch.allclose(item["truth_B"], as_tensor[1], atol=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_has_its_domains_pictures_and_truths(task: str) -> None:
    data = scenes(task=task)
    splits = data.splits
    assert splits is not None
    drawn = TASKS[task]
    assert data.names == {"A": drawn.A.name, "B": drawn.B.name}
    assert np.array_equal(splits.train_A[1], drawn.draw(0, 1, 36, "A", part="trainA"))
    assert np.array_equal(splits.train_B[1], drawn.draw(0, 6 + 1, 36, "B", part="trainB"))
    assert splits.truth_A is not None
    assert splits.truth_B is not None
    for images, index, domain, part in (
        (splits.test_A, 12, "A", "testA"),
        (splits.truth_B, 12, "B", "testA"),
        (splits.test_B, 15, "B", "testB"),
        (splits.truth_A, 15, "A", "testB"),
    ):
        scene = drawn.scene(0, index + 2, 32, domain, part=part)  # type: ignore[arg-type]
        assert isinstance(images, SceneImages)
        assert np.array_equal(images[2], scene.image)
        assert np.array_equal(images.scene(2).labels, scene.labels)
        assert np.array_equal(images.samples(2, 2)[0], scene.image)
    assert data.describe()["preprocessing"]["task"] == drawn.key
    assert [f"6 {drawn.A.name}s and 6 {drawn.B.name}s" in note for note in splits.notes] == [True]


def test_tasks_have_their_own_number_of_pictures_unless_told() -> None:
    sizes = {task: len(ScenesDataModule(task=task, image_size=32, load_size=32).read().train_B) for task in TASKS}
    assert sizes == dict.fromkeys(TASKS, 400) | {"few": 20}
    assert scenes(task="few", count=9).epoch_length == 9


def test_a_wrong_task_is_refused_before_anything_is_drawn() -> None:
    with pytest.raises(UserError, match=r"data\.task=pain is no task: did you mean paint"):
        ScenesDataModule(task="pain", image_size=32, load_size=32)


def test_another_share_is_another_set() -> None:
    known = [scenes(task="unshared", unshared=share).describe() for share in (None, 0.3, 0.6)]
    assert known[0] == known[1] != known[2]


def test_drawn_pictures_travel_to_worker_processes() -> None:
    images = SceneImages(0, 3, 2, 24, "B")
    drawn = images[1]
    assert np.array_equal(pickle.loads(pickle.dumps(images))[1], drawn)
    assert images[1] is drawn, "kept once drawn"
    with pytest.raises(IndexError):
        images[2]


def test_limit_takes_the_first_pictures_of_each_domain() -> None:
    data = scenes(limit=2)
    assert data.epoch_length == 2
    names = {data.train_set[i]["path_A"] for i in range(8)}
    assert names == {"scene-0-0-A", "scene-0-1-A"}


def test_statistics_of_a_domain_are_those_of_the_pictures_trained_on(tmp_path: Path) -> None:
    few = folders(make_folder(tmp_path, trainA=5, trainB=3), limit=2)
    A, B = few.sample_images()
    assert len(A) == len(B) == 2
    assert torch.equal(A, folders(tmp_path).sample_images(2)[0])
    assert [len(sample) for sample in folders(tmp_path).sample_images()] == [5, 3]


def test_batches_do_not_depend_on_workers() -> None:
    def first_batches(workers: int) -> list[torch.Tensor]:
        loader = iter(scenes(num_workers=workers, batch_size=2).train_dataloader())
        return [next(loader)["A"] for _ in range(5)]

    assert all(torch.equal(a, b) for a, b in zip(first_batches(0), first_batches(2), strict=True))


@pytest.mark.parametrize(
    ("cores", "threads", "start", "workers"),
    [(1, 1, "fork", 0), (2, 2, "fork", 0), (2, 1, "fork", 1), (8, 2, "fork", 1), (8, 2, "spawn", 0)],
)
def test_a_cpu_gets_a_worker_where_training_leaves_it_a_core(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int, start: str, workers: int
) -> None:
    monkeypatch.setattr(datamodule, "usable_cores", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(datamodule.multiprocessing, "get_start_method", lambda allow_none: start)
    data = scenes()
    assert data.workers == data.train_dataloader().num_workers == workers
    assert scenes(num_workers=3).workers == 3


@pytest.mark.parametrize(("cores", "processes", "workers"), [(1, 1, 1), (2, 1, 1), (4, 1, 3), (64, 1, 4), (16, 8, 1)])
def test_a_gpu_gets_up_to_four_workers_in_pinned_memory(
    monkeypatch: pytest.MonkeyPatch, cores: int, processes: int, workers: int
) -> None:
    monkeypatch.setattr(datamodule, "usable_cores", lambda: cores)
    data = scenes()
    strategy = SimpleNamespace(root_device=torch.device("cuda", 0))
    data.trainer = SimpleNamespace(strategy=strategy, num_devices=processes)  # type: ignore[assignment]
    loading = data._loading()
    assert (loading["num_workers"], loading["pin_memory"]) == (workers, True)


def make_folder(root: Path, **counts: int) -> Path:
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            noise = np.random.default_rng(i).integers(0, 255, (48, 40, 3), np.uint8)
            Image.fromarray(noise).save(root / name / f"{i}.jpg")
    return root


def test_unequal_folders_and_an_epoch_of_the_larger(tmp_path: Path) -> None:
    data = folders(make_folder(tmp_path, trainA=5, trainB=2, testA=1, testB=2))
    seen = [Path(data.train_set[i]["path_B"]).name for i in range(4)]
    assert sorted(seen) == ["0.jpg", "0.jpg", "1.jpg", "1.jpg"]
    assert "truth_B" not in data.val_set[0]


def test_val_is_preferred_and_training_pictures_are_a_said_fallback(tmp_path: Path) -> None:
    both = folders(make_folder(tmp_path / "a", trainA=1, trainB=1, testA=1, testB=1, valA=1, valB=1))
    assert "valA" in both.val_set[0]["path_A"]
    bare = folders(make_folder(tmp_path / "b", trainA=1, trainB=1))
    assert "trainA" in bare.val_set[0]["path_A"]
    assert bare.splits is not None
    assert any("no testA and testB" in note for note in bare.splits.notes)


def test_what_was_done_to_pictures_is_said(tmp_path: Path) -> None:
    root = make_folder(tmp_path, trainA=2, trainB=2)
    Image.new("L", (40, 40)).save(root / "trainA" / "grey.png")
    (root / "trainB" / "broken.png").write_bytes(b"")
    data = folders(root, on_error="skip")
    assert data.epoch_length == 3
    assert data.splits is not None
    assert "trainA: 3 pictures" in data.splits.notes
    assert data.splits.ledger.sentences() == [
        "1 left out: pictures that cannot be used (trainB/broken.png)",
        "1 with grey to RGB (trainA/grey.png)",
    ]


@pytest.mark.skipif(not REAL.is_dir(), reason="real pictures are not at hand")
@pytest.mark.parametrize("name", ["monet2ccphoto", "kaokore_f2m"])
def test_real_sets_load(name: str) -> None:
    data = folders(REAL / name)
    batch = next(iter(data.train_dataloader()))
    assert batch["A"].shape == (1, 3, 32, 32)
    assert batch["A"].dtype == torch.uint8
    assert data.on_after_batch_transfer(batch, 0)["A"].std() > 0.05
