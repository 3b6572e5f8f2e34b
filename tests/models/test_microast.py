"""MicroAST against the paper's equations, written again; its networks against published names in test_import_styles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import gan_style
from gan_style.checkpoints.checkpoint import load
from gan_style.cli.main import main
from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.models.microast import SIGNALS, MicroAST, contrast
from gan_style.networks.microast import MicroDecoder, MicroEncoder, Modulator
from gan_style.networks.vgg import VGG
from tests.conftest import composed
from tests.small_models import saved

TINY = ("data=tiny", "model=microast", "model.vgg.weights=random", "model.vgg.depth=relu2_1", "name=test", "seed=0")


def made(*overrides: str) -> MicroAST:
    torch.manual_seed(0)
    model = build(composed(*TINY, *overrides)["model"], channels_A=3, channels_B=3)
    assert isinstance(model, MicroAST)
    return model


def batch(count: int = 3) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {letter: torch.rand(count, 3, 24, 32) * 2 - 1 for letter in "AB"}


def test_the_networks_have_the_papers_sizes() -> None:
    """0.472 million parameters, of which a style needs a third and a content the rest."""
    counts = [sum(p.numel() for p in network.parameters()) for network in (MicroEncoder(), Modulator(), MicroDecoder())]
    assert counts == [157_792, 2_560, 153_843]


def test_the_total_is_the_papers() -> None:
    model = made("model.lambda_content=2", "model.lambda_style=5", "model.lambda_contrast=0.5")
    given = batch()
    total, terms = model.generator_loss(model.generate(given))
    vgg = VGG("random", depth="relu2_1")

    def f(x: Tensor) -> list[Tensor]:
        return list(vgg(x, ["relu1_1", "relu2_1"]).values())

    def statistics(x: Tensor) -> list[Tensor]:
        return [x.mean(dim=(2, 3)), (x.var(dim=(2, 3), correction=0) + 1e-5).sqrt()]

    codes = [model.style_code(given["B"][i : i + 1]) for i in range(3)]
    fakes = [model._made(given["A"][i : i + 1], codes[i]) for i in range(3)]
    fake = torch.cat(fakes)
    content = (f(fake)[-1] - f(given["A"])[-1]).square().mean()
    pairs = zip(f(fake), f(given["B"]), strict=True)
    style = sum((a - b).square().mean() for x, y in pairs for a, b in zip(statistics(x), statistics(y), strict=True))

    def apart(x: dict[str, Tensor], y: dict[str, Tensor]) -> Tensor:
        """The sum of the mean square differences of each signal at each level."""
        return sum(((x[name] - y[name]).square().mean(-1).sum() for name in SIGNALS), torch.zeros(()))

    expected_contrast = torch.zeros(())
    for i in range(3):
        mine = model.style_code(fakes[i])
        others = sum(apart(mine, codes[j]) for j in range(3) if j != i)
        expected_contrast = expected_contrast + apart(mine, codes[i]) / others
    expected = {"content": content, "style": torch.as_tensor(style), "contrast": expected_contrast}
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(terms[name], value, rtol=1e-3), name
    weighed = 2 * content + 5 * expected["style"] + 0.5 * expected_contrast
    assert torch.allclose(total, weighed, rtol=1e-3)


def test_a_batch_of_one_has_nothing_to_contrast() -> None:
    model = made()
    _, terms = model.generator_loss(model.generate(batch(1)))
    assert float(terms["contrast"].detach()) == 0
    codes = {name: torch.rand(4, 2, 64) for name in SIGNALS}
    assert float(contrast(codes, codes)) == 0  # each picture has the very style it was given
    swapped = {name: value.roll(1, 0) for name, value in codes.items()}
    assert float(contrast(swapped, codes)) > 1


def test_a_training_may_begin_with_the_colours() -> None:
    model, given = made("model.pretrain=5"), batch()
    total, terms = model.generator_loss(model.generate(given))
    normal = [(x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True) for x in given.values()]
    style = given["B"]
    target = normal[0] * style.std((2, 3), keepdim=True) + style.mean((2, 3), keepdim=True)
    fake = model._made(given["A"], model.style_code(style))
    assert terms.keys() == {"colour"}
    assert torch.allclose(total, (fake - target.clamp(-1, 1)).abs().mean(), rtol=1e-3)
    model.iteration = 5
    assert model.generator_loss(model.generate(given))[1].keys() == {"content", "style", "contrast"}


def test_it_learns_a_style_in_a_few_steps() -> None:
    model = made("model.lambda_contrast=0")
    optimizer = torch.optim.Adam(model.parameters_of("G"), 2e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        total, _ = model.generator_loss(model.generate(batch(1)))
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_the_checkpoint_needs_no_vgg_and_keeps_the_mean_style(tmp_path: Path) -> None:
    from gan_style.training.run import train

    words = ("trainer.max_steps=2", "trainer.log_every=1", "data.batch_size=2", f"run_dir={tmp_path / 'run'}")
    folder = train(composed(*TINY, *words))
    path = folder / "checkpoints" / "last.ckpt"
    state: dict[str, Any] = load(path)["state_dict"]
    assert {key.split(".")[0] for key in state} == {*MicroAST.generators, *(f"style_{name}" for name in SIGNALS)}
    assert not torch.equal(state["style_std"], torch.ones_like(state["style_std"]))
    translator = gan_style.load(path, device="cpu")
    assert translator.translate(torch.zeros(3, 9, 13)).shape == (3, 9, 13)


def test_a_model_without_a_vgg_stylizes_and_is_not_trained() -> None:
    model = MicroAST(None, optimizer_G=torch.optim.Adam)
    images = model.generate(batch(1))
    with pytest.raises(UserError, match="made without a VGG, which its losses need"):
        model.generator_loss(images)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_an_exported_graph_counts_the_pixels_of_each_picture(tmp_path: Path, suffix: str) -> None:
    """Deviations are unbiased: a graph that kept the number of pixels of its example would be wrong at other sizes."""
    saved(tmp_path / "a.ckpt", "model=microast")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    for name, weight in content["state_dict"].items():  # so that a wrong deviation is seen, and nothing is clamped
        if name.startswith("style_encoder") and name.endswith("weight"):
            weight *= 2
    content["state_dict"]["decoder.layers.10.1.weight"] *= 5
    torch.save(content, tmp_path / "a.ckpt")
    assert main(["export", str(tmp_path / "a.ckpt"), str(tmp_path / f"a{suffix}")]) == 0


def test_clipped_pixels_still_learn() -> None:
    model = made("model.lambda_contrast=0")
    with torch.no_grad():
        model.decoder.get_parameter("layers.10.1.bias").fill_(3.0)
    total, _ = model.generator_loss(model.generate(batch(1)))
    total.backward()
    gradient = model.decoder.get_parameter("layers.10.1.bias").grad
    assert gradient is not None
    assert float(gradient.abs().max()) > 0
