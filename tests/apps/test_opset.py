"""ONNX of the lowest opset and IR version, and the onnxruntime that it is said to be for.

`GAN_STYLE_OLD_ONNXRUNTIME=PYTHON`, of an environment with another onnxruntime, runs exports there, too:

    uv venv --python 3.11 old && uv pip install --python old/bin/python onnxruntime==1.17.3 'numpy<2'
    GAN_STYLE_OLD_ONNXRUNTIME=old/bin/python pytest -m slow tests/apps/test_opset.py
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import gan_style
from gan_style.apps.export.opset import lower
from gan_style.checkpoints import exported
from gan_style.cli.main import main
from tests.apps.test_export import drawn

OLD_PYTHON = os.environ.get("GAN_STYLE_OLD_ONNXRUNTIME", "")
Constants = dict[str, Any]


def node(operator: str, *inputs: str, **attributes: Any) -> onnx.NodeProto:
    made = helper.make_node(operator, ["x", *inputs], ["y"], **attributes)
    made.metadata_props.add(key="note", value="of an exporter")
    return made


def graph(one: onnx.NodeProto, constants: Constants, opset: int = 18, kind: int = TensorProto.FLOAT) -> Any:
    """A graph of one node from x to y, in the IR version that an exporter of today writes."""
    x, y = (helper.make_tensor_value_info(name, kind, [1, 1, "h", "w"]) for name in "xy")
    fixed = [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    made = helper.make_graph([one], "graph", [x], [y], fixed)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


PADS = {"pads": [0, 0, 1, 1, 0, 0, 1, 1]}
SCALES = {"scales": np.array([1, 1, 2, 2], np.float32)}
NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
ONE_NODE: dict[str, tuple[Any, int]] = {
    "an input that is not used": (graph(node("Pad", "pads", mode="reflect"), PADS), 13),
    "an input that is used": (graph(node("Pad", "pads", "", "axes"), {"pads": [1, 1], "axes": [3]}), 18),
    "an attribute at its default": (graph(node("Resize", "", "scales", antialias=0, **NEAREST), SCALES), 13),
    "an attribute that counts": (graph(node("Resize", "", "scales", antialias=1, mode="linear"), SCALES), 18),
    "a type that others use": (graph(node("LeakyRelu", alpha=0.2), {}), 13),
    "a type": (graph(node("LeakyRelu"), {}, kind=TensorProto.BFLOAT16), 16),
    "another operator": (graph(node("BitwiseNot"), {}, kind=TensorProto.UINT8), 18),
    "an operator of the newest": (graph(node("Gelu"), {}, opset=20), 20),
    "an operator of somebody else": (graph(helper.make_node("Own", ["x"], ["y"], domain="mine"), {}), 18),
}


@pytest.mark.parametrize("name", ONE_NODE)
def test_the_opset_is_the_lowest_that_has_what_the_node_uses(name: str) -> None:
    model, opset = ONE_NODE[name]
    lowered = onnx.ModelProto.FromString(model.SerializeToString())
    lower(lowered)
    assert lowered.opset_import[0].version == opset
    assert lowered.ir_version == {13: 7, 16: 8, 18: 8, 20: 9}[opset]
    if "somebody" in name:
        return
    onnx.checker.check_model(lowered, full_check=True)
    assert not lowered.graph.node[0].metadata_props
    if name in ("an input that is not used", "an attribute at its default", "a type that others use"):
        x = np.random.default_rng(0).normal(size=(1, 1, 5, 6)).astype(np.float32)
        before, after = (
            onnxruntime.InferenceSession(one.SerializeToString()).run(None, {"x": x})[0] for one in (model, lowered)
        )
        assert np.array_equal(before, after)


@pytest.mark.parametrize(
    ("ir", "opset", "said"),
    [
        (8, 15, "ONNX, IR 8, opset 15, for onnxruntime 1.9 and newer"),
        (8, 18, "ONNX, IR 8, opset 18, for onnxruntime 1.14 and newer"),
        (10, 18, "ONNX, IR 10, opset 18, for onnxruntime 1.18 and newer"),  # as exports were before
        (9, 20, "ONNX, IR 9, opset 20, for onnxruntime 1.17 and newer"),
        (99, 20, "ONNX, IR 99, opset 20"),  # of which nothing is known
    ],
)
def test_the_oldest_runtime_follows_from_both_versions(ir: int, opset: int, said: str) -> None:
    assert exported.form_of_onnx({"ir": ir, "opset": opset}) == said


RUN = """
import sys, numpy, onnxruntime
print(onnxruntime.__version__)
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
feed = dict(numpy.load(sys.argv[2]))
try:
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
except Exception as error:
    sys.exit("refused: " + str(error)[:200])
numpy.save(sys.argv[3], session.run(["output"], feed)[0])
"""
UNET = ("model=cyclegan", "model/generator=unet128")


@pytest.mark.slow
@pytest.mark.skipif(not OLD_PYTHON, reason="GAN_STYLE_OLD_ONNXRUNTIME names no python with another onnxruntime")
@pytest.mark.parametrize(
    "words",
    [
        ("model=cyclegan",),
        ("model=cyclegan", "model.generator.upsample=pixelshuffle"),
        ("model=cyclegan", "model.generator.upsample=bilinear", "model.generator.downsample=blur"),
        UNET,
        (*UNET, "model.generator.head=band"),
        ("model=cyclegan", "model/generator=painter"),
        *((f"model={name}",) for name in ("munit", "unsb", "ugatit_light", "adain", "santa", "style_conditional")),
    ],
    ids=" ".join,
)
def test_another_runtime_gives_the_same_or_is_older_than_said(
    tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, out = drawn(tmp_path / "a.ckpt", *words), tmp_path / "out.onnx"
    assert main(["export", str(checkpoint), str(out)]) == 0
    named = re.search(r"for onnxruntime (\d+)\.(\d+) and newer", capsys.readouterr().out)
    assert named
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    shapes = {one.name: (2, one.shape[1], 48, 70)[: len(one.shape)] for one in session.get_inputs()}
    feed = {name: np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    np.savez(tmp_path / "inputs.npz", **feed)
    paths = [str(out), str(tmp_path / "inputs.npz"), str(tmp_path / "output.npy")]
    found = subprocess.run([OLD_PYTHON, "-c", RUN, *paths], capture_output=True, text=True, check=False)
    version = tuple(int(part) for part in found.stdout.split(".")[:2])
    assert (found.returncode == 0) == (version >= tuple(map(int, named.groups()))), found.stderr
    if found.returncode == 0:
        output = np.load(tmp_path / "output.npy")
        assert np.abs(output - session.run(["output"], feed)[0]).max() < 1e-5
        if not gan_style.load(checkpoint, device="cpu").model.takes_style:
            truth = gan_style.load(checkpoint, device="cpu").model.translate(torch.from_numpy(feed["picture"]))
            assert np.abs(output - truth.numpy()).max() < 1e-5
