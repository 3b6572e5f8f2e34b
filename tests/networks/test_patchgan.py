"""Discriminators: published size, receptive field shown by gradients, sizes, clear refusals."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gan_style.networks.patchgan import MultiScaleDiscriminator, PatchDiscriminator, PixelDiscriminator

ALL = [PatchDiscriminator, PixelDiscriminator, MultiScaleDiscriminator]


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def only_positive(net: nn.Module) -> nn.Module:
    """Positive weights and no biases: no path from a pixel to a logit can cancel another."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_() if parameter.dim() > 1 else parameter.zero_()
    return net.double()


@pytest.mark.parametrize(
    ("net", "parameters"),
    [
        (PatchDiscriminator(), 2_764_737),
        (PatchDiscriminator(6), 2_764_737 + 3 * 64 * 16),
        # Batch norm: a weight and a bias instead of a bias, for 128 + 256 + 512 channels.
        (PatchDiscriminator(norm="batch"), 2_764_737 + 896),
        (PixelDiscriminator(), (3 * 64 + 64) + (64 * 128 + 128) + (128 + 1)),
        (MultiScaleDiscriminator(scales=3), 3 * 2_764_737),
    ],
)
def test_published_number_of_parameters(net: nn.Module, parameters: int) -> None:
    assert count(net) == parameters


@pytest.mark.parametrize(("layers", "side"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_receptive_field_by_gradient(layers: int, side: int) -> None:
    """The gradient of one central logit is non-zero on exactly one square of the published side."""
    net = only_positive(PatchDiscriminator(filters=1, layers=layers, norm="none"))
    x = torch.ones(1, 3, 2 * side + 40, 2 * side + 40, dtype=torch.float64, requires_grad=True)
    logits = net(x)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    reached = x.grad[0] > 0
    rows, columns = reached[0].any(dim=1), reached[0].any(dim=0)
    assert net.receptive_field == side
    assert rows.sum() == columns.sum() == side
    assert reached.sum() == 3 * side * side


def test_receptive_field_of_pixels_and_scales() -> None:
    assert PixelDiscriminator(filters=1).receptive_field == 1
    net = only_positive(MultiScaleDiscriminator(filters=1, layers=1, scales=2, norm="none"))
    x = torch.ones(1, 3, 96, 96, dtype=torch.float64, requires_grad=True)
    coarse = net(x)[1]
    coarse[0, 0, coarse.shape[2] // 2, coarse.shape[3] // 2].backward()
    assert (x.grad[0, 0] > 0).any(dim=0).sum() == net.receptive_field == (16 - 1) * 2 + 3


@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
def test_layers_are_the_papers(norm: str) -> None:
    net = PatchDiscriminator(filters=2, norm=norm, init_gain=0.5).double()
    convolutions = [layer for layer in net.layers if isinstance(layer, nn.Conv2d)]
    x = torch.randn(2, 3, 40, 32, dtype=torch.float64)
    out, axes = x, {"instance": (2, 3), "batch": (0, 2, 3)}.get(norm)
    affine = iter([layer for layer in net.layers if isinstance(layer, nn.BatchNorm2d)])
    for number, (layer, stride) in enumerate(zip(convolutions, (2, 2, 2, 1, 1), strict=True)):
        out = F.conv2d(out, layer.weight, layer.bias, stride=stride, padding=1)
        if axes and 0 < number < 4:
            mean, variance = out.mean(axes, keepdim=True), out.var(axes, correction=0, keepdim=True)
            out = (out - mean) / (variance + 1e-5).sqrt()
            if norm == "batch":
                weight = next(affine)
                out = out * weight.weight[:, None, None] + weight.bias[:, None, None]
        if number < 4:
            out = torch.where(out > 0, out, 0.2 * out)
    torch.testing.assert_close(net(x), out, rtol=1e-9, atol=1e-9)


def test_logit_maps() -> None:
    x = torch.randn(2, 3, 64, 50)
    assert PatchDiscriminator(filters=2)(x).shape == (2, 1, 6, 4)
    assert PixelDiscriminator(filters=2)(x).shape == (2, 1, 64, 50)
    maps = MultiScaleDiscriminator(filters=2, layers=2, scales=3)(x)
    assert [tuple(one.shape) for one in maps] == [(2, 1, 14, 10), (2, 1, 6, 4), (2, 1, 2, 1)]


def test_logits_are_no_probabilities() -> None:
    torch.manual_seed(0)
    logits = PatchDiscriminator(filters=4, init_gain=0.5)(torch.randn(2, 3, 64, 64))
    assert logits.min() < 0
    assert logits.max() > 1


def test_pixels_are_judged_apart() -> None:
    torch.manual_seed(0)
    net = PixelDiscriminator(filters=4, norm="none", init_gain=0.5)
    x = torch.randn(1, 3, 5, 6)
    shuffled = torch.randperm(30)
    mixed = x.flatten(2)[..., shuffled].unflatten(2, (5, 6))
    torch.testing.assert_close(net(mixed).flatten(), net(x).flatten()[shuffled])
    assert net(x).std() > 0.01


def test_scales_judge_averaged_pictures() -> None:
    net = MultiScaleDiscriminator(filters=2, layers=1, scales=3)
    x = torch.randn(1, 3, 37, 64)
    half = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    quarter = F.avg_pool2d(half, 3, 2, 1, count_include_pad=False)
    for logits, single, image in zip(net(x), net.scales, (x, half, quarter), strict=True):
        torch.testing.assert_close(logits, single(image))
    # A flat picture stays flat at every scale, up to its border.
    flat = torch.ones(1, 3, 8, 8)
    torch.testing.assert_close(F.avg_pool2d(flat, 3, 2, 1, count_include_pad=False), flat[..., :4, :4])


@pytest.mark.parametrize(
    ("net", "least"),
    [
        (PatchDiscriminator(filters=1), 24),
        (PatchDiscriminator(filters=1, layers=1), 6),
        (PatchDiscriminator(filters=1, layers=5), 96),
        (MultiScaleDiscriminator(filters=1, scales=2), 47),
        (MultiScaleDiscriminator(filters=1, scales=3), 93),
        (PixelDiscriminator(filters=1), 2),
        (PixelDiscriminator(filters=1, norm="none"), 1),
    ],
)
def test_the_least_size_passes_and_one_less_is_refused(net: nn.Module, least: int) -> None:
    net.train()
    logits = net(torch.randn(1, 3, least, least))
    maps = logits if isinstance(logits, list) else [logits]
    assert all(one.numel() >= 1 and one.isfinite().all() for one in maps)
    assert net.minimum_size == least
    with pytest.raises(ValueError, match=f"{least - 1}x{least + 9} .* too small .* at least {least}x{least}"):
        net(torch.randn(1, 3, least - 1, least + 9))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("channels", [1, 3, 4, 7])
def test_channels(kind: type[nn.Module], channels: int) -> None:
    net = kind(channels, filters=1)
    logits = net(torch.randn(2, channels, 48, 48))
    for one in logits if isinstance(logits, list) else [logits]:
        assert one.shape[:2] == (2, 1)


@pytest.mark.parametrize("kind", ALL)
def test_per_sample(kind: type[nn.Module]) -> None:
    def judge(net: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
        logits = net(x)
        return logits if isinstance(logits, list) else [logits]

    a, b = torch.randn(2, 2, 3, 48, 48, dtype=torch.float64)
    net = kind(filters=2, init_gain=0.5).double().train()
    assert net.per_sample
    for joined, first, second in zip(judge(net, torch.cat((a, b))), judge(net, a), judge(net, b), strict=True):
        torch.testing.assert_close(joined, torch.cat((first, second)), rtol=1e-10, atol=1e-12)
    batch = kind(filters=2, norm="batch", init_gain=0.5).double().train()
    assert not batch.per_sample
    assert not torch.allclose(judge(batch, torch.cat((a, b)))[0][:2], judge(batch, a)[0])
    assert not kind(filters=2, spectral=True).per_sample


@pytest.mark.parametrize("kind", ALL)
def test_spectral_norm_reaches_every_convolution(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    net = kind(filters=2, spectral=True).train()
    with torch.no_grad():
        for _ in range(40):
            net(torch.randn(1, 3, 48, 48))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            assert torch.linalg.svdvals(layer.weight.flatten(1))[0].item() == pytest.approx(1.0, abs=0.02)


def test_no_layers_and_no_scales_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one layer"):
        PatchDiscriminator(layers=0)
    with pytest.raises(ValueError, match="at least one scale"):
        MultiScaleDiscriminator(scales=0)
