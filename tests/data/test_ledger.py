"""One ledger for every reader: what is left out or changed is said in the same words by every verb."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_style.cli.main import main
from gan_style.data.folders import FoldersDataModule
from gan_style.data.images import list_images
from gan_style.data.layout import find_layout
from gan_style.data.ledger import FileNote, Ledger, Note
from gan_style.data.styles import StylesDataModule
from gan_style.inference.load import load
from tests.small_models import saved

AWKWARD = Path(__file__).parents[3] / "shared/data/awkward"
TURNED, GREY = 0x0112, "grey to RGB"


def draw(path: Path, seed: int, mode: str = "RGB", **words: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (8, 10, 3), np.uint8)
    Image.fromarray(noise).resize((40, 32)).convert(mode).save(path, **words)
    return path


def fill(folder: Path, seed: int) -> None:
    """A folder as it comes from a phone and the web."""
    exif = Image.Exif()
    exif[TURNED] = 6
    draw(folder / "turned.jpg", seed, exif=exif)
    draw(folder / "saved.jfif", seed + 1, format="JPEG")
    draw(folder / "scan.png", seed + 2, mode="L")
    draw(folder / "sticker.png", seed + 3, mode="RGBA")
    draw(folder / "new.avif", seed + 4)
    draw(folder / "nameless", seed + 5, format="PNG")
    frames = [Image.new("RGB", (40, 32), (30 * i, 90, 200)) for i in range(1, 4)]
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:], duration=[40, 50, 60], loop=0)
    (folder / "notes.txt").write_text("about the pictures")
    (folder / "sidecar.xmp").write_bytes(b"<x/>")


SAID = {
    ".txt files that are no pictures": 1,
    ".xmp files that are no pictures": 1,
    "EXIF orientation applied": 1,
    GREY: 1,
    "alpha composited over white": 1,
    "further frames or pages, of which the first is used": 1,
}


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phone")
    for number, part in enumerate(("trainA", "trainB", "testA", "testB")):
        fill(root / part, 10 * number)
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("model") / "cut.ckpt", "model=cut", "model.generator.init_gain=0.1")


def counts(ledger: Ledger) -> dict[str, int]:
    return {entry.kind: entry.count for entry in ledger}


def times(number: int) -> dict[str, int]:
    return {kind: number * count for kind, count in SAID.items()}


def test_entries_are_counted_named_and_merged() -> None:
    ledger, other = Ledger(), Ledger()
    for number in range(5):
        ledger.add(f"set/trainA/{number}.png", [Note("grey to RGB"), Note("alpha", "mind it")])
    other.add("set/trainB/9.txt", [Note("text", left_out=True)])
    other.add("set/trainB/7.png", [Note("alpha", "mind it")])
    ledger.merge(other)
    assert ledger.sentences() == [
        "1 left out: text (trainB/9.txt)",
        "5 with grey to RGB (trainA/0.png, trainA/1.png, trainA/2.png, ...)",
        "6 with alpha (trainA/0.png, trainA/1.png, trainA/2.png, ...): mind it",
    ]
    assert json.loads(json.dumps(ledger.as_json()))[0] == {
        "kind": "grey to RGB",
        "remedy": "",
        "left_out": False,
        "count": 5,
        "names": ["set/trainA/0.png", "set/trainA/1.png", "set/trainA/2.png"],
    }
    assert not Ledger().sentences()


def test_silence_means_that_nothing_happened(tmp_path: Path) -> None:
    for part in ("trainA", "trainB"):
        draw(tmp_path / part / "a.png", 0)
    data = FoldersDataModule(root=str(tmp_path), image_size=16, load_size=16)
    data.setup()
    assert data.splits is not None
    assert not data.splits.ledger.sentences()


def test_training_lists_what_it_leaves_out_and_changes(phone: Path) -> None:
    data = FoldersDataModule(root=str(phone), image_size=16, load_size=16)
    data.setup()
    assert data.splits is not None
    assert counts(data.splits.ledger) == times(4)
    assert len(data.splits.train_A) == 7  # what can be read is read, whatever it is called


def test_the_log_of_a_run_says_it(phone: Path, run: Callable[..., Path], capsys: Any) -> None:
    sizes = ("data.image_size=24", "data.load_size=24")
    run("run", "model=cut", "data=folders", f"data.root={phone}", *sizes, "trainer.max_steps=1")
    told = capsys.readouterr().out
    for kind in SAID:
        assert kind in told


def test_inspect_says_the_same_on_its_page_and_in_json(phone: Path, tmp_path: Path, capsys: Any) -> None:
    main(["inspect", str(phone), "--image-size", "16", "--out", str(tmp_path / "found.json")])
    told = " ".join(capsys.readouterr().out.split())
    assert all(kind in told for kind in SAID)
    found = json.loads((tmp_path / "found.json").read_text())["files"]
    assert {entry["kind"]: entry["count"] for entry in found} == times(4)


def test_translate_says_it_and_keeps_the_frames(phone: Path, checkpoint: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["translate", str(checkpoint), str(phone / "testA"), str(tmp_path)]) == 0
    told = capsys.readouterr().err
    for kind in SAID.keys() - {"further frames or pages, of which the first is used"}:
        assert kind in told
    assert "further frames" not in told  # all of them are translated
    with Image.open(tmp_path / "moving.webp") as moving:
        assert (moving.n_frames, moving.info["loop"]) == (3, 0)
        durations = []
        for number in range(3):
            moving.seek(number)
            moving.load()
            durations.append(moving.info["duration"])
    assert durations == [40, 50, 60]


def test_shards_evaluate_and_compare_say_it(phone: Path, checkpoint: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["shards", str(phone), str(tmp_path / "packed")]) == 0
    told = capsys.readouterr().out
    assert "4 left out: .txt files that are no pictures" in told
    assert sorted(path.name for path in (tmp_path / "packed").glob("*.tar"))
    out = tmp_path / "compared.json"
    assert main(["compare", str(phone / "testA"), str(phone / "testB"), "--size", "32", "--out", str(out)]) == 0
    noted = " ".join(json.loads(out.read_text())["notes"])
    shown = " ".join("".join(capsys.readouterr()).split())
    for kind, count in times(2).items():
        assert f"{count} with {kind}" in noted or f"{count} left out: {kind}" in noted
        assert kind in shown


def test_folders_of_styles_say_it(phone: Path) -> None:
    data = StylesDataModule(content=str(phone / "trainA"), styles=str(phone), image_size=16, load_size=16)
    data.setup()
    assert data.splits is not None
    assert counts(data.splits.ledger) == times(4)  # the contents are one of the four styles: a file counts once


def test_python_is_warned_and_keeps_the_notes(phone: Path, checkpoint: Path) -> None:
    translator = load(checkpoint)
    with pytest.warns(FileNote, match="1 with grey to RGB") as caught:
        translator.translate(phone / "testA" / "scan.png")
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        translator.translate(phone / "testA" / "nameless")
    assert counts(translator.notes) == {GREY: 1}


@pytest.mark.skipif(not AWKWARD.is_dir(), reason="the awkward files are not at hand")
def test_what_a_phone_brings_is_read_or_named() -> None:
    layout = find_layout(AWKWARD / "sets/phone")
    assert len(layout.parts["trainA"]) in (16, 20)  # 20 where pillow-heif is installed
    if len(layout.parts["trainA"]) == 16:
        assert "left out: HEIC pictures" in layout.ledger.sentences()[0]
        assert "gan-style[heif]" in layout.ledger.sentences()[0]


def test_a_pipe_in_a_folder_is_left_out_and_blocks_nothing(tmp_path: Path) -> None:
    import os

    draw(tmp_path / "a.png", 0)
    os.mkfifo(tmp_path / "pipe")
    ledger = Ledger()
    assert [path.name for path in list_images(tmp_path, ledger)] == ["a.png"]
    assert ledger.sentences()[0].startswith("1 left out: nameless files that are no pictures")
