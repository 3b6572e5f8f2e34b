"""A file that would run code when it is unpickled does not, whatever verb is given it under whatever name."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import gan_style
from gan_style.checkpoints.official import read, to_official
from gan_style.cli import train
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.networks.resnet import ResnetGenerator
from tests.small_models import saved

PLANTED = {"a.ckpt": "checkpoint", "b.ckpt": "pickle", "c.pth": "zip", "d.pt2": "zip", "e.safetensors": "pickle"}


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def plant(path: Path, exploded: Path, form: str) -> None:
    """Three ways to hide it: a bare pickle, torch's zip, and that zip around what looks like a checkpoint of ours."""
    bomb = Bomb(exploded)
    if form == "pickle":
        path.write_bytes(pickle.dumps(bomb))
    elif form == "zip":
        torch.save({"model.1.weight": bomb}, path)
    else:
        content = torch.load(saved(path.with_name("good.ckpt"), "model=cut"), weights_only=True)
        torch.save(content | {"config": content["config"] | {"bomb": bomb}}, path)


# What is given the name of a file with weights; {bomb}, {photo}, {data}, {good} and {out} stand for files and folders.
VERBS: dict[str, str] = {
    "translate": "translate {bomb} {photo} {out}.png",
    "stylize": "stylize {photo} {out}.png --style {photo} --checkpoint {bomb}",
    "stylize --weights": "stylize {photo} {out}.png --style {photo} --weights {bomb}",
    "sheet": "sheet {out}.png --content {photo} --checkpoint {bomb}",
    "evaluate": "evaluate {bomb} --data {data}",
    "evaluate --against": "evaluate {good} --data {data} --against {bomb} --draws 2",
    "evaluate --weights": "evaluate {good} --data {data} --extractor inception --weights {bomb}",
    "compare --weights": "compare {data} {data} --extractor squeezenet --weights {bomb}",
    "describe": "describe {bomb}",
    "export": "export {bomb} {out}.onnx",
    "import": "import {bomb} {out}.ckpt",
    "import --back": "import {official} {out}.ckpt --back {bomb}",
    "train resume=": "train data=tiny resume={bomb}",
    "train init_from=": "train data=tiny model=cut trainer.max_steps=1 init_from={bomb}",
    "train model.warm_start=": "train data=tiny model=style_conditional trainer.max_steps=1 model.warm_start={bomb}",
    "train model.vgg.weights=": "train data=tiny model=adain model.vgg.weights={bomb}",
}


def run(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A verb, in this process."""
    if words[0] != "train":
        return main(words)
    monkeypatch.setattr(sys, "argv", ["train.py", *words[1:], f"run_dir={folder / 'run'}"])
    train._failures.clear()
    train._started.clear()
    try:
        train.main()
    except SystemExit as error:
        return int(error.code or 0)
    return 0


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_runs_it(
    tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / "set" / part).mkdir(parents=True)
        for name in "abcd":  # as many as a floor needs
            noise = np.random.default_rng(ord(name)).integers(0, 256, (24, 24, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / "set" / part / f"{name}.png")
    places = {"photo": tmp_path / "set/testA/a.png", "data": tmp_path / "set", "out": tmp_path / "out"}
    places |= {"good": saved(tmp_path / "whole.ckpt", "model=cut"), "official": tmp_path / "net_G.pth"}
    good = torch.load(places["good"], weights_only=True)
    torch.save(good | {"preprocessing": {"image_size": 16}}, places["good"])
    torch.save(to_official(ResnetGenerator(filters=2, blocks=1)), places["official"])
    exploded = tmp_path / "exploded"
    few = verb.startswith("train")  # it takes seconds to start
    for name, form in list(PLANTED.items())[:: 4 if few else 1]:
        bomb = tmp_path / name
        plant(bomb, exploded, form)
        words = [word.format(bomb=bomb, **places) for word in VERBS[verb].split()]
        assert run(words, tmp_path, monkeypatch) == 2, name
        said = capsys.readouterr().err
        assert name in said
        assert "Traceback" not in said
        assert not exploded.exists(), name
        assert not list(tmp_path.glob("out*")), name


def test_python_does_not_run_it_either(tmp_path: Path) -> None:
    for name, form in PLANTED.items():
        plant(tmp_path / name, tmp_path / "exploded", form)
        shutil.copy(tmp_path / name, tmp_path / "model.safetensors")
        with pytest.raises(UserError, match=name):
            gan_style.load(tmp_path / name)
        with pytest.raises(UserError, match=r"model\.safetensors"):
            gan_style.from_pretrained(tmp_path)
        assert not (tmp_path / "exploded").exists()


def test_the_bomb_is_live(tmp_path: Path) -> None:
    """Or the test above could not fail."""
    plant(tmp_path / "a.ckpt", tmp_path / "exploded", "checkpoint")
    torch.load(tmp_path / "a.ckpt", weights_only=False)
    assert (tmp_path / "exploded").is_dir()


def test_folders_that_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run folder for report, and a set of pictures with an array that holds objects."""
    exploded = tmp_path / "exploded"
    run, data = tmp_path / "run", tmp_path / "set"
    (run / "checkpoints").mkdir(parents=True)
    plant(run / "checkpoints" / "best.ckpt", exploded, "pickle")
    for name in ("metrics.csv", "scores.json", "run.json", "config.yaml"):
        plant(run / name, exploded, "pickle")
    for folder in ("trainA", "trainB"):
        (data / folder).mkdir(parents=True)
        np.save(data / folder / "a.npy", np.array([Bomb(exploded)], dtype=object), allow_pickle=True)
    for words in (("report", str(run)), ("inspect", str(data)), ("shards", str(data), str(tmp_path / "shards"))):
        assert main(list(words)) in (0, 1, 2)
        assert "Traceback" not in capsys.readouterr().err
        assert not exploded.exists(), words


def test_weights_that_were_on_a_gpu_are_read_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = torch.load(saved(tmp_path / "a.ckpt", "model=cut"), weights_only=True)
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda _: "cuda:0")
        torch.save(content, tmp_path / "cuda.ckpt")
        torch.save({"model.1.weight": torch.zeros(2)}, tmp_path / "cuda.pth")
    assert b"cuda:0" in (tmp_path / "cuda.ckpt").read_bytes()
    image = torch.rand(3, 20, 20) * 2 - 1
    found, expected = (gan_style.load(tmp_path / f"{n}.ckpt", device="cpu").translate(image) for n in ("cuda", "a"))
    assert torch.equal(found, expected)
    with pytest.raises(UserError, match="is no generator of CycleGAN"):
        read(tmp_path / "cuda.pth")


@pytest.mark.parametrize(
    "words", [("translate", "out.png"), ("export", "out.onnx"), ("describe",), ("import", "out.ckpt")]
)
def test_broken_files_and_other_tools(
    tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    good = saved(tmp_path / "a.ckpt", "model=cut").read_bytes()
    Image.new("RGB", (20, 20)).save(tmp_path / "in.png")
    files = {
        "empty": b"",
        "half": good[: len(good) // 2],
        "text": b"epoch 3, all is well",
        "zip": b"PK\x03\x04 broken",
    }
    for name, content in files.items():
        for suffix in (".ckpt", ".safetensors", ".pth"):
            path = tmp_path / f"{name}{suffix}"
            path.write_bytes(content)
            outs = [str(tmp_path / "in.png")] * (words[0] == "translate") + [str(tmp_path / word) for word in words[1:]]
            assert main([words[0], str(path), *outs]) == 2
            said = capsys.readouterr().err
            assert path.name in said
            assert said.count("\n") == 1
            assert not any(Path(word).exists() for word in outs if "out." in word)


def test_wrong_channels(tmp_path: Path) -> None:
    translator = gan_style.load(saved(tmp_path / "a.ckpt", "model=cut"), device="cpu")
    for image in (torch.zeros(1, 20, 20), torch.zeros(4, 20, 20), np.zeros((20, 20, 4), np.uint8)):
        with pytest.raises(UserError, match=r"channels?, but this model takes pictures of 3"):
            translator.translate(image)
