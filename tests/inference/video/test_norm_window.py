"""Instance norms over a window of frames, against the norm of all those frames laid side by side."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gan_style.inference.video.norm_window import NormWindow
from gan_style.networks.blocks import InstanceNorm2d
from tests.small_models import made


@pytest.mark.parametrize("affine", [False, True])
def test_one_layer_is_the_norm_of_the_window_side_by_side(affine: bool) -> None:
    layer = InstanceNorm2d(3, affine=affine).eval()
    if affine:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    window = NormWindow(layer, 3)
    frames = [torch.randn(2, 3, 4, 5) * (t + 1) + t for t in range(6)]
    for t, frame in enumerate(frames):
        with window.frame():
            output = layer(frame)
        beside = torch.cat(frames[max(0, t - 2) : t + 1], dim=3)
        expected = F.instance_norm(beside, weight=layer.weight, bias=layer.bias, eps=layer.eps)[..., -5:]
        torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)


def test_the_first_frame_and_the_first_after_a_cut_are_by_themselves() -> None:
    network = made().G_AB.eval()
    window = NormWindow(network, 4)
    for _ in range(2):
        frame = torch.rand(1, 3, 20, 24)
        with torch.no_grad(), window.frame():
            output = network(frame)
        torch.testing.assert_close(output, network(frame).detach(), atol=1e-5, rtol=0)
        with torch.no_grad(), window.frame():
            assert not torch.allclose(network(frame * 0.1), network(frame * 0.1 + 0.5))
        window.clear()


def test_a_still_picture_stays_as_it_is_and_the_network_is_left_alone() -> None:
    network = made("model/generator=unet128", "model.generator.depth=3").G_AB.eval()
    frame = torch.rand(1, 3, 24, 24)
    plain = network(frame).detach()
    window = NormWindow(network, 3)
    for _ in range(5):
        with torch.no_grad(), window.frame() as calls:
            torch.testing.assert_close(network(frame), plain, atol=1e-5, rtol=0)
    assert calls
    assert not any("forward" in vars(layer) for layer in network.modules())
    assert torch.equal(network(frame), plain)


def test_calls_of_one_layer_in_a_frame_have_windows_of_their_own() -> None:
    layer = InstanceNorm2d(1)
    window = NormWindow(layer, 2)
    one, other = torch.randn(1, 1, 8, 8), 5 * torch.randn(1, 1, 8, 8) + 3
    for _ in range(3):  # each always the same, so that its window changes nothing
        with window.frame():
            torch.testing.assert_close(layer(one), F.instance_norm(one), atol=1e-5, rtol=0)
            torch.testing.assert_close(layer(other), F.instance_norm(other), atol=1e-5, rtol=0)


def test_a_copy_has_a_memory_of_its_own() -> None:
    layer = InstanceNorm2d(1)
    window = NormWindow(layer, 3)
    frames = torch.randn(4, 1, 1, 8, 8)
    with window.frame():
        layer(frames[0])
    copied = window.copy()
    with copied.frame():
        layer(100 * frames[1])
    with window.frame():
        output = layer(frames[2])
    beside = torch.cat([frames[0], frames[2]], dim=3)
    torch.testing.assert_close(output, F.instance_norm(beside)[..., -8:], atol=1e-5, rtol=0)


def test_layers_with_running_statistics_are_left_alone() -> None:
    assert not NormWindow(nn.InstanceNorm2d(3, track_running_stats=True), 2).layers
    assert not NormWindow(nn.BatchNorm2d(3), 2).layers


def test_the_network_is_restored_after_an_error() -> None:
    layer = InstanceNorm2d(1)
    with pytest.raises(KeyError), NormWindow(layer, 2).frame():
        raise KeyError
    assert "forward" not in vars(layer)
