"""Messages name what was seen, and a remedy that helps: through the verbs."""

from __future__ import annotations

import errno
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_style.checkpoints import checkpoint
from gan_style.cli import train
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.core.extras import extra
from gan_style.core.paths import absent
from tests.small_models import saved

Refused = Callable[..., str]
SMALL = ("model.generator.filters=4", "model.generator.blocks=1", "model.discriminator.filters=4", "trainer=cpu")


def started(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Exit status of a verb in this process; Hydra reads the words of `train` from sys.argv."""
    if words[0] != "train":
        return main(list(words))
    monkeypatch.setattr(sys, "argv", ["train.py", *words[1:]])
    train._failures.clear()
    train._started.clear()
    try:
        train.main()
    except SystemExit as error:
        return int(error.code or 0)
    return 0


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Run a verb that is refused before anything is written, and return its sentence."""

    def run(*words: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        status = started(monkeypatch, *words)
        said = capsys.readouterr().err
        assert status == 2
        assert said.count("\n") == 1, said
        assert sorted(tmp_path.rglob("*")) == before
        return said

    return run


def pictures(root: Path, width: int, height: int) -> Path:
    for part in ("trainA", "trainB", "testA", "testB"):
        (root / part).mkdir(parents=True)
        for number in range(2):
            noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(noise).save(root / part / f"{number}.png")
    return root


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("trainer=mps", "trainer.accelerator=mps"),
        ("trainer=cuda", "trainer=gpu"),
        ("trainer=16-mixed", "trainer.precision=16-mixed"),
        ("trainer=bf16-mixed", "trainer.precision=bf16-mixed"),
        ("trainer=fp16", "trainer.precision=16-mixed"),
        ("model=resnet9", "model/generator=resnet9"),
        ("model=patch70", "model/discriminator=patch70"),
        ("model=lsgan", "model.gan_mode=lsgan"),
        ("model=monet2photo", "data=monet2photo"),
        ("data=cyclegan", "model=cyclegan"),
        ("data=resize_and_crop", "data.preprocess=resize_and_crop"),
        ("data=photos/mine", "data=folders data.root=photos/mine"),
        ("model/generator=cyclegan", "model=cyclegan"),
    ],
)
def test_a_value_of_another_key(refused: Refused, given: str, meant: str) -> None:
    assert f"{given} is not known: write {meant} (all: " in refused("train", given)


def test_a_value_of_no_key_is_not_given_one(refused: Refused) -> None:
    assert "trainer=nothing is not known; there are: auto, cpu, ddp, gpu\n" in refused("train", "trainer=nothing")
    assert "model=cyclegam is not known: did you mean cyclegan? (all: " in refused("train", "model=cyclegam")


def test_a_config_behind_a_dot(refused: Refused) -> None:
    said = refused("train", "model.generator=resnet9", "trainer.max_steps=1")
    assert "model.generator=resnet9 is not valid: a config is chosen by model/generator=resnet9" in said


@pytest.mark.skipif(os.sep != "/", reason="backslashes are separators here")
def test_a_path_of_windows(refused: Refused, tmp_path: Path) -> None:
    model, image = saved(tmp_path / "a.ckpt", "model=cut"), tmp_path / "in.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(image)
    clause = "(backslashes are no separators here: that would be data/monet)"
    drive = "(backslashes are no separators here: that would be /mnt/c/Users/me/photos in WSL)"
    for words, said in (
        (("train", "data=folders", r"data.root=C:\Users\me\photos"), drive),
        (("train", r"data=C:\Users\me\photos"), drive),
        (("train", "data=folders", r"data.root=data\monet"), clause),
        (("train", "data=folders", r"data.A=data\monet", "data.B=x"), clause),
        (("train", "data=styles", r"data.root=data\monet"), clause),
        (("train", "data=shards", r"data.root=data\monet"), clause),
        (("train", r"resume=data\monet"), clause),
        (("train", r"init_from=data\monet", *SMALL), clause),
        (("train", r"run_dir=data\monet"), clause),
        (("translate", r"data\monet", str(image), str(tmp_path / "out.png")), clause),
        (("translate", str(model), r"data\monet", str(tmp_path / "out.png")), clause),
        (("translate", str(model), str(image), r"data\monet"), clause),
        (("import", r"data\monet", str(tmp_path / "b.ckpt")), clause),
        (("inspect", r"data\monet"), clause),
    ):
        assert said in refused(*words), words


def test_a_backslash_in_a_name_that_is_there_is_part_of_it(tmp_path: Path) -> None:
    model, image = saved(tmp_path / "a.ckpt", "model=cut"), tmp_path / "in\\1.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(image)
    assert main(["translate", str(model), str(image), str(tmp_path / "out.png")]) == 0
    assert absent("data/monet") == "data/monet"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("data.preprocess=none", "data.image_size=64"),
            "is 96x16 (width x height) under data.preprocess=none, too small for PatchDiscriminator, which needs "
            "24x24: take data.preprocess=resize_and_crop, leave such pictures out, or lower the layers",
        ),
        (
            ("data.preprocess=scale_width", "data.image_size=8", "data.load_size=48"),
            "is 48x8 (width x height) under data.preprocess=scale_width, too small for PatchDiscriminator, which needs "
            "24x24: raise data.load_size, or lower the layers",
        ),
        (("data.image_size=16", "data.load_size=16"), "data.image_size=16 is too small for PatchDiscriminator, which"),
    ],
)
def test_small_pictures_are_told_what_helps_before_training(
    refused: Refused, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    root = pictures(tmp_path / "flat", 96, 16)
    run = ("train", "data=folders", f"data.root={root}", f"run_dir={tmp_path / 'run'}", "trainer.max_steps=2", *SMALL)
    assert said in refused(*run, *words)


def test_of_several_judges_the_one_that_needs_more_is_named(refused: Refused, tmp_path: Path) -> None:
    root = pictures(tmp_path / "small", 40, 32)
    words = ("model/discriminator=patches", "data=folders", f"data.root={root}")
    small = ("data.image_size=12", "data.load_size=12", f"run_dir={tmp_path / 'run'}", "trainer.max_steps=1")
    small += ("model.generator.filters=4", "trainer=cpu")
    said = (
        "data.image_size=12 is too small for TextureDiscriminator (the judge texture), which needs 16 on each side: "
        "raise it, or "
    )
    assert f"{said}leave that judge out, model.discriminator.judges.texture=null" in refused("train", *words, *small)
    alone = refused("train", *words, *small, "model.discriminator.judges.patch=null")
    assert f"{said}take another model/discriminator" in alone


def test_the_remedies_help_and_image_size_says_nothing_of_pictures_of_their_own_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat, large = pictures(tmp_path / "flat", 96, 16), pictures(tmp_path / "large", 40, 32)
    short = ("trainer.max_steps=1", "data.num_workers=0", "data.val_count=1", "~callbacks.set_scores", *SMALL)
    for number, words in enumerate(
        (
            (f"data.root={flat}", "data.preprocess=resize_and_crop", "data.image_size=32", "data.load_size=36"),
            (f"data.root={flat}", "data.preprocess=none", "model.discriminator.layers=1"),
            (f"data.root={large}", "data.preprocess=none", "data.image_size=16"),  # refused before for 16
        )
    ):
        run = ("train", "data=folders", f"run_dir={tmp_path / str(number)}", *short, *words)
        assert started(monkeypatch, *run) == 0


def test_no_space_is_said_only_of_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(code: int) -> str:
        def replace(*_: object) -> None:
            raise OSError(code, os.strerror(code), str(tmp_path / "a.ckpt"))

        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(UserError) as raised:
            checkpoint.save({}, tmp_path / "a.ckpt")
        return str(raised.value)

    assert failing(errno.ENOSPC).endswith("(No space left on device): free some space, then go on with resume=last")
    assert "(Permission denied): check the folder, its rights and the disk, then go on with" in failing(errno.EACCES)


def test_a_package_that_is_there_and_broken_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_here.py").write_text("import nothing_of_that_name")
    with pytest.raises(UserError, match=r"broken_here cannot be imported \(No module named 'nothing_of.*'\): pip"):
        extra("export", "broken_here")
    with pytest.raises(UserError, match="absent_here is not installed: pip"):
        extra("export", "absent_here.part")


def test_a_zip_of_torch_is_not_called_another_zip(refused: Refused, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "whole.pth")
    for name, kept in (("torch.pth", "data.pkl"), ("other.pth", "")):
        with zipfile.ZipFile(tmp_path / "whole.pth") as source, zipfile.ZipFile(tmp_path / name, "w") as target:
            for part in source.namelist():
                if kept and part.endswith(kept):
                    target.writestr(part, source.read(part))
            target.writestr("notes.txt", "nothing")
    assert "torch cannot read it (" in refused("describe", str(tmp_path / "torch.pth"))
    assert "it is another zip; name another file" in refused("describe", str(tmp_path / "other.pth"))
