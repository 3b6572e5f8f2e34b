"""A package of one's own, made by `gan-style new` outside the checkout, from training to export (docs/your_own.md)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gan_style
from gan_style.apps.studio.models import Models
from gan_style.cli.main import main
from gan_style.cli.new import new
from gan_style.core.errors import UserError
from gan_style.testing import small_config
from gan_style.training.run import train

ROOT = Path(__file__).parents[1]
SMALL = (
    "experiment=ownlab",
    "allow=[ownlab.]",
    "data.count=8",
    "data.val_count=4",
    "data.image_size=32",
    "data.load_size=36",
    "model.generator.filters=4",
    "model.generator.blocks=2",
    "model.discriminator.filters=4",
    "trainer.val_every=10",
)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a new package, as the working folder."""
    folder = new("ownlab", tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)).save(folder / "photo.png")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])  # the verbs look in the folder of the command
    before = {*sys.modules}
    yield folder
    for name in {*sys.modules} - before:
        if name.split(".")[0] == "ownlab":
            del sys.modules[name]


def test_it_trains_loads_and_translates_where_it_is_allowed(lab: Path) -> None:
    sys.path.append(str(lab))
    config = small_config(*SMALL, "trainer.max_steps=2", "run_dir=runs/mine", config_dir=lab / "conf")
    run = train(config)
    scores = json.loads((run / "scores.json").read_text())["scores"]["A2B"]
    assert scores["edge_error"]["value"] > 0
    checkpoint = run / "checkpoints" / "best.ckpt"
    with pytest.raises(UserError, match=r"--allow ownlab\."):
        gan_style.load(checkpoint)
    translated = gan_style.load(checkpoint, allow=("ownlab.",)).translate("photo.png")
    assert translated.size == (41, 30)
    assert main(["describe", str(checkpoint)]) == 2
    assert main(["describe", str(checkpoint), "--allow", "ownlab."]) == 0


def verb(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """`gan-style WORDS`, here: what it says."""
    capsys.readouterr()
    assert main([*words]) == 0
    return capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_training_to_export_outside_the_checkout(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("train", "--config-dir", "conf", *SMALL, "trainer=cpu", "run_dir=runs/mine", "trainer.max_steps=20")
    done = subprocess.run(
        [sys.executable, "-m", "gan_style", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "iteration 20/20" in done.stdout
    sys.path.append(str(lab))
    further = small_config(*SMALL, "trainer.max_steps=24", "run_dir=runs/mine", "resume=last", config_dir=lab / "conf")
    assert torch.load(train(further) / "checkpoints" / "last.ckpt", weights_only=True)["iteration"] == 24

    last, allow = "runs/mine/checkpoints/last.ckpt", ("--allow", "ownlab.")
    assert main(["describe", last]) == 2
    assert "is of the package ownlab, not of gan_style" in capsys.readouterr().err
    assert "ownlab.method.KeepEdges" in verb(capsys, "describe", last, *allow)
    verb(capsys, "translate", last, "photo.png", "out.png", *allow)
    verb(capsys, "translate", last, "photo.png", "tiled.png", "--tile", "16", *allow)
    whole, tiled = (np.asarray(Image.open(name), np.int16) for name in ("out.png", "tiled.png"))
    assert whole.shape == (30, 41, 3)
    assert np.abs(whole - tiled).max() <= 1
    assert "edge_error" in verb(capsys, "evaluate", last, "--data", "scenes", "--limit", "8", "--draws", "5", *allow)
    verb(capsys, "report", "runs/mine")
    assert "Edge error" in Path("runs/mine/report.html").read_text()

    verb(capsys, "export", last, "out.safetensors", *allow)
    verb(capsys, "export", last, "out.onnx", *allow)
    same_by_onnx(last)
    offered = Models([], Path("runs"), None, allow=("ownlab.",))  # what the studio's page works with
    assert offered.names[0] == "mine"
    assert offered.load("mine").translate("photo.png").size == (41, 30)


def same_by_onnx(checkpoint: str) -> None:
    """The graph gives what the checkpoint gives, without the package."""
    onnxruntime = pytest.importorskip("onnxruntime")
    translator = gan_style.load(checkpoint, allow=("ownlab.",), device="cpu")
    image = torch.rand(1, 3, 30, 41) * 2 - 1
    session = onnxruntime.InferenceSession("out.onnx")
    (output,) = session.run(["output"], {"picture": image.numpy()})
    expected = translator.translate(image)
    assert isinstance(expected, torch.Tensor)
    assert np.abs(output - expected.numpy()).max() < 1e-4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_its_own_tests_pass(lab: Path) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(lab.parent / "own")]
    done = subprocess.run(words, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d+ passed", done.stdout)
