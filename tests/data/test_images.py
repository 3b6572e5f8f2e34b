"""Folders, checks, tensors and saving; what is inside the files is tested in test_decoding.py."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.data.images import SUFFIXES, ImageCheck, check_images, list_images, read_image, to_tensor, to_uint8
from gan_style.data.saving import save_image


def image(path: Path, size: tuple[int, int] = (20, 16), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size).save(path)
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


# Listing


def test_lists_every_suffix_in_every_case_and_nothing_else(tmp_path: Path) -> None:
    names = [f"a{suffix}" for suffix in SUFFIXES] + [f"b{suffix.upper()}" for suffix in SUFFIXES]
    for name in [*names, "notes.txt", "clip.mp4", "jpg", ".DS_Store", "._a.jpg", ".hidden/c.jpg"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == sorted(names)


def test_lists_subfolders_sorted_by_their_path(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/z.jpg", "a.jpg", "a/sub folder/y.PNG", "c/a.webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listed = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert listed == ["a.jpg", "a/sub folder/y.PNG", "a/z.jpg", "b.jpg", "c/a.webp"]


def test_follows_links_to_files_and_folders_but_not_in_circles(tmp_path: Path) -> None:
    image(tmp_path / "elsewhere/x.png")
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "y.png").symlink_to(tmp_path / "elsewhere/x.png")
    (folder / "sub/up").symlink_to(folder)
    assert list_images(folder) == [folder / "linked/x.png", folder / "y.png"]


def test_a_link_to_nowhere_is_listed_and_explained(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "missing.jpg")
    assert list_images(tmp_path) == [tmp_path / "gone.jpg"]
    with pytest.raises(UserError, match="link to a missing file"):
        read_image(tmp_path / "gone.jpg")


def test_a_missing_folder_and_a_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trainA does not exist"):
        list_images(tmp_path / "trainA")
    with pytest.raises(UserError, match=r"x\.png is a file, but a folder"):
        list_images(image(tmp_path / "x.png"))


def test_a_folder_without_pictures_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no picture \(found 0 files\): check the path"):
        list_images(tmp_path)
    for name in ("c.txt", "a.doc", "b.txt", ".DS_Store"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"found 3 files, 1 left out: \.doc files that are no pictures"):
        list_images(tmp_path)


# Checking


def kinds(check: ImageCheck) -> dict[str, int]:
    """How many files have each kind of entry."""
    return {entry.kind: entry.count for entry in check.ledger}


@pytest.fixture
def mixed(tmp_path: Path) -> list[Path]:
    """Good, empty, good and grey, cut off, too small for 16."""
    paths = [tmp_path / f"{name}.png" for name in ("a", "b", "c", "d", "e")]
    image(paths[0])
    paths[1].touch()
    image(paths[2], size=(16, 30), mode="L")
    paths[3].write_bytes(paths[0].read_bytes()[:-20])
    image(paths[4], size=(40, 15))
    return paths


def test_skip_leaves_bad_pictures_out_and_counts_the_rest(mixed: list[Path]) -> None:
    check = check_images(mixed, on_error="skip")
    assert check.good == [mixed[0], mixed[2], mixed[4]]
    assert [path for path, _ in check.skipped] == [mixed[1], mixed[3]]
    assert "is empty" in check.skipped[0][1]
    assert "is cut off" in check.skipped[1][1]
    assert kinds(check) == {"pictures that cannot be used": len(check.skipped), "grey to RGB": 1}
    assert check.sizes == [(20, 16), (16, 30), (40, 15)]


def test_pictures_smaller_than_the_crop_are_bad(mixed: list[Path]) -> None:
    check = check_images(mixed, on_error="skip", min_size=16)
    assert check.good == [mixed[0], mixed[2]]
    assert check.skipped[-1][0] == mixed[4]
    assert "is 15x40 (height x width), smaller than the crop of 16: set data.load_size=16" in check.skipped[-1][1]


def test_stop_names_the_first_bad_picture_their_number_and_the_way_out(mixed: list[Path]) -> None:
    with pytest.raises(UserError) as caught:
        check_images(mixed)
    message = str(caught.value)
    assert str(mixed[1]) in message
    assert str(mixed[3]) not in message
    assert "2 of 5 pictures" in message
    assert "data.on_error=skip" in message
    assert "\n" not in message


def test_nothing_left_is_an_error_even_when_skipping(mixed: list[Path]) -> None:
    with pytest.raises(UserError, match=r"b\.png is empty.*all 2 pictures are unusable"):
        check_images([mixed[1], mixed[3]], on_error="skip")


def test_good_pictures_pass_and_progress_is_told_after_each(tmp_path: Path) -> None:
    paths = [image(tmp_path / f"{i}.jpg") for i in range(7)]
    told: list[tuple[int, int]] = []
    check = check_images(paths, progress=lambda done, total: told.append((done, total)))
    assert check == ImageCheck(good=paths, sizes=[(20, 16)] * 7, digests=check.digests)
    assert told == [(i + 1, 7) for i in range(7)]


def test_every_conversion_is_counted(tmp_path: Path) -> None:
    paths = [image(tmp_path / "a.png", mode="LA"), image(tmp_path / "b.png", mode="RGBA")]
    assert kinds(check_images(paths)) == {"alpha composited over white": 2, "grey to RGB": 1}


def test_an_unknown_policy_is_refused(mixed: list[Path]) -> None:
    with pytest.raises(UserError, match=r"data\.on_error is 'ignore'"):
        check_images(mixed, on_error="ignore")  # type: ignore[arg-type]


# Tensors


def test_all_256_values_survive_the_round_trip_in_range() -> None:
    array = np.arange(256, dtype=np.uint8).reshape(8, 32, 1).repeat(3, axis=2)
    tensor = to_tensor(array)
    assert tensor.shape == (3, 8, 32)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    assert (tensor.min(), tensor.max()) == (-1, 1)
    np.testing.assert_array_equal(to_uint8(tensor), array)
    np.testing.assert_array_equal(to_uint8(tensor.double()), array)


def test_channels_and_rows_stay_where_they_belong() -> None:
    array = noise(5, 7, 3)
    tensor = to_tensor(array)
    assert tensor[2, 4, 1].item() == pytest.approx(array[4, 1, 2] / 255 * 2 - 1)
    batch = torch.stack([tensor, -tensor])
    assert to_uint8(batch).shape == (2, 5, 7, 3)
    np.testing.assert_array_equal(to_uint8(batch)[0], array)


def test_values_between_and_outside_are_rounded_and_clamped() -> None:
    levels = torch.tensor([-9.0, 9.0, 0.0, 100.4, 100.6]).view(1, 1, 5)
    levels[..., 3:] = levels[..., 3:] / 127.5 - 1
    assert to_uint8(levels).ravel().tolist() == [0, 255, 128, 100, 101]


def test_flipped_and_read_only_arrays_are_accepted_and_not_changed() -> None:
    array = noise(4, 6, 3)
    kept = array.copy()
    array.flags.writeable = False
    np.testing.assert_array_equal(to_uint8(to_tensor(array[:, ::-1])), kept[:, ::-1])
    to_tensor(array).fill_(0)
    np.testing.assert_array_equal(array, kept)


# Saving


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF", ".webp"])
def test_what_is_saved_without_loss_is_read_back(tmp_path: Path, suffix: str) -> None:
    array = noise(9, 11, 3)
    path = tmp_path / f"new folder/out{suffix}"
    save_image(array, path)
    np.testing.assert_array_equal(read_image(path), array)
    assert os.listdir(path.parent) == [path.name]


def test_jpeg_is_close_and_grey_and_alpha_are_kept(tmp_path: Path) -> None:
    smooth = np.repeat(np.linspace(0, 255, 32).astype(np.uint8)[:, None, None], 3, axis=2).repeat(32, axis=1)
    save_image(smooth, tmp_path / "x.JPG")
    assert np.abs(read_image(tmp_path / "x.JPG").astype(int) - smooth).max() <= 3
    for channels, mode in ((1, "L"), (4, "RGBA")):
        save_image(noise(5, 4, channels), tmp_path / "y.png")
        with Image.open(tmp_path / "y.png") as saved:
            assert saved.mode == mode


def test_a_failed_save_leaves_the_old_picture_and_no_scraps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, old = tmp_path / "x.png", noise(4, 4, 3)
    save_image(old, path)

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:9])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"x\.png cannot be saved \(No space left on device\)"):
        save_image(255 - old, path)
    np.testing.assert_array_equal(read_image(path), old)
    assert os.listdir(tmp_path) == ["x.png"]


def test_saving_to_an_unknown_suffix_or_below_a_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.psd cannot hold uint8 .*its name must end in one of \.png"):
        save_image(noise(4, 4, 3), tmp_path / "x.psd")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be saved"):
        save_image(noise(4, 4, 3), tmp_path / "file/x.png")


# The error itself


def test_an_error_from_a_worker_is_shown_as_its_last_line() -> None:
    assert str(UserError("x.png is empty.")) == "x.png is empty."
    told = "Caught UserError in worker 0.\nTraceback:\n  raise\ngan_style.errors.UserError: x.png is empty.\n"
    assert str(UserError(told)) == "x.png is empty."
    assert str(pickle.loads(pickle.dumps(UserError("x.png is empty.")))) == "x.png is empty."
