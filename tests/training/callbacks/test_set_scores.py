"""Distances in validations are those of the pictures, taken once, and change nothing; best.ckpt follows its rule."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import gan_style
from gan_style import testing
from gan_style.checkpoints.checkpoint import load
from gan_style.core.config import build
from gan_style.core.errors import Interrupted
from gan_style.metrics.detail import gradient_energy
from gan_style.metrics.extractor import RandomExtractor
from gan_style.metrics.grid import folded, grid_excess
from gan_style.metrics.probe import steganography_probe
from gan_style.metrics.sliced import LaplacianPatches, sliced_wasserstein
from gan_style.metrics.table import NAMED
from gan_style.metrics.texture import texture_distance, texture_patches
from gan_style.training.callbacks.keeper import Keeper
from gan_style.training.engine.engine import Engine
from tests.conftest import differences, small_config

Run = Callable[..., Path]


@pytest.fixture
def run(run: Run) -> Run:
    """Trainings with all scores, which are what is tested."""
    return partial(run, scored=True)


def columns(folder: Path) -> dict[int, dict[str, float]]:
    """Iteration -> the scores of its validation."""
    with open(folder / "metrics.csv", newline="") as file:
        rows = {
            int(r["iteration"]): {k: float(v) for k, v in r.items() if v and k[:4] == "val/"}
            for r in csv.DictReader(file)
        }
    return {iteration: row for iteration, row in rows.items() if row}


def averaged(folder: Path, *words: str) -> tuple[Any, dict[str, torch.Tensor]]:
    """The model that validations looked at, and the pictures that they showed."""
    config = small_config(*words)
    data = build(config["data"])
    data.setup()
    model = build(config["model"], channels_A=3, channels_B=3).eval()
    for name, weights in load(folder / "checkpoints/last.ckpt")["callbacks"]["EMA"].items():
        getattr(model, name).load_state_dict(weights)
    items = [data.on_after_batch_transfer(data.val_set[i], 0) for i in range(len(data.val_set))]
    return model, {name: torch.stack([item[name] for item in items]) for name in "AB"}


def reference_kid(x: np.ndarray, y: np.ndarray) -> float:
    """Binkowski et al. 2018, eq. 4, pair by pair."""

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a.astype(float) @ b.astype(float) / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    same = [sum(kernel(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j) for z in (x, y)]
    cross = sum(kernel(a, b) for a in x for b in y)
    return same[0] / (n * (n - 1)) + same[1] / (m * (m - 1)) - 2 * cross / (n * m)


def test_logged_scores_are_those_of_the_pictures(run: Run) -> None:
    words = ("data.val_count=6", "callbacks.ema.decay=0.5")
    folder = run("run", *words, "callbacks.set_scores.metrics=[kid,swd,precision]", "trainer.max_steps=3")
    model, real = averaged(folder, *words)
    scores = json.loads((folder / "scores.json").read_text())
    network, patches = RandomExtractor(), LaplacianPatches()
    expected = {}
    for direction in ("A2B", "B2A"):
        source, target = real[direction[0]], real[direction[-1]]
        with torch.no_grad():
            fake = model.translate(source, direction)
        found = scores["scores"][direction]
        expected[direction] = reference_kid(network(target).numpy(), network(fake).numpy())
        assert found["kid_random0"]["value"] == pytest.approx(expected[direction], rel=1e-4)
        assert found["kid_random0"]["low"] < expected[direction] < found["kid_random0"]["high"]
        assert found["kid_random0"]["floor"] < expected[direction] / 5
        swd = float(sliced_wasserstein(patches(target), patches(fake), **NAMED["swd"].quicker))
        assert found["swd"]["value"] == pytest.approx(swd, rel=0.02)  # places of patches hang on the last bit
        assert 0 <= found["precision_random0"]["low"] <= found["precision_random0"]["high"] <= 1
        given = scores["baselines"]["input"][direction]["kid_random0"]["value"]
        assert given == pytest.approx(reference_kid(network(target).numpy(), network(source).numpy()), rel=1e-4)
    row = columns(folder)[3]
    assert row["val/A2B/kid_random0"] == pytest.approx(expected["A2B"], rel=1e-4)
    assert row["val/kid_random0"] == pytest.approx(sum(expected.values()) / 2, rel=1e-4)
    stamp = {"extractor": network.name, "extractor_sha256": network.sha256, "N_real": {"A2B": 6, "B2A": 6}}
    assert scores["protocol"] | stamp == scores["protocol"]


def test_cycle_scores_are_those_of_the_pictures(run: Run) -> None:
    words = ("data.val_count=5", "callbacks.ema.decay=0.5", "model.optimizer_G.lr=0.002")
    folder = run("run", *words, "callbacks.cycle_scores.images=3", "trainer.max_steps=12")
    model, real = averaged(folder, *words)
    row = columns(folder)[12]
    with torch.no_grad():
        back = model.translate(model.translate(real["B"], "B2A"), "A2B")
    assert row["val/B2A/cycle_error"] == pytest.approx(float((back - real["B"]).abs().mean()), rel=1e-4)
    probe = steganography_probe(lambda x: model.translate(x, "B2A"), lambda x: model.translate(x, "A2B"), real["B"][:3])
    expected = [None if v is None else pytest.approx(v, abs=1e-3) for v in (probe.honesty, probe.low, probe.high)]
    assert row.get("val/B2A/cycle_honesty") == expected[0]
    written = json.loads((folder / "scores.json").read_text())["scores"]["B2A"]["cycle_honesty"]
    assert [written[key] for key in ("value", "low", "high")] == expected


NOISY = ("model/generator=painter", "model.generator.filters=4", "model.generator.depth=3", "data.val_count=4")


def test_renditions_are_those_of_two_seeds(run: Run) -> None:
    plain_back = ("model/generator@model.generator_BA=painter", "model.generator_BA.noise=false")
    folder = run("run", *NOISY, *plain_back, "callbacks.noise_scores.images=3", "trainer.max_steps=3")
    row = columns(folder)[3]
    translator = gan_style.load(folder / "checkpoints" / "last.ckpt")
    data = build(yaml.safe_load((folder / "config.yaml").read_text())["data"])
    data.setup()
    images = [data.on_after_batch_transfer(data.val_set[i], 0)["A"] for i in range(3)]
    one, other = (torch.stack([translator.translate(x, "A2B", seed=seed) for x in images]) for seed in (0, 1))
    expected = float((one - other).abs().mean())
    assert expected > 1e-4
    assert row["val/A2B/rendition_difference"] == pytest.approx(expected, rel=1e-3)
    assert row["val/rendition_difference"] == row["val/A2B/rendition_difference"]
    assert "val/B2A/rendition_difference" not in row
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["protocol"]["N_noise"] == 3
    assert "rendition_difference" in scores["scores"]["A2B"]


@pytest.mark.parametrize(
    "words",
    [
        ("model/generator=painter", *NOISY[1:3]),
        ("model=unsb",),
        ("model=cyclegan", "model/generator=bridge", "model.generator.filters=4", "model.generator.blocks=1"),
        ("model=gcgan", "model/generator=painter", *NOISY[1:3]),
    ],
)
def test_every_picture_of_a_validation_has_noise_of_its_own(words: tuple[str, ...]) -> None:
    """Whatever the batch; the same at the same places of all would count as a grid."""
    model = testing.build_model(small_config(*words)).eval()
    one = testing.example_batch(32, 1)
    seeds = {f"noise_seed_{domain}": torch.tensor([5, 0, 7]) for domain in "AB"}
    engine = Engine(model)
    with torch.no_grad():
        fakes = engine.validation_step({domain: x.expand(3, -1, -1, -1) for domain, x in one.items()} | seeds, 0)[
            "fake_B"
        ]
        plain = engine.validation_step(one, 0)["fake_B"]
        with model.seeded(7):
            seventh = engine.validation_step(one, 0)["fake_B"]
    torch.testing.assert_close(fakes[1:2], plain, atol=1e-5, rtol=0)
    torch.testing.assert_close(fakes[2:], seventh, atol=1e-5, rtol=0)
    assert (fakes[0] - fakes[1]).abs().mean() > 1e-4
    assert all(part.noise_seed == 0 for part in model.noised())


def test_validations_look_at_pictures_by_their_own_noise(run: Run) -> None:
    folder = run("run", *NOISY, "trainer.max_steps=3")
    translator = gan_style.load(folder / "checkpoints" / "last.ckpt")
    data = build(yaml.safe_load((folder / "config.yaml").read_text())["data"])
    data.setup()
    items = [data.on_after_batch_transfer(data.val_set[i], 0) for i in range(4)]
    made = torch.stack([translator.translate(x["A"], "A2B", seed=i) for i, x in enumerate(items)])
    detail = gradient_energy(made) / gradient_energy(torch.stack([x["truth_B"] for x in items]))
    assert columns(folder)[3]["val/A2B/detail"] == pytest.approx(float(detail.mean()), rel=1e-3)


def test_a_network_of_ones_own_keeps_its_one_seed() -> None:
    model = testing.build_model(small_config("model/generator=painter", *NOISY[1:3])).eval()
    for part in model.noised():
        part.takes_seeds = False
    batch = testing.example_batch(32, 2) | {f"noise_seed_{domain}": torch.tensor([5, 6]) for domain in "AB"}
    with torch.no_grad():
        seeded = Engine(model).validation_step(batch, 0)["fake_B"]
        assert torch.equal(seeded, Engine(model).validation_step(testing.example_batch(32, 2), 0)["fake_B"])


def test_noise_that_is_not_used_yet_is_no_finding(run: Run) -> None:
    folder = run("run", *NOISY, "trainer.val_every=1", "trainer.max_steps=3", "model.optimizer_G.lr=1e-6")
    assert [row["val/A2B/rendition_difference"] < 0.004 for row in columns(folder).values()] == [True] * 3
    findings = folder / "findings.jsonl"
    assert not findings.is_file() or "ignored-noise" not in findings.read_text()


def test_without_noise_no_renditions_are_scored(run: Run) -> None:
    for name, words in (
        ("off", (*NOISY, "callbacks.noise_scores.images=0")),
        ("plain", ()),
        ("own", ("model=unsb",)),
    ):
        row = columns(run(name, *words, "trainer.max_steps=1"))[1]
        assert not [column for column in row if "rendition" in column]


def test_a_method_without_a_way_back_has_no_cycle(run: Run) -> None:
    row = columns(run("run", "model=cut", "trainer.max_steps=1"))[1]
    assert "val/A2B/kid_random0" in row
    assert not [name for name in row if "cycle" in name]


def test_looking_changes_no_weight(run: Run) -> None:
    seen = run("seen", "trainer.max_steps=4", "trainer.val_every=1")
    blind = run("blind", "callbacks=[ema]", "trainer.max_steps=4", "trainer.val_every=1")
    assert not (blind / "scores.json").exists()
    a, b = (load(folder / "checkpoints/last.ckpt") for folder in (seen, blind))
    assert differences([a["state_dict"], a["callbacks"]["EMA"]], [b["state_dict"], b["callbacks"]["EMA"]]) == []


def test_what_does_not_change_is_looked_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    original = RandomExtractor.forward
    monkeypatch.setattr(
        RandomExtractor, "forward", lambda self, images: (looked.append(len(images)), original(self, images))[1]
    )
    run("one", "trainer.max_steps=1", "trainer.val_every=1")
    first = sum(looked)
    looked.clear()
    run("three", "trainer.max_steps=3", "trainer.val_every=1")
    assert sum(looked) - first == 2 * 2 * 4, "two more validations of four pictures in two directions"


def folders(root: Path, **counts: int) -> str:
    random = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            image = random.integers(0, 128 if name[-1] == "A" else 256, (36, 40, 3), np.uint8)
            Image.fromarray(image).save(root / name / f"{i}.png")
    return f"data.root={root}"


UNPAIRED = ("data=folders", "data.image_size=32", "data.load_size=32")


def test_without_a_truth_swd_chooses_and_a_picture_that_comes_twice_counts_once(run: Run, tmp_path: Path) -> None:
    root = folders(tmp_path / "set", trainA=5, trainB=5, testA=3, testB=6)
    folder = run("run", *UNPAIRED, root, "trainer.max_steps=4", "trainer.val_every=1", "model.optimizer_G.lr=0.01")
    best = load(folder / "checkpoints/best.ckpt")
    scores = {iteration: row["val/swd"] for iteration, row in columns(folder).items()}
    assert best["best"]["rule"] == "lowest val/swd"
    assert best["iteration"] == best["best"]["iteration"] == min(scores, key=scores.__getitem__)
    stamp = json.loads((folder / "scores.json").read_text())["protocol"]
    assert (stamp["N_real"], stamp["N_fake"]) == ({"A2B": 6, "B2A": 3}, {"A2B": 3, "B2A": 6})
    assert "monitor: val/swd" in (folder / "config.yaml").read_text(), "what a sweep reads"


def test_without_a_truth_texture_grid_and_detail_are_of_the_domain(run: Run, tmp_path: Path) -> None:
    root = folders(tmp_path / "set", trainA=9, trainB=9, testA=4, testB=5)
    words = (*UNPAIRED, root, "callbacks.ema.decay=0.5")
    folder = run("run", *words, "trainer.max_steps=2")
    model, real = averaged(folder, *words)
    with torch.no_grad():
        fake = model.translate(real["A"][:4], "A2B")
    scores = json.loads((folder / "scores.json").read_text())
    found = scores["scores"]["A2B"]
    expected = {
        "texture": texture_distance(texture_patches(real["B"]), texture_patches(fake)),
        "grid": grid_excess(folded(real["B"]), folded(fake)),
        "domain_detail": gradient_energy(fake).mean() / gradient_energy(real["B"]).mean(),
    }
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(float(value), rel=1e-3), name
        assert columns(folder)[2][f"val/A2B/{name}"] == pytest.approx(found[name]["value"])
        assert found[name]["floor"] is not None
        assert name in scores["baselines"]["input"]["A2B"]
    assert found["domain_detail"]["low"] < found["domain_detail"]["value"] < found["domain_detail"]["high"]
    assert found["texture"]["low"] is None, "an interval of it would take longer than the validation"


def test_with_a_truth_grid_and_detail_are_those_to_the_truth(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    row = columns(run("run", "trainer.max_steps=1"))[1]
    assert {"val/A2B/grid", "val/A2B/detail", "val/A2B/texture"} <= row.keys()
    assert "val/A2B/domain_detail" not in row
    assert "callbacks.truth_scores" not in capsys.readouterr().out
    row = columns(run("without", "~callbacks.truth_scores", "trainer.max_steps=1"))[1]
    assert "val/A2B/grid" not in row
    assert (
        "no grid in validations: of data with a truth it is a score of callbacks.truth_scores"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("data.preprocess=none",), "no swd in validations: it needs pictures of one size"),
        (("data.val_count=1",), "no kid_random0 in validations: it needs 2 pictures of each domain, not 1"),
    ],
)
def test_what_cannot_be_scored_is_said(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    root = folders(tmp_path / "set", trainA=2, trainB=2)
    folder = run("run", *UNPAIRED, root, *words, "callbacks.set_scores.metrics=[kid,swd]", "trainer.max_steps=1")
    assert said in capsys.readouterr().out
    assert load(folder / "checkpoints/best.ckpt")["iteration"] == 1


def test_the_scores_of_the_best_and_of_the_last_are_both_kept(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run("run", "trainer.max_steps=4", "trainer.val_every=1", "best.monitor=psnr", "best.mode=lowest")
    last, best = (json.loads((folder / name).read_text()) for name in ("scores.json", "scores_best.json"))
    rows = columns(folder)
    worst = min(rows, key=lambda iteration: rows[iteration]["val/psnr"])
    assert worst < 4, "or this test shows nothing"
    for content, iteration in ((last, 4), (best, worst)):
        assert content["protocol"]["iteration"] == iteration
        for name in ("psnr", "kid_random0"):
            value = content["scores"]["A2B"][name]["value"]
            assert value == pytest.approx(rows[iteration][f"val/A2B/{name}"], rel=1e-5)
    assert best["protocol"]["checkpoint rule"] == "lowest val/psnr"
    assert load(folder / "checkpoints/best.ckpt")["iteration"] == worst
    said = capsys.readouterr().out
    line = next(line.split() for line in said.splitlines() if line.startswith("A2B psnr"))
    assert [float(word) for word in line[2:4]] == pytest.approx([rows[i]["val/A2B/psnr"] for i in (worst, 4)], rel=1e-3)


STILL = ("model.optimizer_G.lr=0", "trainer.val_every=2")  # no validation is better than the first


@pytest.mark.slow
def test_patience_ends_a_run_and_a_resumed_one_goes_on_counting(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("whole", *STILL, "best.patience=3", "trainer.max_steps=99")
    assert load(whole / "checkpoints/last.ckpt")["iteration"] == 8
    assert list(columns(whole)) == [2, 4, 6, 8], "no validation beyond it"
    assert "ended early: no better val/local_distance in 3 validations" in capsys.readouterr().out
    record = json.loads((whole / "run.json").read_text())
    assert (record["stopped"], record["ended early"]) == ("finished", "no better val/local_distance in 3 validations")

    def signalled(self: Keeper, trainer: Any, model: Any, *_: Any) -> None:
        if model.iteration == 5:  # between the second validation and the third
            self._signal = signal.SIGTERM
        original(self, trainer, model)

    original = Keeper.on_train_batch_start
    monkeypatch.setattr(Keeper, "on_train_batch_start", signalled)
    with pytest.raises(Interrupted):
        run("parts", *STILL, "best.patience=3", "trainer.max_steps=99")
    monkeypatch.setattr(Keeper, "on_train_batch_start", original)
    parts = run("parts", *STILL, "best.patience=3", "trainer.max_steps=99", "resume=last")
    ends = [load(folder / "checkpoints/last.ckpt") for folder in (whole, parts)]
    assert differences(*({k: v for k, v in end.items() if k != "config"} for end in ends)) == []
    assert list(columns(parts)) == [2, 4, 6, 8]

    capsys.readouterr()
    run("parts", *STILL, "best.patience=3", "trainer.max_steps=99", "resume=last")
    assert "saw no better val/local_distance in 3 validations" in capsys.readouterr().out
    run("parts", *STILL, "best.patience=4", "trainer.max_steps=99", "resume=last")
    assert load(parts / "checkpoints/last.ckpt")["iteration"] == 10, "one more"
