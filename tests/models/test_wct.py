"""WCT against formulations without its eigenvectors: matrix square roots, and singular values of the features."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import gan_style
from gan_style.cli.main import main
from gan_style.inference.translator import LoadedTranslator
from gan_style.models.wct import moments, power
from tests import official_styles
from tests.official_generators import Weights

DEPTH = 3
SCALE = 64.0  # of features, which random weights leave smaller than those of a VGG


@pytest.fixture(scope="module")
def wct(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedTranslator, dict[str, Weights]]:
    """A model that was imported, and its weights under the official names."""
    folder = tmp_path_factory.mktemp("wct")
    parts = {"vgg": Weights(), "decoder": Weights()}
    official_styles.adain(parts, *pictures(), DEPTH)  # which makes them
    parts["vgg"]["0.weight"] *= SCALE
    parts["decoder"]["1.weight"] /= SCALE
    for name, weights in parts.items():
        torch.save(weights.file(), folder / f"{name}.pth")
    sources = [str(folder / "decoder.pth"), str(folder / "vgg.pth")]
    assert main(["import", *sources, str(folder / "wct.ckpt"), "--transform", "wct"]) == 0
    return gan_style.load(folder / "wct.ckpt", device="cpu"), parts


def pictures() -> tuple[Tensor, Tensor]:
    """Of sizes at which nothing is padded, in [0, 1]; there are more places than channels."""
    torch.manual_seed(0)
    content, style = (torch.rand(1, 3, side, 128, dtype=torch.float64) for side in (96, 80))
    return content, style


def root(covariance: Tensor) -> Tensor:
    """The square root of a positive definite matrix by the iteration of Denman and Beavers, without eigenvectors."""
    scale = covariance.norm()
    y, z = covariance / scale, torch.eye(len(covariance)).to(covariance)
    for _ in range(60):
        y, z = (y + torch.linalg.inv(z)) / 2, (z + torch.linalg.inv(y)) / 2
    return y * scale.sqrt()


def transformed(x: Tensor, y: Tensor) -> Tensor:
    """Features of a content with the covariance of a style's, by singular values of the features themselves.

    Of X = U S V^T the white features are U V^T, those of a style's spread U' S' U'^T times that. Random weights leave
    directions without variance, which are left out.
    """
    (_, own), (new_mean, wanted) = (
        (one[0].mean(-1), one[0] - one[0].mean(-1, keepdim=True)) for one in (x.flatten(2), y.flatten(2))
    )
    left, values, right = torch.linalg.svd(own, full_matrices=False)
    kept = values.square() / (own.shape[1] - 1) > 1e-5
    assert int(kept.sum()) > 10
    white = left[:, kept] @ right[kept] * (own.shape[1] - 1) ** 0.5
    left, values, _ = torch.linalg.svd(wanted, full_matrices=False)
    spread = values / (wanted.shape[1] - 1) ** 0.5
    spread = torch.where(spread.square() > 1e-5, spread, 0)
    return (left * spread @ left.mT @ white + new_mean[:, None]).reshape(x.shape)


def test_powers_of_a_covariance_are_those_of_square_roots() -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 24, 10, 20, generator=generator, dtype=torch.float64).cumsum(-1)
    mean, covariance = moments(features)
    for one, own_mean, own in zip(features, mean, covariance, strict=True):
        torch.testing.assert_close(own, torch.cov(one.flatten(1)))
        torch.testing.assert_close(own_mean, one.mean((1, 2)))
        torch.testing.assert_close(power(own[None], 0.5)[0], root(own), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(power(own[None], -0.5)[0], torch.linalg.inv(root(own)), rtol=1e-8, atol=1e-8)


def test_directions_without_variance_are_left_out() -> None:
    flat = torch.zeros(1, 3, 4, 4)
    flat[0, 0] = torch.arange(16.0).reshape(4, 4)
    covariance = moments(flat)[1]
    white = power(covariance, -0.5)[0] @ flat[0].flatten(1).double()
    assert white[1:].abs().max() == 0
    assert float(torch.cov(white)[0, 0]) == pytest.approx(1)


@torch.no_grad()
def test_a_picture_is_that_of_singular_values(wct: tuple[LoadedTranslator, dict[str, Weights]]) -> None:
    translator, parts = wct
    content, style = pictures()
    x, y = (official_styles.vgg(parts["vgg"], one, DEPTH) for one in (content, style))
    model = translator.model.double()
    code = model.style_code(2 * style - 1)  # type: ignore[operator]
    made = model.stylize(2 * content - 1, code)  # type: ignore[operator]
    expected = official_styles.features_decoder(parts["decoder"], transformed(x, y), DEPTH).clamp(0, 1)
    assert float(expected.std()) > 0.02
    assert float(((made + 1) / 2 - expected).abs().max()) < 1e-5
    model.float()


@torch.no_grad()
def test_strength_mixes_and_regions(wct: tuple[LoadedTranslator, dict[str, Weights]]) -> None:
    """Strength and mixes are the paper's mixes of features (eqs. 4 and 5); masks hold as for every method.

    A picture in its own style has its own features, but for directions without variance.
    """
    translator, parts = wct
    content, style = pictures()
    other = style.flip(1)
    model = translator.model.double()
    pairs = {name: (2 * one - 1) for name, one in (("content", content), ("style", style), ("other", other))}
    codes = {name: model.style_code(one) for name, one in pairs.items()}  # type: ignore[operator]
    x, y, z = (official_styles.vgg(parts["vgg"], one, DEPTH) for one in (content, style, other))
    half = {key: torch.lerp(codes["content"][key], codes["style"][key], 0.4) for key in codes["style"]}
    both = {key: 0.3 * codes["other"][key] + 0.7 * codes["style"][key] for key in codes["style"]}
    for code, features in (
        (codes["content"], transformed(x, x)),
        (half, 0.6 * transformed(x, x) + 0.4 * transformed(x, y)),
        (both, 0.7 * transformed(x, y) + 0.3 * transformed(x, z)),
    ):
        expected = official_styles.features_decoder(parts["decoder"], features, DEPTH).clamp(0, 1)
        made = (model.stylize(pairs["content"], code) + 1) / 2  # type: ignore[operator]
        assert float((made - expected).abs().max()) < 1e-5
    model.float()
    given = {name: one.float() for name, one in pairs.items()}
    left = torch.zeros(96, 128)
    left[:, :64] = 1
    styles = [(given["style"], 1.0), (given["other"], 1.0)]
    masked = translator.translate(given["content"], style=styles, mask=[left, 1 - left])
    whole = [translator.translate(given["content"], style=[one]) for one in styles]
    torch.testing.assert_close(masked, torch.where(left > 0, *whole), atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_device_without_float64_leaves_it_to_the_cpu(
    wct: tuple[LoadedTranslator, dict[str, Weights]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device `meta`, which has no numbers, stands for one of Apple's."""
    taken: list[torch.Size] = []

    def cpu(x: Tensor) -> Tensor:
        taken.append(x.shape)
        return torch.rand(x.shape)

    def double(x: Tensor) -> Tensor:
        assert x.device.type == "cpu"
        return x.to(torch.float64)

    model: Any = copy.deepcopy(wct[0].model).to("meta")
    monkeypatch.setattr("gan_style.models.wct.WITHOUT_FLOAT64", ("meta",))
    monkeypatch.setattr(Tensor, "cpu", cpu)
    monkeypatch.setattr(Tensor, "double", double)
    images = torch.zeros(1, 3, 32, 48, device="meta")
    features = torch.zeros(1, model.encoder.channels[model.depth], 8, 12, device="meta")
    monkeypatch.setattr(model, "_features", lambda _: (features, (32, 48)))
    made = model.stylize(images, model.style_code(images))
    assert (made.shape, made.device.type, made.dtype) == ((1, 3, 32, 48), "meta", torch.float32)
    assert len(taken) == 3  # features of the style and of the content, and the colouring


def test_what_it_cannot_do_is_a_sentence(
    wct: tuple[LoadedTranslator, dict[str, Weights]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    translator, parts = wct
    with pytest.raises(gan_style.UserError, match="was imported, and no file tells the styles"):
        translator.translate(torch.zeros(3, 32, 32))
    torch.save(parts["vgg"].file(), tmp_path / "net.pth")
    assert main(["import", str(tmp_path / "net.pth"), str(tmp_path / "x.ckpt"), "--transform", "wct"]) == 2
    assert "no decoder of features" in capsys.readouterr().err
    torch.save({"x": torch.zeros(1)}, tmp_path / "net.pth")
    assert main(["import", str(tmp_path / "net.pth"), str(tmp_path / "x.ckpt"), "--transform", "wct"]) == 2
    assert "net.pth holds none: leave it out" in capsys.readouterr().err
    with pytest.raises(gan_style.UserError, match="transform=other is not known: take adain or wct"):
        gan_style.import_official(tmp_path / "net.pth", tmp_path / "x.ckpt", transform="other")
