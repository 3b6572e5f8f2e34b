"""LPIPS against the formula in loops and against torchmetrics' own, with the reference's linear weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn
from torchmetrics.functional.image.lpips import _LPIPS

from gan_style.core.errors import UserError
from gan_style.metrics.lpips import LPIPS

SHARED = Path(__file__).parents[3] / "shared" / "data" / "weights"


def images(seed: int, count: int = 2, side: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module", params=["squeeze", "vgg"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, nn.Module, Path]:
    torch.manual_seed(0)
    make = {"squeeze": torchvision.models.squeezenet1_1, "vgg": torchvision.models.vgg16}[request.param]
    with torch.device("meta"):
        network = make(weights=None)
    features = network.features.to_empty(device="cpu").eval()
    for layer in features.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.normal_(layer.bias, std=0.1)
    path = tmp_path_factory.mktemp("lpips") / "backbone.pth"
    torch.save({f"features.{k}": v for k, v in features.state_dict().items()}, path)
    return request.param, features, path


def test_equals_torchmetrics(backbone: tuple[str, nn.Module, Path]) -> None:
    net, features, path = backbone
    theirs = _LPIPS(pretrained=True, net=net, pnet_rand=True)  # type: ignore[arg-type]
    slices = theirs.net.slices if net == "squeeze" else [getattr(theirs.net, f"slice{i}") for i in range(1, 6)]
    state = features.state_dict()
    for part in slices:  # their modules keep torchvision's numbers
        part.load_state_dict({k: state[k] for k in part.state_dict()})
    ours = LPIPS(net, weights=path)  # type: ignore[arg-type]
    a, b = images(0), images(1)
    torch.testing.assert_close(ours(a, b), theirs(a, b).flatten(), rtol=2e-5, atol=1e-6)
    assert ours.name == f"lpips_{net}_{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"


def test_equals_the_formula(backbone: tuple[str, nn.Module, Path]) -> None:
    """Zhang et al. 2018, eq. 1, place by place, in float64."""
    net, features, path = backbone
    if net == "vgg":
        pytest.skip("the slower of two networks with one formula")
    ours = LPIPS("squeeze", weights=path)
    a, b = images(0, 1, 32), images(1, 1, 32)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x, y = (((z.double() + 1) / 2 - mean.view(3, 1, 1)) / std.view(3, 1, 1) for z in (a, b))
    total, depth = 0.0, 0
    for place, layer in enumerate(features.double().requires_grad_(False)):  # type: ignore[arg-type]
        x, y = layer(x), layer(y)
        if place in (1, 4, 7, 9, 10, 11, 12):
            weight = getattr(ours, f"linear{depth}").double().flatten()
            places = [(i, j) for i in range(x.shape[2]) for j in range(x.shape[3])]
            for i, j in places:
                u, v = x[0, :, i, j], y[0, :, i, j]
                total += float((weight * (u / (u.norm() + 1e-10) - v / (v.norm() + 1e-10)) ** 2).sum()) / len(places)
            depth += 1
    features.float()
    assert float(ours(a, b)[0]) == pytest.approx(total, rel=1e-4)


def test_is_a_distance_and_can_be_trained_with(backbone: tuple[str, nn.Module, Path]) -> None:
    ours = LPIPS(backbone[0], weights=backbone[2])  # type: ignore[arg-type]
    a, b = images(0), images(1)
    assert ours(a, a).abs().max() == 0
    assert torch.allclose(ours(a, b), ours(b, a))
    assert bool((ours(a, 0.9 * a + 0.1 * b) < ours(a, b)).all())
    a.requires_grad_()
    ours(a, b).sum().backward()
    assert a.grad is not None
    assert bool(a.grad.isfinite().all())
    with pytest.raises(UserError, match="one shape"):
        ours(a, b[:1])


def test_other_linear_weights_are_refused(backbone: tuple[str, nn.Module, Path], tmp_path: Path) -> None:
    torch.save({"lin0.model.1.weight": torch.zeros(1, 3, 1, 1)}, tmp_path / "lin.pth")
    with pytest.raises(UserError, match="linear weights are not those"):
        LPIPS(backbone[0], weights=backbone[2], linear=tmp_path / "lin.pth")  # type: ignore[arg-type]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real weights are not here")
def test_real_weights_see_what_people_see() -> None:
    """Noise is farther than a change of brightness of the same size; the carried linear weights are the released."""
    ours = LPIPS("squeeze", weights=SHARED / "squeezenet1_1_features_caffe.pth")
    released = LPIPS(
        "squeeze", weights=SHARED / "squeezenet1_1_features_caffe.pth", linear=SHARED / "lpips_lin_v0.1_squeeze.pth"
    )
    assert ours.sha256 == released.sha256
    coarse = torch.nn.functional.interpolate(images(0, 2, 8) * 0.6, (96, 96), mode="bicubic")
    signs = torch.sign(images(1, 2, 96))
    assert bool((ours(coarse, coarse + 0.15 * signs) > 2 * ours(coarse, coarse + 0.15)).all())
