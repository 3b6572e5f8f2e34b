"""`gan-style inspect`: what it prints, writes and returns."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_style.cli.main import main
from gan_style.data.contact_sheet import GAP, HEAD
from gan_style.data.inspection.contact import CELL, COLUMNS
from gan_style.data.inspection.examine import examine
from gan_style.data.inspection.page import as_json
from tests.data.inspection import image_sets as sets
from tests.data.inspection.image_sets import CROP, make_clean


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clean(tmp_path_factory.mktemp("clean"), seed=3)


@pytest.fixture
def root(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "set"))


def run(root: Path, *words: str) -> int:
    return main(["inspect", str(root), "--image-size", str(CROP), *words])


def test_a_clean_set_gives_0_and_a_readable_page(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(clean) == 0
    page = capsys.readouterr().out
    assert "trainA   56         0            96x96   RGB        8      PNG" in page
    assert page.splitlines()[-1].startswith("0 problems, 0 warnings, ")
    assert "problem:" not in page


@pytest.mark.parametrize(
    ("plant", "status"),
    [
        (sets.unreadable, 1),
        (sets.wrong_suffix, 1),
        (sets.copies("trainA", "trainA", 1), 1),
        (sets.copies("trainA", "testA", 1, [sets.reencoded]), 1),
        (sets.copies("trainA", "trainB", 1), 1),
        (sets.copies("trainA", "trainA", 1, [sets.reencoded]), 0),
        (sets.blank, 0),
        (sets.untested, 0),
    ],
)
def test_only_problems_change_the_exit_status(plant: sets.Plant, status: int, root: Path) -> None:
    plant(root)
    assert run(root) == status


def test_mistakes_give_2_and_one_sentence(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(root / "trainB")
    (tmp_path / "file").touch()
    for words, sentence in [
        (("nowhere",), "there is no folder nowhere and no folder data/nowhere"),
        ((str(root),), "set has trainA but no trainB"),
        ((str(root), "--image-size", "0"), "--image-size=0 is not valid: give N, the side of a square, or [H,W]"),
        ((str(root), "--out", "x.txt"), "x.txt should end in .json"),
        ((str(root), "--sheet", "x.jpg"), "x.jpg should end in .png"),
    ]:
        assert main(["inspect", *words]) == 2
        told = capsys.readouterr().err
        assert sentence in told
        assert told.count("\n") == 1


def test_a_file_that_cannot_be_written_is_a_sentence(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run(clean, "--out", str(tmp_path / "file" / "x.json")) == 2
    assert "x.json cannot be written" in capsys.readouterr().err


def test_the_json_is_what_was_found(root: Path, tmp_path: Path) -> None:
    for plant in (sets.unreadable, sets.some_deep, sets.copies("trainB", "testB", 4, sets.COPIES.values())):
        plant(root)
    out = tmp_path / "new" / "found.json"
    assert run(root, "--out", str(out)) == 1
    found = json.loads(out.read_text())
    assert set(found) == {
        "version", "name", "image_size", "status", "findings", "splits", "duplicates", "pictures", "unreadable", "files"
    }  # fmt: skip
    images = {path.name: sorted(path.iterdir()) for path in sorted(root.iterdir())}
    inspection, findings = examine(images, root, CROP)
    assert found == as_json(str(root), inspection, findings)
    assert found["splits"]["trainA"] == {"count": 56, "readable": 52, "unreadable": 4}
    assert set(found["findings"][0]) == {"code", "severity", "sentence", "remedy", "files", "count"}
    assert {image["path"] for image in found["pictures"]} | {file["path"] for file in found["unreadable"]} == {
        path.relative_to(root).as_posix() for paths in images.values() for path in paths
    }
    assert found["duplicates"][0].keys() == {"kind", "split_a", "a", "split_b", "b"}


def test_the_sheet_shows_every_split_and_the_pairs(root: Path, tmp_path: Path) -> None:
    for plant in (sets.unreadable, sets.copies("trainB", "testB", 5, sets.COPIES.values())):
        plant(root)
    assert run(root, "--sheet", str(tmp_path / "sheet.png")) == 1
    with Image.open(tmp_path / "sheet.png") as sheet:
        # four splits and two rows of pairs
        assert sheet.size == (COLUMNS * (CELL + GAP) + GAP, 6 * (CELL + HEAD + GAP) + GAP)
        last = sheet.crop((0, 5 * (CELL + HEAD + GAP), 2 * (CELL + GAP), sheet.height))
        assert last.convert("L").getextrema()[0] < 100


def test_a_name_is_a_folder_below_data(clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(clean, tmp_path / "data" / "mine")
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", "mine", "--image-size", str(CROP)]) == 0


def test_the_command_itself_returns_the_status(root: Path) -> None:
    sets.copies("trainA", "trainB", 1)(root)
    words = ["-m", "gan_style", "inspect", str(root), "--image-size", str(CROP)]
    found = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert found.stderr == ""
    assert "Domain A and domain B share pictures: 1 exact in trainA and trainB." in found.stdout


def test_arrays_are_read_and_their_range_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for domain in "AB":
        (tmp_path / f"train{domain}").mkdir()
        for i in range(3):
            values = np.random.default_rng(i).uniform(-1000, 1000, (24, 24, 2)).astype(np.float32)
            values[0, 0] = (-1024, 3000)
            np.save(tmp_path / f"train{domain}" / f"{i}.npy", values + (domain == "B"))
    run(tmp_path, "--out", str(tmp_path / "found.json"))
    assert "set data.dtype=float32 data.low=-1024 data.high=3000" in " ".join(capsys.readouterr().out.split())
    found = json.loads((tmp_path / "found.json").read_text())
    assert "unreadable" not in {finding["code"] for finding in found["findings"]}


@pytest.mark.parametrize("pattern", ["{}{}", "{}/{}"])
def test_test_pictures_are_looked_at_beside_those_for_validation(pattern: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for i, (split, domain) in enumerate((s, d) for s in ("train", "val", "test") for d in "AB"):
        sets.save(sets.scene(i, domain), root / pattern.format(split, domain) / "x.png")
    shutil.copy(root / pattern.format("train", "A") / "x.png", root / pattern.format("test", "A") / "copy.png")
    assert run(root, "--out", str(tmp_path / "found.json")) == 1
    found = json.loads((tmp_path / "found.json").read_text())
    counts = {name: split["count"] for name, split in found["splits"].items()}
    assert counts == {"trainA": 1, "trainB": 1, "valA": 1, "valB": 1, "testA": 2, "testB": 1}
    assert [(pair["split_a"], pair["split_b"]) for pair in found["duplicates"]] == [("trainA", "testA")]


def test_bare_domains_are_looked_at_whole(clean: Path, tmp_path: Path) -> None:
    for domain in "AB":
        shutil.copytree(clean / f"train{domain}", tmp_path / domain)
    run(tmp_path, "--out", str(tmp_path / "found.json"))
    splits = json.loads((tmp_path / "found.json").read_text())["splits"]
    assert {name: split["count"] for name, split in splits.items() if split["count"]} == {"trainA": 56, "trainB": 56}


def test_shards_are_no_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "trainA-000000.tar").touch()
    assert main(["inspect", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "holds shards, but inspect takes folders of pictures" in told
    assert "data=shards" in told


def test_a_name_with_a_tilde_is_no_traceback(
    clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", "~nouser/x"]) == 2
    assert "there is no folder ~nouser/x and" in capsys.readouterr().err
    shutil.copytree(clean, tmp_path / "~set")
    assert run(Path("~set"), "--out", "~found.json") == 0
    assert (tmp_path / "~found.json").is_file()


def test_codes_in_names_are_shown_and_not_obeyed(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a\nproblem: \x1b[31mred\udcff.png"
    (root / "trainA" / name).touch()
    assert run(root, "--sheet", str(tmp_path / "x.png"), "--out", str(tmp_path / "x.json")) == 1
    page = capsys.readouterr().out
    assert "\x1b" not in page
    assert "\nproblem: \\x1b" not in page
    assert "trainA/a\\nproblem: \\x1b[31mred\\udcff.png" in page
    assert f"trainA/{name}" in json.loads((tmp_path / "x.json").read_text())["unreadable"][0]["path"]
    (root / "trainA" / name).unlink()
    sets.save(sets.scene(7, "A"), root / "trainA" / name)
    assert run(root, "--sheet", str(tmp_path / "x.png")) == 0


def test_what_the_system_refuses_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(root: Path) -> None:
        raise PermissionError(13, "Permission denied", str(root / "train\nA"))

    monkeypatch.setattr("gan_style.data.inspection.examine.all_parts", refused)
    assert main(["inspect", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told == (
        f"gan_style: {tmp_path}/train\\nA cannot be used (Permission denied): check its name, its rights and the disk\n"
    )
    monkeypatch.setattr(
        "gan_style.data.inspection.examine.all_parts", lambda root: (_ for _ in ()).throw(BrokenPipeError())
    )
    with pytest.raises(BrokenPipeError):
        main(["inspect", str(tmp_path)])
