"""Models of torchvision, timm and open_clip as extractors: their own features, from a local file."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
import torchvision
from torch import nn

from gan_style.core.errors import UserError
from gan_style.metrics.extractors import column, extractor
from gan_style.metrics.table import NAMED


def images(side: int = 40) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_classifier_of_torchvision_gives_what_its_last_layer_sees(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "resnet.pth")
    ours = extractor("torchvision:resnet18", tmp_path / "resnet.pth")
    pixels = ((images() + 1) * 127.5).round() / 255
    large = torch.nn.functional.interpolate(pixels, (224, 224), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(x)[:, None, None] for x in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    seen: list[torch.Tensor] = []
    network.fc.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network((large - mean) / std)
    torch.testing.assert_close(ours(images()), seen[0], rtol=1e-4, atol=1e-5)
    assert (ours.name, ours.size) == ("torchvision_resnet18", 224)
    assert column(NAMED["frechet"], ours) == "frechet_torchvision_resnet18"
    with pytest.raises(UserError, match="names or shapes differ"):
        extractor("torchvision:mobilenet_v3_small", tmp_path / "resnet.pth")


def test_safetensors_are_read_too(tmp_path: Path) -> None:
    files = pytest.importorskip("safetensors.torch")
    state = torchvision.models.mobilenet_v3_small(weights=None).state_dict()
    files.save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "a.pth")
    one, other = (extractor("torchvision:mobilenet_v3_small", tmp_path / f"a.{end}") for end in ("safetensors", "pth"))
    assert torch.equal(one(images()), other(images()))
    assert one.sha256 != other.sha256, "the hash is the file's"
    (tmp_path / "b.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="is no whole"):
        extractor("torchvision:mobilenet_v3_small", tmp_path / "b.safetensors")


class Tower(nn.Module):
    """What the other two libraries have: an image tower in a larger model."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 5, 3), nn.Linear(5, 2)

    def reset_classifier(self, classes: int) -> None:
        assert classes == 0
        self.head = nn.Identity()  # type: ignore[assignment]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.body(x).mean(dim=(2, 3)))
        return y


class Clip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visual, self.text = Tower(), nn.Linear(2, 2)
        self.visual.image_size, self.visual.image_mean = (16, 16), (0.5, 0.5, 0.5)  # type: ignore[assignment]
        self.visual.image_std = (0.5, 0.5, 0.5)  # type: ignore[assignment]


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **content: object) -> None:
    module = ModuleType(name)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)


def test_timm_and_open_clip_are_asked_as_they_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    tower, clip = Tower(), Clip()
    for name, module in (("tower", tower), ("clip", clip)):
        torch.save(module.state_dict(), tmp_path / f"{name}.pth")
    look = {"input_size": (3, 16, 16), "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    stand_in(
        monkeypatch,
        "timm",
        create_model=lambda name, pretrained: Tower(),
        list_models=lambda: ["tower"],
        list_pretrained=lambda: ["tower.in1k"],
        data=SimpleNamespace(resolve_model_data_config=lambda model: look),
    )
    stand_in(monkeypatch, "open_clip", create_model=lambda name: Clip(), list_models=lambda: ["ViT-B-32"])
    x = ((images(16) + 1) * 127.5).round() / 127.5 - 1
    ours = extractor("timm:tower.in1k", tmp_path / "tower.pth")
    torch.testing.assert_close(ours(x), tower.body(x).mean(dim=(2, 3)).detach())
    ours = extractor("open_clip:ViT-B-32", tmp_path / "clip.pth")
    torch.testing.assert_close(ours(x), clip.visual(x).detach())
    with pytest.raises(UserError, match=r"timm has no model towr: did you mean tower\?"):
        extractor("timm:towr", tmp_path / "tower.pth")


def test_mistakes_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="add --weights FILE"):
        extractor("torchvision:resnet18")
    with pytest.raises(UserError, match="did you mean resnet50"):
        extractor("torchvision:resnet5O", tmp_path / "x.pth")
    with pytest.raises(UserError, match="there is no file"):
        extractor("torchvision:resnet18", tmp_path / "x.pth")
    torch.save({}, tmp_path / "x.pth")
    with pytest.raises(UserError, match="ends in no linear layer"):
        extractor("torchvision:squeezenet1_1", tmp_path / "x.pth")
    for name, package in (("timm", "timm"), ("open_clip", "open-clip-torch")):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(UserError, match=f"pip install {package}"):
            extractor(f"{name}:any", tmp_path / "x.pth")
