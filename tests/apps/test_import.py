"""`gan-style import` and the official layout, against generators written again in plain functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import gan_style
from gan_style.checkpoints import official
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.networks.resnet import ResnetGenerator
from gan_style.networks.two_branch import TwoBranchGenerator
from gan_style.networks.unet import UNetGenerator
from tests.official_generators import Weights, resnet, santa, ugatit, unet, unsb
from tests.small_models import saved

Network = Callable[..., torch.Tensor]
NETWORKS: dict[str, tuple[Network, dict[str, Any]]] = {
    **{f"resnet, {norm} norm": (resnet, {"norm": norm}) for norm in ("instance", "instance_affine", "batch", "none")},
    **{f"resnet, {n} blocks": (resnet, {"blocks": n, "ngf": 2}) for n in (0, 6, 9)},
    **{
        f"resnet, {norm} norm, dropout": (resnet, {"norm": norm, "dropout": True})
        for norm in ("instance", "batch", "none")
    },
    "CUT": (resnet, {"antialias": True, "antialias_up": True}),
    "CUT, batch norm, dropout": (resnet, {"antialias": True, "antialias_up": True, "norm": "batch", "dropout": True}),
    "CUT, no_antialias": (resnet, {"antialias_up": True}),
    "CUT, no_antialias_up": (resnet, {"antialias": True}),
    **{f"unet, {norm} norm": (unet, {"norm": norm}) for norm in ("instance", "instance_affine", "batch", "none")},
    "unet_128": (unet, {"depth": 7, "ngf": 2}),
    "unet_256": (unet, {"depth": 8, "ngf": 2, "norm": "batch"}),
}


def drawn(
    name: str, given: int = 3, made: int = 3, side: int | None = None
) -> tuple[Weights, torch.Tensor, torch.Tensor]:
    """Weights, an input and the output."""
    network, options = NETWORKS[name]
    side = side or 2 ** options.get("depth", 5)
    weights, x = Weights(), torch.rand(2, given, side, 2 * side, dtype=torch.float64) * 2 - 1
    return weights, x, network(weights, x, made=made, **options)


def imported(folder: Path, state: dict[str, torch.Tensor], *words: str) -> Path:
    torch.save(state, folder / "latest_net_G.pth")
    assert main(["import", str(folder / "latest_net_G.pth"), str(folder / "mine.ckpt"), *words]) == 0
    return folder / "mine.ckpt"


@pytest.mark.parametrize("name", NETWORKS)
def test_every_architecture_gives_the_same_picture_and_comes_back(name: str, tmp_path: Path) -> None:
    weights, x, expected = drawn(name)
    checkpoint = imported(tmp_path, weights.file())
    model = gan_style.load(checkpoint, device="cpu").model
    assert 0.01 < float(expected.std()) < 0.9
    assert float((model.translate(x.float()) - expected).abs().max()) < 1e-5
    assert float((model.double().translate(x) - expected).abs().max()) < 1e-9
    assert main(["export", str(checkpoint), str(tmp_path / "back_net_G.pth")]) == 0
    back = torch.load(tmp_path / "back_net_G.pth", weights_only=True)
    assert back.keys() == weights.keys()
    assert all(
        torch.equal(back[key], value) and back[key].dtype == value.dtype for key, value in weights.file().items()
    )


def test_the_numbering_is_the_published_one() -> None:
    """Names and sizes of known files: horse2zebra's, a CUT file's and facades' generator."""
    for name, last, first in (("resnet, 9 blocks", "model.26.bias", "model.10.conv_block.1.weight"),):
        weights, *_ = drawn(name)
        assert list(weights)[-1] == last
        assert first in weights
    weights = Weights()
    resnet(weights, torch.zeros(1, 3, 16, 16, dtype=torch.float64), blocks=9, antialias=True, antialias_up=True)
    assert list(weights)[-1] == "model.30.bias"
    assert {"model.7.filt", "model.11.filt", "model.21.filt", "model.25.filt", "model.12.conv_block.5.weight"} <= set(
        weights
    )
    weights = Weights()
    unet(weights, torch.zeros(1, 3, 256, 256, dtype=torch.float64), depth=8, norm="batch", ngf=1)
    assert "model.model.1.model.3.model.3.model.3.model.3.model.3.model.3.model.1.weight" in weights
    assert "model.model.1.model.3.model.3.model.3.model.3.model.3.model.3.model.4.running_var" in weights


def test_generators_of_other_methods_give_the_same_picture(tmp_path: Path) -> None:
    kinds: dict[str, tuple[Network, dict[str, Any]]] = {
        "santa": (santa, {}),
        "a santa of few blocks": (santa, {"blocks": 2, "size": 8, "ngf": 2}),
        "unsb": (unsb, {}),
        "ugatit": (ugatit, {}),
        "ugatit_light": (ugatit, {"light": True, "blocks": 4}),
    }
    for number, (name, (network, options)) in enumerate(kinds.items()):
        weights, x = Weights(), torch.rand(2, 3, 32, 32, dtype=torch.float64) * 2 - 1
        code = torch.randn(1, 16, dtype=torch.float64)
        expected = network(weights, x, **({"z": code} if name == "unsb" else options))
        folder = tmp_path / str(number)
        folder.mkdir()
        model = gan_style.load(imported(folder, weights.file()), device="cpu").model.double()
        found = model.G_AB.predict(x, 0, code) if name == "unsb" else model.translate(x)
        assert float(expected.std()) > 0.01, name
        assert float((found - expected).abs().max()) < 1e-9, name
        assert main(["export", str(folder / "mine.ckpt"), str(folder / "back_net_G.pth")]) == 2, (
            "no place in that layout"
        )


def test_wrapped_compiled_and_nested_files(tmp_path: Path) -> None:
    weights, *_ = drawn("resnet, instance norm")
    plain = weights.file()
    expected = official.from_official(plain).state
    wrapped = {f"_orig_mod.module.{key}": value for key, value in plain.items()}
    for number, content in enumerate(({"epoch": torch.tensor(3), "model": wrapped, "optimizer": {"lr": 1}}, wrapped)):
        torch.save(content, tmp_path / f"{number}.pth")
        found, _ = official.read(tmp_path / f"{number}.pth")
        assert all(torch.equal(found.state[key], expected[key]) for key in expected)
    torch.save({"one": plain, "two": plain}, tmp_path / "both.pth")
    with pytest.raises(UserError, match=r"both.pth holds several generators \(one, two\), and their names do not tell"):
        official.read(tmp_path / "both.pth")


def test_both_directions_in_one_file_of_ugatit(tmp_path: Path) -> None:
    there, back = Weights(), Weights()
    x = torch.rand(1, 3, 32, 32, dtype=torch.float64) * 2 - 1
    expected = [ugatit(weights, x, light=True) for weights in (there, back)]
    torch.save({"genA2B": there.file(), "genB2A": back.file(), "disGA": there.file()}, tmp_path / "params.pt")
    file, out = str(tmp_path / "params.pt"), str(tmp_path / "mine.ckpt")
    assert main(["import", file, out, "--back", file]) == 0
    model = gan_style.load(out, device="cpu").model.double()
    for direction, image in zip(("A2B", "B2A"), expected, strict=True):
        assert float((model.translate(x, direction) - image).abs().max()) < 1e-9


@pytest.mark.parametrize(("given", "made"), [(1, 3), (3, 1), (4, 2)])
def test_channels(given: int, made: int, tmp_path: Path) -> None:
    for number, name in enumerate(("resnet, instance norm", "unet, batch norm")):
        weights, x, expected = drawn(name, given, made)
        folder = tmp_path / str(number)
        folder.mkdir()
        translator = gan_style.load(imported(folder, weights.file()), device="cpu")
        assert [translator.values[letter].channels for letter in "AB"] == [given, made]
        assert float((translator.model.double().translate(x) - expected).abs().max()) < 1e-9


def test_old_instance_norms_and_data_parallel(tmp_path: Path) -> None:
    weights, *_ = drawn("resnet, instance norm")
    plain = weights.file()
    old = {"model.2.running_mean": torch.zeros(4), "model.2.running_var": torch.ones(4)}
    old |= {"model.10.conv_block.2.num_batches_tracked": torch.tensor(3)}
    expected = official.from_official(plain).state
    torch.save({f"module.{key}": value for key, value in (plain | old).items()}, tmp_path / "old_net_G.pth")
    found, _ = official.read(tmp_path / "old_net_G.pth")
    assert found.state.keys() == expected.keys()
    assert all(torch.equal(found.state[key], expected[key]) for key in expected)


def test_one_direction_does_not_pretend_to_have_the_other(tmp_path: Path) -> None:
    weights, *_ = drawn("resnet, instance norm")
    back = gan_style.load(imported(tmp_path, weights.file(), "--direction", "B2A"), device="cpu")
    assert back.model.directions == ("B2A",)
    image = torch.zeros(3, 16, 16)
    assert back.translate(image).shape == (3, 16, 16)
    with pytest.raises(UserError, match="does not translate A2B: there are: B2A"):
        back.translate(image, "A2B")


def test_both_directions(tmp_path: Path) -> None:
    (there, x, fake), (back, y, rec) = drawn("resnet, instance norm", 3, 1), drawn("resnet, instance norm", 1, 3)
    torch.save(back.file(), tmp_path / "net_G_B.pth")
    checkpoint = imported(tmp_path, there.file(), "--back", str(tmp_path / "net_G_B.pth"))
    model = gan_style.load(checkpoint, device="cpu").model.double()
    assert model.directions == ("A2B", "B2A")
    assert float((model.translate(x, "A2B") - fake).abs().max()) < 1e-9
    assert float((model.translate(y, "B2A") - rec).abs().max()) < 1e-9
    out = tmp_path / "back.pth"
    assert main(["export", str(checkpoint), str(out), "--direction", "B2A"]) == 0
    assert all(torch.equal(value, back.file()[key]) for key, value in torch.load(out, weights_only=True).items())


def test_our_own_networks_go_out_and_come_in(tmp_path: Path) -> None:
    ours = saved(tmp_path / "ours.ckpt", "model=cyclegan")
    assert main(["export", str(ours), str(tmp_path / "net_G.pth"), "--direction", "B2A"]) == 0
    found, _ = official.read(tmp_path / "net_G.pth")
    expected = gan_style.load(ours, device="cpu").model.G_BA.state_dict()
    assert all(torch.equal(found.state[key], value) for key, value in expected.items())


def test_the_verbs_take_what_was_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = imported(tmp_path, drawn("CUT")[0].file(), "--size", "32")
    assert "a ResNet of 3 blocks, 4 filters, instance norm, anti-aliasing; A2B" in capsys.readouterr().out
    noise = np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "in.png")
    assert main(["translate", str(checkpoint), str(tmp_path / "in.png"), str(tmp_path / "out.png")]) == 0
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (41, 30)
    assert main(["describe", str(checkpoint)]) == 0
    said = capsys.readouterr().out
    for line in (
        "latest_net_G.pth, sha256",
        "size 32",
        "downsample=blur",
        "cannot go on: the file holds weights",
    ):
        assert line in said


def test_mistakes_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = drawn("resnet, instance norm")[0].file()
    cut = drawn("CUT")[0].file()
    blurred = {**cut, "model.7.filt": torch.rand(8, 1, 3, 3)}
    wrong: list[tuple[Any, str]] = [
        ({}, "holds no tensors by name"),
        ([1, 2], "holds no state dict"),
        (
            {"model.0.weight": torch.zeros(64, 6, 4, 4)},
            "is no generator of CycleGAN, pix2pix, CUT, SANTA",
        ),
        (
            {key: value for key, value in good.items() if key != "model.4.weight"},
            "model.4.weight is nothing and should be [8",
        ),
        (
            good | {"model.2.weight": torch.ones(4)},
            "is not quite a ResNet of 3 blocks, 4 filters, scaled instance norm: model.2.bias",
        ),
        (good | {"model.3.weight": torch.zeros(4)}, "model.3.weight is [4] and should be nothing"),
        (good | {"model.1.bias": torch.full((4,), torch.nan)}, "holds NaN or infinite values in model.1.bias"),
        (blurred, "blurs with another filter"),
        (good | {"model.1.weight": torch.zeros(1).expand(4096, 3, 7, 7)}, "not dense (model.1.weight)"),
        (good | {"model.1.weight": torch.empty(4, 3, 7, 7, device="meta")}, "not dense (model.1.weight)"),
        ({"DownBlock.1.weight": torch.zeros(4, 3, 7, 7), "gamma.weight": torch.zeros(0, 4)}, "do not fit together"),
        (
            {"model.1.weight": torch.zeros(9000, 1, 7, 7), "model.26.weight": torch.zeros(3, 1, 1, 1)},
            "far larger network than its weights",
        ),
    ]
    out = tmp_path / "out.ckpt"
    for content, sentence in wrong:
        torch.save(content, tmp_path / "net_G.pth")
        assert main(["import", str(tmp_path / "net_G.pth"), str(out)]) == 2
        said = capsys.readouterr().err
        assert sentence in said
        assert said.count("\n") == 1
        assert not out.exists()
    torch.save(good, tmp_path / "net_G.pth")
    torch.save(cut, tmp_path / "other.pth")
    base = ["import", str(tmp_path / "net_G.pth")]
    for words, sentence in (
        ([*base, str(out), "--back", str(tmp_path / "other.pth")], "import each into a checkpoint of its own"),
        ([*base, str(tmp_path / "out.onnx")], "should end in .ckpt"),
        ([*base, str(out), "--size", "0"], "--size=0 is not valid"),
        (["import", str(tmp_path / "none.pth"), str(out)], "there is no file"),
        (["import", str(saved(tmp_path / "ours.ckpt")), str(out)], "needs no import"),
        (["export", str(tmp_path / "net_G.pth"), str(tmp_path / "x.onnx")], "gan-style import takes in"),
    ):
        assert main(words) == 2
        assert sentence in capsys.readouterr().err
        assert not out.exists()


def test_networks_that_the_official_code_does_not_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"filters": 2, "blocks": 1}
    for network, sentence in (
        (
            ResnetGenerator(**small, upsample="resize"),
            "has no such network of upsample=resize, only of deconv and bilinear",
        ),
        (UNetGenerator(filters=2, depth=3, upsample="bilinear"), "of upsample=bilinear, only of deconv"),
        (ResnetGenerator(**small, spectral=True), "has no spectral norm"),
        (ResnetGenerator(**small, head="residual"), "has no head other than tanh"),
        (ResnetGenerator(**small, separable=True), "has no separable convolution"),
        (UNetGenerator(filters=2, depth=3, full_size_skip=True), "has no skip connection at full size"),
        (UNetGenerator(filters=2, depth=3, padding="reflect"), "has no reflected border"),
        (TwoBranchGenerator(**small), "has no TwoBranchGenerator"),
    ):
        with pytest.raises(UserError, match=sentence):
            official.to_official(network)
    checkpoint = saved(tmp_path / "ours.ckpt", "model=adain")
    assert main(["export", str(checkpoint), str(tmp_path / "net_G.pth")]) == 2
    assert "the official layout has no AdaIN" in capsys.readouterr().err
    assert not (tmp_path / "net_G.pth").exists()


def test_a_bias_without_a_place_is_not_dropped() -> None:
    network = ResnetGenerator(filters=2, blocks=1, norm="none")
    assert "model.1.bias" not in official.to_official(network)
    with torch.no_grad():
        network.layers[1].bias[0] = 0.1
    with pytest.raises(UserError, match=r"has no bias where this one has trained one \(layers.1.bias\)"):
        official.to_official(network)
