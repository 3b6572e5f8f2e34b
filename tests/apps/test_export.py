"""`gan-style export` and folders of a hub: what comes out gives what torch gives, at any size."""

from __future__ import annotations

import copy
import errno
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

import gan_style
from gan_style.apps.export import export
from gan_style.apps.export.graph import Distance, Graph, distance, worst
from gan_style.cli.main import main
from gan_style.core import extras
from gan_style.core.errors import UserError
from gan_style.networks.blocks import UPSAMPLES
from tests.small_models import made, saved

# Other sizes than those that the verb itself compares; the last are smaller than what the networks pad to.
SIZES = [(1, 40, 56), (3, 75, 33), (2, 13, 90), (1, 5, 9)]
GENERATORS = [
    ("model/generator=resnet9", "model.generator.blocks=9"),
    ("model/generator=resnet6",),
    ("model/generator=resnet6", "model.generator.upsample=bilinear", "model.generator.downsample=blur"),
    ("model/generator=resnet6", "model.generator.norm=batch", "model.generator.init=kaiming"),
    ("model/generator=resnet6", "model.generator.spectral=true"),
    ("model/generator=unet256",),
    ("model/generator=unet128",),
    ("model/generator=two_branch",),
    ("model/generator=painter",),
    ("model/generator=resnet6", "model.generator.head=residual", "model.generator.noise=true"),
    ("model/generator=mobile",),
    ("model/generator=mobile", "model.generator.head=band", "model.generator.noise=true"),
]
WHOLE = [
    *[("model=cyclegan", *words) for words in GENERATORS],
    *[("model=cyclegan", f"model.generator.upsample={mode}") for mode in UPSAMPLES],
    *[
        ("model=cyclegan", "model/generator=unet128", "model.generator.depth=4", f"model.generator.upsample={mode}")
        for mode in UPSAMPLES
    ],
    *[(f"model={name}",) for name in ("cut", "santa", "ugatit", "ugatit_light", "unsb", "munit", "unit")],
    *[
        (f"model={name}",)
        for name in ("sincut", "perceptual_gan", "two_branch", "style_conditional", "adain", "microast")
    ],
    ("model=adain", "model.vgg.depth=relu4_1"),
]


def drawn(path: Path, *words: str) -> Path:
    """A checkpoint; of AdaIN with a decoder whose pictures lie in [-1, 1], as those of a trained one do."""
    saved(path, *words)
    if "model=adain" in words:
        content = torch.load(path, weights_only=True)
        last = [key for key in content["state_dict"] if key.startswith("decoder.")][-2]
        content["state_dict"][last] *= 0.1
        torch.save(content, path)
    return path


def exported(checkpoint: Path, suffix: str, *words: str) -> Path:
    out = checkpoint.with_name(f"out{suffix}")
    assert main(["export", str(checkpoint), str(out), *words]) == 0
    assert sorted(p.name for p in checkpoint.parent.iterdir()) == sorted({checkpoint.name, out.name})
    return out


def by_onnx(path: Path) -> Callable[..., Tensor]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(**inputs: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["output"], {name: value.numpy() for name, value in inputs.items()})[0])

    return run


def by_torch(path: Path) -> Callable[..., Tensor]:
    module = torch.export.load(path).module()
    return lambda **inputs: module(*inputs.values())


def assert_same(checkpoint: Path, run: Callable[..., Tensor], direction: str = "A2B") -> None:
    """What `run` gives for noise, against the model itself: to 1e-5, or to what float32 alone makes of it."""
    model = gan_style.load(checkpoint, device="cpu").model

    def made(of: Any, picture: Tensor, style: Tensor | None = None) -> Tensor:
        if type(of).__name__ in ("AdaIN", "MicroAST"):
            return of.stylize(picture, of.style_code(style))
        return of.stylize(picture, {"s": style}) if of.takes_style else of.translate(picture, direction)

    for batch, height, width in SIZES:
        inputs = {"picture": torch.rand(batch, 3, height, width) * 2 - 1}
        if type(model).__name__ in ("AdaIN", "MicroAST"):
            inputs["style"] = torch.rand(batch, 3, width, height + 7) * 2 - 1
        elif model.takes_style:
            inputs["style"] = torch.randn(batch, model.general_style()["s"].shape[1])
        expected, found = made(model, **inputs), run(**inputs)
        assert found.shape == expected.shape
        assert float(expected.std()) > 1e-4
        if float((found - expected).abs().max()) >= 1e-5:
            exact = made(copy.deepcopy(model).double(), **{name: value.double() for name, value in inputs.items()})
            assert float((found - exact).abs().max()) < 2 * float((expected - exact).abs().max())


def test_onnx_is_torch_at_every_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = drawn(tmp_path / "a.ckpt", "model=cyclegan")
    out = exported(checkpoint, ".onnx", "--direction", "B2A")
    said = capsys.readouterr().out
    versions = "ONNX, IR 8, opset 15, for onnxruntime 1.9 and newer"
    assert f"{versions}; picture to output, any batch, height and width; raw weights" in said
    assert "at 3 sizes at most " in said
    assert_same(checkpoint, by_onnx(out), "B2A")
    model = onnx.load(out)
    onnx.checker.check_model(model)
    assert (model.ir_version, [(one.domain, one.version) for one in model.opset_import]) == (8, [("", 15)])
    assert main(["describe", str(out)]) == 0
    assert f"file          {versions}\n" in capsys.readouterr().out
    (image,), (output,) = model.graph.input, model.graph.output
    for value in (image, output):
        sizes = [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim]
        assert sizes == ["batch", 3, "height", "width"]
    texts = {one.key: json.loads(one.value) for one in model.metadata_props}
    assert texts["direction"] == "B2A"
    assert texts["domains"]["B"]["name"] == "painting"
    assert texts["config"]["model"]["generator"]["filters"] == 4
    assert str(Path(gan_style.__file__).parent).encode() not in out.read_bytes()


NOISY = ("model=cyclegan", "model/generator=painter", "model.generator.depth=3", "model.generator.init_gain=0.2")


def assert_same_seeds(checkpoint: Path, run: Callable[..., Tensor]) -> None:
    """Two seeds give two pictures, each that of torch; the last sizes are smaller than what the network pads to."""
    translator = gan_style.load(checkpoint, device="cpu")
    for batch, height, width in SIZES[1:]:
        x = torch.rand(batch, 3, height, width) * 2 - 1
        found = {seed: run(picture=x, seed=torch.tensor([seed])) for seed in (0, 2**62 + 5)}
        assert not torch.allclose(found[0], found[2**62 + 5], atol=1e-3)
        for seed, one in found.items():
            assert float((one - translator.translate(x, seed=seed)).abs().max()) < 1e-5


@pytest.mark.slow
def test_onnx_takes_the_seed_of_the_noise_or_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = saved(tmp_path / "a.ckpt", *NOISY)
    out = exported(checkpoint, ".onnx")
    assert "picture, seed to output" in capsys.readouterr().out
    onnx.checker.check_model(onnx.load(out))
    assert_same_seeds(checkpoint, by_onnx(out))
    assert_same(checkpoint, by_onnx(out))  # left out, it is 0
    assert [one.name for one in onnxruntime.InferenceSession(str(out)).get_inputs()] == ["picture"]  # as a server asks
    assert main(["describe", str(out)]) == 0
    assert "picture, seed: int64 [1], of the noise" in capsys.readouterr().out


@pytest.mark.slow
def test_a_program_of_torch_takes_the_seed_of_the_noise(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a.ckpt", *NOISY)
    assert_same_seeds(checkpoint, by_torch(exported(checkpoint, ".pt2")))


@pytest.mark.slow
@pytest.mark.parametrize("words", WHOLE, ids=" ".join)
def test_onnx_of_every_generator(tmp_path: Path, words: tuple[str, ...]) -> None:
    checkpoint = drawn(tmp_path / "a.ckpt", *words)
    assert_same(checkpoint, by_onnx(exported(checkpoint, ".onnx")))


@pytest.mark.slow
@pytest.mark.parametrize("words", [WHOLE[0], WHOLE[5], *WHOLE[-3:]], ids=" ".join)
def test_programs_of_torch(tmp_path: Path, words: tuple[str, ...]) -> None:
    checkpoint = drawn(tmp_path / "a.ckpt", *words)
    out = exported(checkpoint, ".pt2")
    assert_same(checkpoint, by_torch(out))
    files = {"gan_style.json": ""}
    program = torch.export.load(out, extra_files=files)
    assert json.loads(files["gan_style.json"])["direction"] == "A2B"
    networks = {key.split(".")[1] for key in program.state_dict if key.count(".") > 1}
    of_microast = {"content_encoder", "style_encoder", "modulator"}
    assert networks <= {"G_AB", "G_A", "G_B", "S", "G", "encoder", "decoder", *of_microast}
    weights = sum(value.numel() * value.element_size() for value in program.state_dict.values())
    assert out.stat().st_size < weights + 2_000_000  # not the pictures it was traced with
    assert str(Path(gan_style.__file__).parent).encode() not in out.read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "cyclegan",
        "dclgan",
        "enco",
        "santa",
        "ugatit",
        "unsb",
        "munit",
        "unit",
        "gcgan",
        "qsattn",
        "stegogan",
        "sincut",
        "perceptual_gan",
        "two_branch",
        "style_conditional",
        "adain",
        "microast",
    ],
)
def test_safetensors_load_as_the_checkpoint(tmp_path: Path, name: str) -> None:
    styles = ("ink", "dots") if name == "style_conditional" else ()
    checkpoint = saved(tmp_path / "a.ckpt", f"model={name}", styles=styles)
    out = exported(checkpoint, ".safetensors")
    ours, again = (gan_style.load(path, device="cpu") for path in (checkpoint, out))
    assert again.domains == ours.domains
    assert again.style_names == ours.style_names
    assert again.values == ours.values
    image = torch.rand(3, 21, 30) * 2 - 1
    for direction in ours.model.directions:
        assert torch.equal(again.translate(image, direction), ours.translate(image, direction))
    with safe_open(out, framework="pt") as file:
        assert json.loads(file.metadata()["domains"])["A"]["name"] == "photo"
        assert not any(key.startswith("D") for key in file.keys())  # noqa: SIM118


def test_one_direction_of_two_as_safetensors(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a.ckpt", "model=cyclegan")
    again = gan_style.load(exported(checkpoint, ".safetensors", "--direction", "B2A"), device="cpu")
    assert again.model.directions == ("B2A",)
    image = torch.rand(3, 21, 30) * 2 - 1
    ours = gan_style.load(checkpoint, device="cpu")
    assert torch.equal(again.translate(image), ours.translate(image, "B2A"))


OWN_WAYS = """
from torch import nn

from gan_style.models.cyclegan import CycleGAN


class Named(CycleGAN):
    \"\"\"Two generators of one factory, by names of its own.\"\"\"

    generators = ("forth", "back")

    def __init__(self, **options):
        super().__init__(**options)
        self.forth, self.back = self.G_AB, self.G_BA
        del self.G_AB, self.G_BA

    def generator_of(self, direction):
        return {"A2B": self.forth, "B2A": self.back}[str(direction)]

    def translate(self, images, direction="A2B"):
        return self.generator_of(direction)(images)


class Apart(CycleGAN):
    \"\"\"No key `generator`.\"\"\"

    def __init__(self, *, net, generator=None, **options):
        super().__init__(generator=net, **options)


class Whole(CycleGAN):
    \"\"\"No network that translates by itself.\"\"\"

    def generator_of(self, direction):
        return None
"""


def own_ways(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of a two-way method of one's own."""
    (folder / "ways.py").write_text(OWN_WAYS)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "ways", raising=False)
    (folder / "models").mkdir()
    path = saved(folder / "models" / "a.ckpt", "model=cyclegan")
    content = torch.load(path, weights_only=True)
    node = content["config"]["model"]
    node["_target_"] = f"ways.{name}"
    if name == "Apart":
        node["net"] = node.pop("generator")
    names = {"G_AB": "forth", "G_BA": "back"} if name == "Named" else {}
    state = {
        ".".join([names.get(k.split(".")[0], k.split(".")[0]), *k.split(".")[1:]]): v
        for k, v in content["state_dict"].items()
    }
    torch.save(content | {"state_dict": state}, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_one_direction_of_generators_of_other_names(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = own_ways(tmp_path, "Named", monkeypatch)
    out = exported(path, suffix, "--direction", "B2A", "--allow", "ways.")
    if suffix == ".pth":
        out = out.with_name("again.ckpt")
        assert main(["import", str(out.with_name("out.pth")), str(out), "--direction", "B2A"]) == 0
    again = gan_style.load(out, device="cpu")
    image = torch.rand(3, 21, 30) * 2 - 1
    ours = gan_style.load(path, device="cpu", allow="ways.")
    assert torch.equal(again.translate(image, "B2A"), ours.translate(image, "B2A"))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("Whole", "Whole has no generator of B2A alone"), ("Apart", "its config names no generator that B2A is made of")],
)
def test_a_direction_that_cannot_be_taken_alone_is_a_sentence(
    tmp_path: Path, name: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own_ways(tmp_path, name, monkeypatch)
    words = ["export", str(path), str(tmp_path / "b.safetensors"), "--allow", "ways."]
    assert main([*words, "--direction", "B2A"]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "--direction" in said, "what to do"
    assert said.count("\n") == 1
    assert main(words) == 0, "all of it"


def test_averaged_weights_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = saved(tmp_path / "a.ckpt", "model=cut")
    content = torch.load(checkpoint, weights_only=True)
    state = {key.removeprefix("G_AB."): v / 2 for key, v in content["state_dict"].items() if key.startswith("G_AB.")}
    torch.save(content | {"callbacks": {"EMA": {"G_AB": state}}}, checkpoint)
    image = torch.rand(3, 16, 16) * 2 - 1
    for words, ema, said in (((), True, "averaged"), (("--raw",), False, "raw")):
        again = gan_style.load(exported(checkpoint, ".safetensors", *words), device="cpu")
        assert f"{said} weights" in capsys.readouterr().out
        assert torch.equal(again.translate(image), gan_style.load(checkpoint, device="cpu", ema=ema).translate(image))
        assert main(["describe", str(checkpoint.with_name("out.safetensors"))]) == 0
        assert f"weights       {said}" in capsys.readouterr().out


@pytest.mark.parametrize("amount", [0.01, 3e-7])
def test_an_export_that_differs_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], amount: float
) -> None:
    checkpoint, out = saved(tmp_path / "a.ckpt", "model=cut", "model/generator=resnet9"), tmp_path / "a.safetensors"
    out.write_text("what was there")
    write = export.safetensors.write

    def spoilt(state: dict[str, Tensor], *rest: Any) -> None:
        write(state | {"G_AB.layers.1.weight": state["G_AB.layers.1.weight"] + amount}, *rest)

    monkeypatch.setattr(export.safetensors, "write", spoilt)
    assert main(["export", str(checkpoint), str(out)]) == 2
    said = capsys.readouterr().err
    found, rounding = (float(x) for x in re.findall(r"\d\.\de-\d+", said))
    assert said.startswith(f"gan_style: {out} was not written: it is at most {found:.1e} from torch in float64")
    assert rounding < 1e-5 < found
    assert found < 1e-4 or amount == 0.01  # little is too much
    assert out.read_text() == "what was there"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ckpt", "a.safetensors"]


def test_a_full_disk_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    checkpoint, out = saved(tmp_path / "a.ckpt", "model=cut"), tmp_path / "a.safetensors"
    assert main(["export", str(checkpoint), str(out)]) == 2
    said = capsys.readouterr().err
    assert f"cannot save {out} (No space left on device): free some space, or write somewhere else" in said
    assert [p.name for p in tmp_path.iterdir()] == ["a.ckpt"]


def test_mistakes_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cycle, one_way = (saved(tmp_path / f"{name}.ckpt", f"model={name}") for name in ("cyclegan", "cut"))
    gatys = saved(tmp_path / "gatys.ckpt", "model=gatys")
    lone = tmp_path / "lone.safetensors"
    lone.write_bytes((8).to_bytes(8, "little") + b"{}      ")
    for words, sentence in (
        ((gatys, "a.onnx"), "gatys.ckpt is of gatys, which makes each picture by an optimisation: nothing to export"),
        (
            (cycle, "a.tflite"),
            "a.tflite cannot be exported: its name must end in one of .onnx, .pt2, .safetensors, .pth",
        ),
        ((cycle, cycle), "is read and would be overwritten"),
        ((one_way, "a.onnx", "--direction", "B2A"), "this model does not translate B2A: there are: A2B"),
        ((tmp_path / "none.ckpt", "a.onnx"), "there is no checkpoint"),
        ((lone, "a.onnx"), "lone.safetensors is not of gan_style: it does not say of what model its tensors are"),
    ):
        assert main(["export", *map(str, words)]) == 2
        said = capsys.readouterr().err
        assert sentence in said
        assert said.count("\n") == 1


def test_a_missing_package_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"no_such_package is not installed: pip install 'gan-style\[export\]'"):
        extras.extra("export", "no_such_package")
    monkeypatch.setitem(sys.modules, "onnx", None)
    checkpoint = saved(tmp_path / "a.ckpt", "model=cut")
    with pytest.raises(UserError, match=r"onnx is not installed: pip install 'gan-style\[export\]'"):
        gan_style.export(checkpoint, tmp_path / "a.onnx")


def test_help_stays_quick_and_light() -> None:
    code = "import sys, gan_style.cli.main as c; c.parser_of_verbs()"
    code += "; print([m for m in ('torch', 'onnx') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_what_is_rounding_is_measured_by_torch_itself() -> None:
    graph = Graph(made("model=cut").requires_grad_(False).eval(), "A2B")
    found = distance(graph, lambda inputs: graph(*inputs), 3)
    assert found.file == found.rounding
    assert 1e-8 < found.rounding < 1e-5
    assert found.is_rounding
    assert Distance(9e-6, 1e-7).is_rounding
    assert Distance(5e-5, 2e-5).is_rounding
    assert not Distance(7e-5, 2e-5).is_rounding
    assert not Distance(1.1e-5, 1e-7).is_rounding
    assert not worst([Distance(1e-7, 1e-7), Distance(float("nan"), 1e-7)]).is_rounding
    assert not worst([Distance(1e-7, 1e-7), Distance(1e-7, float("nan")), Distance(1, 1e-7)]).is_rounding
