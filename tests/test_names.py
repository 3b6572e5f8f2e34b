"""Names that act on a terminal, and entries of a folder that are no pictures: each verb says them, and obeys none."""

from __future__ import annotations

import ast
import csv
import json
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gan_style
from gan_style.apps.studio.models import find_runs
from gan_style.apps.studio.runs import gallery
from gan_style.cli.main import main
from gan_style.core import terminal
from gan_style.core.errors import TrainingFailed, UserError
from gan_style.core.paths import printable
from gan_style.data.images import list_images
from gan_style.data.sources import list_source
from gan_style.report.markup import escape
from tests.conftest import fitting
from tests.small_models import saved
from tests.test_hostile import run

PACKAGE = Path(__file__).parents[1] / "gan_style"
EVIL = "e\x1b[31m\nvil\u202e\udcff<b>"  # an escape, a line break, a bidi mark, a byte that is no UTF-8, a tag
SEEN = "e\\x1b[31m\\nvil\\u202e\\udcff<b>"


def harmless(text: str) -> bool:
    """Whether each character of a text is one that is shown, but for the end of its lines."""
    return all(line == printable(line) for line in text.split("\n"))


def image(path: Path, side: int = 24, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


def images(root: Path, name: str = EVIL) -> Path:
    """Two domains, in which some pictures have such a name, and one of those is broken."""
    for k, part in enumerate(("trainA", "trainB", "testA", "testB")):
        for number in range(3):
            image(root / part / f"{name}{number}.png", seed=10 * k + number)
    (root / "testA" / f"{name}.png").write_text("no picture")
    return root


@pytest.fixture
def heard(capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What was said on both streams, checked."""

    def read() -> str:
        out, err = capfd.readouterr()
        assert harmless(out), repr(out)
        assert harmless(err), repr(err)
        assert "Traceback" not in err
        return out + err

    return read


def test_only_one_module_prints() -> None:
    for path in PACKAGE.rglob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        printing = [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
        assert not printing or path.name == "terminal.py", path
        assert "from html import escape" not in path.read_text(), path  # report.markup has one that knows names


def test_what_is_said_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say(Path(EVIL))
    terminal.warn(f"there is no {EVIL}")
    assert capsys.readouterr() == (f"{SEEN}\n", f"there is no {SEEN}\n")
    assert str(UserError(f"{EVIL} is no picture")) == f"{SEEN} is no picture"
    assert str(TrainingFailed(EVIL)) == SEEN
    assert escape(EVIL) == "e\\x1b[31m\nvil\\u202e\\udcff&lt;b&gt;"


def test_pictures_through_the_verbs(tmp_path: Path, heard: Callable[[], str]) -> None:
    data, out = images(tmp_path / "set"), tmp_path / EVIL
    model = str(saved(tmp_path / f"{EVIL}.ckpt", "model=cut"))
    good, broken = str(data / "testA" / f"{EVIL}0.png"), str(data / "testA" / f"{EVIL}.png")
    assert main(["translate", model, str(data / "testA"), str(out)]) == 2
    said = heard()
    assert f"testA/{SEEN}.png is a text file" in said
    assert len(said.splitlines()) == 2
    assert main(["translate", model, broken, f"{out}.png"]) == 2
    assert SEEN in heard()
    assert main(["translate", model, good, f"{out}.png"]) == 0
    assert SEEN in heard()
    assert main(["translate", model + "x", good, f"{out}.png"]) == 2
    assert main(["translate", model, good, f"{out}.xyz"]) == 2
    assert main(["stylize", good, str(out), "--style", good]) == 2
    assert main(["sheet", f"{out}-sheet.png", "--content", good, "--checkpoint", model]) == 0
    assert main(["sheet", f"{out}-sheet.png", "--content", broken, "--checkpoint", model]) == 2
    assert main(["describe", model]) == 0
    assert main(["describe", broken]) == 2
    assert main(["export", broken, f"{out}.safetensors"]) == 2
    assert main(["import", broken, f"{out}.ckpt"]) == 2
    assert main(["shards", str(data), str(tmp_path / f"{EVIL}-shards")]) == 2
    assert SEEN in heard()
    with pytest.raises(SystemExit):
        main(["describe", model, good, EVIL])
    assert SEEN in heard()


@pytest.mark.parametrize(
    "suffix", [".safetensors", ".pth", *(pytest.param(s, marks=pytest.mark.slow) for s in (".onnx", ".pt2"))]
)
def test_exports_of_such_a_name(tmp_path: Path, suffix: str, heard: Callable[[], str]) -> None:
    model = saved(tmp_path / f"{EVIL}.ckpt", "model=cut")
    assert main(["export", str(model), str(tmp_path / f"{EVIL}{suffix}")]) == 0
    assert f"{SEEN}{suffix}" in heard()


def test_inspect_says_and_writes_them_escaped(tmp_path: Path, heard: Callable[[], str]) -> None:
    data = images(tmp_path / f"set{EVIL}")
    out, sheet = tmp_path / "found.json", tmp_path / "sheet.png"
    assert main(["inspect", str(data), "--out", str(out), "--sheet", str(sheet)]) == 1
    assert f"testA/{SEEN}.png" in heard()
    assert harmless(out.read_text())
    content = json.loads(out.read_text())
    assert {f"testA/{EVIL}.png"} == {file["path"] for file in content["unreadable"]}  # a program opens it by this
    assert SEEN in content["unreadable"][0]["reason"]
    assert sheet.is_file()


def test_scores_of_them(tmp_path: Path, heard: Callable[[], str]) -> None:
    for name in ("real", "fake"):
        for number in range(4):
            image(tmp_path / f"{name}{EVIL}" / f"{EVIL}{number}.png", seed=number)
    real, fake = (str(tmp_path / f"{name}{EVIL}") for name in ("real", "fake"))
    out = tmp_path / f"{EVIL}.json"
    words = ["--draws", "2", "--no-cache", "--device", "cpu", "--size", "32"]
    assert main(["compare", real, fake, *words, "--out", str(out)]) == 0
    assert SEEN in heard()
    assert main(["compare", real, fake, *words, "--against", str(out)]) == 0
    heard()
    assert main(["compare", real, str(tmp_path / f"no{EVIL}"), *words]) == 2
    assert SEEN in heard()


def test_a_run_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Callable[[], str]) -> None:
    """Styles named by folders, a run folder, its report and the studio's gallery."""
    for part in ("content", "test_content", f"styles/{EVIL}", "styles/b"):
        for number in range(2):
            image(tmp_path / EVIL / part / f"{EVIL}{number}.png", seed=number)
    folder = tmp_path / f"run{EVIL}"
    monkeypatch.chdir(tmp_path)
    os.symlink(EVIL, "set")  # a word of the command cannot hold every character, a name of a file can
    os.symlink(folder.name, "run")
    folder.mkdir()
    words = ["model=style_conditional", "data=styles", "data.root=set", "data.image_size=24", "trainer.max_steps=1"]
    words += [*fitting("model=style_conditional"), "data.num_workers=0", "trainer.accelerator=cpu"]
    assert run(["train", *words], tmp_path, monkeypatch) == 0
    assert SEEN in heard()
    report = (folder / "report.html").read_text()
    assert harmless(report)
    assert "<b>" not in report.replace("</b>", "<b>").split("config.yaml")[-1].split("<pre>")[-1].split("</pre>")[0]
    for path in folder.iterdir():
        if path.suffix in (".csv", ".json", ".jsonl", ".yaml", ".html"):
            assert harmless(path.read_text()), path
    assert list(csv.reader((folder / "metrics.csv").read_text().splitlines()))
    assert main(["report", str(folder), "--out", str(tmp_path / f"{EVIL}.html")]) == 0
    assert SEEN in heard()
    os.unlink("run")
    assert [name for name in find_runs(tmp_path) if "run" in name] == [f"run{SEEN}"]
    assert harmless(gallery(tmp_path))
    translator = gan_style.load(folder / "checkpoints" / "last.ckpt", device="cpu")
    assert translator.style_names == ["b", SEEN]
    assert translator.translate(torch.zeros(3, 16, 16), style=SEEN).shape == (3, 16, 16)


def test_names_in_a_checkpoint_of_somebody_else(tmp_path: Path, heard: Callable[[], str]) -> None:
    path = saved(tmp_path / "a.ckpt", "model=style_conditional", styles=["a", EVIL])
    content = torch.load(path, weights_only=True)
    content["domains"]["A"]["name"] = EVIL
    torch.save(content, path)
    translator = gan_style.load(path, device="cpu")
    assert translator.style_names == ["a", SEEN]
    assert translator.domains["A"] == SEEN
    assert main(["describe", str(path)]) == 0
    assert SEEN in heard()


def no_images(folder: Path) -> dict[str, str]:
    """Entries named like pictures, each with what is to be said of it."""
    (folder / "itself.png").symlink_to("itself.png")
    (folder / "there.png").symlink_to("back.png")
    (folder / "back.png").symlink_to("there.png")
    (folder / "nowhere.png").symlink_to("missing")
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(folder / "socket.png"))
    itself, irregular = "is a link that leads back to itself", "is no regular file"
    said = {"itself": itself, "there": itself, "back": itself, "nowhere": "is a link to a missing file"}
    return said | {"pipe": irregular, "socket": irregular}


@pytest.mark.timeout(60)
def test_what_is_no_picture_is_named_by_every_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Callable[[], str]
) -> None:
    data = tmp_path / "set"
    for k, part in enumerate(("trainA", "trainB", "testA", "testB")):
        for number in range(2):
            image(data / part / f"{number}.png", seed=10 * k + number)
    monkeypatch.chdir(tmp_path)
    wrong = no_images(data / "trainA")
    assert main(["inspect", str(data)]) == 1
    page = heard()
    assert "6 of 8 pictures of trainA cannot be read; the first: " in page
    assert "trainA/back.png is a link that leads back to itself: remove it" in page
    model = str(saved(tmp_path / "a.ckpt", "model=cut"))
    assert main(["translate", model, str(data / "trainA"), str(tmp_path / "out")]) == 2
    said = heard()
    assert all(f"{name}.png {sentence}" in said for name, sentence in wrong.items())
    assert "6 of 8 pictures cannot be read, see above; 2 are in" in said
    for name in wrong:
        for words in (
            ["translate", model, f"set/trainA/{name}.png", "x.png"],
            ["translate", model, "a", f"{name}.png"],
        ):
            assert main(words) == 2
            assert heard().count("\n") == 1
    words = ["model=cut", "data=folders", "data.root=set", "data.image_size=16", "trainer.max_steps=1"]
    assert run(["train", *words, "data.num_workers=0"], tmp_path, monkeypatch) == 2
    said = heard()
    assert "trainA/back.png is a link that leads back to itself: remove it (unusable: 6 of 8 pictures" in said
    assert main(["shards", "set", "shards"]) == 2
    assert "trainA/back.png is a link that leads back to itself" in heard()


@pytest.mark.timeout(60)
def test_folders_that_lead_to_one_another_end(tmp_path: Path) -> None:
    names = [f"d{k}" for k in range(14)]
    for name in names:
        image(tmp_path / name / "a.png")
        for other in names:
            (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)
        (tmp_path / name / "up").symlink_to(tmp_path)
        (tmp_path / name / "round").symlink_to("round")
    expected = [tmp_path / name / "a.png" for name in sorted(names)]
    assert list_images(tmp_path) == expected
    assert list_source("data.A", f"{tmp_path}/**/*.png") == expected
    assert len(list_source("data.A", f"{tmp_path}/**/d1/**/a.png")) == 14


def test_a_pattern_of_any_depth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("a.png", "x/a.png", "x/y/b.png", "x/.hidden/c.png"):
        image(tmp_path / place)
    monkeypatch.chdir(tmp_path)
    assert [str(path) for path in list_source("data.A", "**/*.png")] == ["a.png", "x/a.png", "x/y/b.png"]
    assert [str(path) for path in list_source("data.A", "**")] == ["a.png", "x/a.png", "x/y/b.png"]
    assert [str(path) for path in list_source("data.A", "x/**/b.png")] == ["x/y/b.png"]


def test_a_pipe_is_no_list(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list.txt")
    with pytest.raises(UserError, match=r"list\.txt is no regular file"):
        list_source("data.A", str(tmp_path / "list.txt"))


@pytest.mark.slow
def test_deep_folders_are_gone_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    Image.new("RGB", (2, 2)).save("a.png")
    os.chdir(tmp_path)
    try:
        [found] = list_images(Path("d"))
    finally:  # nobody else can: shutil.rmtree, by which pytest clears old folders, calls itself for each level
        folders = "/".join("d" * 1200)
        os.remove(f"{folders}/a.png")
        os.removedirs(folders)
    assert found.name == "a.png"


@pytest.mark.parametrize("closed", ["trainA", "trainA/deep", "."])
def test_a_folder_that_may_not_be_read_is_named(
    closed: str, monkeypatch: pytest.MonkeyPatch, heard: Callable[[], str]
) -> None:
    import gan_style.cli.inspect  # noqa: F401 (before another user, who may not read it, wants to)

    root = os.geteuid() == 0  # who may read everything
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        for part in ("trainA", "trainB", "trainA/deep"):
            image(data / part / "a.png")
        for folder in (data, *data.rglob("*")):
            folder.chmod(0o755)
        (data / closed).chmod(0)
        try:
            os.seteuid(65534 if root else os.geteuid())
            assert main(["inspect", str(data)]) == 2
            with pytest.raises((UserError, PermissionError)):
                list_images(data / "trainA")
        finally:
            os.seteuid(0 if root else os.geteuid())
            for folder in (data, data / "trainA", data / "trainA/deep"):
                folder.chmod(0o755)
    said = heard()
    assert said.count("\n") == 1
    assert "Permission denied" in said
    assert str(data) in said
