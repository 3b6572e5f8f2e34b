"""`gan-style import` of models of styles, against them written again in plain functions under the official names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import gan_style
from gan_style.cli.main import main
from gan_style.data.scenes import draw_scene
from gan_style.inference.translator import LoadedTranslator
from tests import official_styles
from tests.official_generators import Weights

PARTS = ("content_encoder", "style_encoder", "modulator", "decoder")
SIZES = ((32, 48), (33, 41))  # of a content, and of a style of another size


def pictures() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    content, style = (torch.rand(1, 3, *size, dtype=torch.float64) for size in SIZES)
    return content, style


def micro() -> tuple[dict[str, Weights], Tensor]:
    parts = {name: Weights() for name in PARTS}
    return parts, official_styles.microast(parts, *pictures())


def imported(tmp_path: Path, *sources: Path, words: tuple[str, ...] = ()) -> LoadedTranslator:
    assert main(["import", *map(str, sources), str(tmp_path / "mine.ckpt"), *words]) == 0
    return gan_style.load(tmp_path / "mine.ckpt", device="cpu")


def stylized(translator: LoadedTranslator, precise: bool) -> Tensor:
    """The result in [0, 1]."""
    content, style = (2 * one - 1 for one in pictures())
    if not precise:
        return (translator.translate(content.float(), style=style.float()) + 1) / 2
    model = translator.model.double()
    return (model.stylize(content, model.style_code(style)) + 1) / 2  # type: ignore[operator]


def assert_same(translator: LoadedTranslator, expected: Tensor) -> None:
    height, width = SIZES[0]
    expected = expected[..., :height, :width].clamp(0, 1)
    assert 0.02 < float(expected.std()) < 0.5
    assert float((stylized(translator, False) - expected).abs().max()) < 1e-4  # float32, by fast convolutions
    assert float((stylized(translator, True) - expected).abs().max()) < 1e-6  # its weights stay those of float32


@pytest.mark.parametrize("form", ["files", "folder", "one file", "a training checkpoint"])
def test_microast_gives_the_reference_from_any_of_its_forms(form: str, tmp_path: Path) -> None:
    parts, expected = micro()
    sources = []
    if form in ("files", "folder"):
        folder = tmp_path / "weights"
        folder.mkdir()
        for name, weights in parts.items():
            torch.save(weights.file(), folder / f"{name}_iter_160000.pth.tar")
        (folder / "README.md").write_text("no weights")
        sources = [folder] if form == "folder" else sorted(folder.glob("*.tar"), reverse=True)
    elif form == "one file":
        torch.save({name: weights.file() for name, weights in parts.items()}, tmp_path / "all.pth")
        sources = [tmp_path / "all.pth"]
    else:
        net = {f"{name}.{key}": value for name, one in parts.items() for key, value in one.file().items()}
        net |= {"vgg_enc_1.0.weight": torch.zeros(3, 3, 1, 1)}
        torch.save({"net": net, "optimizer": {"state": {}}, "epoch": 3}, tmp_path / "checkpoints.pth.tar")
        sources = [tmp_path / "checkpoints.pth.tar"]
    assert_same(imported(tmp_path, *sources), expected)


@pytest.mark.parametrize("depth", [3, 4])
def test_a_decoder_of_features_and_its_vgg(depth: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """AdaIN's at relu4_1, and one that ends a block earlier, as WCT's; the VGG may go deeper than the decoder."""
    parts = {"vgg": Weights(), "decoder": Weights()}
    content, style = pictures()
    expected = official_styles.adain(parts, content[..., :32, :40], style[..., :32, :32], depth)
    if depth == 3:
        official_styles.vgg(parts["vgg"], content, 4)
    for name, weights in parts.items():
        torch.save(weights.file(), tmp_path / f"{name}.pth")
    translator = imported(tmp_path, tmp_path / "decoder.pth", tmp_path / "vgg.pth", words=("--size", "64"))
    assert "AdaIN, which takes any picture as a style" in capsys.readouterr().out
    model = translator.model.double()
    found = model.stylize(2 * content[..., :32, :40] - 1, model.style_code(2 * style[..., :32, :32] - 1))  # type: ignore[operator]
    assert float(expected.clamp(0, 1).std()) > 0.02
    assert float(((found + 1) / 2 - expected.clamp(0, 1)).abs().max()) < 1e-6


@pytest.mark.parametrize("blocks", [2, 5])
def test_a_fast_style_net(blocks: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, x = Weights(), torch.rand(1, 3, 32, 48, dtype=torch.float64) * 255
    expected = official_styles.fast_style(weights, x, blocks=blocks).clamp(0, 255) / 127.5 - 1
    state = weights.file() | {"in1.running_mean": torch.zeros(4), "in1.running_var": torch.ones(4)}
    torch.save(state, tmp_path / "mosaic.pth")
    translator = imported(tmp_path, tmp_path / "mosaic.pth")
    assert f"a fast style net, {blocks} blocks, 4 filters; A2B" in capsys.readouterr().out
    assert 0.05 < float(expected.std()) < 0.9
    assert float((translator.translate((x / 127.5 - 1).float()) - expected).abs().max()) < 1e-4
    assert float((translator.model.double().translate(x / 127.5 - 1) - expected).abs().max()) < 1e-5


def test_what_was_imported_goes_out_again(tmp_path: Path) -> None:
    parts, expected = micro()
    torch.save({name: weights.file() for name, weights in parts.items()}, tmp_path / "all.pth")
    imported(tmp_path, tmp_path / "all.pth")
    assert main(["export", str(tmp_path / "mine.ckpt"), str(tmp_path / "mine.safetensors")]) == 0
    assert_same(gan_style.load(tmp_path / "mine.safetensors", device="cpu"), expected)


def mistakes(folder: Path, what: str) -> list[Path]:
    """Write the files of a command that is to fail."""
    parts = {name: weights.file() for name, weights in micro()[0].items()}
    few = {key: value for key, value in parts["decoder"].items() if "dec2" not in key}
    kernels = {f"{i}.weight": torch.zeros(3 if i == 9 else 128, 128, 3, 3) for i in range(1, 10)}
    states: dict[str, dict[str, dict[str, Tensor]]] = {
        "one part": {"decoder": parts["decoder"]},
        "an encoder of nobody": {"a": parts["style_encoder"]},
        "a part twice": {"x": parts["decoder"], "y": parts["decoder"]},
        "a layer is missing": {**parts, "decoder": few},
        "not finite": {"m": parts["modulator"] | {"bias1.0.conv_layer.bias": torch.full((64,), torch.nan)}},
        "no VGG": {"decoder": kernels},
        "two generators": {"a": {"x": torch.zeros(1)}, "b": {"y": torch.zeros(1)}},
    }
    (folder / "an empty folder").mkdir()
    for name, state in states.get(what, {}).items():
        torch.save(state, folder / f"{name}.pth")
    return [folder / f"{name}.pth" for name in states[what]] if what in states else [folder / what]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("one part", "there is the decoder (decoder.pth), and no content_encoder"),
        ("an encoder of nobody", "its name does not say of what"),
        ("a part twice", "both hold the decoder"),
        ("a layer is missing", "dec2.conv1.conv_layer.weight is nothing and should be [64, 64, 3, 3]"),
        ("not finite", "NaN or infinite values in bias1.0.conv_layer.bias"),
        ("no VGG", "and no VGG"),
        ("an empty folder", "holds no file of weights"),
        ("two generators", "are no parts of one model"),
    ],
)
def test_mistakes_are_sentences(what: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", *map(str, mistakes(tmp_path, what)), str(tmp_path / "x.ckpt")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x.ckpt").exists()


def test_an_imported_model_wants_a_style(tmp_path: Path) -> None:
    parts, _ = micro()
    torch.save({name: weights.file() for name, weights in parts.items()}, tmp_path / "all.pth")
    translator = imported(tmp_path, tmp_path / "all.pth")
    with pytest.raises(gan_style.UserError, match="was imported, and no file tells the styles"):
        translator.translate(torch.zeros(3, 16, 16))


WEIGHTS = Path(__file__).parents[3] / "shared/data/weights"


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the published weights are not there")
def test_published_files_are_recognised(tmp_path: Path) -> None:
    translator = imported(tmp_path, WEIGHTS / "microast")
    assert type(translator.model).__name__ == "MicroAST"
    names = [WEIGHTS / f"vgg19_{part}_relu3_1.pth" for part in ("decoder", "normalised")]
    translator = imported(tmp_path, *names)
    content = torch.from_numpy(draw_scene(0, 0, 64, "A")).permute(2, 0, 1)[None] / 127.5 - 1
    # a decoder of features that inverts them: a picture in its own style is nearly the picture
    assert float((translator.translate(content, style=content) - content).abs().mean()) < 0.1
