"""Tasks as folders of PNGs: whole or not at all, the pictures of the data module, and enough to score any code."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.data.drawn import ScenesDataModule
from gan_style.data.folders import FoldersDataModule
from gan_style.data.scenes import MATERIALS, TASKS, find_task
from gan_style.data.scenes.export import export

SMALL = {"size": 32, "seed": 3, "count": 3, "val_count": 2, "truths": 3}


def png(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.*")) if path.is_file()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    assert export(folder, list(TASKS), **SMALL) == [folder / name for name in TASKS]
    return folder


@pytest.mark.parametrize("name", TASKS)
def test_pictures_are_those_of_the_data_module_and_folders_read_them(root: Path, name: str) -> None:
    drawn = ScenesDataModule(task=name, image_size=32, load_size=32, scene_seed=3, count=3, val_count=2)
    read = FoldersDataModule(str(root / name), image_size=32, load_size=32, val_count=2)
    drawn.setup()
    read.setup()
    assert drawn.splits is not None
    assert read.splits is not None
    for part in ("train_A", "train_B", "test_A", "test_B"):
        one, other = (getattr(splits, part) for splits in (drawn.splits, read.splits))
        assert len(one) == len(other)
        assert all(np.array_equal(one[i], other[i]) for i in range(len(one))), "the same, in the same order"
    for position in range(7):
        one, other = drawn.train_set[position], read.train_set[position]
        assert all(np.array_equal(one[domain], other[domain]) for domain in "AB"), "so training on them is the same"


@pytest.mark.parametrize("name", TASKS)
def test_truths_labels_and_objects_are_there(root: Path, name: str) -> None:
    task, folder = TASKS[name], root / name
    objects = json.loads((folder / "objects.json").read_text())
    assert set(objects) == {"trainA", "trainB", "testA", "testB", "truthA", "truthB"}
    for domain, other in ("AB", "BA"):
        tests = sorted((folder / f"test{domain}").iterdir())
        assert len(tests) == 2
        for path in tests:
            index, truth = int(path.stem), folder / f"truth{other}" / path.stem
            many = task.directions_one_to_many[f"{domain}2{other}"]
            assert sorted(p.name for p in truth.iterdir()) == [f"{i}.png" for i in range(3 if many else 1)]
            for i, sample in enumerate(sorted(truth.iterdir())):
                part = f"test{domain}"
                assert np.array_equal(png(sample), task.draw(3, index, 32, other, i, part=part))  # type: ignore[arg-type]
            labels = [png(folder / "labels" / kind / path.name) for kind in (f"test{domain}", f"truth{other}")]
            assert labels[0].shape == (32, 32), "one channel, whose values are the numbers of the classes"
            assert labels[0].max() < len(MATERIALS)
            if task.same_labels:
                assert np.array_equal(*labels)
                assert objects[f"test{domain}"][path.stem] == objects[f"truth{other}"][path.stem]
    for kind in ("trainA", "trainB"):
        assert len(list((folder / "labels" / kind).iterdir())) == len(objects[kind]) == 3


def test_the_folder_says_what_it_is(root: Path) -> None:
    about = json.loads((root / "night" / "protocol.json").read_text())
    assert {key: about[key] for key in SMALL} == SMALL
    assert (about["task"], about["one_to_many"]) == ("night", {"A2B": True, "B2A": True})
    text = (root / "recolour" / "README.txt").read_text()
    assert "4 tree" in text
    assert text.count(": a single picture") == 2
    assert max(map(len, text.splitlines())) <= 120


def test_the_same_export_again_changes_nothing_and_goes_on(tmp_path: Path) -> None:
    export(tmp_path, ["paint"], **SMALL)
    marked = tmp_path / "paint" / "trainA" / "000000.png"
    marked.write_bytes(b"as it is")
    drawn = []
    export(tmp_path, ["paint", "night"], **SMALL, progress=lambda: drawn.append(1))
    assert marked.read_bytes() == b"as it is"
    assert len(drawn) == 2 * (3 + 2), "only the pictures of night"


def test_other_settings_are_refused_and_nothing_changes(tmp_path: Path) -> None:
    export(tmp_path, ["night"], **SMALL)
    before = contents(tmp_path)
    with pytest.raises(UserError) as error:
        export(tmp_path, ["paint", "night"], **{**SMALL, "size": 48})
    assert "night holds another export (size=32 there, size=48 here): name another folder" in str(error.value)
    assert contents(tmp_path) == before
    (tmp_path / "few").mkdir()
    with pytest.raises(UserError, match=r"few exists and has no readable protocol\.json"):
        export(tmp_path, ["few"], **SMALL)


def test_shares_have_folders_of_their_own(tmp_path: Path) -> None:
    made = export(tmp_path, ["unshared", find_task("unshared", 0.6)], **SMALL)
    assert [path.name for path in made] == ["unshared", "unshared0_6"]


def test_an_interrupted_export_leaves_nothing_half_written(tmp_path: Path) -> None:
    def interrupt() -> None:
        if (tmp_path / "paint").exists() and (tmp_path / ".night.unfinished" / "testA").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(tmp_path, ["paint", "night"], **SMALL, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["paint"]
    export(tmp_path, ["paint", "night"], **SMALL)
    assert (tmp_path / "night" / "truthA").is_dir()


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(image: np.ndarray, path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("gan_style.data.scenes.export._save", save)
    with pytest.raises(UserError, match=r"000000\.png cannot be used \(No space left on device\): name another folder"):
        export(tmp_path, ["paint"], **SMALL)
    assert not any(path.is_dir() for path in tmp_path.iterdir())


def test_two_exports_to_one_folder_do_not_mix(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another process exports to"):
        export(tmp_path, ["paint"], **SMALL, progress=lambda: export(tmp_path, ["night"], **SMALL) and None)


def test_a_killed_export_is_begun_again(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from gan_style.data.scenes.export import export\n"
        f"export(Path(sys.argv[1]), ['paint'], **{SMALL}, progress=lambda: os._exit(9))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == 9
    assert not (tmp_path / "paint").exists()
    export(tmp_path, ["paint"], **SMALL)
    assert len(list((tmp_path / "paint" / "trainB").iterdir())) == 3
    assert not (tmp_path / ".paint.unfinished").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tasks": ["pain"]}, "did you mean paint"),
        ({"size": 8}, "size=8 must be from 16 to 1024"),
        ({"count": 0}, "count=0 must be 1 or more"),
        ({"val_count": 0}, "val_count=0 must be 1 or more"),
        ({"truths": 0}, "truths=0 must be 1 or more"),
        ({"seed": -1}, "seed=-1 must be 0 or more"),
    ],
)
def test_bad_settings_are_one_sentence_and_make_no_folder(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        export(tmp_path / "new", **{"tasks": ["paint"], **SMALL, **changes})  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_place_of_the_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(
            UserError, match=r"cannot be used \(.*file is a file, and a folder is wanted there"
        ) as error:
            export(folder, ["paint"], **SMALL)
        assert "\n" not in str(error.value)
