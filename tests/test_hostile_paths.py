"""Names that lead elsewhere: a list may name pictures anywhere, but nothing is written out of its target or fetched."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.sources import list_source
from gan_style.training import loggers
from gan_style.training.run_folder import new_run_dir
from tests.small_models import saved
from tests.test_hostile import run


def image(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)).save(path)
    return path


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_list_may_name_pictures_anywhere(tmp_path: Path) -> None:
    other, near = image(tmp_path / "elsewhere" / "a.png"), image(tmp_path / "set" / "b.png")
    for suffix, head in ((".csv", "path\n"), (".txt", "")):
        path = tmp_path / "set" / f"list{suffix}"
        path.write_text(f"{head}../elsewhere/a.png\n{other}\nb.png\n")
        found = [name.resolve() for name in list_source("data.A", str(path))]
        assert found == [other, other, near]


@pytest.mark.parametrize(
    "word",
    [
        "http://127.0.0.1:1/a.png",
        "https://elsewhere.example/a.png",
        "file:///etc/passwd",
        "//elsewhere.example/share/a.png",
        "\\\\elsewhere.example\\share\\a.png",
        "/dev/zero",
        "/proc/self/fd/0",
        "../" * 40 + "dev/full",
        "${oc.env:HOME}/a.png",
        "$HOME/a.png",
        "x" * 5000,
        "\x1b[2J.png",
        "a\0b.png",
    ],
)
def test_a_list_names_files_alone_and_nothing_is_fetched(tmp_path: Path, word: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"{word}\n")
    with pytest.raises(UserError, match=r"line 1 of .*list\.txt") as caught:
        list_source("data.A", str(path))
    assert str(caught.value).isprintable()


def test_a_file_that_is_no_picture_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret").write_text("hunter2")
    image(tmp_path / "b.png")
    (tmp_path / "a.csv").write_text("path\nsecret\n")
    (tmp_path / "b.csv").write_text("path\nb.png\n")
    words = ["train", "data=folders", f"data.A={tmp_path / 'a.csv'}", f"data.B={tmp_path / 'b.csv'}"]
    assert run([*words, "trainer.max_steps=1"], tmp_path, monkeypatch) == 2
    said = "".join(capsys.readouterr())
    assert "secret is a text file and not a picture" in said
    assert "hunter2" not in said


def test_translate_writes_below_its_output_alone(tmp_path: Path) -> None:
    checkpoint, source = saved(tmp_path / "a.ckpt", "model=cut"), tmp_path / "in"
    for name in ("a.png", "deep/a.png", "..a.png", "deep/b..png", "-a.png", "~root.png"):
        image(source / name)
    image(tmp_path / "elsewhere" / "b.png")
    (source / "up").symlink_to(tmp_path / "elsewhere")
    (source / "loop").symlink_to(source)
    (source / "c.png").symlink_to("../elsewhere/b.png")
    before = everything(tmp_path)
    assert main(["translate", str(checkpoint), str(source), str(tmp_path / "out")]) == 0
    new = everything(tmp_path) - before
    assert {name.split("/")[0] for name in new} == {"out"}
    assert "out/up/b.png" in new
    assert "out/c.png" in new
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


def test_shards_write_below_their_output_alone(tmp_path: Path) -> None:
    for part in ("trainA", "trainB", "testA", "testB"):
        for name in ("..a.png", "deep/a.png", "\x1b[2J.png"):
            image(tmp_path / "set" / part / name)
    before = everything(tmp_path)
    assert main(["shards", str(tmp_path / "set"), str(tmp_path / "out")]) == 0
    assert {name.split("/")[0] for name in everything(tmp_path) - before} == {"out"}


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/../../x", "..", "", "a\nb", "\x1b[2J", "\ud800"])
def test_a_name_that_leads_out_of_runs_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="is no name of a folder below runs"):
        new_run_dir(name)


def test_other_names_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "is_first_process", lambda: False)  # the first would give them the time
    monkeypatch.setenv("GAN_STYLE_STARTED", "now")
    assert [str(new_run_dir(name)) for name in ("a", "a/b..c")] == ["runs/a/now", "runs/a/b..c/now"]


def test_a_training_of_such_a_name_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    from gan_style.cli import train

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "argv", ["train.py", "data=tiny", "trainer.max_steps=1", "name=../../x"])
    train._failures.clear()
    train._started.clear()
    with pytest.raises(SystemExit) as ended:
        train.main()
    assert ended.value.code == 2
    assert "name=../../x is no name of a folder below runs" in capsys.readouterr().err
    assert everything(tmp_path) == {"here"}, os.listdir(tmp_path)
