"""What every method promises, for every conf/model/*.yaml."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gan_style.checkpoints.checkpoint import load
from gan_style.core.config import build, config_dir
from gan_style.models.translator import Translator
from tests.conftest import differences, small_config

MODELS = sorted(p.stem for p in (config_dir() / "model").glob("*.yaml"))
NAMES = {f"{kind}_{domain}" for kind in ("real", "fake", "rec", "idt") for domain in "AB"} | {"content_B", "style_B"}


def batch(size: int = 32) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {"A": torch.rand(2, 3, size, size) * 2 - 1, "B": torch.rand(2, 3, size, size) * 2 - 1}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Translator:
    torch.manual_seed(0)
    made = build(small_config(f"model={request.param}", "data.batch_size=2")["model"], channels_A=3, channels_B=3)
    assert isinstance(made, Translator)
    return made


def test_pictures_have_standard_names_shapes_and_range(model: Translator) -> None:
    images = model.generate(batch())
    assert set(images) <= NAMES
    assert {"real_A", "fake_B"} <= set(images)
    for name, image in images.items():
        assert image.shape == (2, 3, 32, 32), name
        assert image.abs().max() <= 1, name


def test_each_turn_moves_its_own_player_only(model: Translator) -> None:
    images = model.generate(batch())
    losses = {"G": model.generator_loss, "D": model.discriminator_loss}
    for player in model.players():
        mine = [p for net in model.networks(player) for p in net.parameters()]
        others = [p for p in model.parameters() if all(p is not q for q in mine)]
        for p in others:
            p.requires_grad_(False)
        model.zero_grad()
        total, terms = losses[player](images)
        total.backward(retain_graph=True)
        for p in others:
            p.requires_grad_(True)
        assert torch.isfinite(total)
        assert all(torch.isfinite(t) for t in terms.values())
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in mine), player
        if player == "D":
            generators = [p for net in model.networks("G") for p in net.parameters()]
            assert all(p.grad is None for p in generators), "the fakes of D's turn must be detached"


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (20, 64)])
def test_any_size_in_the_same_size_out(model: Translator, size: tuple[int, int]) -> None:
    model.eval()
    with torch.no_grad():
        for direction in model.directions:
            assert model.translate(torch.zeros(1, 3, *size), direction).shape[-2:] == size


@pytest.mark.parametrize("name", MODELS)
def test_two_steps_train_and_the_checkpoint_is_plain(run: Callable[..., Path], name: str) -> None:
    folder = run("run", f"model={name}", "trainer.max_steps=2")
    content = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["iteration"] == 2
    assert content["config"]["model"]["_target_"].startswith("gan_style.models.")
    assert content["domains"]["A"] == {
        "name": "photo",
        "channels": 3,
        "dtype": "uint8",
        "low": 0,
        "high": 255,
    }
    rebuilt = build(content["config"]["model"], channels_A=3, channels_B=3)
    before = copy.deepcopy(dict(rebuilt.state_dict()))
    rebuilt.load_state_dict(content["state_dict"])
    assert differences(before, dict(rebuilt.state_dict())) != []


@pytest.mark.parametrize("name", MODELS)
def test_resume_is_bit_exact(run: Callable[..., Path], name: str) -> None:
    whole = run("whole", f"model={name}", "trainer.max_steps=6")
    parts = run("parts", f"model={name}", "trainer.max_steps=3")
    run("parts", f"model={name}", "trainer.max_steps=6", "resume=last")
    a, b = (load(folder / "checkpoints" / "last.ckpt") for folder in (whole, parts))
    for content in (a, b):
        del content["config"], content["best"]
    assert differences(a, b) == []
