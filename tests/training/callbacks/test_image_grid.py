"""The grid shows what it says, and the scores are those of the pictures shown."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_style.checkpoints.checkpoint import load
from gan_style.cli.train import refused
from gan_style.core.config import build
from gan_style.evaluation import DrawnJudge
from gan_style.metrics.labels import mean_iou, overlaps
from gan_style.metrics.truth import psnr
from gan_style.training.callbacks.image_grid import draw_grid
from gan_style.training.callbacks.truth_scores import TruthScores
from tests.conftest import small_config


def test_a_cell_is_the_picture_enlarged() -> None:
    images = {name: [torch.rand(3, 8, 8) * 2 - 1 for _ in range(2)] for name in ("real_A", "fake_B", "truth_B")}
    grid = draw_grid(images, cell=16)
    assert grid.shape == (2 * 20 + 20, 3 * 20 + 4, 3)
    for column, name in enumerate(images):
        for row, image in enumerate(images[name]):
            top, left = 20 + row * 20, 4 + column * 20
            shown = grid[top : top + 16 : 2, left : left + 16 : 2].astype(float)
            expected = (image.permute(1, 2, 0).numpy() + 1) * 127.5
            assert np.abs(shown - expected).max() <= 0.5001, (name, row)


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_any_number_of_channels_can_be_shown(channels: int) -> None:
    grid = draw_grid({"real_A": [torch.zeros(channels, 16, 16)], "fake_B": [torch.zeros(channels, 16, 16)]})
    assert grid.dtype == np.uint8
    assert grid.ndim == 3


def test_scores_json_is_the_averaged_generators_error_against_the_truth(run: Callable[..., Path]) -> None:
    folder = run("run", "trainer.max_steps=4", "callbacks.ema.decay=0.5")
    scores = json.loads((folder / "scores.json").read_text())
    config = small_config()
    data = build(config["data"])
    data.setup()
    model = build(config["model"], channels_A=3, channels_B=3).eval()
    model.G_AB.load_state_dict(load(folder / "checkpoints/last.ckpt")["callbacks"]["EMA"]["G_AB"])
    items = [data.on_after_batch_transfer(data.val_set[i], 0) for i in range(len(data.val_set))]
    real, truth = (torch.stack([item[k] for item in items]) for k in ("A", "truth_B"))
    with torch.no_grad():
        expected = float(psnr(model.translate(real), truth).mean())
    assert scores["scores"]["A2B"]["psnr"]["value"] == pytest.approx(expected, abs=1e-3)
    assert scores["baselines"]["input"]["A2B"]["psnr"]["value"] == pytest.approx(
        float(psnr(real, truth).mean()), abs=1e-3
    )
    assert scores["protocol"] | {"weights": "EMA", "N": 4, "size": 32} == scores["protocol"]
    assert set(scores["baselines"]) == {"input", "colour transfer"}
    # what another true picture of the same scenes scores: drawn again, with other strokes
    splits = data.splits
    others = [splits.truth_B.samples(i, 1, first=1)[0] for i in range(4)]
    other = torch.stack([torch.from_numpy(one).permute(2, 0, 1) / 127.5 - 1 for one in others])
    entry = scores["scores"]["A2B"]["psnr"]
    assert entry["true_picture"] == pytest.approx(float(psnr(other, truth).mean()), abs=1e-3)
    assert scores["scores"]["A2B"]["detail"]["true_picture"] == pytest.approx(1, abs=0.2)
    assert scores["scores"]["A2B"]["grid"].keys() >= {"value", "true_picture"}
    assert "true_picture" not in scores["scores"]["B2A"]["psnr"], "the photo of a painting is one picture"
    # the materials are those that the benchmark sees: its judge, on these pictures
    judge = DrawnJudge("paint", "A2B", 32, seed=0, count=2, samples=2).judge
    labels = torch.stack([torch.from_numpy(splits.truth_B.scene(i).labels).long() for i in range(4)])
    entry = scores["scores"]["A2B"]["label_iou"]
    for images, found in ((model.translate(real), entry["value"]), (other, entry["true_picture"])):
        both, either = overlaps(judge(images.detach()), labels)
        assert found == pytest.approx(float(mean_iou(both.sum(0), either.sum(0))), abs=2e-3)
    assert 0 <= entry["low"] <= entry["value"] <= entry["high"] <= 1
    assert scores["scores"]["B2A"]["label_iou"].keys() >= {"value", "low", "high"}
    offered = TruthScores().offers(model, data)
    assert (offered["val/label_iou"], offered["val/A2B/grid"]) == ("highest", "lowest")
    report = (folder / "report.html").read_text()
    for shown in ("Another true picture", "Detail", "Grid", "Label IoU"):
        assert shown in report


def test_the_best_checkpoint_names_its_rule(run: Callable[..., Path]) -> None:
    folder = run("run", "trainer.max_steps=4", "trainer.val_every=1")
    best = load(folder / "checkpoints/best.ckpt")
    assert best["best"]["rule"] == "lowest val/local_distance"
    assert best["best"]["iteration"] == best["iteration"]
    import csv

    with open(folder / "metrics.csv", newline="") as file:
        scores = {int(r["iteration"]): float(r["val/local_distance"]) for r in csv.DictReader(file)}
    assert best["iteration"] == min(scores, key=scores.__getitem__)
    assert best["best"]["score"] == pytest.approx(min(scores.values()), abs=1e-4)


def test_a_grid_without_space_says_how_to_go_on(run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if "iteration-" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as raised:
        run("run", "trainer.max_steps=4", "trainer.val_every=2")
    assert refused(raised.value).endswith("free some space, then go on with resume=last")


def test_the_grid_of_a_run_can_be_opened(run: Callable[..., Path]) -> None:
    folder = run("run", "trainer.max_steps=1")
    image = Image.open(folder / "images" / "iteration-000001.png")
    assert image.width > 5 * 128
    assert len(np.unique(np.asarray(image).reshape(-1, 3), axis=0)) > 100


def test_without_a_truth_there_are_no_scores() -> None:
    callback = TruthScores()
    callback.on_validation_start(None, None)  # type: ignore[arg-type]
    callback.on_validation_batch_end(None, None, {"real_A": torch.zeros(1), "fake_B": torch.zeros(1)}, {})  # type: ignore[arg-type]
    assert not callback._values


@pytest.mark.parametrize(("side", "known"), [("[36,34]", False), ("[36,32]", True)])
def test_materials_are_scored_where_each_pixel_has_one(run: Callable[..., Path], side: str, known: bool) -> None:
    """Not where a picture is brought to a multiple of 4, which its labels do not follow."""
    folder = run("run", "data.preprocess=none", f"data.image_size={side}", "trainer.max_steps=1")
    scores = json.loads((folder / "scores.json").read_text())["scores"]
    assert all(("label_iou" in found) == known for found in scores.values())
    assert all("psnr" in found for found in scores.values())
