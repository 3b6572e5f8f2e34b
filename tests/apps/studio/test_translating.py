"""What the buttons do, without a browser."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

import gan_style
from gan_style.apps.studio.images import COLOURS, draw_samples
from gan_style.apps.studio.translating import Grown, Slot, Wish, compare, style_options, translate
from gan_style.core.errors import UserError
from gan_style.data.images import read_image
from gan_style.inference.load import gatys
from gan_style.inference.translator import LoadedTranslator
from tests.conftest import trained_into
from tests.small_models import loaded, saved


def trained(folder: Path, model: str, *overrides: str) -> LoadedTranslator:
    run = trained_into(folder / model, f"model={model}", "trainer.max_steps=1", *overrides)
    return gan_style.load(run / "checkpoints" / "last.ckpt")


@pytest.fixture(scope="module")
def adain(tmp_path_factory: pytest.TempPathFactory) -> LoadedTranslator:
    return trained(tmp_path_factory.mktemp("adain"), "adain")


@pytest.fixture(scope="module")
def cyclegan(tmp_path_factory: pytest.TempPathFactory) -> LoadedTranslator:
    return trained(tmp_path_factory.mktemp("cyclegan"), "cyclegan")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("samples")
    return [*draw_samples(folder, "A")[:1], *draw_samples(folder, "B")[:2]]


def quiet(share: float, text: str) -> None:
    assert 0 <= share <= 1


def painted(colour: str, rows: slice) -> np.ndarray:
    layer = np.zeros((96, 96, 4), np.uint8)
    layer[rows] = (*ImageColor.getrgb(colour), 255)
    return layer


def test_a_mix_is_what_the_python_interface_gives(adain: LoadedTranslator, samples: list[Path], tmp_path: Path) -> None:
    photo, first, second = samples
    slots = [Slot(first, None, 0.75), Slot(), Slot(second, None, 0.25)]
    made = translate(adain, Wish(photo, slots, alpha=0.5, preserve_color=True, size=96), tmp_path, "out", quiet)
    wanted = adain.translate(photo, style=[(first, 0.75), (second, 0.25)], alpha=0.5, preserve_color=True, size=96)
    assert made.file == tmp_path / "out.png"
    assert np.array_equal(read_image(made.file), np.asarray(wanted))
    assert np.array_equal(made.after, np.asarray(wanted))
    assert made.before.shape == made.after.shape == (96, 96, 3)
    assert np.abs(made.before.astype(int) - np.asarray(Image.open(photo).resize((96, 96)))).mean() < 8


def test_a_model_of_domains_takes_the_direction_and_no_style(
    cyclegan: LoadedTranslator, samples: list[Path], tmp_path: Path
) -> None:
    wish = Wish(samples[0], [Slot(samples[1])], direction="B2A", size=64)
    made = translate(cyclegan, wish, tmp_path, "out", quiet)
    assert np.array_equal(made.after, np.asarray(cyclegan.translate(samples[0], "B2A", size=64)))
    assert style_options(cyclegan, Wish(samples[0], direction="nothing"), (8, 8)) == {"direction": None}


def test_a_direction_stands_beside_styles_of_both_domains(samples: list[Path], tmp_path: Path) -> None:
    translator = gan_style.load(saved(tmp_path / "a.ckpt", "model=munit"))
    slots = [Slot(samples[1])]
    for direction in ("A2B", "B2A"):
        made = translate(translator, Wish(samples[0], slots, direction=direction, size=64), tmp_path, "out", quiet)
        plain = translator.translate(samples[0], direction, style=samples[1], size=64)
        assert np.array_equal(made.after, np.asarray(plain))
    found = style_options(translator, Wish(samples[0], slots, direction="B2A"), (8, 8))
    assert (found["direction"], len(found["style"])) == ("B2A", 1)


def test_a_painted_region_holds_its_style_and_the_rest_stays(
    adain: LoadedTranslator, cyclegan: LoadedTranslator, samples: list[Path], tmp_path: Path
) -> None:
    photo, first, second = samples
    slots = [Slot(first), Slot(second, None, 0.3)]
    whole = translate(adain, Wish(photo, slots[1:], size=96), tmp_path, "whole", quiet)
    upper = Wish(photo, slots, size=96, layers=[painted(COLOURS[1], slice(0, 48))])
    made = translate(adain, upper, tmp_path, "upper", quiet)
    assert np.array_equal(made.after[:40], whole.after[:40])
    content = np.asarray(adain.translate(photo, style=first, size=96, mask=[Image.new("L", (384, 384), 0)]))
    assert np.array_equal(made.after[56:], content[56:])
    one = Wish(photo, direction="B2A", size=96, layers=[painted(COLOURS[0], slice(0, 48))])
    made = translate(cyclegan, one, tmp_path, "one", quiet)  # which takes no style, and so no regions
    assert np.array_equal(made.after, np.asarray(cyclegan.translate(photo, "B2A", size=96)))


def test_gatys_reports_its_steps(samples: list[Path], tmp_path: Path) -> None:
    translator = gatys("random", 0, ["model.vgg.depth=relu2_1"])
    said: list[tuple[float, str]] = []
    wish = Wish(samples[0], [Slot(samples[1])], size=32, steps=3)
    made = translate(translator, wish, tmp_path, "out", lambda share, text: said.append((share, text)))
    assert [share for share, _ in said] == pytest.approx([n / 6 for n in range(1, 7)])  # three in each of two sizes
    assert said[0][1] == "step 1 of 6"
    assert re.fullmatch(r"step 3 of 6, \d+ s left", said[2][1])
    assert not np.array_equal(made.before, made.after)
    assert made.stopped == ""


def test_gatys_shows_its_picture_and_stops_with_it(
    samples: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gan_style.apps.studio.translating.SHOWN_SECONDS", -1.0)
    translator = gatys("random", 0, ["model.vgg.depth=relu2_1"])
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    grown = Grown(lambda before, now: seen.append((before, now)), lambda: len(seen) == 4)
    wish = Wish(samples[0], [Slot(samples[1])], size=32, steps=3)
    made = translate(translator, wish, tmp_path, "out", quiet, grown)
    assert made.stopped == "step 4 of 6"
    assert len(seen) == 4
    assert {one.shape for pair in seen for one in pair} == {(32, 32, 3)}  # enlarged while it is of half the size
    assert np.array_equal(seen[-1][1], made.after)


@pytest.mark.parametrize("seed", [None, -1, 0.5, 1e20, float("inf"), float("nan")])
def test_a_seed_that_is_none_is_a_sentence(seed: float | None) -> None:
    from gan_style.apps.studio.controls import MAX_SEED, _whole

    assert _whole(MAX_SEED) == MAX_SEED == int(float(MAX_SEED))
    with pytest.raises(UserError, match="the seed should be a whole number from 0 to 9007199254740991"):
        _whole(seed)


def test_a_seed_is_of_what_a_model_draws(samples: list[Path], tmp_path: Path) -> None:
    noisy = loaded("model=cyclegan", "model.generator.noise=true")
    made = [translate(noisy, Wish(samples[0], seed=seed, size=32), tmp_path, "a", quiet).after for seed in (0, 7, 7)]
    assert np.array_equal(made[1], made[2])
    assert np.array_equal(made[1], np.asarray(noisy.translate(samples[0], seed=7, size=32)))
    plain = loaded("model=cyclegan")  # which refuses a seed
    translate(plain, Wish(samples[0], seed=7, size=32), tmp_path, "b", quiet)


def test_methods_stand_side_by_side_and_one_that_fails_is_left_out(
    adain: LoadedTranslator, cyclegan: LoadedTranslator, samples: list[Path], tmp_path: Path
) -> None:
    def gone() -> LoadedTranslator:
        raise UserError("its checkpoint is gone")

    pairs = [("a/adain", lambda: adain), ("b", gone), ("c", lambda: cyclegan)]
    wish = Wish(samples[0], [Slot(samples[1])], size=48)
    made, failed = compare(pairs, wish, tmp_path, quiet)
    assert [caption for _, caption in made] == ["input", "a/adain", "c"]
    assert failed == ["b: its checkpoint is gone"]
    assert np.array_equal(made[1][0], np.asarray(adain.translate(samples[0], style=samples[1], size=48)))
    assert np.array_equal(made[2][0], np.asarray(cyclegan.translate(samples[0], size=48)))
    with pytest.raises(UserError, match="b: its checkpoint is gone"):
        compare(pairs[1:2], wish, tmp_path, quiet)
    with pytest.raises(UserError, match="choose the methods"):
        compare([], wish, tmp_path, quiet)


def test_mistakes_are_sentences(adain: LoadedTranslator, samples: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    photo, style, _ = samples
    wishes = [
        (Wish(None), "choose a picture first"),
        (Wish(bad), "bad.png"),
        (Wish(photo, [Slot(bad)]), "bad.png"),
        (Wish(photo, [Slot(style, "night")]), "style 1 has a picture and the name night: clear one of the two"),
        (Wish(photo, [Slot(style, None, 0.0)]), "sum to zero"),
        (
            Wish(photo, [Slot(style)], layers=[painted(COLOURS[2], slice(0, 9))]),
            "a region is painted in colour 3, but there is no style 3: add it",
        ),
    ]
    for wish, sentence in wishes:
        with pytest.raises(UserError, match=sentence):
            translate(adain, wish, tmp_path / "out", "out", quiet)
    assert not (tmp_path / "out").exists()
