"""`gan-style describe` of what `gan-style export` writes, of official generators, and of files that are neither."""

from __future__ import annotations

import json
import os
import stat
import struct
import zipfile
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

import gan_style
from gan_style.checkpoints import exported, official
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.models.translator import Translator
from gan_style.networks.resnet import ResnetGenerator
from tests.small_models import saved

COMMON = (
    "direction     A2B, photo to painting",
    "domain A      photo: 3 channels, uint8, 0 to 255",
    "domain B      painting: 3 channels, uint8, 0 to 255",
    "preprocessing size 64\n              values -1 to 1\n",
    "iteration     1,234",
    "best          lowest val/kid: 0.5 at iteration 1000",
    "weights       raw",
)
SLOW = [pytest.param(suffix, marks=pytest.mark.slow) for suffix in (".onnx", ".pt2")]


def trained(path: Path, *words: str) -> Path:
    """A checkpoint that says of itself what those of a run say."""
    content = torch.load(saved(path, *words), weights_only=True)
    best = {"rule": "lowest val/kid", "score": 0.5, "iteration": 1000}
    more = {"preprocessing": {"image_size": 64, "range": [-1.0, 1.0]}, "iteration": 1234, "best": best}
    torch.save(content | more, path)
    return path


def described(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["describe", str(path)]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors", ".pth"])
def test_preprocessing_is_for_a_person_and_json_is_whole(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    part = {"names": "30bd364a28468b0c", "content": "87587a7d008f1136"}
    settings = {
        "preprocess": "resize_and_crop",
        "pictures": {"A": {"count": 1067, **part}, "B": {"count": 8, **part}, "test_A": {"count": 2, **part}},
        "image_size": [64, 96],
        "load_size": 72,
        "range": [-1.0, 1.0],
        "wrap": "x",
        "task": "paint",
    }
    path = saved(tmp_path / "a.ckpt", "model=cut")
    torch.save(torch.load(path, weights_only=True) | {"preprocessing": settings}, path)
    out = tmp_path / f"out{suffix}"
    if suffix == ".ckpt":
        out = path
    else:
        assert main(["export", str(path), str(out)]) == (2 if suffix == ".pth" else 0)
    if suffix == ".pth":  # which takes no pictures that go round
        settings.pop("wrap")
        torch.save(torch.load(path, weights_only=True) | {"preprocessing": settings}, path)
        assert main(["export", str(path), str(out)]) == 0
    page = described(out, capsys)
    expected = [
        "preprocess resize_and_crop",
        "pictures 1,067 of A, 8 of B, 2 of A for validation",
        "size [64,96]",
        "resized to 72",
        "values -1 to 1",
        *(["goes round in x"] if "wrap" in settings else []),
        "drawn task paint",
    ]
    assert "preprocessing " + f"\n{'':14}".join(expected) + "\n" in page
    assert part["names"] not in page
    assert main(["describe", str(out), "--json"]) == 0
    text = json.loads(capsys.readouterr().out)["preprocessing"]
    assert text == gan_style.describe(out)["preprocessing"]
    assert f"A count 1067; names {part['names']}; content {part['content']}" in text
    assert "image_size [64,96], load_size 72, range -1 to 1" in text


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", *SLOW])
def test_of_each_export(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / f"out{suffix}"
    assert main(["export", str(trained(tmp_path / "a.ckpt", "model=cut")), str(out)]) == 0
    if suffix in exported.GRAPHS:  # nothing of it is loaded
        monkeypatch.setattr(torch.export, "load", None)
        monkeypatch.setattr(onnx, "load", None)
        monkeypatch.setattr(Translator, "__init__", None)
    page = described(out, capsys)
    for row in COMMON[1 if suffix == ".safetensors" else 0 :]:
        assert row in page
    assert f"gan_style {gan_style.__version__}" in page
    of_each = {
        ".safetensors": ("model         gan_style.models.cut.CUT", "directions    A2B", "parameters    G_AB 8,739"),
        ".pth": ("a ResNet of 1 blocks, 4 filters, instance norm", "channels      3 to 3", "parameters    8,739"),
        ".onnx": (
            "file          ONNX, IR 8, opset 15, for onnxruntime 1.9",
            "model         gan_style.models.cut.CUT",
            "inputs        picture",
        ),
        ".pt2": ("file          a program of torch.export", "sizes         any batch, height and width"),
    }
    for row in of_each[suffix]:
        assert row in page
    if suffix == ".pth":
        assert f"to use it     gan-style import {out} OUT.ckpt --direction A2B" in page


@pytest.mark.slow
def test_of_a_graph_that_takes_styles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(tmp_path / "a.ckpt", "model=style_conditional", styles=["a", "b"])
    assert main(["export", str(model), str(tmp_path / "a.onnx")]) == 0
    page = described(tmp_path / "a.onnx", capsys)
    assert "styles        a, b" in page
    assert "inputs        picture, style: codes [batch, " in page


def test_the_exported_pth_is_one_for_the_official_code(tmp_path: Path) -> None:
    """What it says of itself stands beside its tensors, where no other program sees it."""
    model, out = saved(tmp_path / "a.ckpt", "model=cut"), tmp_path / "net_G.pth"
    assert main(["export", str(model), str(out)]) == 0
    state = torch.load(out, weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert main(["import", str(out), str(tmp_path / "again.ckpt")]) == 0


def test_of_an_official_generator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "latest_net_G_A.pth"
    for old in (False, True):  # a zip, and the form before PyTorch 1.6
        state = official.to_official(ResnetGenerator(filters=2, blocks=1))
        torch.save(state, path, _use_new_zipfile_serialization=not old)
        page = described(path, capsys)
        assert "a generator in the layout of official code, sha256 " in page
        assert "generator     a ResNet of 1 blocks, 2 filters, instance norm" in page
        assert f"to use it     gan-style import {path} OUT.ckpt --direction A2B" in page
        assert "written by" not in page


def foreign_onnx(path: Path, **texts: str) -> Path:
    one = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [one], [one])
    model = helper.make_model(graph)
    for key, value in texts.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    return path


def zipped(path: Path, text: str | bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"archive/extra/{exported.TEXT}", text)
    return path


def test_what_is_no_export_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def written(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    text = json.dumps({"gan_style": "0.1.0"})
    deep = '{"gan_style": ' + "[" * 100_000 + "]" * 100_000 + "}"
    files = {
        foreign_onnx(tmp_path / "other.onnx"): "was not written by gan-style export",
        foreign_onnx(tmp_path / "changed.onnx", gan_style="0.1.0"): "is damaged, or a file of another program",
        foreign_onnx(tmp_path / "few.onnx", gan_style='"0.1.0"'): "was not written by gan_style, or was changed",
        foreign_onnx(tmp_path / "deep.onnx", gan_style=deep): "is damaged, or a file of another program",
        written("long.onnx", b"\x72" + b"\xff" * 8 + b"\x7f" + b"x"): "is damaged, or a file of another program",
        written("cut.onnx", b"\x72\x05\x0a"): "is damaged, or a file of another program",
        written("empty.onnx", b""): "was not written by gan-style export",
        written("noise.onnx", bytes(range(255, 0, -1))): "is damaged, or a file of another program",
        written("noise.pt2", bytes(range(255))): "is damaged, or a file of another program",
        zipped(tmp_path / "list.pt2", "[1]"): "was not written by gan-style export",
        zipped(tmp_path / "bomb.pt2", bytes(100_000_000)): "is damaged, or a file of another program",
        zipped(tmp_path / "deep.pt2", deep): "is damaged, or a file of another program",
        zipped(tmp_path / "few.pt2", text): "was not written by gan_style, or was changed",
        tmp_path / "none.onnx": "there is no file",
        tmp_path / "none.pth": "there is no checkpoint",
    }
    for path, sentence in files.items():
        assert main(["describe", str(path)]) == 2, path.name
        said = capsys.readouterr().err
        assert sentence in said, path.name
        assert path.name in said
        assert said.count("\n") == 1


def test_texts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = foreign_onnx(tmp_path / "a.onnx", gan_style='"0.1.0"', codes=json.dumps("x" * 1000))
    assert exported.about(path)["codes"] == "x" * 1000
    monkeypatch.setattr(exported, "LONGEST", 500)
    with pytest.raises(UserError, match="is damaged"):
        exported.about(path)


def test_a_graph_is_passed_over_unread(tmp_path: Path) -> None:
    """A file that claims terabytes of a graph, which are holes."""
    path, size = tmp_path / "a.onnx", 10**12
    number, place = b"", size
    while place:
        number, place = number + struct.pack("B", place & 0x7F | (0x80 if place > 0x7F else 0)), place >> 7
    text = foreign_onnx(tmp_path / "b.onnx", gan_style='"0.1.0"').read_bytes()
    with open(path, "wb") as file:
        file.write(b"\x3a" + number)
        file.seek(size, 1)
        file.write(text)
    assert exported.about(path)["gan_style"] == "0.1.0"


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", *SLOW])
def test_an_export_may_be_read_by_whom_the_umask_lets(tmp_path: Path, suffix: str) -> None:
    model, out = saved(tmp_path / "a.ckpt", "model=cut"), tmp_path / f"out{suffix}"
    for mask in (0o022, 0o027):
        before = os.umask(mask)
        try:
            assert main(["export", str(model), str(out)]) == 0
            gan_style.load(model, device="cpu").save_pretrained(tmp_path / f"hub{mask}")
        finally:
            os.umask(before)
        for path in (out, *(tmp_path / f"hub{mask}").iterdir()):
            assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask, path.name
