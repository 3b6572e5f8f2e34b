"""What a checkpoint and a folder score: against files on disk, NumPy, and generators built to hide or to be honest."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import squeezenet1_1

import gan_style
from gan_style.checkpoints import checkpoint
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.images import to_uint8
from gan_style.data.saving import save_image
from gan_style.data.scenes import draw_scene
from gan_style.evaluation.distances import refuse_other_protocol
from gan_style.evaluation.images import ImageScores
from gan_style.evaluation.judge import CODES_PER_INPUT, MAX_VARIED_INPUTS, NO_CYCLE, Judge
from gan_style.evaluation.sets import FIRST_SCENE, ScoredSet, open_set
from gan_style.losses.perceptual import PerceptualLoss
from gan_style.metrics.cache import FeatureCache
from gan_style.metrics.extractor import RandomExtractor
from gan_style.metrics.lpips import LPIPS
from gan_style.metrics.pairs import StyleDistance
from gan_style.models.cyclegan import CycleGAN
from gan_style.networks.vgg import VGG
from tests.small_models import made, saved

SIDE = 32


@pytest.fixture(autouse=True)
def _no_weights_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GAN_STYLE_VGG", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def trained(path: Path, *overrides: str, styles: Sequence[str] = ()) -> Path:
    """A checkpoint that says the side of its pictures."""
    content = checkpoint.load(saved(path, *overrides, styles=styles))
    checkpoint.save(content | {"preprocessing": {"image_size": SIDE}, "best": {"rule": "highest val/psnr"}}, path)
    return path


def judge(data: ScoredSet, cache: Path | None = None, **weights: Any) -> Judge:
    network = RandomExtractor()
    kept = None if cache is None else FeatureCache(cache)
    return Judge(data, network, ImageScores(network, **weights), draws=4, cache=kept)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    for i, part in enumerate(("trainA", "trainB", "testA", "testB")):
        for k in range(8 if part.startswith("test") else 16):
            save_image(draw_scene(0, 100 * i + k, SIDE, part[-1]), folder / part / f"{k}.png")
    return folder


def test_a_checkpoint_scores_as_the_files_that_it_writes(root: Path, tmp_path: Path) -> None:
    """The whole way over the disk: translate, PNG, read again."""
    path = trained(tmp_path / "a.ckpt", "model=cyclegan")
    own, files = judge(open_set(str(root), limit=4)), judge(open_set(str(root), limit=4))
    result, translator = own.checkpoint(path), gan_style.load(path)
    for direction in ("A2B", "B2A"):
        (tmp_path / direction).mkdir()
        for source in sorted((root / f"test{direction[0]}").iterdir())[:4]:
            translator.translate(source, direction).save(tmp_path / direction / source.name)
        written = files.folder(tmp_path / direction, direction, SIDE)
        refuse_other_protocol({"checkpoint": result, "folder": written})
        shared = written["scores"][direction]
        assert {"swd", "kid_random0", "frechet_random0", "edge_agreement"} < set(shared)
        for name, score in shared.items():
            for key, value in score.items():
                expected = value if value is None else pytest.approx(value, rel=1e-9)
                assert result["scores"][direction][name][key] == expected, (name, key)
    assert result["protocol"]["checkpoint"] == {"iteration": 0, "rule": "highest val/psnr", "weights": "raw"}
    assert result["protocol"]["N_fake"] == {"A2B": 4, "B2A": 4}


def test_the_stamp_says_which_weights_were_scored(root: Path, tmp_path: Path) -> None:
    """An export of averaged weights has no average beside it: it is the average."""
    path = trained(tmp_path / "a.ckpt", "model=cut")
    content = checkpoint.load(path)
    averages = {name: getattr(made("model=cut"), name).state_dict() for name in made("model=cut").generators}
    checkpoint.save(content | {"callbacks": {"EMA": averages}}, path)
    assert main(["export", str(path), str(tmp_path / "averaged.safetensors")]) == 0
    assert main(["export", str(path), str(tmp_path / "raw.safetensors"), "--raw"]) == 0
    of = judge(open_set(str(root), limit=4))
    for name, weights in (("a.ckpt", "EMA"), ("averaged.safetensors", "EMA"), ("raw.safetensors", "raw")):
        assert of.checkpoint(tmp_path / name)["protocol"]["checkpoint"]["weights"] == weights, name


def test_all_is_looked_at_on_the_device_that_is_asked_for(
    root: Path, vgg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that is said to be there and is not would be noticed by whatever takes it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path, results = trained(tmp_path / "a.ckpt", "model=cyclegan"), []
    words = ["evaluate", str(path), "--data", str(root), "--limit", "3", "--draws", "2", "--vgg", str(vgg)]
    for there in (torch.cuda.is_available(), True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert main([*words, "--device", "cpu", "--out", str(tmp_path / "scores.json")]) == 0
        results.append(json.loads((tmp_path / "scores.json").read_text()))
    assert results[0] == results[1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_scores_of_the_cpu(root: Path, vgg: Path, tmp_path: Path) -> None:
    path, found = trained(tmp_path / "a.ckpt", "model=cyclegan"), []
    for device in ("cpu", "cuda"):
        out = tmp_path / f"{device}.json"
        words = ["--data", str(root), "--limit", "3", "--draws", "2", "--vgg", str(vgg), "--no-cache"]
        assert main(["evaluate", str(path), *words, "--device", device, "--out", str(out)]) == 0
        found.append(json.loads(out.read_text())["scores"]["A2B"])
    for name, row in found[0].items():
        assert found[1][name]["value"] == pytest.approx(row["value"], rel=1e-2, abs=1e-3), name


def test_scores_against_the_truth_equal_numpys(tmp_path: Path) -> None:
    data, path = open_set("scenes", limit=3), trained(tmp_path / "a.ckpt", "model=cyclegan")
    result, translator = judge(data).checkpoint(path), gan_style.load(path)
    psnr, untouched, cycle = [], [], []
    for i in range(3):
        photo, painting = (draw_scene(0, FIRST_SCENE + i, SIDE, domain) for domain in "AB")
        fake = np.asarray(translator.translate(photo, "A2B")).astype(float)
        psnr.append(10 * math.log10(255**2 / ((fake - painting) ** 2).mean()))
        untouched.append(10 * math.log10(255**2 / ((photo.astype(float) - painting) ** 2).mean()))
        x = torch.from_numpy(photo).permute(2, 0, 1) / 127.5 - 1
        back = translator.translate(translator.translate(x, "A2B"), "B2A")
        cycle.append(float((x - back).abs().mean()))
    scores = result["scores"]["A2B"]
    assert scores["psnr"]["value"] == pytest.approx(np.mean(psnr), rel=1e-5)
    assert scores["psnr"]["ceiling"] == pytest.approx(np.mean(untouched), rel=1e-5)
    assert scores["cycle_error"]["value"] == pytest.approx(np.mean(cycle), rel=1e-4)
    assert scores["psnr"]["low"] <= scores["psnr"]["value"] <= scores["psnr"]["high"]
    assert scores["ssim"]["value"] < 0.5
    assert scores["edge_agreement"]["ceiling"] == pytest.approx(1)


def ramp(x: Tensor) -> Tensor:
    return torch.linspace(-0.7, 0.7, x.shape[-1]).expand_as(x)


def hiding(model: CycleGAN, images: Tensor, direction: str = "A2B") -> Tensor:
    """The input lies a hundred times below a step of 8 bits."""
    size = 2 / 255 / 100
    if direction == "A2B":
        return ramp(images) + size * images
    return ((images - ramp(images)) / size).clamp(-1, 1)


@pytest.mark.parametrize(
    ("translate", "least", "most"), [(hiding, 0.0, 0.1), (lambda model, images, direction="A2B": -images, 0.9, 1.0)]
)
def test_hidden_cycles_are_found_and_honest_ones_cleared(
    translate: Callable[..., Tensor], least: float, most: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trained(tmp_path / "a.ckpt", "model=cyclegan")
    monkeypatch.setattr(CycleGAN, "translate", translate)
    result = judge(open_set("scenes", limit=4)).checkpoint(path)
    row = result["scores"]["A2B"]["cycle_honesty"]
    assert least <= row["low"] <= row["value"] <= row["high"] <= most
    assert result["probe"]["A2B"]["honesty"] == row["value"]
    assert result["scores"]["A2B"]["cycle_error"]["value"] < 0.02


def test_without_a_cycle_nothing_is_said_of_it(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_way = judge(open_set(str(root), limit=3)).checkpoint(trained(tmp_path / "a.ckpt", "model=cut"))
    assert set(one_way["scores"]) == {"A2B"}
    assert not {"cycle_error", "cycle_honesty", "psnr"} & set(one_way["scores"]["A2B"])
    path = trained(tmp_path / "b.ckpt", "model=cyclegan")
    monkeypatch.setattr(CycleGAN, "translate", lambda model, images, direction="A2B": ramp(images))
    lost = judge(open_set(str(root), limit=3)).checkpoint(path)
    assert "cycle_honesty" not in lost["scores"]["A2B"]
    assert NO_CYCLE.format("A2B") in lost["notes"]


def test_models_of_styles_are_given_training_pictures_in_turn(root: Path, tmp_path: Path) -> None:
    path = trained(tmp_path / "a.ckpt", "model=style_conditional", "model/generator=styled", styles=("mist", "sun"))
    data = open_set(str(root), limit=5)
    judged = judge(data)
    result, translator = judged.checkpoint(path), gan_style.load(path)
    assert result["protocol"]["checkpoint"]["styles"] == "training pictures of B in turn"
    sources, styles = data.images("testA", SIDE), data.images("trainB", SIDE)
    fake = translator.translate(sources[3], style=[(styles[3], 1.0)])
    assert np.array_equal(to_uint8(judged.made["A2B"].fakes[3]), to_uint8(fake))
    network, found = RandomExtractor(), []
    for i in range(min(MAX_VARIED_INPUTS, 5)):
        words = [f"noise:{('mist', 'sun')[i % 2]}:{seed}" for seed in range(CODES_PER_INPUT)]
        features = [network(translator.translate(sources[i], style=word)[None])[0] for word in words]
        found.append(np.mean([float((a - b).norm()) for k, a in enumerate(features) for b in features[:k]]))
    row = result["scores"]["A2B"]["diversity_random0"]
    assert row["value"] == pytest.approx(np.mean(found), rel=1e-4)
    assert row["value"] > 0


def test_styles_of_both_domains_are_scored_in_both_directions(root: Path, tmp_path: Path) -> None:
    path = trained(tmp_path / "a.ckpt", "model=munit")
    data = open_set(str(root), limit=3)
    judged = judge(data)
    result, translator = judged.checkpoint(path), gan_style.load(path)
    assert result["protocol"]["checkpoint"]["styles"] == "training pictures of B and A in turn"
    for direction, name in (("A2B", "painting"), ("B2A", "photo")):
        source, target = direction[0], direction[-1]
        image, style = data.images(f"test{source}", SIDE)[1], data.images(f"train{target}", SIDE)[1]
        fake = translator.translate(image, direction, style=[(style, 1.0)])
        assert np.array_equal(to_uint8(judged.made[direction].fakes[1]), to_uint8(fake))
        back = translator.translate(
            fake, ("B2A" if direction == "A2B" else "A2B"), style=[(image, 1.0)]
        )  # told the style of its input
        torch.testing.assert_close(judged.made[direction].images["back"][1], back)
        several = [translator.translate(image, style=f"noise:{name}:{seed}") for seed in range(CODES_PER_INPUT)]
        found = judged.made[direction].images["several"][1]
        assert all(np.array_equal(to_uint8(a), to_uint8(b)) for a, b in zip(found, several, strict=True))
        row = result["scores"][direction]
        assert row["diversity_random0"]["value"] > 0
        assert "cycle_error" in row
        assert "cycle_honesty" not in row


def test_a_generator_with_noise_is_scored_by_renditions(root: Path, tmp_path: Path) -> None:
    words = ("model/generator=painter", "model.generator.filters=4", "model.generator.depth=3")
    path = trained(tmp_path / "a.ckpt", "model=cyclegan", *words)
    data = open_set(str(root), limit=3)
    judged = judge(data)
    row, translator = judged.checkpoint(path)["scores"]["A2B"], gan_style.load(path)
    sources, pairs = data.images("testA", SIDE), []
    for i in range(3):
        made = [translator.translate(sources[i], "A2B", seed=3 * k + i) for k in range(CODES_PER_INPUT)]
        assert np.array_equal(to_uint8(made[0]), to_uint8(judged.made["A2B"].fakes[i]))
        levels = [to_uint8(one).astype(float) / 127.5 for one in made]
        pairs.append(np.mean([np.abs(a - b).mean() for k, a in enumerate(levels) for b in levels[:k]]))
    assert row["rendition_difference"]["value"] == pytest.approx(np.mean(pairs), rel=1e-4)
    assert np.mean(pairs) > 1e-4
    assert row["diversity_random0"]["value"] > 0


def test_adain_is_scored_without_diversity(root: Path, tmp_path: Path) -> None:
    result = judge(open_set(str(root), limit=4)).checkpoint(trained(tmp_path / "a.ckpt", "model=adain"))
    assert not any(name.startswith(("diversity", "rendition")) for name in result["scores"]["A2B"])
    assert "kid_random0" in result["scores"]["A2B"]


def test_a_checkpoint_of_another_drawn_task_is_said(tmp_path: Path) -> None:
    path = trained(tmp_path / "a.ckpt", "model=cut")
    content = checkpoint.load(path)
    content["preprocessing"]["task"] = "night"
    checkpoint.save(content, path)
    said = {name: judge(open_set(name, limit=3)).checkpoint(path)["notes"] for name in ("scenes", "scenes:night")}
    found = {name: [note for note in notes if "drawn task" in note] for name, notes in said.items()}
    told = "trained on the drawn task night and scored on paint: --data scenes:TASK names another"
    assert found == {"scenes": [told], "scenes:night": []}


@pytest.fixture(scope="module")
def vgg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VGG-19 that ends early, as torchvision's files have it."""
    path, network = tmp_path_factory.mktemp("vgg") / "vgg.pth", VGG("random", depth="relu2_1")
    places = {"1_1": 0, "1_2": 2, "2_1": 5}
    torch.save(
        {
            f"features.{places[key.split('.')[0]]}.{key.split('.')[1]}": v
            for key, v in network.convolutions.state_dict().items()
        },
        path,
    )
    return path


def test_style_is_compared_with_the_mean_of_the_domain(root: Path, vgg: Path, tmp_path: Path) -> None:
    data = open_set(str(root))
    result = judge(data, vgg=str(vgg)).folder(root / "trainB", "A2B", SIDE)
    row = result["scores"]["A2B"]["style_gram_vgg19"]
    distance = StyleDistance(PerceptualLoss(VGG(str(vgg))))  # type: ignore[arg-type]
    codes = [distance.code(x[None]) for x in data.images("testB", SIDE)]
    mean = {key: torch.stack([code[key] for code in codes]).mean(0) for key in codes[0]}

    def to_domain(part: str) -> float:
        images = data.images(part, SIDE)
        named = [images[i] for i in range(len(images)) if int(images.stem(i)) < 8]  # as an input is
        return float(np.mean([float(distance.to_code(x[None], mean)[0]) for x in named]))

    assert row["value"] == pytest.approx(to_domain("trainB"), rel=1e-4)
    assert row["ceiling"] == pytest.approx(to_domain("testA"), rel=1e-4)
    assert row["value"] < row["ceiling"], "paintings are nearer to paintings than photos are"
    assert "style_mean_std_vgg19" in result["scores"]["A2B"]
    assert result["protocol"]["networks"]["style_gram_vgg19"] == result["protocol"]["networks"]["content_vgg19_relu2_1"]
    assert "8 of 16 pictures have the name of no input, or not alone" in result["notes"][-1]
    of_styles = judge(open_set(str(root), limit=3), vgg=str(vgg))
    scores = of_styles.checkpoint(trained(tmp_path / "a.ckpt", "model=adain"))["scores"]["A2B"]
    made, styles = of_styles.made["A2B"].fakes, data.images("trainB", SIDE)
    each = [float(distance(made[i][None], styles[i][None])[0]) for i in range(3)]
    assert scores["given_style_gram_vgg19"]["value"] == pytest.approx(np.mean(each), rel=1e-4)
    few = [distance.code(x[None]) for x in data.images("testB", SIDE)[:3]]
    mean = {key: torch.stack([code[key] for code in few]).mean(0) for key in mean}
    to_mean = [float(distance.to_code(x[None], mean)[0]) for x in made]
    assert scores["style_gram_vgg19"]["value"] == pytest.approx(np.mean(to_mean), rel=1e-4)


def test_lpips_is_taken_where_squeezenet_is_at_hand(root: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(squeezenet1_1(weights=None).state_dict(), tmp_path / "squeezenet.pth")
    data = open_set(str(root), limit=2)
    judged = judge(data, squeezenet=str(tmp_path / "squeezenet.pth"))
    result = judged.checkpoint(trained(tmp_path / "a.ckpt", "model=cut"))
    lpips = LPIPS(weights=tmp_path / "squeezenet.pth")
    assert lpips.name.startswith("lpips_squeeze_"), "these are not the reference's weights"
    row = result["scores"]["A2B"][lpips.name]
    sources = torch.stack(data.images("testA", SIDE)[:2])
    assert row["value"] == pytest.approx(
        float(lpips(torch.stack([*judged.made["A2B"].fakes]), sources).mean()), rel=1e-4
    )
    assert row["ceiling"] == pytest.approx(0, abs=1e-6)
    assert result["protocol"]["networks"][lpips.name] == lpips.backbone_sha256


def test_real_pictures_go_through_the_network_once(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    features = RandomExtractor.features
    monkeypatch.setattr(
        RandomExtractor, "features", lambda self, images: (seen.append(len(images)), features(self, images))[1]
    )
    path = trained(tmp_path / "a.ckpt", "model=cut")
    data, cache = open_set(str(root), limit=3), tmp_path / "cache"
    first = judge(data, cache)
    result = first.checkpoint(path)
    assert sum(seen) == 3 + 6 + 3 + 3  # testB, trainB, testA, and what was made
    assert first.checkpoint(path) == result
    assert sum(seen) == 15 + 3
    kept = sorted(cache.iterdir())
    assert len(kept) == 3
    assert judge(data, cache).checkpoint(path) == result
    assert sum(seen) == 18 + 3, "the next process takes the real ones from the cache"
    kept[0].write_bytes(b"broken")
    assert judge(data, cache).checkpoint(path) == result
    assert judge(data).checkpoint(path) == result, "without a cache"


def test_another_picture_is_another_key(root: Path, tmp_path: Path) -> None:
    for name in ("testB", "trainB"):
        (tmp_path / name).mkdir()
        for path in (root / name).iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    data = ScoredSet("x", {part: sorted((tmp_path / part).iterdir()) for part in ("testB", "trainB")})
    first = judge(data, tmp_path / "cache").folder(root / "trainB", "A2B", SIDE)
    save_image(np.full((SIDE, SIDE, 3), 255, np.uint8), tmp_path / "testB" / "0.png")
    second = judge(data, tmp_path / "cache").folder(root / "trainB", "A2B", SIDE)
    assert second["scores"]["A2B"]["kid_random0"]["value"] != first["scores"]["A2B"]["kid_random0"]["value"]
    with pytest.raises(UserError, match="different protocols"):
        refuse_other_protocol({"before": first, "after": second})


def test_a_folder_is_limited_as_the_inputs_are(root: Path) -> None:
    """What a tool made of the whole test set stands beside checkpoints that were given a part of it."""
    result = judge(open_set(str(root), limit=3)).folder(root / "testA", "A2B", SIDE)
    assert result["protocol"]["N_fake"] == {"A2B": 3}
    assert not any("name of no input" in note for note in result["notes"])
    assert result["scores"]["A2B"]["edge_agreement"]["value"] == pytest.approx(1), "each beside its own input"


def test_names_that_two_pictures_have_pair_with_nothing(root: Path, tmp_path: Path) -> None:
    for name in ("a/0.png", "b/0.png", "a/1.png", "a/2.png"):
        save_image(np.full((SIDE, SIDE, 3), 90, np.uint8), tmp_path / "out" / name)
    judged = judge(open_set(str(root), limit=4))
    result = judged.folder(tmp_path / "out", "A2B", SIDE)
    assert list(judged.made["A2B"].indices) == [1, 2]
    assert "A2B: 2 of 4 pictures" in result["notes"][-1]


def test_a_checkpoint_without_a_size_is_said(root: Path, tmp_path: Path) -> None:
    saved(tmp_path / "a.ckpt", "model=cut")
    with pytest.raises(UserError, match="gan-style compare --size N"):
        judge(open_set(str(root))).checkpoint(tmp_path / "a.ckpt")


def test_pictures_of_other_kinds_are_refused(root: Path, tmp_path: Path) -> None:
    path = trained(tmp_path / "a.ckpt", "model=cut")
    content = checkpoint.load(path)
    deep = {"name": "x", "channels": 3, "dtype": "uint16", "low": 0.0, "high": 65535.0}
    checkpoint.save(content | {"domains": {"A": deep, "B": deep}}, path)
    with pytest.raises(UserError, match="no 8-bit colours"):
        judge(open_set(str(root))).checkpoint(path)
