"""What docs/networks.md asks of a generator and a discriminator, for every one of conf/model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_style.core.config import build, config_dir
from gan_style.inference.tiling.known_functions import UnknownOperationError
from gan_style.inference.tiling.tiled import Tiled
from gan_style.losses.adversarial import maps_of
from gan_style.networks.contract import Branched, Featured, Graded, Halved, Paired, can_join, minimum_size, noised
from gan_style.networks.recomputed import blocks_of
from gan_style.testing import check_discriminator, check_generator
from tests.conftest import small_config
from tests.small_models import made

OF_STYLES = {"styled", "munit", "conditional", "vgg"}  # they take a code or a label beside a picture
RESNETS = ["mobile", "resnet6", "resnet9", "resnet9_antialiased"]
BEGIN_AT_THE_INPUT = {"painter"}  # generators with as many channels out as in

CHECKS: dict[str, Callable[..., None]] = {"generator": check_generator, "discriminator": check_discriminator}


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (config_dir() / "model" / group).glob("*.yaml"))


def words_of(group: str, name: str) -> list[str]:
    method = "style_conditional" if name in OF_STYLES else "cyclegan"
    words = ["model.discriminator.vgg.weights=random"] if name == "vgg" else []
    return [f"model={method}", f"model/{group}={name}", *words]


def network(group: str, name: str) -> Any:
    model: Any = made(*words_of(group, name), **({"styles": 2} if name in OF_STYLES else {}))
    player = {"generator": ("G", "G_AB"), "discriminator": ("D", "D_B")}[group]
    return getattr(model, player[name not in OF_STYLES]).eval()


@pytest.fixture(scope="module", params=names("generator"))
def generator(request: pytest.FixtureRequest) -> Any:
    return network("generator", request.param)


@pytest.fixture(scope="module", params=names("discriminator"))
def discriminator(request: pytest.FixtureRequest) -> Any:
    return network("discriminator", request.param)


def given(net: Any, x: Tensor) -> tuple[Tensor, ...]:
    """A picture, and what a network of styles takes beside it."""
    kind = type(net).__name__
    if kind in ("StyledGenerator", "MUNITGenerator"):
        size = next(module.in_features for module in net.modules() if isinstance(module, nn.Linear))
        return x, torch.ones(len(x), size)
    return (
        (x, torch.zeros(len(x), dtype=torch.int64))
        if kind in ("ConditionalDiscriminator", "VGGDiscriminator")
        else (x,)
    )


class OfOneStyle(nn.Module):
    """A network of styles with the same style for every picture."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.per_sample = net, can_join(net)

    def forward(self, x: Tensor) -> Any:
        return self.net(*(one.to(x) if one.is_floating_point() else one for one in given(self.net, x)))


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in CHECKS for name in names(group)])
def test_it_keeps_what_is_asked_of_one_of_another_package(group: str, name: str) -> None:
    factory = build(small_config(*words_of(group, name))["model"][group])
    more = {"styles": 2} if (group, name) in (("discriminator", "conditional"), ("discriminator", "vgg")) else {}
    as_many = {"out_channels": 3} if name in BEGIN_AT_THE_INPUT else {}
    CHECKS[group](
        lambda **channels: OfOneStyle(factory(**channels, **more)) if name in OF_STYLES else factory(**channels),
        **as_many,
    )


@pytest.mark.parametrize("group", ["generator", "discriminator"])
def test_some_may_be_joined(group: str) -> None:
    assert any(can_join(network(group, name)) for name in names(group))


@torch.no_grad()
def test_features_and_branches_are_those_of_the_pass(generator: Any) -> None:
    x = torch.rand(1, 3, 32, 40)
    if isinstance(generator, Featured):
        y, features = generator.forward_with_features(x)
        assert torch.equal(y, generator(x))
        assert tuple(one.shape[1] for one in features) == generator.feature_channels
        assert all(torch.equal(a, b) for a, b in zip(features, generator.features(x), strict=True))
    if isinstance(generator, Branched):
        content, style = generator.branches(x)
        assert torch.allclose(generator(x), torch.tanh(content + generator.alpha * style))
        assert torch.allclose(generator(x, alpha=0.0), torch.tanh(content))


def test_what_is_optional_is_there_in_one_at_least() -> None:
    found = {name: network("generator", name) for name in names("generator")}
    assert [name for name, one in found.items() if isinstance(one, Featured)] == [*RESNETS, "stylegan2"]
    assert [name for name, one in found.items() if isinstance(one, Paired)] == RESNETS
    assert [name for name, one in found.items() if isinstance(one, Halved)] == RESNETS
    assert [name for name, one in found.items() if isinstance(one, Branched)] == ["two_branch"]
    assert [name for name, one in found.items() if isinstance(one, Graded)] == ["bridge", "path"]
    assert [name for name, one in found.items() if noised(one)] == ["bridge", "painter", "stylegan2"]
    assert all(blocks_of(found[name]) for name in (*RESNETS, "path", "two_branch", "styled", "stylegan2"))


class Model(nn.Module):
    """A network as `Tiled` wants it."""

    takes_style = False

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def interpolate(self, images: Tensor, direction: str, alpha: float) -> Tensor:
        return self.net(*given(self.net, images))


@torch.no_grad()
def test_tiles_give_what_the_whole_gives(generator: Any) -> None:
    x = torch.rand(1, 3, 96, 70) * 2 - 1
    model = Model(generator)
    found = Tiled(model, 32).interpolate(x, "A2B", 1.0)
    assert torch.allclose(found, model.interpolate(x, "A2B", 1.0), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(
    "act", [nn.ReLU(), nn.LeakyReLU(0.2), nn.ELU(), nn.GELU(), nn.SiLU(), nn.Softplus(), nn.Sigmoid()]
)
def test_tiles_know_what_looks_at_each_place_by_itself(act: nn.Module) -> None:
    torch.manual_seed(0)
    model = Model(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), act, nn.Conv2d(4, 3, 3, padding=1), nn.Tanh()))
    x = torch.rand(1, 3, 50, 41) * 2 - 1
    assert torch.allclose(Tiled(model, 16).interpolate(x, "A2B", 1.0), model.interpolate(x, "A2B", 1.0), atol=1e-5)


@torch.no_grad()
def test_what_looks_at_all_places_is_refused_by_name() -> None:
    class Attends(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return torch.nn.functional.scaled_dot_product_attention(x, x, x)

    with pytest.raises(UnknownOperationError, match="scaled_dot_product_attention, which exact tiling does not know"):
        Tiled(Model(Attends(3, 3, 1)), 16).interpolate(torch.rand(1, 3, 40, 40), "A2B", 1.0)


def test_a_discriminator_gives_maps_down_to_its_smallest_picture(discriminator: Any) -> None:
    least = minimum_size(discriminator)
    for side in (least, max(least, 32) + 3):
        x = torch.rand(2, 3, side, side)
        for one in maps_of(discriminator(*given(discriminator, x))):
            assert one.dim() == 4
            assert one.shape[:2] == (2, 1)
    if least > 1:
        with pytest.raises(ValueError, match=str(least)):
            discriminator(*given(discriminator, torch.rand(2, 3, least - 1, least - 1)))


def test_a_discriminator_can_be_differentiated_twice(discriminator: Any) -> None:
    x = torch.rand(1, 3, max(minimum_size(discriminator), 48), 48, requires_grad=True)
    total = torch.stack([one.sum() for one in maps_of(discriminator(*given(discriminator, x)))]).sum()
    (slope,) = torch.autograd.grad(total, x, create_graph=True)
    slope.square().sum().backward()
    trained = [p for p in discriminator.parameters() if p.requires_grad]
    assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in trained)
