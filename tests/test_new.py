"""`gan-style new NAME` writes a package that is whole, tidy and runs."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from gan_style.cli import new as module
from gan_style.cli.main import main
from gan_style.cli.new import NAME, TEMPLATE, new


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_writes_every_file_of_the_template_under_the_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "otherlab"]) == 0
    assert "otherlab: a package of your own" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["otherlab"]
    written = {path.relative_to("otherlab").as_posix() for path in Path("otherlab").rglob("*") if path.is_file()}
    assert len(written) == len(list(TEMPLATE.rglob("*.txt")))
    assert {"pyproject.toml", ".gitignore", "otherlab/method.py", "conf/model/generator/otherlab.yaml"} <= written
    for path in written:
        assert NAME not in Path("otherlab", path).read_text(), path
    assert stat.S_IMODE(Path("otherlab").stat().st_mode) & 0o500 == 0o500


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    Path("otherlab").mkdir()
    assert new("otherlab", tmp_path) == tmp_path / "otherlab"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("my-lab", "'my-lab' cannot be the name of a Python package: take letters, digits and _, such as my_lab"),
        ("2d", "'2d' cannot be the name of a Python package: take letters, digits and _, such as mylab"),
        ("class", "'class' cannot be"),
        ("../lab", "cannot be the name"),
        ("a/b", "cannot be the name"),
        ("", "'' cannot be"),
        ("gan_style", "gan_style is a package that is there already: choose another name"),
        ("json", "json is a package that is there already"),
        ("torch", "torch is a package that is there already"),
        ("cyclegan", "cyclegan is the name of a config of gan_style, model/cyclegan.yaml: choose another name"),
        ("full", "full is there already: choose another name, or move it away"),
        ("file", "file is there already"),
    ],
)
def test_a_name_that_does_not_do_is_one_sentence(name: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("full").mkdir()
    Path("full", "mine.txt").write_text("mine")
    Path("file").write_text("mine")
    assert main(["new", name]) == 2
    said = capsys.readouterr().err
    assert said.startswith("gan_style: ")
    assert said.count("\n") == 1
    assert sentence in said
    assert sorted(path.name for path in Path().iterdir()) == ["file", "full"]


def test_nothing_is_half_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(module.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        new("otherlab", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mylab", "zzlab"])  # imports are sorted whatever the name
def test_what_is_written_passes_ruff(name: str, tmp_path: Path) -> None:
    folder = new(name, tmp_path)
    ruff = [sys.executable, "-m", "ruff"]
    for words in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run([*ruff, *words, str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_carries_the_template() -> None:
    root = Path(module.__file__).parents[2]
    inside = {file.distribution_path for file in WheelBuilder(str(root)).recurse_included_files()}
    assert {path.relative_to(root).as_posix() for path in TEMPLATE.rglob("*.txt")} <= inside
