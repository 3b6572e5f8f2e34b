"""VGG by layer names, in both forms of its weights, against torchvision's own network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from gan_style.core.errors import UserError
from gan_style.networks.vgg import MEAN, STD, VGG

REAL = Path(__file__).parents[3] / "shared" / "data" / "weights" / "vgg19_normalised_relu3_1.pth"


@pytest.fixture(scope="module", params=["vgg16", "vgg19"])
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, nn.Module, Path]:
    """torchvision's network with random weights, and its file."""
    torch.manual_seed(0)
    network = getattr(torchvision.models, request.param)(weights=None, num_classes=2).features.eval()
    path = tmp_path_factory.mktemp("vgg") / f"{request.param}.pth"
    torch.save({f"features.{k}": v for k, v in network.state_dict().items()}, path)
    return request.param, network, path


def test_layers_are_torchvisions(published: tuple[str, nn.Module, Path]) -> None:
    arch, network, path = published
    vgg = VGG(str(path), arch=arch)  # type: ignore[arg-type]
    x = torch.rand(2, 3, 64, 48) * 2 - 1
    y = ((x + 1) / 2 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    outputs = []
    for layer in network:
        y = nn.ReLU()(y) if isinstance(layer, nn.ReLU) else layer(y)
        if isinstance(layer, nn.ReLU):
            outputs.append(y)
    found = vgg(x, vgg.layers)
    assert len(found) == len(outputs) == {"vgg16": 13, "vgg19": 16}[arch]
    for ours, theirs in zip(found.values(), outputs, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5, rtol=1e-4)
    assert vgg.depth == {"vgg16": "relu5_3", "vgg19": "relu5_4"}[arch]


def normalised(blocks: list[int]) -> dict[str, torch.Tensor]:
    """AdaIN's form, as the sequence of its published definition numbers it."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
    channels = 3
    for block, count in enumerate(blocks):
        for _ in range(count):
            width = (64, 128, 256, 512)[block]
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, width, 3), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
    return nn.Sequential(*layers).state_dict()


def test_the_normalised_form_has_its_own_colours_and_reflection(tmp_path: Path) -> None:
    state = normalised([2, 2, 1])
    torch.save(state, tmp_path / "vgg.pth")
    vgg = VGG(str(tmp_path / "vgg.pth"))
    assert (vgg.depth, vgg.padding) == ("relu3_1", "reflect")
    x = torch.rand(1, 3, 32, 32)
    y = nn.functional.conv2d(x, state["0.weight"], state["0.bias"])
    y = nn.functional.pad(y, (1, 1, 1, 1), mode="reflect")
    y = nn.functional.conv2d(y, state["2.weight"], state["2.bias"]).relu()
    assert torch.allclose(vgg(2 * x - 1, ["relu1_1"])["relu1_1"], y, atol=1e-5)


def test_the_gradient_reaches_the_picture_and_the_weights_stay() -> None:
    vgg = VGG("random", depth="relu2_1")
    before = {k: v.clone() for k, v in vgg.named_parameters()}
    x = torch.rand(1, 3, 16, 16, requires_grad=True)
    vgg.train()
    vgg(x, ["relu2_1"])["relu2_1"].sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0
    assert all(p.grad is None and torch.equal(p, before[k]) for k, p in vgg.named_parameters())
    assert not vgg.training


def test_random_weights_are_the_same_everywhere_and_move_no_other_draw() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    a, b = VGG("random", depth="relu1_2"), VGG("random", depth="relu1_2")
    assert torch.equal(torch.rand(4), expected)
    assert torch.equal(a.state_dict()["convolutions.1_2.weight"], b.state_dict()["convolutions.1_2.weight"])


def test_average_pooling_differs_behind_the_first_pool_only() -> None:
    x = torch.rand(1, 3, 32, 32)
    layers = ["relu1_2", "relu2_1"]
    a, b = VGG("random", depth="relu2_1")(x, layers), VGG("random", depth="relu2_1", pooling="avg")(x, layers)
    assert torch.equal(a["relu1_2"], b["relu1_2"])
    assert not torch.equal(a["relu2_1"], b["relu2_1"])


def test_it_computes_in_float32_under_autocast() -> None:
    vgg = VGG("random", depth="relu1_1")
    with torch.autocast("cpu", torch.bfloat16):
        assert vgg(torch.rand(1, 3, 16, 16).bfloat16(), ["relu1_1"])["relu1_1"].dtype == torch.float32


def test_small_pictures_and_grey_ones() -> None:
    vgg = VGG("random")
    assert vgg(torch.rand(1, 1, 16, 16), ["relu5_1"])["relu5_1"].shape == (1, 512, 1, 1)
    grey = torch.rand(1, 1, 16, 16)
    assert torch.equal(vgg(grey, ["relu1_1"])["relu1_1"], vgg(grey.repeat(1, 3, 1, 1), ["relu1_1"])["relu1_1"])


def test_mistakes_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vgg = VGG("random", depth="relu3_1")
    with pytest.raises(UserError, match="relu4_1 cannot be used, because these weights end at relu3_1"):
        vgg(torch.zeros(1, 3, 16, 16), ["relu4_1"])
    with pytest.raises(UserError, match="vgg19 has no such layer"):
        vgg.require(["relu9_9"])
    with pytest.raises(UserError, match=r"takes pictures of 3 channels .*, not 5"):
        vgg(torch.zeros(1, 5, 16, 16), ["relu1_1"])
    with pytest.raises(UserError, match="there is no file"):
        VGG(str(tmp_path / "none.pth"))
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(UserError, match=r"text\.pth is not weights of a VGG: it is text"):
        VGG(str(tmp_path / "text.pth"))
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="does not hold a vgg19"):
        VGG(str(tmp_path / "other.pth"))

    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(UserError, match=r"cannot be downloaded \(no network\).*--weights FILE"):
        VGG()


def test_the_wrong_architecture_is_named(published: tuple[str, nn.Module, Path]) -> None:
    arch, _, path = published
    other = "vgg16" if arch == "vgg19" else "vgg19"
    with pytest.raises(UserError, match=f"does not hold a {other}.*model/vgg={arch}"):
        VGG(str(path), arch=other)


@pytest.mark.skipif(not REAL.is_file(), reason="the real weights are not beside the repository")
def test_the_real_normalised_weights_load() -> None:
    vgg = VGG(str(REAL))
    assert (vgg.depth, vgg.padding) == ("relu3_1", "reflect")
    features = vgg(torch.rand(1, 3, 64, 64) * 2 - 1, vgg.layers)
    assert all(0 < float((f > 0).float().mean()) < 1 for f in features.values())


def test_files_of_the_wrong_shapes_are_refused(published: tuple[str, nn.Module, Path], tmp_path: Path) -> None:
    arch, _, path = published
    whole = torch.load(path, weights_only=True)
    first, third = "features.0", "features.5"
    wrong = {
        "a gap": {k: v for k, v in whole.items() if not k.startswith(third)},
        "no bias": {k: v for k, v in whole.items() if k != f"{third}.bias"},
        "a short bias": whole | {f"{third}.bias": torch.zeros(3)},
        "other channels": whole | {f"{first}.weight": torch.zeros(64, 1, 3, 3)},
        "another kernel": whole | {f"{third}.weight": torch.zeros(128, 64, 5, 5)},
    }
    for state in wrong.values():
        torch.save(state, tmp_path / "wrong.pth")
        with pytest.raises(UserError, match=f"does not hold a {arch}: expected"):
            VGG(str(tmp_path / "wrong.pth"), arch=arch)  # type: ignore[arg-type]
    torch.save(whole | {f"{first}.bias": torch.full((64,), torch.nan)}, tmp_path / "nan.pth")
    with pytest.raises(UserError, match="holds weights that are NaN or infinite: take another file"):
        VGG(str(tmp_path / "nan.pth"), arch=arch)  # type: ignore[arg-type]
    (tmp_path / "text.pth").write_text("e")
    with pytest.raises(UserError, match=r"is not weights of a VGG: "):
        VGG(str(tmp_path / "text.pth"), arch=arch)  # type: ignore[arg-type]
