"""Norms, blocks, upsampling and padding against their definitions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.networks.blocks import (
    UPSAMPLES,
    BlurPool,
    InstanceNorm2d,
    ReLU,
    ResidualBlock,
    Upsample,
    _pad_any_size,
    add_spectral_norm,
    crop,
    is_per_sample,
    make_norm,
    needs_bias,
    pad_to_multiple,
)


def normalised_by_loops(x: np.ndarray) -> np.ndarray:
    """Instance norm, one channel of one picture at a time."""
    out = np.empty_like(x)
    for image in range(x.shape[0]):
        for channel in range(x.shape[1]):
            values = x[image, channel]
            out[image, channel] = (values - values.mean()) / np.sqrt(values.var() + 1e-5)
    return out


@pytest.mark.parametrize("batch", [1, 3])
def test_instance_norm_is_the_formula_and_has_no_state(batch: int) -> None:
    x = 3 + 2 * torch.randn(batch, 4, 5, 7, dtype=torch.float64)
    norm = make_norm("instance", 4)
    np.testing.assert_allclose(norm(x).numpy(), normalised_by_loops(x.numpy()), atol=1e-12)
    torch.testing.assert_close(norm.eval()(x), norm.train()(x), rtol=0, atol=0)
    assert not norm.state_dict()


def test_instance_norm_with_weights_and_with_running_statistics_is_torchs() -> None:
    x = torch.randn(2, 3, 5, 4)
    ours, theirs = InstanceNorm2d(3, affine=True), nn.InstanceNorm2d(3, affine=True)
    for norm in (ours, theirs):
        nn.init.constant_(norm.weight, 1.5)
        nn.init.constant_(norm.bias, -0.5)
    torch.testing.assert_close(ours(x), theirs(x))
    ours, theirs = InstanceNorm2d(3, track_running_stats=True), nn.InstanceNorm2d(3, track_running_stats=True)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)


def test_norms_by_name() -> None:
    batch = make_norm("batch", 4)
    assert isinstance(batch, nn.BatchNorm2d)
    assert batch.num_features == 4
    x = torch.randn(1, 4, 3, 3)
    assert make_norm("none", 4)(x) is x
    assert [needs_bias(norm) for norm in ("instance", "batch", "none")] == [True, False, True]
    with pytest.raises(ValueError, match="instance, instance_affine, batch, none"):
        make_norm("layer", 4)


def test_relu_overwrites_only_where_asked() -> None:
    x = torch.tensor([-1.0, 2.0])
    assert ReLU()(x).tolist() == [0, 2]
    assert x.tolist() == [-1, 2]
    assert ReLU(inplace=True)(x).tolist() == [0, 2]
    assert x.tolist() == [0, 2]


@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
def test_residual_block_is_its_formula(norm: str) -> None:
    block = ResidualBlock(3, norm=norm)
    first, second = (layer for layer in block.layers if isinstance(layer, nn.Conv2d))
    assert (first.bias is not None) == needs_bias(norm)
    x = torch.randn(2, 3, 6, 5)

    def conv_norm(x: Tensor, layer: nn.Conv2d) -> Tensor:
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), layer.weight, layer.bias)
        if norm == "none":
            return x
        axes = (2, 3) if norm == "instance" else (0, 2, 3)
        variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt()

    expected = x + conv_norm(conv_norm(x, first).clamp(min=0), second)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


def test_residual_block_drops_in_training_only() -> None:
    block = ResidualBlock(4, dropout=0.5)
    x = torch.randn(1, 4, 8, 8)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))


@pytest.mark.parametrize("mode", UPSAMPLES)
@pytest.mark.parametrize("kernel", [3, 4])
def test_upsample_doubles_any_size(mode: str, kernel: int) -> None:
    layer = Upsample(3, 5, mode, kernel=kernel, bias=False)
    assert not any(name.endswith("bias") for name, _ in layer.named_parameters())
    for height, width in ((2, 3), (5, 8), (1, 1)):
        assert layer(torch.randn(2, 3, height, width)).shape == (2, 5, 2 * height, 2 * width)


def convolve(layer: Upsample, x: Tensor, border: str = "reflect") -> Tensor:
    (convolution,) = (part for part in layer if isinstance(part, nn.Conv2d))
    return F.conv2d(F.pad(x, (1, 1, 1, 1), border), convolution.weight, convolution.bias)


def test_resize_repeats_pixels_and_then_convolves() -> None:
    layer, x = Upsample(3, 2, "resize"), torch.randn(1, 3, 4, 5)
    repeated = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(layer(x), convolve(layer, repeated))


def test_blur_is_the_binomial_filter() -> None:
    layer, x = Upsample(1, 1, "blur"), torch.randn(1, 1, 6, 6, dtype=torch.float64)
    layer.double()
    spread = torch.zeros(1, 1, 12, 12, dtype=torch.float64)
    spread[..., ::2, ::2] = x
    binomial = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 4
    blurred = F.conv2d(F.pad(spread, (2, 1, 2, 1)), binomial.outer(binomial)[None, None])
    inner = (..., slice(2, -2), slice(2, -2))  # at the border bilinear repeats the last pixel
    torch.testing.assert_close(layer(x)[inner], convolve(layer, blurred)[inner])


def test_bilinear_is_the_same_with_zeros_at_the_border() -> None:
    layer, blur, x = Upsample(2, 3, "bilinear"), Upsample(2, 3, "blur"), torch.randn(1, 2, 5, 4)
    blur[2].load_state_dict(layer[1].state_dict())
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(layer(x)[inner], blur(x)[inner])
    grown = F.interpolate(x, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(layer(x), convolve(layer, grown, "constant"))


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (2, 2)])
def test_blur_pool_is_the_binomial_filter_at_every_second_pixel(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    mirrored = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    rows = (mirrored[..., :-2, :] + 2 * mirrored[..., 1:-1, :] + mirrored[..., 2:, :]) / 4
    both = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 4
    np.testing.assert_allclose(BlurPool()(x).numpy(), both[..., ::2, ::2], atol=1e-6)
    assert not BlurPool().state_dict()


@pytest.mark.parametrize("multiple_and_minimum", [(1, 1), (4, 8), (8, 8), (16, 32)])
def test_padding_for_export_is_padding(multiple_and_minimum: tuple[int, int]) -> None:
    for height in (1, 2, 3, 5, 8, 9, 15, 31):
        x = torch.randn(1, 2, height, 33 - height)
        padded, _ = pad_to_multiple(x, *multiple_and_minimum)
        assert torch.equal(_pad_any_size(x, *multiple_and_minimum), padded)


def test_pixelshuffle_puts_four_channels_into_a_square() -> None:
    layer, x = Upsample(2, 3, "pixelshuffle"), torch.randn(1, 2, 4, 4)
    wide, out = convolve(layer, x, "replicate"), layer(x)
    for channel in range(3):
        for row in range(2):
            for column in range(2):
                part = out[:, channel, row::2, column::2]
                torch.testing.assert_close(part, wide[:, 4 * channel + 2 * row + column])


def test_tied_subpixels_start_without_a_checkerboard() -> None:
    layer = Upsample(2, 3, "pixelshuffle", bias=False)
    x = torch.randn(1, 2, 4, 4)
    assert not torch.allclose(layer(x)[..., ::2, ::2], layer(x)[..., 1::2, 1::2])
    layer.tie_subpixels()
    for row, column in ((0, 1), (1, 0), (1, 1)):
        torch.testing.assert_close(layer(x)[..., row::2, column::2], layer(x)[..., ::2, ::2])
    assert not torch.allclose(layer(x)[:, 0], layer(x)[:, 1])


def test_unknown_upsample_names_the_known() -> None:
    with pytest.raises(ValueError, match="deconv, resize, pixelshuffle, blur"):
        Upsample(1, 1, "bicubic")


def test_spectral_norm_bounds_every_layer() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), Upsample(8, 4, "deconv"), nn.ReLU())
    add_spectral_norm(net)
    head = nn.Sequential(nn.Linear(9, 6))
    add_spectral_norm(head)
    with torch.no_grad():
        for _ in range(60):
            net(torch.randn(1, 3, 8, 8)), head(torch.randn(1, 9))
    transposed = net[1][0].weight.transpose(0, 1)  # its rows are the output channels
    for weight in (net[0].weight, transposed, head[0].weight):
        largest = torch.linalg.svdvals(weight.flatten(1))[0].item()
        assert largest == pytest.approx(1.0, abs=0.01)


def test_per_sample_knows_what_mixes() -> None:
    clean = nn.Sequential(nn.Conv2d(3, 3, 1), InstanceNorm2d(3), nn.Dropout(0.0))
    assert is_per_sample(clean)
    for mixing in (nn.BatchNorm2d(3), nn.Dropout(0.1), nn.Dropout2d(0.1)):
        assert not is_per_sample(nn.Sequential(clean, mixing))
    add_spectral_norm(clean)
    assert not is_per_sample(clean)


@pytest.mark.parametrize(
    ("size", "multiple", "minimum", "padded"),
    [
        ((8, 12), 4, 1, (8, 12)),
        ((7, 9), 4, 1, (8, 12)),
        ((1, 1), 4, 8, (8, 8)),
        ((1, 30), 16, 1, (16, 32)),
        ((30, 5), 32, 1, (32, 32)),
        ((3, 3), 4, 8, (8, 8)),
    ],
)
def test_padding_fits_and_crop_undoes_it(
    size: tuple[int, int], multiple: int, minimum: int, padded: tuple[int, int]
) -> None:
    x = torch.randn(2, 3, *size)
    wide, original = pad_to_multiple(x, multiple, minimum)
    assert wide.shape == (2, 3, *padded)
    assert original == size
    assert torch.equal(crop(wide, original), x)


def test_fitting_pictures_are_not_copied() -> None:
    x = torch.randn(1, 3, 8, 8)
    assert pad_to_multiple(x, 8)[0] is x
    assert crop(x, (8, 8)) is x


def test_padding_reflects_where_it_can_and_repeats_where_not() -> None:
    x = torch.arange(10.0).reshape(1, 1, 5, 2)
    wide, _ = pad_to_multiple(x, 4)
    rows = wide[0, 0, :, 0].tolist()
    columns = wide[0, 0, 0].tolist()
    assert rows == [0, 2, 4, 6, 8, 6, 4, 2]
    assert columns == [0, 1, 1, 1]
