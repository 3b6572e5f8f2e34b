"""A package of one's own, trained to exported: allowed by the command, the caller or the environment; by no file."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gan_style
from experiments import evaluate, video_flicker
from gan_style.apps.studio.models import Models
from gan_style.cli import train
from gan_style.cli.main import main
from gan_style.core import allowed
from gan_style.core.config import build, check
from gan_style.core.errors import UserError
from gan_style.training.run import checked
from tests.conftest import forget, small_config

PACKAGE = {
    "__init__": "",
    "losses": """
        from torch import Tensor, nn

        class Distance(nn.Module):
            def __init__(self, weight: float = 1.0) -> None:
                super().__init__()
                self.weight = weight

            def forward(self, a: Tensor, b: Tensor) -> Tensor:
                return self.weight * (a - b).square().mean()
        """,
    "nets": """
        from gan_style.networks.patchgan import PatchDiscriminator
        from gan_style.networks.resnet import ResnetGenerator

        class Net(ResnetGenerator):
            pass

        class Judge(PatchDiscriminator):
            pass
        """,
    "methods": """
        from torch import nn
        from gan_style.models.cyclegan import CycleGAN

        class Mine(CycleGAN):
            def __init__(self, *args: object, distance: nn.Module, **rest: object) -> None:
                super().__init__(*args, **rest)
                self.distance = distance

            def generator_loss(self, images):
                total, terms = super().generator_loss(images)
                terms["mine"] = self.distance(images["fake_B"], images["real_A"])
                return total + terms["mine"], terms
        """,
    "schedules": """
        from gan_style.models.schedules import ConstantThenLinear

        class Slow(ConstantThenLinear):
            pass
        """,
    "data": """
        from gan_style.data.drawn import ScenesDataModule

        class Scenes(ScenesDataModule):
            pass
        """,
    "watch": """
        import pytorch_lightning as pl
        from gan_style.training.loggers import csv_loggers

        class Brightness(pl.Callback):
            def on_validation_end(self, trainer, pl_module):
                (trainer.logger.log_metrics if trainer.logger else print)({"val/mine": 1.0}, step=pl_module.iteration)

        def logs(*, run_dir, from_iteration=0, run_id="", settings=None):
            return csv_loggers(run_dir=run_dir, from_iteration=from_iteration)
        """,
}
MODEL = """
_target_: mylab.methods.Mine
distance: {_target_: mylab.losses.Distance, weight: 2.0}
generator: {_target_: mylab.nets.Net, _partial_: true, filters: 4, blocks: 1}
discriminator: {_target_: mylab.nets.Judge, _partial_: true, filters: 4}
schedule: {_target_: mylab.schedules.Slow, constant: 10, decay: 10}
optimizer_G: {_target_: torch.optim.Adam, _partial_: true, lr: 2.0e-4}
optimizer_D: {_target_: torch.optim.Adam, _partial_: true, lr: 2.0e-4}
"""
WORDS = (
    "model=mine",
    "data=tiny",
    "data._target_=mylab.data.Scenes",
    "logger._target_=mylab.watch.logs",
    "+callbacks.mine._target_=mylab.watch.Brightness",
    "trainer.max_steps=2",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the package `mylab` and configs for it, both as a user would write them."""
    forget("mylab")
    folder = tmp_path_factory.mktemp("lab")
    (folder / "mylab").mkdir()
    for name, text in PACKAGE.items():
        lines = [line.removeprefix(" " * 8) for line in text.strip("\n").split("\n")]
        (folder / "mylab" / f"{name}.py").write_text("\n".join(lines))
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "model" / "mine.yaml").write_text(MODEL)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    forget("mylab")


def trained(lab: Path, *words: str) -> int:
    """The verb `train`, in this process."""
    train._failures.clear()
    train._started.clear()
    given = sys.argv
    sys.argv = ["train", "--config-dir", str(lab / "conf"), *WORDS, *words]
    try:
        train.main()
    except SystemExit as error:
        return int(error.code or 0)
    finally:
        sys.argv = given
    return 0


@pytest.fixture(scope="module")
def run_dir(lab: Path) -> Path:
    """A run of nothing but own parts."""
    assert trained(lab, f"run_dir={lab / 'run'}", "allow=[mylab.]") == 0
    return lab / "run"


@pytest.fixture(scope="module")
def photos(lab: Path) -> Path:
    for part in ("trainA", "trainB", "testA", "testB"):
        (lab / "set" / part).mkdir(parents=True)
        for i in range(4):
            noise = np.random.default_rng(i).integers(0, 255, (32, 32, 3), np.uint8)
            Image.fromarray(noise).save(lab / "set" / part / f"{i}.png")
    return lab / "set"


VERBS = {
    "describe": "describe {ckpt}",
    "translate": "translate {ckpt} {photo} {out}/a.png",
    "translate a folder of frames": "translate {ckpt} {set}/testA {out}/frames --smooth flow",
    "sheet": "sheet {out}/s.png --content {photo} --checkpoint {ckpt}",
    "evaluate": "evaluate {ckpt} --data {set} --draws 2 --no-cache --against {other}",
    "export safetensors": "export {ckpt} {out}/a.safetensors",
    "export onnx": "export {ckpt} {out}/a.onnx --direction B2A",
}


@pytest.mark.parametrize(
    "verb", [pytest.param(verb, marks=pytest.mark.slow) if "onnx" in verb else verb for verb in VERBS]
)
def test_verbs(verb: str, run_dir: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if "onnx" in verb:
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    if "safetensors" in verb:
        pytest.importorskip("safetensors")
    ckpt = run_dir / "checkpoints" / "best.ckpt"
    other = shutil.copy(ckpt, tmp_path / "other.ckpt")
    (tmp_path / "out").mkdir()
    places = {"ckpt": ckpt, "other": other, "set": photos, "photo": photos / "testA" / "0.png", "out": tmp_path / "out"}
    words = [word.format(**places) for word in VERBS[verb].split()]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "best.ckpt: " in said
    assert "_target_=mylab." in said
    assert "of the package mylab, not of gan_style: if you trust that package and this file, add --allow mylab." in said
    assert not list((tmp_path / "out").iterdir())
    assert main([*words, "--allow", "other.", "--allow", "mylab."]) == 0, capsys.readouterr().err


def test_describe_names_every_part(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", str(run_dir / "checkpoints" / "last.ckpt"), "--allow", "mylab."]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "generator     Net (filters=4, blocks=1)" in lines
    assert "distance      Distance (weight=2.0)" in lines
    assert not any(line.startswith(("optimizer", "schedule", "discriminator")) for line in lines)


def test_a_resume_with_other_settings_of_an_own_network_is_refused(
    run_dir: Path, lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tensors are the same, and the network is not; the weight of a loss is no architecture."""
    go_on = [f"run_dir={run_dir}", "resume=last", "allow=[mylab.]"]
    for part, setting, word in (
        ("generator", "norm", "+model.generator.norm=none"),
        ("discriminator", "_target_", "model.discriminator._target_=gan_style.networks.patchgan.PatchDiscriminator"),
    ):
        assert trained(lab, *go_on, word) == 2
        said = capsys.readouterr().err
        assert f"last.ckpt is of another architecture: model.{part}.{setting}=" in said
        assert said.count("\n") == 1
    shutil.copytree(run_dir, lab / "again")
    assert trained(lab, f"run_dir={lab / 'again'}", *go_on[1:], "model.distance.weight=3.0") == 0
    assert "model.distance.weight=2.0 there, model.distance.weight=3.0 here" in capsys.readouterr().out


def test_python(run_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ckpt = run_dir / "checkpoints" / "last.ckpt"
    image = torch.zeros(3, 32, 32)
    with pytest.raises(UserError, match=r'in Python: load\(\.\.\., allow=\("mylab\.",\)\)'):
        gan_style.load(ckpt)
    translator = gan_style.load(ckpt, device="cpu", allow=("mylab.",))
    assert type(translator.model).__module__ == "mylab.methods"
    assert translator.translate(image).shape == (3, 32, 32)
    assert gan_style.load(ckpt, device="cpu", allow="mylab").domains == translator.domains
    monkeypatch.setenv("GAN_STYLE_ALLOW", "other, mylab.")
    assert gan_style.load(ckpt, device="cpu").domains == translator.domains
    monkeypatch.setenv("GAN_STYLE_ALLOW", "")
    with pytest.raises(UserError, match="of the package mylab"):
        Models([str(ckpt)], tmp_path, None)
    models = Models([str(ckpt)], tmp_path, None, ["mylab."])
    assert type(models.load(models.names[0]).model).__module__ == "mylab.methods"


def test_a_folder_of_the_hub(run_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    translator = gan_style.load(run_dir / "checkpoints" / "last.ckpt", device="cpu", allow=("mylab.",))
    translator.save_pretrained(tmp_path / "mine")
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "gan_style.from_pretrained(\"mine\", allow=('mylab.',))" in card
    with pytest.raises(UserError, match="of the package mylab"):
        gan_style.from_pretrained(tmp_path / "mine", device="cpu")
    again = gan_style.from_pretrained(tmp_path / "mine", device="cpu", allow=("mylab.",))
    image = torch.rand(3, 32, 32) * 2 - 1
    assert torch.equal(again.translate(image), translator.translate(image))


def test_the_environment_allows_for_training_and_every_verb(
    run_dir: Path, lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(lab, f"run_dir={lab / 'none'}") == 2
    assert "allow=[mylab.] adds a package of your own" in capsys.readouterr().err
    assert not (lab / "none").exists()
    monkeypatch.setenv("GAN_STYLE_ALLOW", "mylab.")
    assert trained(lab, f"run_dir={run_dir}", "resume=last", "trainer.max_steps=3") == 0
    said = capsys.readouterr().out
    assert "iteration 2 to 3" in said
    assert main(["describe", str(run_dir / "checkpoints" / "last.ckpt")]) == 0
    assert main(["report", str(run_dir)]) == 0


def test_experiments_take_it(run_dir: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ckpt = run_dir / "checkpoints" / "best.ckpt"
    words = [f"runs={ckpt}", "draws=2", "no_cache=true", f"out={tmp_path / 'out'}", "--allow", "mylab."]
    assert evaluate.main([*words[:-2], f"data={photos}"]) == 2
    assert "add --allow mylab." in capsys.readouterr().err
    assert evaluate.main([*words, f"data={photos}"]) == 0


def test_no_file_allows_itself(run_dir: Path, tmp_path: Path) -> None:
    """The config inside a checkpoint holds the `allow` of its training, and nobody asks it."""
    content = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    assert "allow" in content["config"]
    content["config"]["allow"] = content["config"]["model"]["allow"] = ["mylab."]
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match="mylab"):
        gan_style.load(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("os.system", "is not allowed in a file"),
        ("builtins.exec", "is not allowed in a file"),
        ("torch.hub.load", "is not allowed in a file"),
        ("pytorch_lightning.Trainer", "is not allowed in a file"),
        ("gan_style.core.paths.write_whole", "is not allowed in a file"),
        ("mylab.nets.ResnetGenerator", "is not allowed in a file"),  # ours, by another name
        ("mylab.nothing.os.system", "cannot be imported"),
        ("\x1b[2J.x", "is not allowed in a file"),
        ("mylabs.nets.Net", "of the package mylabs"),
        ("other.nets.Net", "of the package other"),
    ],
)
def test_what_is_allowed_opens_nothing_else(target: str, said: str, lab: Path) -> None:
    (lab / "mylab" / "alias.py").write_text("import os\n")
    with pytest.raises(UserError, match=said) as caught:
        build({"_target_": target}, allowed.in_file("mylab."))
    assert "--allow mylab." not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    with pytest.raises(UserError, match="is not allowed in a file"):
        build({"_target_": "mylab.alias.os.getcwd"}, allowed.in_file("mylab."))


def test_a_file_names_no_package_before_it_is_allowed(lab: Path) -> None:
    """Its module is not imported: importing runs code."""
    (lab / "unseen.py").write_text("raise SystemExit('imported')\n")
    with pytest.raises(UserError, match="of the package unseen"):
        build({"_target_": "unseen.Net"}, allowed.in_file("mylab."))
    assert "unseen" not in sys.modules


@pytest.mark.parametrize("wrong", ["", ".", "my-lab", "a..b", "*", "gan_style", "gan_style.", "/tmp/x.py", "\x1b[2J"])
def test_what_is_no_package_is_refused_everywhere(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for way in (allowed.in_file, allowed.in_config):
        with pytest.raises(UserError, match="allow: ") as caught:
            way([wrong])
        assert "\x1b" not in str(caught.value)
    if wrong:
        monkeypatch.setenv("GAN_STYLE_ALLOW", wrong)
        with pytest.raises(UserError, match="GAN_STYLE_ALLOW: "):
            allowed.in_file()


def test_a_config_of_a_command_names_packages_whole() -> None:
    """`allow=[mylab]` is that package, not whatever begins with its name."""
    config = small_config("allow=[mylab]")
    assert checked(config).allowed == allowed.in_config("mylab.")
    with pytest.raises(UserError, match=r"allow=\[mylabs\.\] adds"):
        check({"_target_": "mylabs.nets.Net"}, allowed=allowed.in_config("mylab"))


def ended(command: Callable[[], object]) -> None:
    """Run a command that ends by a mistake in its words."""
    with contextlib.suppress(SystemExit, UserError):
        assert command() == 2


@pytest.mark.parametrize("way", ["evaluate", "video_flicker", "describe", "plan", "train", "environment"])
def test_the_folder_of_a_command_is_searched_for_allowed_packages_alone(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lies beside them, such as the av.py of a stranger's folder, is not found."""
    for name in ("here", "beside"):
        (tmp_path / f"{name}.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one not in ("", ".")])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    option = ["--allow", "here."]
    if way == "environment":
        monkeypatch.setenv("GAN_STYLE_ALLOW", "here")
    if way in ("train", "video_flicker"):
        words = ["allow=[here.]", "nothing=1"] if way == "train" else ["none.ckpt", "none.mp4", *option]
        monkeypatch.setattr(sys, "argv", [way, *words])
    commands: dict[str, Callable[[], object]] = {
        "evaluate": lambda: evaluate.main(["runs=none", "data=scenes", *option]),
        "video_flicker": video_flicker.main,
        "describe": lambda: main(["describe", "none.ckpt", *option]),
        "plan": lambda: main(["plan", "+allow=[here.]", "nothing=1"]),
        "train": train.main,
        "environment": lambda: main(["describe", "none.ckpt"]),
    }
    assert importlib.util.find_spec("here") is None
    ended(commands[way])
    assert importlib.util.find_spec("here") is not None
    assert importlib.util.find_spec("beside") is None
    monkeypatch.delenv("GAN_STYLE_ALLOW", raising=False)
    ended(lambda: main(["describe", "none.ckpt"]))
    assert importlib.util.find_spec("here") is None


@pytest.mark.slow
def test_a_package_beside_the_user_is_found_as_train_finds_it(
    run_dir: Path, lab: Path, photos: Path, tmp_path: Path
) -> None:
    """`gan-style` looks in the folder of the command once a package is named, and after everything installed."""
    (lab / "rich.py").write_text("raise SystemExit('a file of this folder ran')\n")
    root = str(Path(gan_style.__file__).parents[1])
    # as the script `gan-style` begins: the folder of the command is not among those that are looked in
    begin = f"import sys; sys.path[0] = {root!r}; from gan_style.cli.main import main; sys.exit(main())"
    start, words = [sys.executable, "-c", begin], ["describe", str(run_dir / "checkpoints" / "best.ckpt")]
    before = subprocess.run([*start, *words], cwd=lab, capture_output=True, text=True)
    assert before.returncode == 2
    assert "not of gan_style" in before.stderr
    done = subprocess.run([*start, *words, "--allow", "mylab."], cwd=lab, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "mylab.methods.Mine" in done.stdout
