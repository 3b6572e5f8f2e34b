"""Every kind of argument of `translate`, on untrained models: what comes out, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import gan_style
from gan_style.core.errors import UserError
from tests.small_models import loaded, saved

WAVE = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
HALF = torch.zeros(8, 8)


def test_two_domains_mix_as_the_mean_of_both_translations() -> None:
    translator, content = loaded("model=cyclegan"), torch.rand(3, 16, 16) * 2 - 1
    there, back = (translator.translate(content, d) for d in ("A2B", "B2A"))
    assert torch.allclose(translator.translate(content, style={"photo": 1, "painting": 3}), 0.25 * back + 0.75 * there)
    one_way = loaded("model=cut")
    assert torch.equal(one_way.translate(content, style="photo"), content)


def test_a_style_that_was_made_can_be_given_again() -> None:
    translator, content = loaded("model=adain"), torch.rand(3, 16, 16) * 2 - 1
    image = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    style = translator.style(image, side=16)
    expected = translator.translate(content, style=image)
    for same in (style, [style], [(style, 0.5)], [(image, 2)]):
        assert torch.equal(translator.translate(content, style=same), expected)
    half = torch.zeros(16, 16)
    half[:8] = 1
    masked = translator.translate(content, style=style, mask=[half])
    assert torch.equal(masked[:, :8], expected[:, :8])
    assert torch.equal(masked[:, 8:], content[:, 8:])


def test_styles_by_noise() -> None:
    translator = loaded("model=style_conditional", styles=["ink", "dots"])
    content = torch.rand(3, 16, 16) * 2 - 1
    first, same, other, seed = (
        translator.translate(content, style=f"noise:{word}") for word in ("ink", "ink:0", "dots", "ink:7")
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert not torch.equal(first, seed)
    for word, message in (
        ("noise", "noise is of a style, as in noise:NAME; there are: dots, ink"),
        ("noise:inc", "did you mean ink"),
        ("noise:ink:x", "the seed x is not a whole number"),
    ):
        with pytest.raises(UserError, match=message):
            translator.translate(content, style=word)
    with pytest.raises(UserError, match="there is no style picture, folder or name noise:ink"):
        loaded("model=adain").translate(content, style="noise:ink")


def test_names_are_offered_where_they_can_be_used(tmp_path: Path) -> None:
    content = torch.rand(3, 16, 16) * 2 - 1
    for model in ("adain", "gatys"):
        path = saved(tmp_path / f"{model}.ckpt", f"model={model}", styles=["ink"], number_of=False)
        translator = gan_style.load(path)
        assert translator.style_names == []
        with pytest.raises(UserError) as caught:
            translator.translate(content, style="ink")
        assert str(caught.value) == "there is no style picture, folder or name ink"
    named = gan_style.load(saved(tmp_path / "many.ckpt", "model=style_conditional", styles=["ink", "dots"]))
    assert named.translate(content, style="ink").shape == content.shape
    with pytest.raises(UserError, match="did you mean ink"):
        named.translate(content, style="inc")
    unnamed = gan_style.load(saved(tmp_path / "one.ckpt", "model=style_conditional"))
    assert torch.equal(unnamed.translate(content, style="painting"), unnamed.translate(content))


def test_two_branches_scale_in_any_method() -> None:
    content = torch.rand(1, 3, 16, 16) * 2 - 1
    translator = loaded("model=cyclegan", "model/generator=two_branch")
    for direction, network in (("A2B", translator.model.G_AB), ("B2A", translator.model.G_BA)):
        expected = network(content, alpha=0.5)  # type: ignore[operator]
        assert torch.equal(translator.translate(content, direction, alpha=0.5), expected)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"style": WAVE, "size": 0}, "size=0 is not valid: give a whole number of at least 1"),
    ({"style": WAVE, "size": -1}, "size=-1 is not valid"),
    ({"style": WAVE, "size": "10"}, "size='10' is not valid"),
    ({"style": WAVE, "size": 10.5}, "size=10.5 is not valid"),
    ({"mask": [HALF]}, "mask needs a style"),
    ({"progress": print}, "progress needs a style"),
    ({"style": WAVE, "steps": 3}, "steps is not an option of this model; there are none"),
    ({"style": ["a.png", "b.png"]}, "style holds a.png without a weight"),
    ({"style": [(WAVE, "1")]}, "is '1': give a number of at least 0"),
    ({"style": [(WAVE, None)]}, "is None: give a number of at least 0"),
    ({"style": WAVE, "alpha": None}, "alpha=None is not a strength"),
    ({"style": WAVE, "alpha": "1"}, "alpha='1' is not a strength"),
    ({"alpha": "1"}, "alpha='1' is not a strength"),
    ({"style": WAVE, "mask": HALF}, "mask must be a list with one mask for each style"),
    ({"style": WAVE, "mask": "left.png"}, "mask must be a list"),
    ({"style": WAVE, "mask": Image.fromarray(WAVE)}, "mask must be a list"),
    ({"style": WAVE, "mask": []}, None),  # none
    ({"style": torch.zeros(2, 3, 8, 8)}, "a style is one picture, not a batch of 2"),
    ({"style": torch.zeros(0, 3, 8, 8)}, "not empty"),
    ({"style": WAVE[..., :1]}, "has 1 channel, but this model takes pictures of 3"),
    ({"style": ""}, "the name of a style is empty"),
    ({"style": []}, "no style was given"),
    ({"style": {}}, "no style was given"),
    ({"style": 5}, "is no picture"),
    ({"direction": ""}, "this model does not translate "),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_arguments_are_one_sentence(options: dict[str, Any], message: str | None) -> None:
    translator, content = loaded("model=adain"), torch.zeros(3, 3, 8, 8)
    if message is None:
        assert translator.translate(content, **options).shape == content.shape
        return
    with pytest.raises(UserError) as caught:
        translator.translate(content, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_domains_and_checkpoints_are_one_sentence(tmp_path: Path) -> None:
    cycle, content = loaded("model=cyclegan", "model.lambda_idt=0", channels_A=1, channels_B=3), torch.zeros(3, 8, 8)
    with pytest.raises(UserError, match="has 3 channels, but this model takes pictures of 1: convert it"):
        cycle.translate(content)
    assert cycle.translate(content, "B2A").shape == (1, 8, 8)
    with pytest.raises(UserError, match=r"alpha=0\.5 mixes a picture with a translation of other channels"):
        cycle.translate(content, "B2A", alpha=0.5)
    with pytest.raises(UserError, match="hold other kinds of pictures and cannot be mixed"):
        cycle.translate(content, style={"photo": 1, "painting": 1})
    with pytest.raises(UserError, match=r"takes no style pictures: name one of its domains \(photo, painting\)"):
        cycle.translate(content, style=WAVE)
    with pytest.raises(UserError, match="start is not an option of this model; there are none"):
        cycle.translate(content, style="photo", start=1)
    with pytest.raises(UserError, match=r"there are: A, B, painting, photo$"):
        cycle.translate(content, style="zzz")
    path = saved(tmp_path / "a.ckpt", "model=cyclegan")
    with pytest.raises(UserError, match="a checkpoint is given by its path, not by None"):
        gan_style.load(None)
    for device in ("foo", "meter", 5.5, "cuda:99"):
        with pytest.raises(UserError, match=f"device={device} cannot be used: take cpu"):
            gan_style.load(path, device=device)  # type: ignore[arg-type]


def test_a_result_that_is_not_finite_is_refused() -> None:
    content = torch.rand(3, 16, 16) * 2 - 1
    for broken in (loaded("model=gatys", "model.lambda_style=1e39"), loaded("model=adain"), loaded("model=cyclegan")):
        for parameter in broken.model.parameters():
            parameter.data.fill_(float("nan"))
        with pytest.raises(UserError, match="the result holds values that are NaN or infinite"):
            broken.translate(content, style=WAVE if broken.model.takes_style else "painting")
    for word in ("model.lambda_style=inf", "model.lr=inf"):
        with pytest.raises(UserError, match="is not valid: input should be a finite number"):
            loaded("model=gatys", word)
