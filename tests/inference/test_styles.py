"""The one style interface: what must hold for every method, whatever it has learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gan_style.core.config import build, config_dir
from gan_style.core.direction import Direction
from gan_style.core.errors import UserError
from gan_style.inference.styles import (
    Style,
    apply_styles,
    checked_masks,
    direction_to,
    keep_colours,
    mix_codes,
    normalised,
)
from gan_style.models.adain import AdaIN
from gan_style.models.microast import MicroAST
from gan_style.models.munit import MUNIT
from gan_style.models.santa import SANTA
from gan_style.models.style_conditional import StyleConditional
from gan_style.models.translator import Translator
from gan_style.networks.blocks import crop
from tests.conftest import small_config

MODELS = sorted(p.stem for p in (config_dir() / "model").glob("*.yaml"))


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> Translator:
    torch.manual_seed(0)
    made = build(small_config(f"model={request.param}")["model"], channels_A=3, channels_B=3)
    assert isinstance(made, Translator)
    return made.requires_grad_(False).eval()


def image(seed: int, size: tuple[int, int] = (24, 32)) -> Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


Mix = Callable[..., Tensor]


@pytest.fixture
def mix(model: Translator) -> Mix:
    """`mix(0.3, 0.7, alpha=...)`: the content picture in two styles, by weight."""
    content = image(0)
    if model.takes_style:
        two = [Style(name, model.style_code(image(seed)), 1.0) for name, seed in (("a", 1), ("b", 2))]
    else:  # its target domain, and the domain that the pictures come from
        two = [Style("there", None, direction=model.directions[0]), Style("here", None)]

    def stylized(
        *weights: float, order: Sequence[int] = (0, 1), masks: Sequence[Tensor] = (), **options: float
    ) -> Tensor:
        chosen = []
        for place, i in enumerate(order[: len(weights)]):
            mask = masks[place] if masks else None
            chosen.append(replace(two[i], weight=weights[place], mask=mask))
        return apply_styles(model, content, chosen, **options)  # type: ignore[arg-type]

    return stylized


def test_a_mix_of_one_and_nothing_is_the_single_style(mix: Mix) -> None:
    assert torch.equal(mix(1.0, 0.0), mix(1.0))
    assert torch.equal(mix(5.0), mix(1.0))
    assert not torch.allclose(mix(1.0), mix(0.0, 1.0), atol=1e-5), "two styles must differ for this to mean anything"


def test_the_order_does_not_matter(mix: Mix) -> None:
    assert torch.equal(mix(0.3, 0.7), mix(0.7, 0.3, order=(1, 0)))


def test_mixing_a_style_with_itself_is_the_style(mix: Mix) -> None:
    assert torch.equal(mix(0.3, 0.7, order=(0, 0)), mix(1.0))


def test_a_mix_lies_near_both_and_moves_with_its_weight(mix: Mix) -> None:
    """Continuity: a hundredth of the weight moves the picture by less than the whole way between the styles."""
    whole = float((mix(1.0) - mix(0.0, 1.0)).abs().mean())
    step = float((mix(0.5, 0.5) - mix(0.51, 0.49)).abs().mean())
    tiny = float((mix(0.5, 0.5) - mix(0.5001, 0.4999)).abs().mean())
    assert 0 < step < 0.3 * whole
    assert tiny < 0.3 * step
    assert not torch.allclose(mix(0.5, 0.5), mix(1.0), atol=1e-6)


def test_strength_0_is_the_methods_own_reconstruction(model: Translator, mix: Mix) -> None:
    content = image(0)
    if model.takes_style:
        expected = model.stylize(content, model.style_code(content))
    else:
        expected = model.interpolate(content, model.directions[0], 0.0)
    assert torch.equal(mix(1.0, alpha=0.0), expected)
    assert torch.allclose(mix(1.0, alpha=1.0), mix(1.0))
    assert not torch.allclose(mix(1.0, alpha=0.5), mix(1.0), atol=1e-6)


@pytest.mark.parametrize("size", [(21, 35), (24, 33), (17, 16), (1, 1), (1, 40), (40, 1), (2, 30), (3, 4)])
def test_any_size_and_its_own_reconstruction(model: Translator, size: tuple[int, int]) -> None:
    content, style = image(0, size), image(1)
    code = model.style_code(style) if model.takes_style else None
    direction = None if model.optimizes_images else model.directions[0]
    plain, own = (apply_styles(model, content, [Style("", code, direction=direction)], alpha=a) for a in (1.0, 0.0))
    assert plain.shape == own.shape == content.shape
    assert plain.isfinite().all()
    if isinstance(model, AdaIN):  # what the decoder makes of the content's features, without AdaIN
        padded, _ = model._padded(content)
        reconstruction = crop(model.decoder(model._encode(padded)), size).clamp(-1, 1)
        assert torch.allclose(own, reconstruction, atol=1e-4)
    elif isinstance(model, StyleConditional):
        assert torch.equal(own, model.G(content, model.E(content)))
    elif isinstance(model, MicroAST):  # its content encoder is not its style encoder
        assert torch.equal(own, model.stylize(content, model.style_code(content)))
    elif isinstance(model, SANTA):  # the beginning of its path
        assert torch.equal(own, model.G_AB(content, 0.0))
    elif isinstance(model, MUNIT):  # the content in B's style that is nearest to its own
        whole = model.G_B.decode(model.G_A.encode(content), model.E_B(content))
        assert torch.equal(own, crop(whole, size))
    elif not hasattr(getattr(model, "G_AB", model), "branches"):
        assert torch.equal(own, content)
    if code:
        small = apply_styles(model, image(0), [Style("", model.style_code(content))])
        assert small.isfinite().all(), "and as a style"


def test_masks_partition(mix: Mix) -> None:
    left = torch.zeros(1, 1, 24, 32)
    left[..., :16] = 1
    output = mix(1.0, 1.0, masks=(left, 1 - left))
    assert torch.equal(output[..., :16], mix(1.0)[..., :16])
    assert torch.equal(output[..., 16:], mix(0.0, 1.0)[..., 16:])
    alone = mix(1.0, masks=(left,))
    assert torch.equal(alone[..., 16:], image(0)[..., 16:]), "what no mask covers stays as it is"


def test_colours_are_kept_and_the_light_is_not(mix: Mix) -> None:
    content, plain, kept = image(0) * 0.5, mix(1.0), mix(1.0, preserve_color=True)
    assert kept.shape == plain.shape
    grey = torch.tensor([0.299, 0.587, 0.114])
    small, output = 0.2 * content, keep_colours(0.2 * content, 0.5 * plain.clamp(-1, 1))
    assert torch.allclose(
        torch.einsum("c,bchw->bhw", grey, output), torch.einsum("c,bchw->bhw", grey, 0.5 * plain), atol=1e-5
    )
    difference = output - small  # only luminance moved: the same in all three channels
    assert float((difference - difference.mean(dim=1, keepdim=True)).abs().max()) < 5e-3


def test_masks_may_overlap_by_their_rounding() -> None:
    left = torch.rand(1, 1, 24, 32, generator=torch.Generator().manual_seed(0))
    for step in (1, 4, 8):
        masks = [left, (1 - left + step / 255).clamp(0, 1)]
        made = checked_masks([Style(n, None, 1.0, m) for n, m in zip("ab", masks, strict=True)], (24, 32))
        assert float(sum(made).max()) <= 1 + 1e-6  # type: ignore[arg-type]
        assert all(torch.allclose(a, b, atol=step / 255) for a, b in zip(made, masks, strict=True))
    exact = checked_masks([Style("a", None, 1.0, left), Style("b", None, 1.0, 1 - left)], (24, 32))
    assert torch.allclose(exact[0], left, atol=1e-6)
    with pytest.raises(UserError, match="the masks overlap in 768 pixels"):
        checked_masks([Style(n, None, 1.0, torch.full_like(left, 0.52)) for n in "ab"], (24, 32))


MASK = torch.ones(1, 1, 24, 32)


@pytest.mark.parametrize(
    ("styles", "alpha", "message"),
    [
        ([], 1.0, "no style was given"),
        ([("a", -1.0, None)], 1.0, "the weight of style a is -1: give a number of at least 0"),
        ([("a", float("nan"), None)], 1.0, "the weight of style a is nan"),
        ([("a", "1", None)], 1.0, "the weight of style a is '1'"),
        ([("a", None, None)], 1.0, "the weight of style a is None"),
        ([("a", True, None)], 1.0, "the weight of style a is True"),
        ([("a", 1.0, None)], "1", "alpha='1' is not a strength"),
        ([("a", 1.0, None)], None, "alpha=None is not a strength"),
        ([("a", 1.0, None)], float("nan"), "alpha=nan is not a strength"),
        ([("a", 0.0, None), ("b", 0.0, None)], 1.0, "sum to zero"),
        ([("a", 1.0, None)], 1.5, "alpha=1.5 is not a strength"),
        ([("a", 1.0, MASK), ("b", 1.0, None)], 1.0, "style b has no mask"),
        ([("a", 1.0, MASK[..., :8])], 1.0, "the mask of style a is 8x24, but the content is 32x24"),
        ([("a", 1.0, MASK), ("b", 1.0, MASK)], 1.0, "the masks overlap in 768 pixels"),
        ([("a", 0.5, MASK)], 1.0, "regions are not weighed"),
    ],
)
def test_mistakes_are_one_sentence(styles: list[tuple[str, float, Tensor | None]], alpha: float, message: str) -> None:
    model = build(small_config("model=adain")["model"], channels_A=3, channels_B=3)
    codes = {name: model.style_code(image(seed)) for name, seed in (("a", 1), ("b", 2))}
    chosen = [Style(name, codes[name], weight, mask) for name, weight, mask in styles]
    with pytest.raises(UserError) as caught:
        apply_styles(model, image(0), chosen, alpha=alpha)
    assert message in str(caught.value)


def test_weights_sum_to_one_and_equal_styles_are_joined() -> None:
    codes = [{"s": torch.full((1, 2), float(v))} for v in (1, 2, 1)]
    kept = normalised([Style(n, c, w) for n, c, w in zip("xyz", codes, (1.0, 2.0, 1.0), strict=True)])
    assert [(s.name, s.weight) for s in kept] == [("x", 0.5), ("y", 0.5)]
    mixed = mix_codes([s.code for s in kept if s.code], [s.weight for s in kept])
    assert torch.allclose(mixed["s"], torch.full((1, 2), 1.5))


@pytest.mark.parametrize(("a", "b", "share"), [(1e308, 1e308, 0.5), (1e-320, 3e-320, 0.25), (3, 1.0, 0.75)])
def test_weights_of_any_size_are_shares(a: float, b: float, share: float) -> None:
    codes = [{"s": torch.full((1, 2), float(v))} for v in (1, 2)]
    kept = normalised([Style(n, c, w) for n, c, w in zip("xy", codes, (a, b), strict=True)])
    assert [s.weight for s in kept] == pytest.approx([share, 1 - share], rel=1e-3)


def test_domains_by_name_and_by_letter() -> None:
    domains, both = {"A": "photo", "B": "painting"}, tuple(Direction)
    assert direction_to(domains, both, "painting") == direction_to(domains, both, "B") == "A2B"
    assert direction_to(domains, both, "photo") == "B2A", "nothing says that the picture is not a painting"
    assert direction_to(domains, (Direction.A2B,), "photo") is None, "pictures come from there: nothing to do"
    with pytest.raises(UserError, match="paintng is not a domain of this model: did you mean painting"):
        direction_to(domains, both, "paintng")
