"""Discriminators that know styles: which map a label chooses, and a VGG that is used and never touched."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.nn.utils import parametrize

from gan_style.core.errors import UserError
from gan_style.losses.gradient_penalty import r1_penalty
from gan_style.networks.patchgan import PatchDiscriminator
from gan_style.networks.style_discriminator import ConditionalDiscriminator, VGGDiscriminator
from gan_style.networks.vgg import VGG

CONF = Path(__file__).parents[2] / "conf" / "model"


def test_the_label_chooses_the_map() -> None:
    D = ConditionalDiscriminator(styles=3, filters=4, layers=2)
    x, label = torch.rand(4, 3, 32, 32), torch.tensor([2, 0, 1, 2])
    maps = D.layers(x)
    logits = D(x, label)
    assert maps.shape[1] == 3
    assert logits.shape == (4, 1, *maps.shape[2:])
    assert all(torch.equal(logits[i, 0], maps[i, k]) for i, k in enumerate(label.tolist()))


def test_other_styles_get_no_gradient() -> None:
    D = ConditionalDiscriminator(styles=3, filters=4, layers=2)
    D(torch.rand(2, 3, 32, 32), torch.tensor([1, 1])).square().sum().backward()
    last = D.layers[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.weight.grad is not None
    assert [bool(g.any()) for g in last.weight.grad] == [False, True, False]
    assert all(p.grad is not None for p in D.parameters())


def test_it_is_a_patchgan_but_for_the_maps() -> None:
    plain = PatchDiscriminator(filters=4, layers=2, norm="none")
    D = ConditionalDiscriminator(styles=1, filters=4, layers=2)
    assert (D.receptive_field, D.minimum_size) == (plain.receptive_field, plain.minimum_size)
    D.load_state_dict(plain.state_dict())
    x = torch.rand(2, 3, 32, 40)
    assert torch.equal(D(x), plain(x))
    with pytest.raises(UserError, match="too small for this ConditionalDiscriminator"):
        D(torch.rand(1, 3, D.minimum_size - 1, 64))
    assert D(torch.rand(1, 3, D.minimum_size, D.minimum_size)).shape == (1, 1, 1, 1)


def test_many_styles_need_a_label() -> None:
    with pytest.raises(ValueError, match="a discriminator of 2 styles needs the style of every picture"):
        ConditionalDiscriminator(styles=2, filters=2)(torch.rand(1, 3, 32, 32))


def test_spectral_norm_reaches_every_convolution() -> None:
    convolutions = [
        layer
        for D in (ConditionalDiscriminator(styles=2, filters=2, spectral=True), vgg_judge(styles=2, spectral=True))
        for layer in D.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    assert len(convolutions) == 5 + 2 * 3
    assert all(parametrize.is_parametrized(layer, "weight") for layer in convolutions)


def vgg_judge(**options: object) -> VGGDiscriminator:
    vgg = VGG("random", depth="relu2_2")
    return VGGDiscriminator(vgg=vgg, vgg_layers=["relu2_1", "relu1_1"], filters=4, **options)  # type: ignore[arg-type]


def test_vgg_heads_judge_whitened_features() -> None:
    D = vgg_judge().double()
    x = torch.rand(2, 3, 16, 20).double() * 2 - 1
    features = D._vgg[0](x, ["relu1_1", "relu2_1"])
    assert D.vgg_layers == list(features)
    for f, head, logits in zip(features.values(), D.heads, D(x), strict=True):
        assert isinstance(head, nn.Sequential)
        flat = f.flatten(1)
        f = ((flat - flat.mean(1, True)) / (flat.var(1, correction=0, keepdim=True) + 1e-5).sqrt()).view_as(f)
        assert torch.allclose(logits, head[1:](f), atol=1e-10)
        assert logits.shape == (2, 1, *f.shape[2:])


def test_vgg_heads_choose_by_label_and_need_none_for_one_style() -> None:
    x, label = torch.rand(2, 3, 16, 16), torch.tensor([1, 0])
    D = vgg_judge(styles=2)
    everything = [head(f) for head, f in zip(D.heads, D._vgg[0](x, D.vgg_layers).values(), strict=True)]
    for logits, maps in zip(D(x, label), everything, strict=True):
        assert torch.equal(logits, torch.stack([maps[0, 1], maps[1, 0]])[:, None])
    with pytest.raises(ValueError, match="2 styles"):
        D(x)
    for styles in (0, 1):
        single = vgg_judge(styles=styles)
        assert torch.equal(single(x)[0], single(x, torch.tensor([0, 0]))[0])


def test_the_vgg_stays_outside_and_the_gradient_reaches_the_picture() -> None:
    D = vgg_judge()
    vgg = D._vgg[0]
    before = {name: value.clone() for name, value in vgg.state_dict().items() if isinstance(value, torch.Tensor)}
    assert vgg.depth == "relu2_1", "what is deeper than the heads is forgotten"
    assert {name.split(".")[0] for name in D.state_dict()} == {"heads"}
    assert not {id(p) for p in vgg.parameters()} & {id(p) for p in D.parameters()}
    x = torch.rand(1, 3, 16, 16, requires_grad=True)
    optimizer = torch.optim.SGD(D.parameters(), lr=0.1)
    loss = sum(logits.square().sum() for logits in D(x)) + r1_penalty(D, x)
    loss.backward()
    optimizer.step()
    assert x.grad is not None
    assert bool(x.grad.any())
    # R1 looks at differences of logits, so the last bias has no part in it, but the plain logits do
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in D.parameters())
    assert all(torch.equal(vgg.state_dict()[name], value) for name, value in before.items())
    assert all(p.grad is None for p in vgg.parameters())
    D.double()
    assert next(vgg.parameters()).dtype == torch.float64


def test_default_layers_are_those_that_the_weights_reach() -> None:
    expected = {"relu1_2": ["relu1_2"], "relu2_1": ["relu2_1"], "relu3_2": ["relu2_1", "relu3_1"]}
    for depth, layers in expected.items():
        assert VGGDiscriminator(vgg=VGG("random", depth=depth), filters=2).vgg_layers == layers
    with pytest.raises(UserError, match="relu3_1 cannot be used"):
        VGGDiscriminator(vgg=VGG("random", depth="relu2_1"), vgg_layers=["relu3_1"])
    with pytest.raises(UserError, match="1 or 3 channels, not 4"):
        VGGDiscriminator(4, vgg=VGG("random", depth="relu1_1"))


def test_its_config_lists_every_option_and_the_vgg_of_the_other_configs() -> None:
    options = OmegaConf.to_container(OmegaConf.load(CONF / "discriminator" / "vgg.yaml"), resolve=True)
    assert options.pop("vgg") == OmegaConf.to_container(OmegaConf.load(CONF / "vgg" / "vgg19.yaml"), resolve=True)
    assert options.pop("_target_").endswith(".VGGDiscriminator")
    assert options.pop("_partial_") is True
    signature = inspect.signature(VGGDiscriminator).parameters.values()
    defaults = {one.name: one.default for one in signature if one.kind is one.KEYWORD_ONLY}
    del defaults["vgg"]
    assert options == defaults


def test_a_cyclegan_trains_with_it_and_saves_the_heads_only(run: Callable[..., Path]) -> None:
    vgg = ("model.discriminator.vgg.weights=random", "model.discriminator.vgg.depth=relu2_1")
    folder = run("run", "model=cyclegan", "model/discriminator=vgg", *vgg, "trainer.max_steps=2")
    content = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    names = {name for name in content["state_dict"] if name.startswith("D_")}
    assert {name.split(".")[1] for name in names} == {"heads"}
    assert len(names) == 2 * 3 * 2
    assert len(content["optimizers"]["D"]["param_groups"][0]["params"]) == len(names)
