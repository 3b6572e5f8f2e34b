"""A checkpoint whose config is hostile is a sentence: nothing is built, read, resolved or shown of what it asks for.

Each case goes the ways that a user would give the file: every verb, `load`, `from_pretrained`, resume, warm start, the
studio.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import gan_style
from gan_style.apps.studio.models import Models
from gan_style.checkpoints import safetensors
from gan_style.cli.main import main
from gan_style.core.allowed import ALLOWED_FROM_CHECKPOINT
from gan_style.core.config import build, check
from gan_style.core.errors import UserError
from tests.conftest import small_config
from tests.small_models import saved
from tests.test_hostile import run

SECRET = "hunter2-swordfish"  # what the environment holds; no message and no file may


def nested(depth: int) -> Any:
    node: Any = "x"
    for _ in range(depth):
        node = {"a": node}
    return node


def doubled(times: int) -> Any:
    """Few lists in a file, 2 ** times to whoever follows them."""
    node: Any = ["x"]
    for _ in range(times):
        node = [node, node]
    return node


def create(target: str, **arguments: Any) -> str:
    inner = ", ".join([f"_target_: {target}", *(f"{key}: {value}" for key, value in arguments.items())])
    return f"${{oc.create:{{{inner}}}}}"


# Where in `config.model` something is put, and what; {made} is a path at which nothing may appear.
TEXTS: dict[str, tuple[str, str]] = {
    "makedirs": ("generator.upsample", create("os.makedirs", name="{made}")),
    "runpy": ("generator.norm", create("runpy._run_code", code="'import os; os.mkdir(\"{made}\")'", run_globals="{}")),
    "write_text": (
        "generator.norm",
        create("pathlib.Path.write_text", self=create("pathlib.Path"), data="{made}"),
    ),
    "exec": ("lambda_nce", create("builtins.exec", source='\'open("{made}", "w")\'')),
    "system": ("gan_mode", create("os.system", command="'touch {made}'")),
    "popen": ("discriminator.norm", create("subprocess.Popen", args="[touch, {made}]")),
    "in a list": ("num_patches", "${oc.decode:'[1, ${oc.env:SECRET_TOKEN}]'}"),
    "environment": ("generator.upsample", "${oc.env:SECRET_TOKEN}"),
    "environment by default": ("generator.upsample", "${oc.env:NOTHING,${oc.env:SECRET_TOKEN}}"),
    "environment as a number": ("lambda_nce", "${oc.decode:${oc.env:SECRET_TOKEN}}"),
    "environment in a name": ("generator._target_", "gan_style.networks.${oc.env:SECRET_TOKEN}"),
    "select": ("generator.upsample", "${oc.select:trainer.accelerator}"),
    "keys": ("generator.upsample", "${oc.dict.keys:model}"),
    "values": ("generator.upsample", "${oc.dict.values:model}"),
    "a custom resolver": ("generator.upsample", "${bomb:{made}}"),
    "hydra's resolver": ("generator.upsample", "${hydra:runtime.cwd}"),
    "relative": ("generator.upsample", "${..gan_mode}"),
    "itself": ("generator.upsample", "${model.generator.upsample}"),
    "escaped": ("generator.upsample", "\\${oc.env:SECRET_TOKEN}"),
    "half": ("generator.upsample", "${"),
    "the whole generator": ("generator", create("os.makedirs", name="{made}")),
    "the whole model": ("", create("os.makedirs", name="{made}")),
    "elsewhere": ("seed", "${oc.create:{_target_: os.makedirs, name: {made}}}"),
}
NODES: dict[str, tuple[str, Any]] = {
    "a target as model": ("", {"_target_": "os.makedirs", "name": "{made}"}),
    "a target as generator": ("generator", {"_target_": "os.makedirs", "name": "{made}", "_partial_": True}),
    "a target as a number": ("lambda_nce", {"_target_": "os.makedirs", "name": "{made}"}),
    "a target as optimiser": ("optimizer_G", {"_target_": "os.makedirs", "name": "{made}"}),
    "a target as schedule": ("schedule", {"_target_": "os.makedirs", "name": "{made}"}),
    "a target in a list": ("num_patches", [{"_target_": "os.makedirs", "name": "{made}"}]),
    "a target deep in a list": ("num_patches", [[{"a": [{"_target_": "os.makedirs", "name": "{made}"}]}]]),
    "an alias of ours": ("schedule", {"_target_": "gan_style.checkpoints.checkpoint.os.makedirs", "name": "{made}"}),
    "a function of ours": ("schedule", {"_target_": "gan_style.core.paths.write_whole", "path": "{made}", "text": "x"}),
    "a function beside networks": ("schedule", {"_target_": "gan_style.networks.vgg._download", "arch": "vgg19"}),
    "a method": ("schedule", {"_target_": "gan_style.models.cut.CUT.load_from_checkpoint", "checkpoint_path": "x"}),
    "an object of torch": ("schedule", {"_target_": "torch.optim.Optimizer.__init__.__globals__", "name": "x"}),
    "another network's module": ("generator", {"_target_": "gan_style.networks.vgg.torch.hub.load", "repo": "x"}),
    "arguments without names": (
        "schedule",
        {"_target_": "gan_style.models.schedules.ConstantThenLinear", "_args_": [1]},
    ),
    "a class under another name": ("generator", {"_target_": "gan_style.networks.VGG", "weights": "/etc/passwd"}),
    "a class by who imports it": ("generator", {"_target_": "gan_style.models.adain.VGG", "weights": "imagenet"}),
    "a network without end": ("discriminator.layers", 10**11),
    "an encoder without end": (
        "generator",
        {"_target_": "gan_style.networks.styled.StyleEncoder", "layers": 10**11, "_partial_": True},
    ),
    "a U-Net without end": (
        "generator",
        {"_target_": "gan_style.networks.unet.UNetGenerator", "depth": 10**9, "_partial_": True},
    ),
    "an unknown node": ("zzz", {"a": 1}),
    "a list as model": ("", ["x"]),
    "convert": ("generator._convert_", "all"),
    "recursive": ("generator._recursive_", False),
    "partial by a text": ("generator._partial_", "yes"),
    "a target that is a list": ("generator._target_", ["os", "makedirs"]),
    "a target that is a number": ("generator._target_", 7),
    "no target": ("generator._target_", None),
    "an optimiser as a number": ("lambda_nce", {"_target_": "torch.optim.Adam", "_partial_": True}),
    "a schedule as generator": ("generator", {"_target_": "gan_style.models.schedules.ConstantThenLinear"}),
    "a key with dots": ("generator.a.b", None),
    "a key that is a code": ("generator.\x1b[2J", "x"),
    "a dunder": ("generator.__class__", "x"),
    "too deep": ("num_patches", nested(400)),
    "too many": ("num_patches", doubled(40)),
    "a huge text": ("generator.upsample", "x" * 10_000_000),
    "a huge key": ("generator." + "k" * 1_000_000, 1),
    "a huge number": ("lambda_nce", 10**400),
    "bytes": ("generator.upsample", b"x"),
    "a tensor": ("lambda_nce", torch.zeros(2)),
    "a tuple": ("num_patches", (1, 2)),
    "a number as key": ("generator", {1: 2}),
}
CASES = TEXTS | NODES
# What a command may name.
OURS = ("a function beside networks", "a function of ours", "a class under another name", "a class by who imports it")


def filled(value: Any, made: Path) -> Any:
    """The value with the path in it."""
    if isinstance(value, str):
        return value.replace("{made}", str(made))
    if isinstance(value, dict):
        return {filled(key, made): filled(one, made) for key, one in value.items()}
    return [filled(one, made) for one in value] if isinstance(value, list) and len(value) < 2 else value


def hostile(content: dict[str, Any], name: str, made: Path) -> dict[str, Any]:
    """The content of a checkpoint with one case in its config."""
    place, value = CASES[name]
    value = filled(value, made)
    config = copy.deepcopy(content["config"])
    if not place:
        return content | {"config": config | {"model": value}}
    *parents, last = place.split(".") if name != "a key with dots" else ["generator", "a.b"]
    node = config["model"]
    for parent in parents:
        node = node[parent]
    node[last] = value
    return content | {"config": config}


VERBS = {
    "translate": "translate {bomb} {photo} {out}.png",
    "stylize": "stylize {photo} {out}.png --style {photo} --checkpoint {bomb}",
    "sheet": "sheet {out}.png --content {photo} --checkpoint {bomb}",
    "evaluate": "evaluate {bomb} --data {data}",
    "evaluate --against": "evaluate {good} --data {data} --against {bomb} --draws 2",
    "describe": "describe {bomb}",
    "export": "export {bomb} {out}.onnx",
    "export safetensors": "export {bomb} {out}.safetensors",
}
TRAININGS = {
    "resume": "train data=tiny model=cut resume={bomb}",
    "warm start": "train data=tiny model=style_conditional trainer.max_steps=1 model.warm_start={bomb}",
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("places")
    for part in ("trainA", "trainB", "testA", "testB"):
        (folder / "set" / part).mkdir(parents=True)
        for name in "abcd":  # as many as a floor needs
            noise = np.random.default_rng(ord(name)).integers(0, 256, (24, 24, 3), np.uint8)
            Image.fromarray(noise).save(folder / "set" / part / f"{name}.png")
    good = saved(folder / "good.ckpt", "model=cut")
    content = torch.load(good, weights_only=True) | {"preprocessing": {"image_size": 16}}
    torch.save(content, good)
    return {"photo": folder / "set/testA/a.png", "data": folder / "set", "good": good}


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What a case may reach if it is let: a secret, a resolver, and a place."""
    monkeypatch.setenv("SECRET_TOKEN", SECRET)
    OmegaConf.register_new_resolver("bomb", lambda path: Path(path).mkdir(), replace=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "made"


def bomb_of(places: dict[str, Path], name: str, made: Path, folder: Path) -> Path:
    path = folder / "bomb.ckpt"
    torch.save(hostile(torch.load(places["good"], weights_only=True), name, made), path)
    return path


def require_unharmed(said: str, made: Path, folder: Path) -> None:
    assert "Traceback" not in said
    assert SECRET not in said
    assert "\x1b" not in said
    assert not made.exists()
    for path in sorted(folder.rglob("*")):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("name", CASES)
def test_verbs(
    name: str, places: dict[str, Path], armed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bomb = bomb_of(places, name, armed, tmp_path)
    for verb, words in VERBS.items():
        filled_words = [word.format(bomb=bomb, out=tmp_path / "out", **places) for word in words.split()]
        assert main(filled_words) == 2, verb
        said = capsys.readouterr().err
        assert said.count("\n") == 1, verb
        assert len(said) < 1000, verb
        assert "bomb.ckpt" in said, verb
        require_unharmed(said, armed, tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bomb.ckpt"], verb


@pytest.mark.parametrize("name", CASES)
def test_python_and_the_studio(name: str, places: dict[str, Path], armed: Path, tmp_path: Path) -> None:
    bomb = bomb_of(places, name, armed, tmp_path)
    (tmp_path / "runs" / "x" / "checkpoints").mkdir(parents=True)
    shutil.copy(bomb, tmp_path / "runs" / "x" / "checkpoints" / "best.ckpt")
    ways: dict[str, Callable[[], Any]] = {
        "load": lambda: gan_style.load(bomb, device="cpu"),
        "studio --checkpoint": lambda: Models([str(bomb)], tmp_path / "none", None),
        "the chooser of the studio": lambda: Models([], tmp_path / "runs", None).load("x"),
        "from_pretrained": lambda: gan_style.from_pretrained(tmp_path / "hub"),
    }
    content = torch.load(bomb, weights_only=True)
    try:
        if name in ("too many", "a tuple"):  # JSON would write all of it, and has no tuples
            raise TypeError
        about = {**safetensors.described(content, averaged=False)}
        json.dumps(about)
        (tmp_path / "hub").mkdir()
        safetensors.write(content["state_dict"], about, tmp_path / "hub" / "model.safetensors")
    except (TypeError, ValueError, RecursionError):  # no JSON: such a file cannot be made
        del ways["from_pretrained"]
    for way in ways.values():
        with pytest.raises(UserError) as caught:
            way()
        assert "\n" not in str(caught.value)
        require_unharmed(str(caught.value), armed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_trainings(
    name: str,
    places: dict[str, Path],
    armed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bomb = bomb_of(places, name, armed, tmp_path)
    first = list(CASES).index(name) % 8 == 0  # a warm start is read when training starts, which takes its time
    for way, words in TRAININGS.items() if first else [("resume", TRAININGS["resume"])]:
        assert run([word.format(bomb=bomb) for word in words.split()], tmp_path, monkeypatch) == 2, way
        said = capsys.readouterr().err
        require_unharmed(said, armed, tmp_path)
        assert said.count("\n") == 1, way
        assert "bomb.ckpt" in said, way
        assert not list(tmp_path.rglob("*/*.ckpt")), way


@pytest.mark.parametrize("name", CASES)
def test_build_itself(name: str, places: dict[str, Path], armed: Path, tmp_path: Path) -> None:
    """What stands in front of it may fail: `build` holds by itself, as for a checkpoint and as for a command."""
    node = hostile(torch.load(places["good"], weights_only=True), name, armed)["config"]["model"]
    with pytest.raises(UserError) as caught:
        build(node, ALLOWED_FROM_CHECKPOINT, channels_A=3, channels_B=3)
    require_unharmed(str(caught.value), armed, tmp_path)
    if name not in OURS:
        with pytest.raises(UserError) as caught:
            build(node, channels_A=3, channels_B=3)
        require_unharmed(str(caught.value), armed, tmp_path)


def test_the_first_case_was_live(armed: Path) -> None:
    """Or nothing above could fail: the way by which it was built before."""
    from hydra.utils import instantiate

    node = {"_target_": "builtins.dict", "a": filled(TEXTS["makedirs"][1], armed)}
    instantiate(OmegaConf.create(node))
    assert armed.is_dir()


def test_a_command_resolves_once(armed: Path) -> None:
    """`\\${...}` of a command line is a text, which is not resolved by anybody behind it."""
    config = small_config(r"model.generator.upsample='\${oc.env:SECRET_TOKEN}'")
    assert config["model"]["generator"]["upsample"] == "${oc.env:SECRET_TOKEN}"
    with pytest.raises(UserError, match=r"holds \$\{") as caught:
        build(config["model"], channels_A=3, channels_B=3)
    assert SECRET not in str(caught.value)
    assert check({"seed": "${x}"}) == {"seed": "${x}"}, "what is not built is not touched"
