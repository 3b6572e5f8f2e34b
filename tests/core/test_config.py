"""Every YAML composes and builds; what cannot be built is refused by name."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gan_style.core import config as builder
from gan_style.core.allowed import ALLOWED, ALLOWED_FROM_CHECKPOINT
from gan_style.core.config import build, check, config_dir, did_you_mean
from gan_style.core.errors import UserError
from tests.conftest import composed, small_config

GROUPS = {
    group: sorted(p.stem for p in (config_dir() / group).glob("*.yaml"))
    for group in ("model", "data", "trainer", "logger", "model/generator", "model/discriminator")
}
CHOICES = [f"{group}={name}" for group, names in GROUPS.items() for name in names]
CHOICES += [f"+experiment={p.stem}" for p in (config_dir() / "experiment").glob("*.yaml")]
CHOICES += [f"+debug={p.stem}" for p in (config_dir() / "debug").glob("*.yaml")]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes_and_fits_its_signature(choice: str) -> None:
    root = ["data.root=somewhere"] if choice == "data=folders" else []
    config = composed(choice.lstrip("+"), *root, "name=test", "run_dir=unused")
    check(config)


def test_the_tree_mirrors_the_package() -> None:
    for name in GROUPS["model"]:
        target = composed(f"model={name}", "name=test")["model"]["_target_"]
        assert target.startswith("gan_style.models.")
        assert Path(*target.split(".")[:-1]).with_suffix(".py").is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lambda_cycle": "abc"}, "model.lambda_cycle=abc is not valid: input should be a valid number"),
        ({"lambda_cylce": 5}, "model.lambda_cylce is not a known key: did you mean lambda_cycle?"),
        ({"pool_size": 2.5}, "model.pool_size=2.5 is not valid: input should be a valid integer"),
        (
            {"gan_mode": "lsgn"},
            "model.gan_mode=lsgn is not valid: input should be 'lsgan', 'lsgan_sum', 'vanilla', 'nonsaturating', "
            "'hinge', 'hinge_both', 'wgan' or 'relativistic'",
        ),
        ({"accumulate": None}, "model.accumulate=None is not valid"),
    ],
)
def test_mistakes_are_named(change: dict[str, Any], message: str) -> None:
    model = {**small_config()["model"], **change}
    with pytest.raises(UserError) as caught:
        check({"model": model})
    assert message in str(caught.value)


def test_a_mistake_inside_a_network_is_named_in_full() -> None:
    model = small_config()["model"]
    model["generator"]["bloks"] = 3
    with pytest.raises(UserError, match=r"model\.generator\.bloks is not a known key: did you mean blocks\?"):
        check({"model": model})


def test_a_missing_value_is_asked_for() -> None:
    with pytest.raises(UserError, match="channels must be given"):
        build({"_target_": "gan_style.networks.blocks.ResidualBlock"})


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.open",
        "torch.load",
        "torch.hub.load",
        "gan_style.core.config.instantiate",
        "gan_style.training.loggers.os.system",
        "gan_style.checkpoints.checkpoint.torch.load",
        "gan_style.checkpoints.checkpoint.shutil.rmtree",
        "pathlib.Path.unlink",
        "gan_style.nothing",
        # what would take packages to allow as an argument, out of the config
        "gan_style.cli.main.main",
        "gan_style.inference.load.load",
        "gan_style.training.from_python.train",
        "gan_style.training.run.train",
        "gan_style.apps.export.export.export",
        "gan_style.core.config.build",
        "gan_style.core.compose.composed",
        "gan_style.testing.small_config",
        "gan_style.metrics.own.own_scores",
        "gan_style.metrics.own.build",
        "pytorch_lightning.cli.instantiate_class",  # calls whatever a text names
        "pytorch_lightning.callbacks.checkpoint.torch.load",
    ],
)
def test_only_what_is_defined_under_an_allowed_prefix_is_built(target: str) -> None:
    with pytest.raises(UserError, match="_target_"):
        build({"_target_": target})


def test_nothing_that_a_config_may_name_takes_what_is_allowed() -> None:
    """Or a file could give it: every function and class of those modules is looked at."""
    found = []
    for prefix in [one for one in ALLOWED if one.startswith("gan_style.")]:
        module = importlib.import_module(prefix[:-1])
        below = pkgutil.walk_packages(getattr(module, "__path__", []), prefix)
        for name in [prefix[:-1], *(one.name for one in below)]:
            for made in vars(importlib.import_module(name)).values():
                if not callable(made) or getattr(made, "__module__", None) != name:
                    continue
                with contextlib.suppress(ValueError, TypeError):
                    taken = {*inspect.signature(made).parameters} & {"allow", "allowed"}
                    found += [f"{name}.{made.__qualname__}"] if taken else []
    assert len(found) < 3, found
    for name in found:
        with pytest.raises(UserError, match="what a config allows"):
            check({"_target_": name})


def test_a_checkpoints_config_may_name_less() -> None:
    save = {"_target_": "gan_style.checkpoints.checkpoint.save", "content": {}, "path": "x"}
    with pytest.raises(UserError, match="not allowed"):
        build(save, ALLOWED_FROM_CHECKPOINT)
    model = build(small_config()["model"], ALLOWED_FROM_CHECKPOINT, channels_A=3, channels_B=3)
    assert isinstance(model, nn.Module)


def test_arguments_from_code_are_not_read_as_config() -> None:
    """A dict with `_target_` handed over in code stays a dict."""
    hostile = {"_target_": "os.system", "command": "false"}
    node = {"_target_": "gan_style.training.loggers.wandb_loggers", "_partial_": True}
    assert build(node, settings=hostile).keywords["settings"] == hostile


def test_a_partial_is_a_factory() -> None:
    factory = build({"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.5})
    optimizer = factory([nn.Parameter(torch.zeros(1))])
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_did_you_mean_falls_back_to_the_list() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "; there are: a, b"


def test_a_word_where_a_list_is_wanted_is_shown_as_a_list() -> None:
    node = {"_target_": "gan_style.training.callbacks.set_scores.SetScores", "metrics": "kid"}
    with pytest.raises(UserError, match=r"metrics=kid is not valid: it is a list, callbacks\.x\.metrics=\[kid\]"):
        check(node, "callbacks.x")


def test_a_target_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    locate = builder._locate

    def counted(name: str, *words: Any) -> Any:
        looked.append(name)
        return locate(name, *words)

    monkeypatch.setattr(builder, "_locate", counted)
    node = small_config()["model"]
    build(node, channels_A=3, channels_B=3)
    named = [one["_target_"] for one in (node, *node.values()) if isinstance(one, dict) and "_target_" in one]
    assert len(named) > 3
    assert sorted(looked) == sorted(named)
