"""The functions behind the verbs, called as a user's script calls them."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

import gan_style
from gan_style import TrainingResult, UserError
from gan_style.core.config import config_dir
from tests.conftest import SMALL, SMALL_RESNET

WORDS = tuple(word for word in (*SMALL, *SMALL_RESNET) if not word.startswith(("run_dir", "name")))
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    folder = tmp_path_factory.mktemp("api")
    return gan_style.train(*WORDS, "trainer.max_steps=2", run_dir=folder / "run")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight noisy pictures of each part of a set."""
    from gan_style.data.saving import save_image

    root = tmp_path_factory.mktemp("set")
    generator = torch.Generator().manual_seed(0)
    for part in ("trainA", "trainB", "testA", "testB"):
        (root / part).mkdir()
        for i in range(4):
            noise = torch.randint(0, 256, (32, 32, 3), generator=generator, dtype=torch.uint8)
            save_image(noise.numpy(), root / part / f"{i}.png")
    return root


def test_train_gives_what_it_left(result: TrainingResult) -> None:
    assert result.run_dir.name == "run"
    assert (result.run_dir / "report.html").is_file()
    assert result.best == result.run_dir / "checkpoints" / "best.ckpt"
    assert result.last == result.run_dir / "checkpoints" / "last.ckpt"
    assert result.scores["best"]["A2B"]["psnr"]["value"] > 0
    assert (result.run_dir / "config.yaml").read_text().count("name: cyclegan-tiny\n") == 1


def test_train_again_in_this_process(result: TrainingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another model, then going on with the first; neither leaves handlers or Hydra other than before."""
    monkeypatch.chdir(tmp_path)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    arguments = [*sys.argv]
    small = [word for word in WORDS if not word.startswith("model.discriminator")]
    with initialize_config_dir(str(config_dir()), version_base="1.2"):  # as a program around us may use Hydra itself
        other = gan_style.train("model=cut", *small, "model.num_patches=16", "trainer.max_steps=1")
        assert compose("train", ["name=x"])["name"] == "x"
    assert not GlobalHydra.instance().is_initialized()
    assert other.run_dir.parent == Path("runs") / "cut-tiny"
    again = gan_style.train(*WORDS, "trainer.max_steps=3", "resume=last", run_dir=str(result.run_dir))
    assert torch.load(again.last, weights_only=True)["iteration"] == 3
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert sys.argv == arguments
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_others(result: TrainingResult, scenes: Path, tmp_path: Path) -> None:
    scores = gan_style.evaluate(result.best, scenes, draws=2, cache=False)
    assert scores[str(result.best)]["scores"].keys() == {"A2B", "B2A"}
    two = gan_style.evaluate([result.best, result.last], scenes, limit=4, draws=2, cache=False, device="cpu")
    assert list(two) == [str(result.best), str(result.last)]
    compared = gan_style.compare(scenes / "testB", scenes / "testA", size=32, draws=2, cache=False)
    assert compared["protocol"]["N_real"] == 4
    inspection, findings = gan_style.inspect(scenes, image_size=32)
    assert inspection.splits["trainA"].count == 4
    assert all(finding.remedy for finding in findings)
    said = gan_style.describe(result.best)
    assert said["model"] == "gan_style.models.cyclegan.CycleGAN"
    assert gan_style.load(result.best, device="cpu").translate(torch.zeros(3, 32, 32)).shape == (3, 32, 32)
    assert gan_style.write_report(result.run_dir) == result.run_dir / "report.html"
    official = tmp_path / "net_G.pth"
    written = gan_style.export(result.best, official, direction="B2A")
    assert written.path == official
    assert written.distance.is_rounding
    content = gan_style.import_official(official, tmp_path / "in.ckpt", size=32)
    assert content["config"]["model"]["directions"] == ["A2B"]
    assert gan_style.describe(tmp_path / "in.ckpt")["directions"] == "A2B"


@pytest.mark.slow
def test_plan() -> None:
    found = gan_style.plan(*WORDS, "trainer.max_steps=10", iterations=3, memory=1e12)
    assert found["iterations"] == 10
    assert found["proposals"][0]["command"].startswith("python train.py ")


MISTAKES = {
    "an unknown key": (lambda: gan_style.train("model.lambda_cylce=5"), "did you mean lambda_cycle"),
    "an unknown group": (lambda: gan_style.train("model=cyclegam"), "did you mean cyclegan"),
    "a flag": (lambda: gan_style.train("--multirun"), "is no setting of a training"),
    "no text": (lambda: gan_style.train(7), "is no setting of a training"),
    "a folder of configs": (
        lambda: gan_style.train("data=tiny", config_dir="none"),
        "there is no folder of configs none",
    ),
    "no model": (lambda: gan_style.train("model=null"), r"see python train\.py --help"),
    "a foreign package": (lambda: gan_style.train("data=tiny", "model._target_=os.system"), "is not allowed"),
    "a run that is there": (
        lambda: gan_style.train("data=tiny", "resume=none.ckpt"),
        "there is no checkpoint none.ckpt",
    ),
    "no checkpoint": (
        lambda: gan_style.evaluate("none.ckpt", "scenes", cache=False),
        "there is no checkpoint none.ckpt",
    ),
    "no set": (lambda: gan_style.evaluate([], "none"), "none"),
    "draws": (lambda: gan_style.compare(".", ".", draws=-1), "."),
    "a size": (lambda: gan_style.compare(".", ".", size=0), "size=0 is not valid"),
    "no folder": (lambda: gan_style.inspect("none"), "none"),
    "a crop": (lambda: gan_style.inspect(".", image_size=0), "image_size=0 is not valid"),
    "nothing to describe": (lambda: gan_style.describe("none.ckpt"), "there is no checkpoint"),
    "a suffix": (lambda: gan_style.export("none.ckpt", "a.gif"), "its name must end in one of"),
    "a direction": (lambda: gan_style.import_official("a.pth", "a.ckpt", direction="A"), "direction='A' is not known"),
    "an import's size": (lambda: gan_style.import_official("a.pth", "a.ckpt", size=0), "size=0 is not valid"),
    "iterations": (lambda: gan_style.plan("data=tiny", iterations=1), "iterations=1 is not valid"),
    "a budget": (lambda: gan_style.plan("data=tiny", memory=-1), "memory=-1 is not valid"),
    "no run": (lambda: gan_style.write_report(Path("none")), "there is no run folder none"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_a_user_error(mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call, said = MISTAKES[mistake]
    with pytest.raises(UserError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert not GlobalHydra.instance().is_initialized()


def test_configs_of_ones_own(tmp_path: Path) -> None:
    """A folder is read as `--config-dir` has it read, and may allow nothing by itself."""
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    file = tmp_path / "conf" / "experiment" / "mine.yaml"
    file.write_text("# @package _global_\nallow: [posix.]\n")
    with pytest.raises(UserError, match="stands in a file, where it is not taken"):
        gan_style.train("data=tiny", "experiment=mine", config_dir=tmp_path / "conf")
    file.write_text("# @package _global_\nhydra:\n  callbacks:\n    x: {_target_: posix.mkdir, path: x}\n")
    with pytest.raises(UserError, match=r"hydra\.callbacks is not taken"):
        gan_style.train("data=tiny", "experiment=mine", config_dir=tmp_path / "conf")
    file.write_text("# @package _global_\ntrainer:\n  max_steps: 1\nname: of-a-file\n")
    done = gan_style.train(*WORDS, "experiment=mine", config_dir=tmp_path / "conf", run_dir=tmp_path / "run")
    assert "name: of-a-file" in (done.run_dir / "config.yaml").read_text()
    assert torch.load(done.last, weights_only=True)["iteration"] == 1


@pytest.mark.slow
def test_the_door_can_be_called_too(tmp_path: Path) -> None:
    """`import gan_style.train` puts the module of `python -m gan_style.train` in the function's place."""
    code = (
        "import gan_style\nfirst = gan_style.train\nimport gan_style.train\n"
        "assert first is not gan_style.train\n"
        "try:\n    gan_style.train('model=cyclegam')\nexcept gan_style.UserError as error:\n    print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "did you mean cyclegan" in done.stdout, done.stderr


def test_every_name_is_there() -> None:
    for name, place in gan_style.PLACES.items():
        assert getattr(importlib.import_module(f"gan_style.{place}"), name).__doc__
        assert name in dir(gan_style)
        assert name in (ROOT / "docs" / "python.md").read_text()
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = gan_style.nothing


@pytest.mark.parametrize(
    ("given", "policy", "turns"),
    [
        ({}, "PASSIVE", "3000"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE", "None"),
        ({"GOMP_SPINCOUNT": "7"}, "PASSIVE", "7"),
    ],
)
def test_threads_that_wait_spin_shortly_unless_told_otherwise(given: dict[str, str], policy: str, turns: str) -> None:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    env = {name: value for name, value in os.environ.items() if name not in names} | given
    code = f"import gan_style, os; print(*(os.environ.get(name) for name in {names}))"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [policy, turns]
