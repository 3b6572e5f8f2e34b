"""Which models the page offers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gan_style.apps.studio.models import GATYS, MAX_LOADED, Models, caution, find_runs, weights_at_hand
from gan_style.core.errors import UserError
from gan_style.inference.load import gatys, load
from tests.small_models import saved


@pytest.fixture
def runs(trained: Callable[..., Path], tmp_path: Path) -> Path:
    """A folder with one small run, which has a best and a last checkpoint."""
    trained("runs/cyclegan-tiny/first", "trainer.max_steps=1")
    return tmp_path / "runs"


def test_a_run_is_named_by_its_place_and_its_best_checkpoint_taken(runs: Path, tmp_path: Path) -> None:
    found = find_runs(runs)
    assert list(found) == ["cyclegan-tiny/first"]
    assert found["cyclegan-tiny/first"].name == "best.ckpt"
    found["cyclegan-tiny/first"].unlink()
    assert find_runs(runs)["cyclegan-tiny/first"].name == "last.ckpt"
    assert find_runs(tmp_path / "nothing") == {}


def test_the_newest_run_comes_first_and_runs_of_gatys_not_at_all(tmp_path: Path) -> None:
    for number, (name, model) in enumerate((("old", "cyclegan.CycleGAN"), ("new", "cut.CUT"), ("one", "gatys.Gatys"))):
        checkpoint = tmp_path / name / "checkpoints" / "best.ckpt"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.write_bytes(b"")
        os.utime(checkpoint, (number, number))
        (tmp_path / name / "config.yaml").write_text(f"model:\n  _target_: gan_style.models.{model}\n")
    assert list(find_runs(tmp_path)) == ["new", "old"]


def test_models_are_loaded_once_and_seen_when_they_are_new(runs: Path, tmp_path: Path) -> None:
    models = Models([], runs, None)
    assert models.names == ["cyclegan-tiny/first", "microast"]
    assert models.first == "microast"  # since none is given
    first = models.load("cyclegan-tiny/first")
    assert models.load("cyclegan-tiny/first") is first
    checkpoint = find_runs(runs)["cyclegan-tiny/first"]
    os.utime(checkpoint, ns=(1, 1))
    assert models.load("cyclegan-tiny/first") is not first  # the run has gone on
    assert len(models._loaded) <= MAX_LOADED
    (runs / "cyclegan-tiny").rename(runs / "moved")
    models.look()
    assert models.names == ["moved/first", "microast"]
    with pytest.raises(UserError, match="the model cyclegan-tiny/first is not there any more: look again"):
        models.load("cyclegan-tiny/first")
    with pytest.raises(UserError, match="choose a model first"):
        models.load(None)


def test_a_checkpoint_that_is_given_comes_first_and_once(runs: Path, tmp_path: Path) -> None:
    best = find_runs(runs)["cyclegan-tiny/first"]
    assert Models([str(best)], runs, None).names == ["cyclegan-tiny/first", "microast"]
    assert Models([str(best)], tmp_path / "others", None).names == ["first", "microast"]
    assert Models([str(best)], tmp_path / "others", None).first == "first"
    last = best.with_name("last.ckpt")
    assert Models([str(last)], runs, None).names == ["first", "cyclegan-tiny/first", "microast"]
    with pytest.raises(UserError, match="there is no checkpoint"):
        Models([str(tmp_path / "none.ckpt")], runs, None)


def test_a_person_reads_what_a_model_is(runs: Path, tmp_path: Path) -> None:
    models = Models([], runs, "random")
    assert models.label("cyclegan-tiny/first") == "CycleGAN: scenes, paint, 1 iteration"
    assert models.choices == [
        ("CycleGAN: scenes, paint, 1 iteration", "cyclegan-tiny/first"),
        ("MicroAST: any picture as a style, at once", "microast"),
        ("Gatys: each picture is optimised, for minutes", GATYS),
    ]
    shutil.copytree(runs / "cyclegan-tiny" / "first", runs / "cyclegan-tiny" / "second")
    models.look()
    alike = [f"CycleGAN: scenes, paint, 1 iteration (cyclegan-tiny/{name})" for name in ("first", "second")]
    assert sorted(label for label, _ in models.choices)[:2] == alike
    given = saved(tmp_path / "wave.ckpt", "model=adain")
    assert Models([str(given)], tmp_path / "others", None).label("wave") == "wave"


def test_what_cannot_be_good_yet_is_said(tmp_path: Path) -> None:
    random, real = saved(tmp_path / "random.ckpt", "model=adain"), tmp_path / "real.ckpt"
    assert "This AdaIN has a VGG of random weights, which sees no styles: expect pale" in caution(load(random))
    content = torch.load(random, weights_only=True)
    content["config"]["model"]["vgg"]["weights"] = "imagenet"
    for iteration, sentence in ((1, "for 1 iteration only: expect pale"), (999, "for 999 iterations only")):
        torch.save(content | {"iteration": iteration}, real)
        assert sentence in caution(load(real))
    torch.save(content | {"iteration": 1000}, real)
    assert caution(load(real)) == ""
    torch.save(content | {"imported": {"A2B": {"file": "a.pth", "sha256": ""}}}, real)
    assert caution(load(real)) == ""
    assert caution(gatys("random", 0, [])) == ""


def test_gatys_is_offered_only_with_weights_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GAN_STYLE_VGG", raising=False)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    assert weights_at_hand(None) is None
    assert Models([], tmp_path, None).names == ["microast"]
    assert Models([], tmp_path, "random").names == ["microast", GATYS]
    with pytest.raises(UserError, match="none"):
        Models([], tmp_path, str(tmp_path / "none.pth"))
    monkeypatch.setenv("GAN_STYLE_VGG", "of-the-environment.pth")
    assert weights_at_hand(None) == "of-the-environment.pth"
    assert weights_at_hand("given.pth") == "given.pth"
    monkeypatch.delenv("GAN_STYLE_VGG")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth").write_bytes(b"")
    assert weights_at_hand(None) == "imagenet"
