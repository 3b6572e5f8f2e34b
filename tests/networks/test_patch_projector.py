"""The heads of CUT against one patch at a time."""

import pytest
import torch
from torch import Tensor

from gan_style.networks.patch_projector import PatchProjector
from gan_style.networks.resnet import ResnetGenerator

CHANNELS = (3, 5)


def features(images: int = 2) -> list[Tensor]:
    return [torch.randn(images, 3, 6, 7), torch.randn(images, 5, 3, 4)]


def test_published_size_of_the_heads() -> None:
    """Five layers of the 9-block ResNet: channels times 256, 256 times 256, and two biases each."""
    channels = ResnetGenerator(filters=64, blocks=9).feature_channels
    net = PatchProjector(channels)
    counted = sum(p.numel() for p in net.parameters())
    assert channels == (3, 128, 256, 256, 256)
    assert counted == sum(c * 256 + 256 + 256 * 256 + 256 for c in channels)


def test_equals_one_patch_at_a_time() -> None:
    net, maps = PatchProjector(CHANNELS, width=8, num_patches=4), features()
    ids = net.sample(maps)
    for i, (vectors, x, places) in enumerate(zip(net(maps, ids), maps, ids, strict=True)):
        assert vectors.shape == (2, 4, 8)
        first, _, second = net.heads[i]
        for b in range(2):
            for n, place in enumerate(places.tolist()):
                row, column = divmod(place, x.shape[3])
                hidden = (first.weight @ x[b, :, row, column] + first.bias).clamp(min=0)
                vector = second.weight @ hidden + second.bias
                torch.testing.assert_close(vectors[b, n], vector / (vector.square().sum().sqrt() + 1e-7))


def test_places_are_different_drawn_from_the_global_generator_and_no_more_than_there_are() -> None:
    net, maps = PatchProjector(CHANNELS, num_patches=20), features()
    torch.manual_seed(5)
    first = net.sample(maps)
    second = net.sample(maps)
    torch.manual_seed(5)
    again = net.sample(maps)
    assert [len(places) for places in first] == [20, 12]
    assert [places.max() < size for places, size in zip(first, (42, 12), strict=True)] == [True, True]
    assert all(len(set(places.tolist())) == len(places) for places in first)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], second[0])


def test_each_layer_has_a_head_and_each_head_learns() -> None:
    net, maps = PatchProjector(CHANNELS, width=8), [x.requires_grad_() for x in features()]
    weights = [torch.randn(8) for _ in CHANNELS]
    sum((v @ w).sum() for v, w in zip(net(maps, net.sample(maps)), weights, strict=True)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in maps)
    with pytest.raises(ValueError, match="shorter"):
        net(maps[:1], net.sample(maps[:1]))


def test_half_features_are_projected_in_float32() -> None:
    net, maps = PatchProjector(CHANNELS), [x.bfloat16() for x in features()]
    ids = net.sample(maps)
    expected = net([x.float() for x in maps], ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = net(maps, ids)
    assert all(torch.equal(a, b) and a.dtype == torch.float32 for a, b in zip(found, expected, strict=True))
    lengths = torch.cat([v.norm(dim=-1).flatten() for v in found])
    assert ((lengths > 0.98) & (lengths < 1 + 1e-6)).all(), "1 but for the epsilon"


def test_a_patch_of_zeros_disturbs_nothing() -> None:
    net, maps = PatchProjector((3,), width=8), [torch.randn(1, 3, 2, 2)]
    maps[0][..., 0, 0] = 0
    (vectors,) = net(maps, [torch.tensor([0, 3])])
    vectors.sum().backward()
    assert not vectors[0, 0].any()
    found = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    net(maps, [torch.tensor([3])])[0].sum().backward()
    assert all(torch.allclose(a, p.grad) for a, p in zip(found, net.parameters(), strict=True))


def test_init_options_arrive() -> None:
    net = PatchProjector((64,), init="normal", init_gain=0.5)
    assert net.heads[0][0].weight.std().item() == pytest.approx(0.5, rel=0.05)
    assert not net.heads[0][0].bias.any()
