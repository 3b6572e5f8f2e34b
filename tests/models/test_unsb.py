"""UNSB against an independent one written from the paper, and the steps of its bridge."""

from __future__ import annotations

import csv
import functools
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import gan_style
from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.inference.tiling.tiled import Tiled
from gan_style.models.unsb import UNSB
from gan_style.networks.bridge import BridgeGenerator, TimedDiscriminator, times
from gan_style.testing import check_generator
from tests.conftest import composed, small_config
from tests.models.reference_cyclegan import Adam, doubled, halved
from tests.models.test_cut import batch

Named = dict[str, Tensor]
STEPS, TAU = 5, 0.01


def make(*overrides: str) -> UNSB:
    model = build(small_config("model=unsb", *overrides)["model"])
    assert isinstance(model, UNSB)
    return model


def norm(x: Tensor) -> Tensor:
    return (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def waves(t: int, size: int) -> Tensor:
    angles = torch.tensor([t / 10000 ** (i / (size // 2 - 1)) for i in range(size // 2)], dtype=torch.float64)
    return torch.cat([torch.sin(angles), torch.cos(angles)])[None]


class Bridge:
    """G as section 4 of the paper and the official code have it, over a table of weights."""

    def __init__(self, weights: Named, blocks: int) -> None:
        self.w, self.blocks = weights, blocks

    def affine(self, x: Tensor, name: str) -> Tensor:
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def convolve(self, x: Tensor, name: str, reflected: int = 0, zeros: int = 0) -> Tensor:
        x = F.pad(x, (reflected,) * 4, mode="reflect") if reflected else x
        return F.conv2d(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"], padding=zeros)

    def encode(self, x: Tensor, t: int, z: Tensor) -> tuple[list[Tensor], Tensor]:
        """The maps where patches are compared, and the last one."""
        code = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
        for layer in range(4):
            code = leaky(self.affine(code, f"mapping.{2 * layer}"))
        timed = "time.0.weight" in self.w
        if timed:
            time = leaky(self.affine(leaky(self.affine(waves(t, len(self.w["stem.1.bias"])), "time.0")), "time.2"))
        maps = [F.pad(x, (3,) * 4, mode="reflect")]
        x = F.relu(norm(self.convolve(maps[0], "stem.1")))
        for layer in (4, 8):
            maps.append(self.convolve(x, f"stem.{layer}", zeros=1))
            x = halved(F.relu(norm(maps[-1])))
        for block in range(self.blocks):
            name, y = f"blocks.{block}", x
            if timed:
                added = self.affine(time, f"{name}.shift")[:, :, None, None]
                y = self.convolve(F.pad(x, (1,) * 4, mode="reflect") + added, f"{name}.first")
            both = self.affine(code, f"{name}.modulation")[:, :, None, None]
            y = F.relu(both[:, : x.shape[1]] * norm(y) + both[:, x.shape[1] :])
            x = x + norm(self.convolve(y, f"{name}.convolution", reflected=1))
            if block in (0, self.blocks // 2 if self.blocks < 5 else 4):
                maps.append(x)
        return maps, x

    def __call__(self, x: Tensor, t: int, z: Tensor) -> Tensor:
        x = self.encode(x, t, z)[1]
        for layer in (0, 3):
            x = F.relu(norm(self.convolve(doubled(x), f"up.{layer}.1", zeros=1)))
        return torch.tanh(self.convolve(x, "up.7", reflected=3))


def judge(w: Named, x: Tensor, t: int) -> Tensor:
    """D of a step: five convolutions, each but the last plus a vector of the time."""
    size = w["time.0.weight"].shape[1]
    time = waves(t, size)
    for layer in (0, 2):
        time = leaky(time @ w[f"time.{layer}.weight"].T + w[f"time.{layer}.bias"])
    names = sorted({name[:-7] for name in w if name.startswith("layers") and name.endswith("weight")}, key=_number)
    for number, name in enumerate(names):
        x = F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], padding=1)
        if number == len(names) - 1:
            return x
        shift = time @ w[f"shifts.{number}.weight"].T + w[f"shifts.{number}.bias"]
        x = x + shift[:, :, None, None]
        x = leaky(norm(x) if number else x)
        x = halved(x) if number < len(names) - 2 else x
    raise AssertionError


def _number(name: str) -> int:
    return int(name.split(".")[1])


def contrast(H: Named, queries: list[Tensor], keys: list[Tensor], patches: int) -> Tensor:
    """CUT's loss: each patch of the output is to find the one of the input at its place."""
    losses = []
    for layer, (q, k) in enumerate(zip(queries, keys, strict=True)):
        places = torch.randperm(q.shape[2] * q.shape[3])[:patches]

        def vectors(x: Tensor, places: Tensor = places, layer: int = layer) -> Tensor:
            x = x.flatten(2)[0].T[places]
            x = F.relu(x @ H[f"heads.{layer}.0.weight"].T + H[f"heads.{layer}.0.bias"])
            x = x @ H[f"heads.{layer}.2.weight"].T + H[f"heads.{layer}.2.bias"]
            return x / (x.norm(dim=1, keepdim=True) + 1e-7)

        scores = vectors(q) @ vectors(k).detach().T / 0.07
        losses.append((scores.logsumexp(1) - scores.diagonal()).mean())
    return torch.stack(losses).mean()


def train_reference(
    nets: dict[str, Named], blocks: int, patches: int, batches: list[tuple[Tensor, Tensor]]
) -> list[dict[str, float]]:
    nets = {n: {k: one.detach().clone().requires_grad_() for k, one in w.items()} for n, w in nets.items()}
    G, H, D, E = Bridge(nets["G_AB"], blocks), nets["H"], nets["D_B"], nets["E"]
    players = {"G": [*G.w.values(), *H.values()], "D": list(D.values()), "E": list(E.values())}
    adams = {player: Adam(weights) for player, weights in players.items()}
    harmonic = list(itertools.accumulate([0.0, 1.0, 1 / 2, 1 / 3, 1 / 4]))
    at = [0.0, *(0.5 + 0.5 * h / harmonic[-1] for h in harmonic)]
    size = 4 * len(G.w["stem.1.bias"])

    def codes(count: int) -> list[Tensor]:
        return [torch.randn(1, size, dtype=torch.float64) for _ in range(count)]

    history, previous = [], batches[0][0].flip(3)
    for i, (A, B) in enumerate(batches):
        torch.manual_seed(derive_seed(0, "iteration", i, 0))
        drawn = torch.Generator().manual_seed(derive_seed(0, "step", i))
        t, x = int(torch.randint(STEPS, (), generator=drawn)), [A, previous, B]
        with torch.no_grad():
            for step in range(t):
                ends = [G(one, step, z) for one, z in zip(x, codes(3), strict=True)]
                delta, left = at[step + 1] - at[step], 1 - at[step]
                share, deviation = delta / left, math.sqrt(TAU * delta * (1 - delta / left))
                x = [
                    (1 - share) * one + share * end + deviation * torch.randn(one.shape, dtype=torch.float64)
                    for one, end in zip(x, ends, strict=True)
                ]
        fake, other, idt = (G(one, t, z) for one, z in zip(x, codes(3), strict=True))
        loss = {"D_B": 0.5 * ((judge(D, B, t) - 1).square().mean() + judge(D, fake.detach(), t).square().mean())}
        adams["D"].step(torch.autograd.grad(loss["D_B"], players["D"]), 2e-4)

        def energies(own: Tensor, others: Tensor, t: int = t, x: list[Tensor] = x) -> tuple[Tensor, Tensor]:
            pair, stranger = torch.cat([x[0], own], 1), torch.cat([x[1], others], 1)
            mixed = judge(E, torch.cat([pair, stranger], 1), t).exp().sum().log()
            return judge(E, torch.cat([pair, pair], 1), t).mean(), mixed

        alone, mixed = energies(fake.detach(), other.detach())
        loss["D_critic"] = -alone + mixed + mixed**2
        adams["E"].step(torch.autograd.grad(loss["D_critic"], players["E"]), 2e-4)
        loss["G_gan_B"] = (judge(D, fake, t) - 1).square().mean()
        alone, mixed = energies(fake, other)
        loss["G_sb"] = TAU * (x[0] - fake).square().mean() - (STEPS - t) / STEPS * TAU * (alone - mixed)
        for name, source, made in (("G_nce", A, fake), ("G_nce_idt", B, idt)):
            z = codes(1)[0]
            loss[name] = contrast(H, G.encode(made, 0, z)[0], G.encode(source, 0, z)[0], patches)
        total = loss["G_gan_B"] + loss["G_sb"] + (loss["G_nce"] + loss["G_nce_idt"]) / 2
        adams["G"].step(torch.autograd.grad(total, players["G"]), 2e-4)
        history.append({name: float(value.detach()) for name, value in loss.items()})
        previous = A
    return history


@pytest.mark.parametrize("timed", ["false", "true"])
def test_first_iterations_equal_an_independent_one(run: Callable[..., Path], timed: str) -> None:
    convolution = f"model.generator.time_convolution={timed}"
    overrides = (
        "model=unsb",
        "trainer.max_steps=6",
        "trainer.precision=64-true",
        "model.generator.blocks=2",
        convolution,
    )
    with open(run("ours", *overrides) / "metrics.csv", newline="") as file:
        ours = list(csv.DictReader(file))
    config = small_config(*overrides)
    data = build(config["data"])
    data.setup()
    items = [data.on_after_batch_transfer(data.train_set[i], 0) for i in range(6)]
    batches = [(item["A"][None].double(), item["B"][None].double()) for item in items]
    torch.manual_seed(0)
    model = build(config["model"])
    nets = {n: dict(getattr(model, n).double().named_parameters()) for n in ("G_AB", "H", "D_B", "E")}
    theirs = train_reference(nets, 2, model.H.num_patches, batches)
    for t, (row, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert {name: float(row[f"train/{name}"]) for name in expected} == pytest.approx(expected, rel=1e-6), t


def test_yaml_holds_the_published_settings() -> None:
    config = composed("model=unsb", "name=test")["model"]
    assert (config["lambda_gan"], config["lambda_sb"], config["lambda_nce"], config["gan_mode"]) == (1, 1, 1, "lsgan")
    assert (config["generator"]["steps"], config["generator"]["tau"]) == (5, 0.01)
    assert (config["schedule"]["constant"], config["schedule"]["decay"]) == (200, 200)
    model = build(config)
    counts = model.parameter_counts()
    assert (counts["D_B"], counts["E"], model.D_B.receptive_field) == (3_143_041, 3_152_257, 84)
    # what the official generator has beside, unused: in each block a convolution, the time's share and a second scale
    # and shift, and the network of the time
    wide = 256
    block = (9 * wide + 1) * wide + (wide + 1) * wide + (wide + 1) * 2 * wide
    unused = 9 * block + (64 + 1) * wide + (wide + 1) * wide
    assert counts["G_AB"] + unused == 14_684_419


def test_times_of_the_bridge() -> None:
    assert times(1) == [0.0, 1.0]
    assert times(2) == [0.0, 0.5, 1.0]
    assert times(5) == pytest.approx([0, 0.5, 0.5 + 6 / 25, 0.5 + 9 / 25, 0.5 + 11 / 25, 1])


def test_noise_along_the_bridge_has_the_variance_of_a_brownian_bridge() -> None:
    """Between x_s and an end at 1: tau (t - s) (1 - t) / (1 - s)."""
    network, at = make("model.generator.tau=0.3").G_AB, times(5)
    for step in range(1, 5):
        s, t = at[step - 1], at[step]
        assert network.deviation(step) ** 2 == pytest.approx(0.3 * (t - s) * (1 - t) / (1 - s))
        moved = network.moved(torch.zeros(1), torch.ones(1), step)
        assert moved.item() == pytest.approx((t - s) / (1 - s))


def test_alpha_is_the_share_of_the_steps() -> None:
    model, image = make().eval(), batch()["A"]
    with torch.no_grad():
        assert torch.equal(model.interpolate(image, "A2B", 0.0), image)
        assert torch.equal(model.interpolate(image, "A2B", 1.0), model.translate(image))
        one, two = (model.interpolate(image, "A2B", alpha) for alpha in (0.2, 0.4))
        torch.testing.assert_close(model.interpolate(image, "A2B", 0.3), (one + two) / 2)
        first = model.interpolate(image, "A2B", 0.2)
    assert first.abs().max() <= 1
    assert not torch.equal(first, image)


def test_a_seed_decides_codes_and_noise() -> None:
    model, image = make("model.generator.tau=0.5").eval(), batch()["A"]
    with torch.no_grad():
        with model.seeded(1):
            first, again = model.translate(image), model.translate(image)
        with model.seeded(2):
            other = model.translate(image)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


def test_tiles_are_exact_with_noise() -> None:
    model, image = make("model.generator.tau=0.5").eval(), torch.rand(1, 3, 75, 58) * 2 - 1
    with torch.no_grad():
        whole, tiled = model.translate(image), Tiled(model, tile=32).interpolate(image, "A2B", 1.0)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-4)


def test_validation_draws_nothing() -> None:
    model, inputs = make().eval(), batch()
    state = torch.get_rng_state()
    with torch.no_grad():
        assert torch.equal(model.generate(inputs)["fake_B"], model.translate(inputs["A"]))
    assert torch.equal(torch.get_rng_state(), state)


def test_images_of_different_sizes() -> None:
    model = make()
    for side in (40, 44):
        inputs = {"A": torch.rand(1, 3, side, 48) * 2 - 1, "B": torch.rand(1, 3, 32, 56) * 2 - 1}
        images = model.generate(inputs)
        assert images["idt_B"].shape == inputs["B"].shape
        total, _ = model.generator_loss(images)
        assert torch.isfinite(total + model.discriminator_loss(images)[0])


def test_terms_of_weight_zero_cost_nothing() -> None:
    model = make("model.lambda_sb=0", "model.lambda_nce=0", "model.nce_idt=false")
    assert set(model.parameter_counts()) == {"G_AB", "D_B"}, "what would get no gradient is not there"
    images = model.generate(batch())
    assert set(images) == {"real_A", "real_B", "fake_B"}
    assert set(model.generator_loss(images)[1]) == {"gan_B"}
    assert set(model.discriminator_loss(images)[1]) == {"B"}


def test_a_weight_that_falls_to_zero_leaves_no_network_without_a_gradient() -> None:
    model = make()
    images = model.generate(batch())
    model.lambda_sb = model.lambda_nce = 0.0
    (model.generator_loss(images)[0] + model.discriminator_loss(images)[0]).backward()
    assert all(p.grad is not None for player in "GD" for p in model.parameters_of(player))


@pytest.mark.parametrize("step", range(STEPS))
def test_d_does_not_tell_an_image_by_its_type(step: int) -> None:
    """Under autocast fakes are of half precision and real images are not."""
    judge, image = make().D_B, batch()["A"].bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(judge(image, step), judge(image.float(), step))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="ResnetGenerator knows no step of a bridge: take model/generator=bridge"):
        make("model/generator=resnet9")
    with pytest.raises(UserError, match="PatchDiscriminator knows no step of a bridge: take model/discriminator=timed"):
        make("model/discriminator=patch70")
    with pytest.raises(UserError, match=r"as many channels in A \(1\) as in B \(3\)"):
        build(small_config("model=unsb")["model"], channels_A=1, channels_B=3)


def test_a_checkpoint_is_loaded_and_translates_by_its_seed(run: Callable[..., Path]) -> None:
    checkpoint = run("ours", "model=unsb", "trainer.max_steps=2") / "checkpoints/last.ckpt"
    translator = gan_style.load(checkpoint)
    image = (torch.rand(32, 32, 3) * 255).to(torch.uint8).numpy()
    assert (translator.translate(image, seed=3) == translator.translate(image, seed=3)).all()


def test_networks_keep_their_contracts() -> None:
    check_generator(functools.partial(BridgeGenerator, filters=4, blocks=2, steps=2))
    D = TimedDiscriminator(filters=8, layers=2, norm="none", downsample="blur")
    image = torch.rand(1, 3, 32, 32)
    assert not torch.equal(D(image, 0), D(image, 3))
