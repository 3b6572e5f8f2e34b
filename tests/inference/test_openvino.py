"""Networks that OpenVINO computes: the same pictures, and a sentence for what it cannot do."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gan_style
from gan_style import UserError
from gan_style.cli.main import main
from gan_style.data.saving import save_image
from gan_style.inference import openvino
from gan_style.inference.translator import LoadedTranslator
from tests.small_models import saved

pytest.importorskip("openvino")
SMALL = ("model/generator=resnet6", "model.generator.filters=8", "model.generator.blocks=2")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("model") / "a.ckpt", "model=cyclegan", *SMALL)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def both(path: Path | str, **options: Any) -> tuple[LoadedTranslator, LoadedTranslator]:
    theirs = gan_style.load(path, engine="openvino", **options)
    assert theirs.engine is not None
    return gan_style.load(path, device="cpu"), theirs


@pytest.mark.parametrize("direction", ["A2B", "B2A"])
def test_pictures_are_those_of_torch(checkpoint: Path, direction: str) -> None:
    ours, theirs = both(checkpoint)
    for shape in ((1, 3, 32, 48), (2, 3, 30, 41)):  # one after the other: each is compiled by itself
        x = noise(*shape)
        assert torch.allclose(ours.translate(x, direction), theirs.translate(x, direction), atol=2e-5)
    assert theirs.engine is not None
    assert len(theirs.engine._compiled["G_" + direction.replace("2", "")]) == 2  # and by no other way


def test_styles_masks_and_strength_are_those_of_torch() -> None:
    ours, theirs = both("microast")
    x, styles = noise(1, 3, 48, 64), [(noise(1, 3, 40, 40, seed=s), 1.0) for s in (1, 2)]
    for options in ({}, {"alpha": 0.5}, {"mask": [torch.eye(48, 64), 1 - torch.eye(48, 64)]}):
        one = ours.translate(x, style=styles, **options)
        assert torch.allclose(one, theirs.translate(x, style=styles, **options), atol=2e-5)
    assert theirs.engine is not None
    assert all(theirs.engine._compiled.values())


def test_tiles_are_computed_by_torch(checkpoint: Path) -> None:
    ours, theirs = both(checkpoint)
    x = noise(1, 3, 80, 96)
    assert torch.allclose(ours.translate(x, tile=None), theirs.translate(x, tile=64), atol=2e-5)
    assert theirs.engine is not None
    assert not any(theirs.engine._compiled.values())


def test_threads_take_turns(checkpoint: Path) -> None:
    ours, theirs = both(checkpoint)
    pictures = [noise(1, 3, 96, 96, seed=seed) for seed in range(12)]
    expected = [ours.translate(x) for x in pictures]
    theirs.translate(pictures[0])  # compiled, beside which no other thread may use torch
    with ThreadPoolExecutor(4) as threads:
        for one, other in zip(expected, threads.map(theirs.translate, pictures), strict=True):
            assert torch.allclose(one, other, atol=2e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="the stack of signals is asked for as Linux has it")
def test_signals_have_their_own_stack_afterwards(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stack() -> tuple[Any, ...]:
        found = openvino._SignalStack()
        ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found))
        return found.sp, found.flags, found.size

    monkeypatch.setattr(openvino, "MAX_SHAPES", 1)
    before, (_, theirs) = stack(), both(checkpoint)
    for side in (32, 40):
        theirs.translate(noise(1, 3, side, side))
        assert stack() == before
    del theirs
    gc.collect()
    subprocess.run([sys.executable, "-c", ""], check=True)  # its end is a signal


@pytest.mark.parametrize("words", [("model=two_branch",), ("model=santa",)])
def test_strengths_are_those_of_torch(tmp_path: Path, words: tuple[str, ...]) -> None:
    ours, theirs = both(saved(tmp_path / "graded.ckpt", *words))
    x = noise(1, 3, 32, 32)
    for alpha in (1.0, 0.5):
        assert torch.allclose(ours.translate(x, alpha=alpha), theirs.translate(x, alpha=alpha), atol=2e-5)


def test_arguments_are_told_apart_by_name_and_type(checkpoint: Path) -> None:
    class Network(torch.nn.Module):
        def forward(self, x: torch.Tensor, a: Any = None, b: Any = None) -> Any:
            added = sum(k * v for k, v in ((2, a), (3, b)) if v is not None)
            return {"y": x + added, "is_true": x * (2 if a is True else 1)}

    model = gan_style.load(checkpoint, device="cpu").model
    network = model.G_AB = Network()
    engine = openvino.OpenVino(model, "32")
    x, y = noise(1, 3, 8, 8), noise(1, 3, 8, 8, seed=1)
    given: list[dict[str, Any]] = [{"a": y}, {"b": y}, {"a": y, "b": x}, {"b": y, "a": x}, {"a": True}, {"a": 1}]
    for kwargs in given:
        with engine.computing(needed=True):
            found = network(x, **kwargs)
        for name, expected in network(x, **kwargs).items():
            assert torch.allclose(found[name], expected, atol=1e-6), (kwargs.keys(), name)


def test_few_sizes_are_kept(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "MAX_SHAPES", 1)
    ours, theirs = both(checkpoint)
    for side in (32, 40, 32):
        x = noise(1, 3, side, side)
        assert torch.allclose(ours.translate(x), theirs.translate(x), atol=2e-5)
    assert theirs.engine is not None
    assert len(theirs.engine._compiled["G_AB"]) == 1


def test_by_translate_and_live(checkpoint: Path, tmp_path: Path) -> None:
    photo, frames = tmp_path / "photo.png", tmp_path / "in.rgb"
    array = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    save_image(array, photo)
    frames.write_bytes(array.tobytes() * 3)
    pictures = []
    for engine in ("torch", "openvino"):
        out, film = tmp_path / f"{engine}.png", tmp_path / f"{engine}.rgb"
        assert main(["translate", str(checkpoint), str(photo), str(out), "--engine", engine, "--device", "cpu"]) == 0
        live = ["live", str(checkpoint), "--source", str(frames), "--frame", "48x32", "--out", str(film)]
        assert main([*live, "--precision", "32", "--engine", engine, "--device", "cpu"]) == 0
        assert film.stat().st_size == array.size * 3
        pictures.append((gan_style.load(checkpoint).read(out), np.fromfile(film, np.uint8)))
    for one, other in zip(*pictures, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
        assert (one == other).mean() > 0.99


def test_bfloat16_is_near(checkpoint: Path) -> None:
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor has no instructions for bfloat16")
    ours, theirs = both(checkpoint, precision="bf16")
    x = noise(1, 3, 64, 64)
    error = (ours.translate(x) - theirs.translate(x)).square().mean().sqrt()
    assert 0 < error < 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "tvm"}, r"engine='tvm' is not known: take torch or openvino"),
        ({"engine": "openvino", "compile": True}, "compile is of torch, and does not go with engine=openvino"),
        ({"engine": "openvino", "device": "cuda"}, "engine=openvino computes on a CPU, not on cuda: leave one of them"),
        ({"engine": "openvino", "channels_last": True}, "channels_last is of torch, and does not go with"),
    ],
)
def test_what_does_not_go_together(checkpoint: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        gan_style.load(checkpoint, **options)


def test_what_the_engine_cannot_do(checkpoint: Path, tmp_path: Path) -> None:
    noisy = saved(tmp_path / "noisy.ckpt", "model=cyclegan", *SMALL, "model.generator.noise=true")
    with pytest.raises(UserError, match="would draw other noise than this model's generator: leave it out"):
        gan_style.load(noisy, engine="openvino")
    _, theirs = both(checkpoint)
    with pytest.raises(UserError, match=r"wrap=x changes layers, which engine=openvino .* leave engine out, or"):
        theirs.translate(noise(1, 3, 32, 32), wrap="x")
    apart = gan_style.load(saved(tmp_path / "munit.ckpt", "model=munit"), engine="openvino")
    with pytest.raises(UserError, match="computes whole generators, and MUNIT takes its own apart: leave it out"):
        apart.translate(noise(1, 3, 32, 32))
    assert torch.equal(theirs.translate(noise(1, 3, 32, 32), alpha=0), noise(1, 3, 32, 32))  # there is no pass
    frames = tmp_path / "in.rgb"
    frames.write_bytes(bytes(32 * 32 * 3))
    live = ["live", str(checkpoint), "--source", str(frames), "--frame", "32x32", "--out", str(tmp_path / "out.rgb")]
    assert main([*live, "--engine", "openvino", "--smooth", "norm"]) == 2
    assert not (tmp_path / "out.rgb").exists()


def test_a_graph_that_it_does_not_take(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, theirs = both(checkpoint)

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(torch.export, "export", refuse)
    with pytest.raises(UserError, match=r"does not take G_AB of this model \(no such operation\): leave it out"):
        theirs.translate(noise(1, 3, 32, 32))


def test_without_the_extra(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match=r"openvino .*: pip install 'gan-style\[openvino\]'"):
        gan_style.load(checkpoint, engine="openvino")


def test_nobody_is_told(checkpoint: Path) -> None:
    """OpenVINO's telemetry would report its import over the network; a process of its own, where it is not imported."""
    code = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise SystemExit('asked for the network')\n"
        "socket.getaddrinfo = socket.create_connection = refuse\n"
        f"import gan_style; gan_style.load({str(checkpoint)!r}, engine='openvino', device='cpu')\n"
        "assert 'openvino' in sys.modules and not sys.modules['openvino_telemetry']"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
