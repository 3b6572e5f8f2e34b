"""What discriminators are shown on few pictures: differentiable augmentation, and fakes among the reals."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gan_style.core.errors import UserError
from gan_style.losses.gradient_penalty import r1_penalty
from gan_style.models import diffaug, pseudo
from gan_style.models.translator import Generated, Translator, kept
from gan_style.testing import build_model, check_resume, check_turns, example_batch
from gan_style.training.engine.engine import Engine
from tests.conftest import small_config
from tests.models.test_adversary import METHODS


def method(*words: str) -> tuple[Translator, Engine]:
    model = build_model(small_config(*words)).train()
    return model, Engine(model)


# Differentiable augmentation


def by_hand(images: np.ndarray, draws: dict[str, np.ndarray]) -> np.ndarray:
    """The paper's T pixel by pixel, as a function of its draws."""
    out = np.zeros_like(images)
    for b, image in enumerate(images):
        x = image + draws["brightness"][b] - 0.5
        grey = sum(x) / len(x)
        x = np.stack([grey + 2 * draws["saturation"][b] * (channel - grey) for channel in x])
        x = x.mean() + (draws["contrast"][b] + 0.5) * (x - x.mean())
        height, width = x.shape[1:]
        most = round(height / 8), round(width / 8)
        for i in range(height):
            for j in range(width):
                row, column = i + draws["down"][b] - most[0], j + draws["right"][b] - most[1]
                if 0 <= row < height and 0 <= column < width:
                    out[b, :, i, j] = x[:, row, column]
                inside = [
                    centre - side // 4 <= place < centre - side // 4 + side // 2
                    for place, centre, side in ((i, draws["y"][b], height), (j, draws["x"][b], width))
                ]
                if all(inside):
                    out[b, :, i, j] = 0
    return out


def test_it_is_the_paper_s_colour_translation_and_cutout() -> None:
    images = torch.rand(5, 3, 16, 24, dtype=torch.float64) * 2 - 1
    torch.manual_seed(3)
    names = ("brightness", "saturation", "contrast")
    draws: dict[str, Any] = {name: torch.rand(5, dtype=torch.float64).numpy() for name in names}
    for name, end in (("down", 2 * 2 + 1), ("right", 2 * 3 + 1), ("y", 17), ("x", 25)):
        draws[name] = torch.randint(end, (5,)).numpy()
    torch.manual_seed(3)
    found = diffaug.diffaug(images)
    assert np.allclose(found, by_hand(images.numpy(), draws), atol=1e-12)
    hidden = (found == 0).all(dim=1).sum(dim=(1, 2))
    assert (hidden > 0).all()
    assert (hidden < 16 * 24).all()


def test_draws_reach_the_paper_s_bounds_and_no_further() -> None:
    white = torch.ones(4000, 1, 8, 8)
    values = diffaug.coloured(white).flatten(1)[:, 0]
    assert 0.5 <= values.min() < 0.51
    assert 1.49 < values.max() <= 1.5
    numbered = torch.arange(1.0, 65).view(1, 1, 8, 8).expand(200, -1, -1, -1)
    corners = diffaug.translated(numbered)[:, 0, 3, 3]
    assert set(corners.tolist()) == {28.0 + 8 * y + x for y in (-1, 0, 1) for x in (-1, 0, 1)}
    shares = [(diffaug.cut_out(torch.ones(1, 1, 8, 8)) == 0).float().mean().item() for _ in range(500)]
    assert max(shares) == 1 / 4
    assert min(shares) == 1 / 16  # a centre in a corner


def test_gradients_reach_each_picture_and_no_other() -> None:
    images = (torch.rand(3, 3, 16, 16, dtype=torch.float64) * 2 - 1).requires_grad_()

    def seeded(x: Tensor) -> Tensor:
        torch.manual_seed(1)
        return diffaug.diffaug(x)

    assert torch.autograd.gradcheck(seeded, images, fast_mode=True)
    (gradient,) = torch.autograd.grad(seeded(images)[1].square().sum(), images)
    assert [bool(one.abs().sum() > 0) for one in gradient] == [False, True, False]
    shown = seeded(images.detach()[:1].expand(3, -1, -1, -1))
    assert not torch.equal(shown[0], shown[1]), "the pictures of a joined pass have draws of their own"


def test_a_penalty_goes_through_it() -> None:
    network = nn.Conv2d(3, 1, 3)
    diffaug.show_augmented([network])
    images = torch.rand(2, 3, 16, 16)
    torch.manual_seed(2)
    penalty = r1_penalty(network, images)
    penalty.backward()
    assert network.weight.grad is not None
    torch.manual_seed(2)
    x = images.clone().requires_grad_()
    total = nn.functional.conv2d(diffaug.diffaug(x), network.weight, network.bias).sum()
    (gradient,) = torch.autograd.grad(total / 14, x)  # of 14 x 14 places
    assert torch.allclose(penalty, 0.5 * gradient.square().sum() / 2)


def seen_by(model: Translator) -> dict[str, list[Tensor]]:
    """What the convolutions of each discriminator are given, pass by pass, from now on."""
    seen: dict[str, list[Tensor]] = {name: [] for name in model.discriminators}
    for name in seen:
        getattr(model, name).register_forward_hook(lambda _, given, out, name=name: seen[name].append(given[0]))
    return seen


@pytest.mark.parametrize("name", METHODS)
def test_both_players_turns_show_augmented_pictures_of_every_method(name: str) -> None:
    more = ("model.lambda_r1=0",) if name in ("style_conditional", "sincut") else ()  # a pass of its own
    model, engine = method(f"model={name}", "model.augment=diffaug", *more)
    seen, batch = seen_by(model), example_batch()
    images = model.generate(batch)
    last = model.discriminators[-1]
    torch.manual_seed(5)
    engine.loss_of("G", images)
    torch.manual_seed(5)  # nothing of these methods draws before this pass
    assert torch.equal(seen[last][0], diffaug.diffaug(images["fake_B"]))
    for passes in seen.values():
        passes.clear()
    engine.loss_of("D", images)
    for name_of_one, passes in seen.items():
        domain = name_of_one[-1] if name_of_one[-1] in "AB" else "B"
        found = torch.cat(passes)
        plain = torch.cat([images[f"real_{domain}"], images[f"fake_{domain}"]])
        assert found.shape == plain.shape
        assert all(not torch.equal(x, y) for x in found for y in plain), "a picture was shown as it is"
    check_turns(model, batch)


def test_a_discriminator_that_is_asked_and_not_trained_sees_pictures_as_they_are() -> None:
    model, _ = method("model.augment=diffaug")
    plain = build_model(small_config())
    plain.load_state_dict(model.state_dict())
    batch = example_batch()
    for one in (model, plain):
        one.eval()
    images = model.generate(batch)
    with torch.no_grad():
        for name, (real, fake) in model.logits(batch, images).items():
            assert torch.equal(real, plain.logits(batch, images)[name][0])  # type: ignore[arg-type]
            assert torch.equal(fake, plain.logits(batch, images)[name][1])  # type: ignore[arg-type]


def test_nothing_is_hooked_or_kept_where_it_is_off() -> None:
    model, engine = method()
    assert all(not network._forward_pre_hooks for network in model.networks("D"))
    assert engine.pseudo is None
    images = model.generate(example_batch())
    torch.manual_seed(1)
    expected, _ = copy.deepcopy(model).discriminator_loss(images)
    torch.manual_seed(1)
    assert torch.equal(engine.loss_of("D", images)[0], expected)


# Adaptive pseudo augmentation


def test_fakes_are_shown_as_reals_with_probability_p_in_the_turn_of_d_alone() -> None:
    model, engine = method("model.augment=apa", "model.pool_size=0")
    assert engine.pseudo is not None
    images = model.generate(example_batch())
    engine.pseudo.p = {"A": 1.0, "B": 1.0}
    total, _ = engine.loss_of("D", images)
    expected = torch.zeros(())
    with torch.no_grad():
        for domain, D in (("A", model.D_A), ("B", model.D_B)):
            logits = D(images[f"fake_{domain}"])  # type: ignore[operator]
            expected += 0.5 * ((logits - 1) ** 2).mean() + 0.5 * (logits**2).mean()
    assert torch.allclose(total, expected)
    assert torch.equal(engine.loss_of("G", images)[0], model.generator_loss(images)[0])
    total.backward()
    assert all(p.grad is None for p in model.parameters_of("G"))
    engine.pseudo.p = {"A": 1.0, "B": 0.0}
    shown = engine.pseudo.shown(images)
    assert torch.equal(shown["real_A"], images["fake_A"])
    assert torch.equal(shown["real_B"], images["real_B"])


def test_so_many_are_replaced_each_by_the_fake_of_its_place() -> None:
    engine = method("model=cut", "model.augment=apa")[1]
    assert engine.pseudo is not None
    engine.pseudo.p = {"B": 0.3}
    numbers = torch.arange(2000.0)[:, None, None, None]
    images = Generated({"real_A": -numbers, "real_B": -numbers, "fake_B": numbers}, labels="kept")
    shown = engine.pseudo.shown(images)
    assert torch.equal(shown["real_B"].abs(), numbers)
    assert abs((shown["real_B"] > 0).float().mean() - 0.3) < 0.04
    assert torch.equal(shown["real_A"], images["real_A"])
    assert kept(shown, "labels") == "kept"


def test_pictures_of_other_sizes_are_replaced_together() -> None:
    engine = method("model=cut", "model.augment=apa")[1]
    assert engine.pseudo is not None
    images = {"real_B": torch.zeros(1, 3, 8, 8), "fake_B": torch.ones(1, 3, 8, 12)}
    for p, side in ((1.0, 12), (0.0, 8)):
        engine.pseudo.p = {"B": p}
        assert engine.pseudo.shown(images)["real_B"].shape[-1] == side


class Judge(nn.Module):
    """Gives the logits that it is told to."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        return self.logits.expand(len(images), 1, 1, -1)


@pytest.mark.parametrize(
    ("gan_mode", "logits", "grows"),
    [
        ("lsgan", [0.7] * 9 + [0.4], True),  # 0.9 - 0.1 above 0.6
        ("lsgan", [0.7] * 7 + [0.4] * 3, False),  # 0.7 - 0.3 below
        ("lsgan", [0.4] * 10, False),  # positive, and on the side of the fakes
        ("hinge", [0.4] * 10, True),
        ("vanilla", [0.4] * 7 + [-0.1] * 3, False),
    ],
)
def test_p_follows_the_sign_of_real_logits(gan_mode: str, logits: list[float], grows: bool) -> None:
    model, engine = method("model=cut", f"model.gan_mode={gan_mode}", "model.augment=apa")
    assert engine.pseudo is not None
    model.D_B = Judge(*logits).train()
    images, engine.pseudo.p = model.generate(example_batch()), {"B": 0.5}
    for model.iteration in range(1, 9):
        engine.pseudo.adapt(example_batch(), images)
    step = 8 * 2 / pseudo.PICTURES_FROM_0_TO_1  # so many iterations of two pictures
    assert engine.pseudo.p == {"B": round(0.5 + step if grows else 0.5 - step, 9)}
    assert model.D_B.training
    engine.pseudo.p = {"B": float(grows)}
    engine.pseudo.adapt(example_batch(), images)
    assert engine.pseudo.p == {"B": float(grows)}, "p is a probability"


class Two(nn.Module):
    """A discriminator of two judges of constant logits."""

    def __init__(self, **modes: str) -> None:
        super().__init__()
        self.judge_weights, self.judge_modes = {"patch": 1.0, "texture": 1.0}, modes

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {name: torch.full((len(images), 1, 1, 1), logit) for name, logit in (("patch", 0.7), ("texture", 0.4))}


@pytest.mark.parametrize(("modes", "grows"), [({}, False), ({"texture": "hinge"}, True), ({"texture": "wgan"}, True)])
def test_each_judge_is_right_by_its_own_loss(modes: dict[str, str], grows: bool) -> None:
    model, engine = method("model=cut", "model.augment=apa")
    assert engine.pseudo is not None
    images, model.iteration = model.generate(example_batch()), 4
    model.D_B, engine.pseudo.p = Two(**modes), {"B": 0.5}
    engine.pseudo.adapt(example_batch(), images)
    assert (engine.pseudo.p["B"] > 0.5) == grows


def test_each_domain_has_a_p_of_its_own() -> None:
    model, engine = method("model.augment=apa")
    assert engine.pseudo is not None
    images, model.iteration = model.generate(example_batch()), 4
    model.D_A, model.D_B = Judge(0.9), Judge(0.1)
    engine.pseudo.p = {"A": 0.5, "B": 0.5}
    engine.pseudo.adapt(example_batch(), images)
    step = 4 * 2 / pseudo.PICTURES_FROM_0_TO_1
    assert engine.pseudo.p == pytest.approx({"A": 0.5 + step, "B": 0.5 - step})


def test_p_follows_the_mean_over_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other of two processes is sure, this one is not: together they are not sure enough."""
    model, engine = method("model=cut", "model.augment=apa")
    assert engine.pseudo is not None
    images, model.iteration = model.generate(example_batch()), 4
    found = {}
    for mine, other in ((1.0, -1.0), (-1.0, 1.0)):
        model.D_B, engine.pseudo.p = Judge(0.5 + mine), {"B": 0.5}
        monkeypatch.setattr(pseudo, "count", lambda: 2)
        monkeypatch.setattr(pseudo, "summed", lambda tensors, other=other: [x + other for x in tensors])
        engine.pseudo.adapt(example_batch(), images)
        found[mine] = engine.pseudo.p["B"]
    assert found[1.0] == found[-1.0] == pytest.approx(0.5 - 4 * 2 * 2 / pseudo.PICTURES_FROM_0_TO_1)


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(UserError, match=r"model\.augment=diffaug is for discriminators, and AdaIN has none"):
        build_model(small_config("model=adain", "+model.augment=diffaug"))
    with pytest.raises(UserError, match=r"gan_mode=wgan has not: take model\.augment=diffaug"):
        method("model.gan_mode=wgan", "model.augment=apa")
    with pytest.raises(UserError, match=r"augment=more is not valid: input should be .diffaug. or .apa."):
        build_model(small_config("model.augment=more"))
    with pytest.raises(UserError, match=r"augment is not a known key"):
        build_model(small_config("model=gatys", "+model.augment=apa"))


def test_every_config_with_discriminators_has_the_key() -> None:
    for name in METHODS:
        assert small_config(f"model={name}")["model"]["augment"] is None


# In a run


def test_a_resume_is_exact_with_augmented_pictures(tmp_path: Path) -> None:
    check_resume(small_config("model.augment=diffaug", "model.lambda_r1=1", "~callbacks.set_scores"), tmp_path)


def test_a_resume_is_exact_with_p(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., Path]) -> None:
    monkeypatch.setattr(pseudo, "TARGET", -2.0)  # so that p grows from the first iteration
    monkeypatch.setattr(pseudo, "EVERY", 1)
    monkeypatch.setattr(pseudo, "PICTURES_FROM_0_TO_1", 8)
    words = ("model.augment=apa", "~callbacks.set_scores", "~callbacks.cycle_scores", "~callbacks.image_grid")
    check_resume(small_config(*words), tmp_path)
    content = torch.load(tmp_path / "parts" / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["pseudo"] == {"A": 0.75, "B": 0.75}
    run("parts", *words, "model.augment=null", "trainer.max_steps=7", "resume=last")
    content = torch.load(tmp_path / "parts" / "checkpoints" / "last.ckpt", weights_only=True)
    assert "pseudo" not in content
    run("parts", *words, "trainer.max_steps=8", "resume=last")
    content = torch.load(tmp_path / "parts" / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["pseudo"] == {"A": 0.125, "B": 0.125}, "a run that had none begins at 0"
    rows = (tmp_path / "parts" / "metrics.csv").read_text().splitlines()
    place = rows[0].split(",").index("train/D_pseudo_A")
    assert [float(row.split(",")[place]) for row in rows[1:] if row.split(",")[place]][:4] == [0, 0.125, 0.25, 0.375]
