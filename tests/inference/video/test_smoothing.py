"""Smoothing frame by frame, on sequences made by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.inference.video.flicker import FlickerSample, steps
from gan_style.inference.video.flow import flow_between
from gan_style.inference.video.smoothing import FlowSmoother, NormSmoother, Smoother, is_cut, smoother
from gan_style.metrics.flicker import moved
from tests.small_models import loaded

SMOOTHERS = [Smoother, NormSmoother, FlowSmoother]


def texture(right: int = 0, down: int = 0, size: int = 64) -> Tensor:
    """A random picture, moved by whole pixels over a wider one."""
    wide = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(3)) * 2 - 1
    wide = nn.functional.interpolate(wide, (size + 32, size + 32), mode="bicubic").clamp(-1, 1)
    return wide[..., 16 - down : 16 - down + size, 16 - right : 16 - right + size].contiguous()


def noisy(frame: Tensor) -> Tensor:
    """A translation that flickers: new noise each time."""
    return (frame + 0.2 * torch.randn_like(frame)).clamp(-1, 1)


def network() -> nn.Module:
    return loaded().model.G_AB  # type: ignore[return-value, no-any-return] # a module of its name


def test_the_flow_finds_a_shift_and_trusts_it() -> None:
    flow, steady = flow_between(texture(3, -2), texture())
    inside = flow[..., 8:-8, 8:-8]
    assert inside.mean(dim=(0, 2, 3)).tolist() == pytest.approx([-3, 2], abs=0.1)
    assert steady[..., 8:-8, 8:-8].mean() > 0.9
    assert steady[..., :2, :].mean() > steady[..., :2].mean()  # the left came into the picture
    assert steady[..., :2].mean() < 0.2


def test_the_flow_of_noise_is_not_trusted_and_tiny_frames_have_none() -> None:
    one, other = (torch.rand(1, 3, 48, 48) * 2 - 1 for _ in range(2))
    assert flow_between(one, other)[1].mean() < 0.05
    flow, steady = flow_between(one[..., :9, :], other[..., :9, :])
    assert flow.abs().sum() == steady.sum() == 0


def test_flow_smoothing_is_the_exponential_mean_of_what_stands_still() -> None:
    still = texture()
    outputs = [torch.rand(1, 3, 64, 64) for _ in range(4)]
    following = iter(outputs)
    way = FlowSmoother(lambda _: next(following), nn.Identity(), window=3)  # a weight of 1/2
    made = [way(still) for _ in outputs]
    mean = outputs[0]
    torch.testing.assert_close(made[0], mean)
    for output, result in zip(outputs[1:], made[1:], strict=True):
        mean = (mean + output) / 2
        torch.testing.assert_close(result[..., 2:-2, 2:-2], mean[..., 2:-2, 2:-2], atol=1e-4, rtol=0)


def test_flow_smoothing_follows_the_motion() -> None:
    way = FlowSmoother(noisy, nn.Identity(), window=9)
    for t in range(8):
        output = way(texture(2 * t - 8))
    inner = (..., slice(8, -8), slice(18, -8))
    error = (output - texture(6))[inner].square().mean()
    assert error < 0.3 * (noisy(texture(6)) - texture(6))[inner].square().mean()


def test_norm_smoothing_keeps_the_light_of_the_input() -> None:
    net = network()
    frames = [texture() * (0.5 if t % 2 else 0.8) for t in range(24)]
    plain, smoothed = ([way(x) for x in frames] for way in (Smoother(net, net), NormSmoother(net, net, 2)))
    torch.testing.assert_close(plain[-1], plain[-2], atol=2e-3, rtol=0)  # each by itself: light is taken away
    # Over a window of both the light stays as it is in the input, and so does what a bright frame looks like.
    assert (smoothed[-1] - smoothed[-2]).abs().mean() > 10 * (plain[-1] - plain[-2]).abs().mean()
    torch.testing.assert_close(smoothed[-1], smoothed[-3], atol=1e-3, rtol=0)


def test_norm_smoothing_keeps_a_still_place_still_when_something_enters() -> None:
    net = network()
    before, after = texture(), texture()
    after[..., 24:40, 48:] = 1.0
    steady = (..., slice(None), slice(0, 8))  # far from what enters
    changes = []
    for way in (Smoother(net, net), NormSmoother(net, net, 6)):
        for _ in range(6):
            first = way(before)
        changes.append((way(after) - first)[steady].abs().mean())
    assert changes[1] < 0.6 * changes[0]


@pytest.mark.parametrize("kind", SMOOTHERS)
def test_a_cut_begins_again(kind: type[Smoother]) -> None:
    net = network()
    scene, other = texture(), -texture(5)
    assert is_cut(other, scene)
    assert not is_cut(texture(2), scene)
    way, fresh = kind(net, net, 6), kind(net, net, 6)
    for t in range(3):
        way(texture(t))
    torch.testing.assert_close(way(other), fresh(other))
    torch.testing.assert_close(way(other[..., :50]), kind(net, net, 6)(other[..., :50]))  # another size


@pytest.mark.parametrize("kind", SMOOTHERS)
def test_a_moved_smoother_is_that_of_moved_frames_and_leaves_the_first_alone(kind: type[Smoother]) -> None:
    def alike(frame: Tensor) -> Tensor:
        return norm(frame) * 0.5

    norm = nn.InstanceNorm2d(3)
    way, twin = kind(alike, norm, 6), kind(alike, norm, 6)
    for t in range(3):
        way(texture(t)), twin(texture(t))
    shifted = way.moved((2, 3))(moved(texture(3), (2, 3)))
    expected = twin(texture(3))
    torch.testing.assert_close(way(texture(3)), expected)
    error = (shifted - moved(expected, (2, 3)))[..., 10:-10, 10:-10].abs()
    assert error.mean() < 0.02  # the border that came in changes the statistics a little


def test_smoothing_works_for_adain() -> None:
    translator = loaded("model=adain")
    frames = [texture(t)[..., :40, :40] + 0.02 * t for t in range(3)]
    way = NormSmoother(translator.translate, translator.model, 3)
    outputs = [way(x) for x in frames]
    torch.testing.assert_close(outputs[0], translator.translate(frames[0]), atol=1e-5, rtol=0)
    assert not torch.allclose(outputs[2], translator.translate(frames[2]), atol=1e-4)


def test_what_cannot_be_smoothed_is_said() -> None:
    with pytest.raises(UserError, match="--smooth norm is for instance norms, and this model has none: take flow"):
        NormSmoother(lambda x: x, nn.Conv2d(3, 3, 1))(texture())
    with pytest.raises(UserError, match="smooth=nrom is not known: did you mean norm"):
        smoother("nrom", lambda x: x, nn.Identity())


def test_the_sample_measures_what_smoothing_takes_away() -> None:
    sample = FlickerSample(FlowSmoother(noisy, nn.Identity(), 9), 0, every=1)
    torch.manual_seed(0)
    for t in range(6):
        sample(texture(t))
    warped = {name: steps(values) for name, values in sample.found.warped.items()}
    assert len(sample.found.warped["input"]) == 5
    # Noise of 0.2, clamped in places, in two frames; the flow's interpolation takes some of the second.
    assert 127.5 * 0.2 < warped["before"] < 127.5 * 0.2 * 2**0.5
    assert warped["after"] < 0.8 * warped["before"]
    assert warped["input"] < 2
    shifted = {name: steps(values) for name, values in sample.found.shifted.items()}
    assert shifted["after"] < 0.5 * shifted["before"]
    lines = sample.found.sentences("flow")
    assert f"{warped['before']:.2f} frame by frame" in lines[1]
    assert f"{warped['after']:.2f} with --smooth flow" in lines[1]


def test_the_sample_is_small_spread_and_changes_nothing() -> None:
    calls, still = 0, texture(size=16) / 2

    def counted(frame: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return 0.5 * frame

    for expected, pairs in ((90, 3), (10, 1), (0, 8), (500, 8)):
        calls, length = 0, expected or 400
        sample = FlickerSample(Smoother(counted, nn.Identity()), expected)
        for t in range(length):
            frame = still + 1e-4 * t
            assert torch.equal(sample(frame), 0.5 * frame)
        assert len(sample.found.warped["input"]) == pairs
        assert calls == length + 4 * pairs
