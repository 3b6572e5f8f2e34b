"""Extractors: the right features, known by the hash of their weights, and nothing called what it is not."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import squeezenet1_1

from gan_style.core import weights
from gan_style.core.errors import UserError
from gan_style.metrics import inception
from gan_style.metrics.extractor import ModuleExtractor, RandomExtractor
from gan_style.metrics.extractors import column, extractor
from gan_style.metrics.squeezenet import SqueezeNet
from gan_style.metrics.table import NAMED

CAFFE = Path(__file__).parents[3] / "shared" / "data" / "weights" / "squeezenet1_1_features_caffe.pth"


def images(count: int = 2, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """torchvision's network with random weights, and its file."""
    torch.manual_seed(0)
    network = squeezenet1_1(weights=None).eval()
    path = tmp_path_factory.mktemp("squeezenet") / "squeezenet.pth"
    torch.save(network.state_dict(), path)
    return network, path


def test_squeezenet_is_torchvisions(squeezenet: tuple[nn.Module, Path]) -> None:
    network, path = squeezenet
    x, found = ((images(side=64) + 1) * 127.5).round() / 255, []
    y = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    for place, layer in enumerate(network.features):  # type: ignore[arg-type]
        y = layer(y)
        if place in (1, 4, 7, 9, 10, 11, 12):
            found.append(y.mean(dim=(2, 3)).clone())
    ours = extractor("squeezenet", path, size=None, unit=False)
    torch.testing.assert_close(ours(images(side=64)), torch.cat(found, 1), rtol=1e-4, atol=1e-5)
    assert ours.stamp() == {
        "extractor": "squeezenet_raw",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size": None,
        "resize": "none",
    }
    assert extractor("squeezenet", path, taps=[2, 5], size=64)(images()).shape == (2, 256 + 512)


def test_no_layer_drowns_the_others(squeezenet: tuple[nn.Module, Path], tmp_path: Path) -> None:
    """A layer of larger weights counts as it did, and a picture's product with itself is D at most."""
    network, path = squeezenet
    state = {k: v.clone() for k, v in network.state_dict().items()}
    for part in ("features.12.expand1x1", "features.12.expand3x3"):  # nothing comes behind
        state[f"{part}.weight"] *= 100
        state[f"{part}.bias"] *= 100
    torch.save(state, tmp_path / "larger.pth")
    found, larger = (extractor("squeezenet", p, size=64)(images()) for p in (path, tmp_path / "larger.pth"))
    torch.testing.assert_close(found, larger, rtol=1e-4, atol=1e-5)
    assert bool((found.square().sum(1) <= found.shape[1] * 1.0001).all())


def test_caffes_colours(squeezenet: tuple[nn.Module, Path]) -> None:
    network, path = squeezenet
    x = images(side=64)
    bgr = (x.flip(1) + 1) * 127.5 - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    ours = SqueezeNet(path, colours="caffe")
    torch.testing.assert_close(ours(x)[0], network.features[:2](bgr), rtol=1e-4, atol=1e-3)  # type: ignore[index]
    assert ours.name == "squeezenet_caffe"


@pytest.mark.skipif(not CAFFE.is_file(), reason="the real weights are not here")
def test_the_converted_file_is_known() -> None:
    ours = extractor("squeezenet", CAFFE)
    assert ours.name == "squeezenet_caffe"
    assert ours(images()).shape == (2, 2240)


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = module.FeatureExtractorInceptionV3("any", ["2048"])
    torch.save(network.state_dict(), path)
    return path


def test_inception_is_torch_fidelitys(inception_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    ours = extractor("inception", inception_file)
    theirs = FeatureExtractorInceptionV3("any", ["2048"], feature_extractor_weights_path=str(inception_file))
    pixels = ((images() + 1) * 127.5).round().to(torch.uint8)
    assert torch.equal(ours(pixels / 127.5 - 1), theirs(pixels)[0])
    assert ours(images()).shape == (2, 2048)
    # any other file is not Inception of 2015
    sha256 = hashlib.sha256(inception_file.read_bytes()).hexdigest()
    assert (ours.sha256, ours.name, ours.resize) == (sha256, f"inception_{sha256[:8]}", "bilinear-tensorflow1")
    rows = [NAMED[name] for name in ("frechet", "kid", "cmmd", "swd")]
    end = f"inception_{sha256[:8]}"
    assert [column(row, ours) for row in rows] == [f"frechet_{end}", f"kid_{end}", f"cmmd_{end}", "swd"]
    ours.sha256 = inception.SHA256
    assert [column(row, ours) for row in rows][:2] == ["fid", "kid"]


def test_inception_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(UserError, match="pip install torch-fidelity"):
        extractor("inception")


def test_weights_that_cannot_be_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(UserError, match=r"no network.*put https://.*squeezenet1_1-b8a52dc0.pth there"):
        extractor("squeezenet")


def test_files_that_are_something_else(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(UserError, match="there is no file"):
        weights.read(path, "a network")
    path.write_bytes(b"no weights")
    with pytest.raises(UserError, match="is not weights of a network: it is text"):
        weights.read(path, "a network")
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="no state dict"):
        weights.read(path, "a network")
    torch.save({"features.0.weight": torch.zeros(3)}, path)
    with pytest.raises(UserError, match="names or shapes"):
        extractor("squeezenet", path)


def test_random_ones_repeat_and_say_so() -> None:
    one, again, other = extractor("random"), RandomExtractor(0), extractor("random", seed=1)
    assert torch.equal(one(images()), again(images()))
    assert one.sha256 == again.sha256 != other.sha256
    assert column(NAMED["frechet"], other) == "frechet_random1"
    assert not torch.equal(one(images()), other(images()))
    assert extractor("vgg", "random", size=64).name == "vgg19_random_relu1_1_relu2_1_relu3_1_relu4_1_relu5_1"
    assert extractor("vgg", "random", layers=["relu2_1"], size=64)(images()).shape == (2, 128)


def test_pictures_count_as_their_8_bit_files() -> None:
    network, x = RandomExtractor(), (images() * 127).round() / 127.5 - 1 / 255
    assert torch.equal(network(x), network(x + 0.001))
    assert torch.equal(network(torch.full((1, 3, 8, 8), 5.0)), network(torch.ones(1, 3, 8, 8)))
    assert torch.equal(network(torch.zeros(1, 1, 8, 8)), network(torch.zeros(1, 3, 8, 8)))


def test_any_module() -> None:
    torch.manual_seed(0)
    ours = ModuleExtractor(nn.Conv2d(3, 5, 3), "mine", size=16, prepare=lambda x: x * 2).train()
    assert ours(images()).shape == (2, 5)
    assert not ours.training
    assert len(ours.sha256) == 64
    assert ours.sha256 != ModuleExtractor(nn.Conv2d(3, 5, 3), "mine").sha256
    with pytest.raises(UserError, match="cannot be called"):
        ModuleExtractor(nn.Flatten(), "inception")


def test_mistakes_are_said() -> None:
    with pytest.raises(UserError, match="did you mean inception"):
        extractor("inceptoin")
    with pytest.raises(UserError, match="takes no weights"):
        extractor("random", "file.pth")
    with pytest.raises(UserError, match="colour or grey"):
        RandomExtractor()(torch.zeros(1, 4, 8, 8))
