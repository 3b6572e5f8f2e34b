"""AdaIN against the paper's equations, and what it learns in a few steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_style.checkpoints.checkpoint import load
from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.losses.perceptual import mean_std
from gan_style.models.adain import AdaIN
from gan_style.networks.adain import AdaINDecoder, adain
from gan_style.networks.vgg import VGG
from tests.conftest import composed

TINY = ("data=tiny", "model=adain", "model.vgg.weights=random", "model.vgg.depth=relu2_1", "name=test", "seed=0")


def made(*overrides: str) -> AdaIN:
    torch.manual_seed(0)
    model = build(composed(*TINY, *overrides)["model"], channels_A=3, channels_B=3)
    assert isinstance(model, AdaIN)
    return model


def test_adain_gives_the_statistics_it_is_asked_for() -> None:
    x = torch.randn(2, 3, 8, 9, dtype=torch.float64)
    mean, std = torch.randn(2, 3, dtype=torch.float64), torch.rand(2, 3, dtype=torch.float64) + 0.5
    y = adain(x, mean, std, eps=0.0)
    for b in range(2):
        for c in range(3):
            assert float(y[b, c].mean()) == pytest.approx(float(mean[b, c]))
            assert float(y[b, c].std(correction=0)) == pytest.approx(float(std[b, c]))
            # an affine map: correlation one with the input
            assert float(torch.corrcoef(torch.stack([x[b, c].flatten(), y[b, c].flatten()]))[0, 1]) == pytest.approx(1)


def test_adain_with_its_own_statistics_changes_nothing() -> None:
    x = torch.randn(1, 4, 6, 6)
    assert torch.allclose(adain(x, *mean_std(x)), x, atol=1e-5)


def test_the_decoder_mirrors_vgg() -> None:
    """The published decoder from relu4_1 has nine convolutions, from relu3_1 five."""
    for depth, widths in (
        (
            "relu4_1",
            [(512, 256), (256, 256), (256, 256), (256, 256), (256, 128), (128, 128), (128, 64), (64, 64), (64, 3)],
        ),
        ("relu3_1", [(256, 128), (128, 128), (128, 64), (64, 64), (64, 3)]),
    ):
        decoder = AdaINDecoder(depth)
        found = [(m.in_channels, m.out_channels) for m in decoder.modules() if isinstance(m, torch.nn.Conv2d)]
        assert found == widths
        assert decoder(torch.zeros(1, widths[0][0], 4, 5)).shape == (1, 3, 4 * decoder.multiple, 5 * decoder.multiple)
    with pytest.raises(UserError, match="starts at the first layer of a block, not at relu3_2"):
        AdaINDecoder("relu3_2")


def test_the_total_is_equations_11_to_13() -> None:
    model = made("model.lambda_style=3", "model.lambda_idt=2")
    batch = {"A": torch.rand(1, 3, 32, 32) * 2 - 1, "B": torch.rand(1, 3, 32, 32) * 2 - 1}
    images = model.generate(batch)
    total, terms = model.generator_loss(images)
    vgg = VGG("random", depth="relu2_1")

    def f(x: Tensor) -> dict[str, Tensor]:
        return vgg(x, ["relu1_1", "relu2_1"])

    def statistics(x: Tensor) -> list[Tensor]:
        return [x.mean(dim=(2, 3)), (x.var(dim=(2, 3), correction=0) + 1e-5).sqrt()]

    content, style = f(batch["A"])["relu2_1"], f(batch["B"])
    mean, std = statistics(content)
    wanted = statistics(style["relu2_1"])
    t = (content - mean[..., None, None]) / std[..., None, None] * wanted[1][..., None, None] + wanted[0][
        ..., None, None
    ]
    fake = model.decoder(t)
    of_fake = f(fake)
    expected_content = (of_fake["relu2_1"] - t).square().mean()
    expected_style = sum(
        (a - b).square().mean()
        for k in of_fake
        for a, b in zip(statistics(of_fake[k]), statistics(style[k]), strict=True)
    )
    own = [model.decoder(f(batch[d])["relu2_1"]) for d in "AB"]
    expected_idt = sum((o - batch[d]).abs().mean() for o, d in zip(own, "AB", strict=True))
    assert torch.allclose(terms["content"], expected_content, rtol=1e-4)
    assert torch.allclose(terms["style"], torch.as_tensor(expected_style), rtol=1e-4)
    assert torch.allclose(terms["idt"], torch.as_tensor(expected_idt), rtol=1e-3)
    assert torch.allclose(total, expected_content + 3 * expected_style + 2 * expected_idt, rtol=1e-4)


def test_the_identity_term_lowers_the_self_style_error(run: Callable[..., Path]) -> None:
    """What users of the paper's code miss: a picture in its own style should be the picture."""

    def error(*overrides: str) -> float:
        model = made(*overrides)
        optimizer = torch.optim.Adam(model.decoder.parameters(), 1e-3)
        torch.manual_seed(1)
        batch = {"A": torch.rand(2, 3, 16, 16) * 2 - 1, "B": torch.rand(2, 3, 16, 16) * 2 - 1}
        for _ in range(20):
            optimizer.zero_grad()
            model.generator_loss(model.generate(batch))[0].backward()
            optimizer.step()
        own = model.stylize(batch["A"], model.style_code(batch["A"]))
        return float((own - batch["A"]).abs().mean().detach())

    assert error("model.lambda_idt=100") < 0.9 * error("model.lambda_idt=0")


def test_the_depth_follows_the_weights() -> None:
    assert made().depth == "relu2_1"
    assert made("model.vgg.depth=relu3_4").depth == "relu3_1"
    assert made("model.vgg.depth=null").depth == "relu4_1"


def test_the_checkpoint_carries_the_encoder_and_the_mean_style(run: Callable[..., Path], tmp_path: Path) -> None:
    from gan_style.training.run import train

    folder = train(composed(*TINY, "trainer.max_steps=2", "trainer.log_every=1", f"run_dir={tmp_path / 'run'}"))
    state: dict[str, Any] = load(folder / "checkpoints" / "last.ckpt")["state_dict"]
    assert "encoder.convolutions.2_1.weight" in state
    assert not any(key.startswith("perceptual") for key in state), "the loss reads the same network"
    assert not torch.equal(state["style_mean"], torch.zeros_like(state["style_mean"]))
