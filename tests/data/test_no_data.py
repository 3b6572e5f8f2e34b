"""Places without data: training and scores never see them, and a translation has them where its picture has."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.files import read_picture
from gan_style.data.ledger import FileNote
from gan_style.data.raw import filled, largest_valid
from gan_style.data.values import ValueRange
from gan_style.inference.load import load

AWKWARD = Path(__file__).parents[3] / "shared/data/awkward"
NO_DATA, SCALE, TIEPOINT = 42113, 33550, 33922
HEIGHTS = ValueRange("float32", 0, 1000, 1)
EMPTY_ROWS = 8  # of 40: 20%


def elevation(seed: int, height: int = 40, width: int = 48) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.kron(rng.uniform(100, 900, (height // 8, width // 8)), np.ones((8, 8))).astype(np.float32)


def write(path: Path, array: np.ndarray, no_data: str | None = "-9999") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tags: list[Any] = [(SCALE, 12, 3, (10.0, 10.0, 0.0), True), (TIEPOINT, 12, 6, (0.0, 0, 0, 5e5, 4e6, 0), True)]
    if no_data is not None:
        tags.append((NO_DATA, 2, len(no_data) + 1, no_data, True))
    tifffile.imwrite(path, array, extratags=tags, metadata=None, photometric="minisblack")
    return path


def brute_force(missing: np.ndarray) -> int:
    """The area of the largest rectangle without a missing place, by trying all."""
    height, width = missing.shape
    return max(
        (bottom - top) * (right - left)
        for top in range(height)
        for bottom in range(top + 1, height + 1)
        for left in range(width)
        for right in range(left + 1, width + 1)
        if not missing[top:bottom, left:right].any() or (bottom - top) * (right - left) == 0
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_largest_valid_rectangle_is_the_largest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    missing = rng.random((9, 11)) < (seed + 1) / 26
    rows, columns = largest_valid(missing)
    assert not missing[rows, columns].any()
    assert (rows.stop - rows.start) * (columns.stop - columns.start) == brute_force(missing)


def test_nothing_valid_is_an_empty_rectangle_and_a_sentence(tmp_path: Path) -> None:
    assert np.ones((4, 5))[largest_valid(np.ones((4, 5), bool))].size == 0
    path = write(tmp_path / "x.tif", np.full((8, 8), -9999, np.float32))
    with pytest.raises(UserError, match=r"x\.tif holds no data anywhere: remove it"):
        read_picture(path, HEIGHTS)


def test_missing_places_take_the_nearest_value() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    missing = np.zeros((3, 4), bool)
    missing[:, 0] = True
    np.testing.assert_array_equal(filled(array, missing)[..., 0], [[1, 1, 2, 3], [5, 5, 6, 7], [9, 9, 10, 11]])


@pytest.mark.parametrize("no_data", ["-9999", "nan", "-3.4028234663852886e+38"])
def test_training_reads_the_part_that_has_data(tmp_path: Path, no_data: str) -> None:
    array = elevation(0)
    array[:EMPTY_ROWS] = float(no_data)
    read = read_picture(write(tmp_path / "x.tif", array, no_data), HEIGHTS)
    np.testing.assert_array_equal(read[..., 0], array[EMPTY_ROWS:])


def test_bytes_with_no_data_are_cut_alike(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(1, 256, (20, 24, 3), np.uint8)
    array[:, :5] = 0
    tifffile.imwrite(tmp_path / "x.tif", array, photometric="rgb", extratags=[(NO_DATA, 2, 2, "0", True)])
    np.testing.assert_array_equal(read_picture(tmp_path / "x.tif", ValueRange()), array[:, 5:])


def make(root: Path, cut: bool) -> Path:
    """A set of elevations of which a fifth is missing, or the same set cut to the valid rows."""
    for number, part in enumerate(("trainA", "trainB", "testA", "testB")):
        for index in range(2):
            array = elevation(10 * number + index)
            array[:EMPTY_ROWS] = -9999
            write(root / part / f"{index}.tif", array[EMPTY_ROWS:] if cut else array, None if cut else "-9999")
    return root


WORDS = (
    "model=cyclegan",
    "data=folders",
    "data.dtype=float32",
    "data.low=0",
    "data.high=1000",
    "data.channels=1",
    "data.image_size=24",
    "data.load_size=null",
    "trainer.max_steps=3",
)


def losses(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if "G_" in k or "D_" in k} for row in rows]


def test_a_set_with_no_data_trains_as_the_same_set_cut_to_its_data(tmp_path: Path, run: Callable[..., Path]) -> None:
    folders = {}
    for name, cut in (("whole", False), ("cut", True)):
        folders[name] = run(name, *WORDS, f"data.root={make(tmp_path / f'set_{name}', cut)}")
    found = losses(folders["whole"])
    assert found == losses(folders["cut"])
    assert any(row for row in found if any(row.values()))


def test_a_translation_keeps_no_data_and_georeference(tmp_path: Path, run: Callable[..., Path], capsys: Any) -> None:
    root = make(tmp_path / "set", cut=False)
    checkpoint = run("run", *WORDS, f"data.root={root}") / "checkpoints/last.ckpt"
    capsys.readouterr()
    assert main(["translate", str(checkpoint), str(root / "testA"), str(tmp_path / "out")]) == 0
    with tifffile.TiffFile(root / "testA/0.tif") as before, tifffile.TiffFile(tmp_path / "out/0.tif") as after:
        old, new = before.pages[0], after.pages[0]
        for code in (SCALE, TIEPOINT, NO_DATA):
            assert new.tags[code].value == old.tags[code].value
        made = new.asarray()
        np.testing.assert_array_equal(made == -9999, old.asarray() == -9999)
        assert (made[EMPTY_ROWS:] >= 0).all()
    assert main(["translate", str(checkpoint), str(root / "testA/0.tif"), str(tmp_path / "x.npy")]) == 0
    assert "georeference, which .npy does not keep" in capsys.readouterr().err
    translator = load(checkpoint)
    with pytest.warns(FileNote, match="1 with places without data, which the result keeps"):
        made = translator.translate(root / "testA/0.tif")
    assert np.isnan(made[:EMPTY_ROWS]).all()
    assert np.isfinite(made[EMPTY_ROWS:]).all()


def test_what_is_filled_in_changes_no_value_far_from_it(tmp_path: Path, run: Callable[..., Path]) -> None:
    """The number that stands for no data must not reach the networks: whatever it is, the result is the same."""
    root = make(tmp_path / "set", cut=False)
    translator = load(run("run", *WORDS, f"data.root={root}") / "checkpoints/last.ckpt")
    results = []
    for no_data in ("-9999", "-32768"):
        array = elevation(99)
        array[:EMPTY_ROWS] = float(no_data)
        with pytest.warns(FileNote, match="places without data"):
            results.append(translator.translate(write(tmp_path / f"{no_data}.tif", array, no_data)))
    np.testing.assert_array_equal(results[0], results[1])


def test_colours_with_no_data_become_transparent(tmp_path: Path, trained: Callable[..., Path], capsys: Any) -> None:
    checkpoint = trained("run", "model=cut", "trainer.max_steps=1") / "checkpoints/last.ckpt"
    array = np.random.default_rng(0).integers(1, 256, (24, 32, 3), np.uint8)
    array[:, :6] = 0
    tifffile.imwrite(tmp_path / "x.tif", array, photometric="rgb", extratags=[(NO_DATA, 2, 2, "0", True)])
    assert main(["translate", str(checkpoint), str(tmp_path / "x.tif"), str(tmp_path / "out.png")]) == 0
    with Image.open(tmp_path / "out.png") as made:
        alpha = np.asarray(made)[..., 3]
    assert (alpha[:, :6] == 0).all()
    assert (alpha[:, 6:] == 255).all()
    capsys.readouterr()
    assert main(["translate", str(checkpoint), str(tmp_path / "x.tif"), str(tmp_path / "out.jpg")]) == 0
    assert "places without data, which .jpg does not keep" in capsys.readouterr().err


def test_a_picture_whose_valid_part_is_too_small_is_refused_by_name(tmp_path: Path, run: Callable[..., Path]) -> None:
    root = make(tmp_path / "set", cut=False)
    array = elevation(5)
    array[::8] = -9999
    write(root / "trainA/0.tif", array)
    with pytest.raises(UserError, match=r"0\.tif is 7x48 \(height x width\), smaller than the crop of 24"):
        run("run", *WORDS, f"data.root={root}")


@pytest.mark.skipif(not AWKWARD.is_dir(), reason="the awkward files are not at hand")
def test_the_elevations_at_hand_are_cut_to_their_data() -> None:
    for path in sorted((AWKWARD / "sets/dem").rglob("*.tif")):
        read = read_picture(path, ValueRange("float32", 0, 3000, 1))
        whole = tifffile.imread(path)
        assert read.min() > -9999
        assert read.size == (whole != -9999).sum()
