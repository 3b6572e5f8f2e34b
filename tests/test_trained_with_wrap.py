"""A model that was trained on pictures that go round lets them go round in every verb, unless it is told not to."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import gan_style
from gan_style.apps.serve import model as models
from gan_style.apps.serve.batches import Batches
from gan_style.apps.studio.translating import Wish
from gan_style.apps.studio.translating import translate as by_studio
from gan_style.checkpoints import checkpoint
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.values import Array
from gan_style.inference.live.look import Look
from gan_style.inference.trial import trial_size
from tests.small_models import loaded, saved

# As strong as a trained one, so that its pictures differ at the borders by more than a step of 255.
NETWORKS = ("model=cyclegan", "model.generator.init_gain=0.3")


def trained_round(path: Path, wrap: str | None, *words: str, size: int = 32) -> Path:
    """A checkpoint that says of itself what one of a training with `data.wrap` says."""
    content, around = checkpoint.load(saved(path, *NETWORKS, *words)), {"wrap": wrap} if wrap else {}
    checkpoint.save(content | {"preprocessing": {"image_size": size, "range": [-1.0, 1.0], **around}}, path)
    return path


def noise(height: int, width: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def borders(pictures: Sequence[Array], others: Sequence[Array]) -> list[bool]:
    return [np.array_equal(one, other) for one, other in zip(pictures, others, strict=True)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return trained_round(tmp_path / "a.ckpt", "x")


def expected(path: Path, picture: Array, wrap: str | None = None) -> Array:
    made: Array = gan_style.load(path, device="cpu").translate(picture, wrap=wrap)
    return made


@pytest.mark.parametrize("wrap", [None, "off", "y"])
def test_live(path: Path, wrap: str | None) -> None:
    translator, frame = gan_style.load(path, device="cpu"), torch.rand(1, 3, 32, 48) * 2 - 1
    found = Look(translator, side=48, wrap=wrap)(frame)
    others = {each: translator.translate(frame, wrap=each) for each in ("x", "off", "y")}
    assert [each for each, other in others.items() if torch.equal(found, other)] == [wrap or "x"]


def test_live_as_a_command(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames, out = np.stack([noise(32, 48), noise(32, 48, 1)]), tmp_path / "out.rgb"
    (tmp_path / "in.rgb").write_bytes(frames.tobytes())
    words = ["live", str(path), "--source", str(tmp_path / "in.rgb"), "--frame", "48x32", "--device", "cpu"]
    made = {}
    for wrap in ((), ("--wrap", "off")):
        assert main([*words, "--precision", "32", "--size", "48", "--out", str(out), *wrap]) == 0
        made[wrap] = np.frombuffer(out.read_bytes(), np.uint8).reshape(frames.shape)
    assert borders(made[()], [expected(path, frame) for frame in frames]) == [True, True]
    assert borders(made["--wrap", "off"], [expected(path, frame, "off") for frame in frames]) == [True, True]
    assert borders(made[()], made["--wrap", "off"]) == [False, False]
    capsys.readouterr()
    assert main([*words, "--size", "30", "--out", str(out)]) == 2
    assert "wrap=x wants a width that is a multiple of 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "trained", "wrap", "tried"),
    [
        (128, "x", None, (128, 128)),
        ([256, 384], "xy", "y", (256, 384)),
        (100, None, "x", (256, 256)),
        (512, "x", "xy", (512, 512)),
        (128, "x", "off", (64, 64)),
        (None, None, "x", (256, 256)),
    ],
)
def test_the_size_of_a_trial(size: Any, trained: str | None, wrap: str | None, tried: tuple[int, int]) -> None:
    translator = loaded(*NETWORKS)
    translator.about, translator.wrap = {"preprocessing": {"image_size": size} if size else {}}, trained
    assert trial_size(translator, wrap) == tried
    translator.about["preprocessing"]["preprocess"] = "none"  # pictures of sizes of their own
    assert trial_size(translator, wrap) == ((64, 64) if wrap == "off" else (256, 256))


@pytest.mark.parametrize(("depth", "trained", "wrap"), [(7, "xy", None), (9, "x", None), (9, None, "x")])
def test_a_deep_network_is_tried_on_a_picture_that_it_takes(
    depth: int, trained: str | None, wrap: str | None, tmp_path: Path
) -> None:
    words = ("model/generator=unet128", f"model.generator.depth={depth}", "model.generator.filters=1")
    deep = trained_round(tmp_path / "deep.ckpt", trained, *words, size=2**depth)
    Look(gan_style.load(deep, device="cpu"), side=2**depth, wrap=wrap)
    assert models.served(str(deep), wrap=wrap, device="cpu").about["wrap"] == (wrap or trained)


def test_a_server_of_many_requests(path: Path) -> None:
    """Requests that come at once from several threads, of a model that goes round and of one that is told not to."""
    both = {wrap: models.served(str(path), wrap=wrap, device="cpu") for wrap in (None, "off")}
    assert [model.about.get("wrap") for model in both.values()] == ["x", None]
    given = [noise(32, 48, seed) for seed in range(6)]
    wanted = {wrap: [expected(path, picture, wrap) for picture in given] for wrap in both}
    found: dict[Any, list[Any]] = {wrap: [None] * len(given) for wrap in both}
    queues = {wrap: Batches(model.run, 1, 10**6) for wrap, model in both.items()}

    def ask(wrap: str | None, index: int) -> None:
        found[wrap][index] = queues[wrap].put(given[index], "A2B").result(60)

    threads = [threading.Thread(target=ask, args=(wrap, index)) for index in range(len(given)) for wrap in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for queue in queues.values():
        queue.close()
    for wrap in both:
        assert all(borders(found[wrap], wanted[wrap])), wrap
    assert not any(borders(found[None], found["off"]))
    with pytest.raises(UserError, match=r"wrap=x wants a width that is a multiple of 4, .* or turn wrap off"):
        both[None].run([noise(32, 30)], "A2B")
    assert both["off"].run([noise(32, 30)], "A2B")[0].shape == (32, 30, 3)


def test_a_graph_knows_no_wrap(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"out\.onnx is a graph, which knows no wrap: serve its checkpoint"):
        models.served(str(tmp_path / "out.onnx"), wrap="x")


def test_the_studio(path: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.fromarray(noise(32, 48)).save(picture)
    translator = gan_style.load(path, device="cpu")
    for wrap in (None, "off", "y"):
        made = by_studio(translator, Wish(picture, size=48, wrap=wrap), tmp_path, "out", lambda share, text: None)
        assert np.array_equal(made.after, expected(path, noise(32, 48), wrap))


def test_scores_say_so(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = {}
    for words in ((), ("--wrap", "off")):
        out = tmp_path / "scores.json"
        asked = ["evaluate", str(path), "--data", "scenes", "--limit", "3", "--draws", "0", "--device", "cpu"]
        assert main([*asked, "--no-cache", "--out", str(out), *words]) == 0
        results[words] = json.loads(out.read_text())
    assert results[()]["protocol"]["checkpoint"]["wrap"] == "x"
    assert "wrap" not in results["--wrap", "off"]["protocol"]["checkpoint"]
    assert results[()]["scores"] != results["--wrap", "off"]["scores"]


def test_scores_name_the_checkpoint_that_does_not_go_round(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = checkpoint.load(path)
    checkpoint.save(content | {"preprocessing": {"image_size": 30, "wrap": "x"}}, path)
    asked = ["evaluate", str(path), "--data", "scenes", "--limit", "2", "--draws", "0", "--device", "cpu", "--no-cache"]
    assert main(asked) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"gan_style: {path}: wrap=x wants a width that is a multiple of 4")
    assert said.endswith("or turn wrap off (--wrap off; in training, no data.wrap)")


def test_a_folder_of_pictures_has_no_wrap(tmp_path: Path) -> None:
    for name in ("real", "fake"):
        (tmp_path / name).mkdir()
        Image.fromarray(noise(32, 32)).save(tmp_path / name / "a.png")
    with pytest.raises(UserError, match="wrap is not a setting of scores here"):
        gan_style.compare(tmp_path / "real", tmp_path / "fake", wrap="x", cache=False)  # type: ignore[call-arg]


def test_a_sheet(path: Path, tmp_path: Path) -> None:
    Image.fromarray(noise(32, 48)).save(tmp_path / "a.png")
    made = []
    for words in ((), ("--wrap", "x"), ("--wrap", "off")):
        asked = ["sheet", str(tmp_path / "s.png"), "--content", str(tmp_path / "a.png"), "--checkpoint", str(path)]
        assert main([*asked, "--cell", "48", *words]) == 0
        made.append(np.asarray(Image.open(tmp_path / "s.png")))
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_a_sheet_names_model_and_picture(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "a.png"
    Image.fromarray(noise(32, 30)).save(picture)
    asked = ["sheet", str(tmp_path / "s.png"), "--content", str(picture), "--checkpoint", str(path)]
    assert main(asked) == 2
    assert f"gan_style: {path}: {picture}: wrap=x wants a width that is a multiple of 4" in capsys.readouterr().err
    assert main([*asked, "--wrap", "off"]) == 0


@pytest.mark.parametrize(("wrap", "status"), [("x", 2), ("y", 2), ("xy", 2), ("off", 0)])
def test_a_sheet_of_gatys_does_not_go_round(
    wrap: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(noise(32, 32)).save(tmp_path / "a.png")
    asked = ["sheet", str(tmp_path / "s.png"), "--content", str(tmp_path / "a.png"), "--style", str(tmp_path / "a.png")]
    settings = [word for one in ("model.steps=1", "model.vgg.depth=relu2_1") for word in ("--set", one)]
    assert main([*asked, "--method", "gatys", "--weights", "random", *settings, "--wrap", wrap]) == status
    assert (tmp_path / "s.png").exists() == (status == 0)
    assert (f"wrap={wrap} is for models of one pass: leave it out" in capsys.readouterr().err) == (status == 2)
