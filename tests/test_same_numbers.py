"""One config is one run, bit for bit: with any loader workers, however they start, from any folder, and installed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_style.core.config import build
from gan_style.data.layout import find_layout
from gan_style.data.shard_writer import write_shards
from tests.conftest import differences, small_config, small_words
from tests.test_resume import assert_same, rows

Run = Callable[..., Path]
ROOT = Path(__file__).parents[1]
SIZES = ("data.image_size=32", "data.load_size=36", "data.val_count=2")
SHORT = ("trainer=cpu", "trainer.max_steps=5")
# Whatever of a picture can be random: where it is cut, mirrored, turned, coloured, and a transform of the user's own.
AUGMENTED = (
    "data.flip=true",
    "data.rotate=10",
    "data.jitter=0.3",
    "data.augment=[{_target_: albumentations.GaussNoise, p: 0.5}]",
)
KINDS = ("scenes", "folders", "shards", "styles")


@pytest.fixture
def data_words(tmp_path: Path) -> Callable[[str], list[str]]:
    """Words that choose each kind of data; pictures on disk are of unequal sizes, and more in A than in B."""

    def words(kind: str) -> list[str]:
        if kind == "scenes":
            return ["data=tiny"]
        if kind == "styles":
            return ["data=styles", *SIZES, "data.count=4"]
        root = tmp_path / "set"
        for part, count in {"trainA": 4, "trainB": 3, "testA": 1, "testB": 1}.items():
            (root / part).mkdir(parents=True)
            for i in range(count):
                noise = np.random.default_rng([len(part), ord(part[-1]), i]).integers(0, 256, (40 + i, 44, 3), np.uint8)
                Image.fromarray(noise).save(root / part / f"{i}.png")
        if kind == "folders":
            return ["data=folders", f"data.root={root}", *SIZES]
        write_shards(find_layout(root).parts, tmp_path / "packed", 12_000)
        return ["data=shards", f"data.root={tmp_path / 'packed'}", *SIZES]

    return words


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # more workers than the machine has cores
@pytest.mark.parametrize("augmentation", [("data.flip=false", "data.load_size=32"), AUGMENTED], ids=["none", "all"])
def test_four_workers_train_as_none(run: Run, data_words: Callable[[str], list[str]], augmentation: list[str]) -> None:
    words = (*SHORT, *data_words("folders"), *augmentation)
    alone = run("alone", *words, "data.num_workers=0")
    helped = run("helped", *words, "data.num_workers=4")
    assert [row["iteration"] for row in rows(alone)] == ["1", "2", "3", "4", "5"]
    assert_same(alone, helped)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_worker_gets_travels(data_words: Callable[[str], list[str]], kind: str) -> None:
    """Where workers are not forked (macOS, Windows, Linux from Python 3.14) they get the data set pickled."""
    data = build(small_config(*data_words(kind), *AUGMENTED)["data"])
    data.setup()
    used = data.train_set[3]  # a pipeline and places in the cache are there
    travelled = pickle.loads(pickle.dumps(data.train_dataloader().dataset))
    assert differences([used, data.train_set[17]], [travelled[3], travelled[17]]) == []


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_that_are_not_forked_train_as_none(
    run: Run, tmp_path: Path, data_words: Callable[[str], list[str]], method: str
) -> None:
    """By the command, whose main module such a worker imports again."""
    words = (*SHORT, *data_words("folders"), *AUGMENTED)
    # What Python runs first; workers' own processes are told how they were started, and keep it.
    # With eight cores Lightning has advice about workers, which would be said to users who cannot follow it.
    first = f"import multiprocessing, os\nmultiprocessing.set_start_method({method!r}, force=True)\n"
    (tmp_path / "sitecustomize.py").write_text(first + "os.sched_getaffinity = lambda _: range(8)\n")
    helped = [*small_words(*words), "data.num_workers=2", f"run_dir={tmp_path / 'helped'}"]
    assert done([sys.executable, str(ROOT / "train.py"), *helped], tmp_path).stderr == ""
    assert_same(run("alone", *words, "data.num_workers=0"), tmp_path / "helped")


def test_the_folder_that_a_run_starts_in_changes_nothing(
    run: Run, tmp_path: Path, data_words: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also not which pictures are held out, where they are named from within their own folder."""
    data_words("folders")
    A, B = (tmp_path / "set" / part for part in ("trainA", "trainB"))
    words = (*SHORT, "data=folders", *SIZES)
    there = run("there", *words, f"data.A={A}", f"data.B={B}")
    monkeypatch.chdir(A)
    here = run("here", *words, "data.A=.", "data.B=../trainB")
    assert_same(there, here)


@pytest.mark.slow
def test_the_installed_wheel_trains_as_the_checkout(run: Run, tmp_path: Path) -> None:
    dist, installed, empty = (tmp_path / name for name in ("dist", "installed", "empty"))
    empty.mkdir()
    done([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)])
    (wheel,) = dist.glob("*.whl")
    source = {
        str(path.relative_to(ROOT)) if folder == "gan_style" else f"gan_style/{path.relative_to(ROOT)}"
        for folder in ("gan_style", "conf")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as packed:
        assert {name for name in packed.namelist() if ".dist-info/" not in name} == source
    done([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", f"--target={installed}", str(wheel)])
    found = done([sys.executable, "-c", "import gan_style.core.config as c; print(c.config_dir())"], installed, empty)
    assert found.stdout.strip() == str(installed / "gan_style" / "conf")
    done(
        [str(installed / "bin" / "gan-style"), "train", *small_words(*SHORT), f"run_dir={tmp_path / 'b'}"],
        installed,
        empty,
    )
    assert_same(run("a", *SHORT, scored=True), tmp_path / "b")


def done(command: list[str], modules: Path = ROOT, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A command that succeeds and whose Python looks for modules in `modules` first."""
    path = os.pathsep.join(filter(None, (str(modules), os.environ.get("PYTHONPATH"))))
    process = subprocess.run(
        command, cwd=cwd, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=280
    )
    assert process.returncode == 0, process.stderr
    return process
