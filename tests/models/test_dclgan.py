"""DCLGAN and SimDCL against an independent one written from the paper, and what is special about them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.models.dclgan import DCLGAN
from tests.conftest import composed, small_config
from tests.models.reference_cyclegan import Adam, Weights, patchgan, resnet
from tests.models.test_cut import batch, contrast, encode, head

NETWORKS = ("G_AB", "G_BA", "D_A", "D_B", "H_A", "H_B")


def make(*overrides: str) -> DCLGAN:
    model = build(small_config(*overrides)["model"])
    assert isinstance(model, DCLGAN)
    return model


def vectors(H: Weights, maps: list[Tensor], places: list[list[int]]) -> list[Tensor]:
    """One [N, D] per layer, place by place."""
    found = []
    for i, one in enumerate(maps):
        at = [divmod(place, one.shape[-1]) for place in places[i]]
        found.append(torch.stack([head(H[4 * i : 4 * i + 4], one[0, :, y, x]) for y, x in at]))
    return found


def summary(S: Weights, layers: list[Tensor]) -> Tensor:
    count = min(len(one) for one in layers)
    table = torch.stack([one[:count] for one in layers])[None]
    x = F.conv2d(table, S[0], S[1], stride=2).clamp(min=0).mean((2, 3))[0]
    x = S[4] @ (S[2] @ x + S[3]).clamp(min=0) + S[5]
    return x / (x.pow(2).sum().sqrt() + 1e-7)


def train_reference(
    kind: str, initial: dict[str, Weights], batches: list[tuple[Tensor, Tensor]], patches: int
) -> list[dict[str, float]]:
    """The authors' step: the discriminators' turn, then the generators' with the heads."""
    w = {name: [one.detach().clone().requires_grad_() for one in initial[name]] for name in initial}
    heads = [one for name in w if name[0] in "HS" for one in w[name]]
    of_G, of_D = w["G_AB"] + w["G_BA"], w["D_A"] + w["D_B"]
    adam_G, adam_D = Adam(of_G), Adam(of_D)
    adam_H = Adam(heads, (0.9, 0.999) if kind == "dclgan" else (0.5, 0.999))
    history = []

    def judge(D: str, x: Tensor) -> Tensor:
        return patchgan(w[D], x, anti_aliased=True)

    for t, (A, B) in enumerate(batches):
        torch.manual_seed(derive_seed(0, "iteration", t, 0))
        fake_B, idt_B = (resnet(w["G_AB"], x, anti_aliased=True) for x in (A, B))
        fake_A, idt_A = (resnet(w["G_BA"], x, anti_aliased=True) for x in (B, A))
        loss = {
            f"D_{name}": 0.5
            * (
                (1 - judge(f"D_{name}", real)).clamp(min=0).mean()
                + (1 + judge(f"D_{name}", fake.detach())).clamp(min=0).mean()
            )
            for name, real, fake in (("A", A, fake_A), ("B", B, fake_B))
        }
        adam_D.step(torch.autograd.grad(loss["D_A"] + loss["D_B"], of_D), 2e-4)
        for name, fake in (("A", fake_A), ("B", fake_B)):
            loss[f"G_gan_{name}"] = (1 - judge(f"D_{name}", fake)).clamp(min=0).mean()
        real = {"A": encode(w["G_AB"], A, True)[1:], "B": encode(w["G_BA"], B, True)[1:]}
        fake = {"B": encode(w["G_BA"], fake_B, True)[1:], "A": encode(w["G_AB"], fake_A, True)[1:]}
        seen = {}
        for source, target in (("A", "B"), ("B", "A")):
            places = [torch.randperm(m.shape[2] * m.shape[3])[:patches].tolist() for m in real[source]]
            seen[f"real_{source}"] = vectors(w[f"H_{source}"], real[source], places)
            queries = vectors(w[f"H_{target}"], fake[target], places)
            layers = []
            for keys, query in zip(seen[f"real_{source}"], queries, strict=True):
                one, other = (x / x.norm(dim=1, keepdim=True) for x in (query, keys.detach()))
                similar = one @ other.T / 0.07
                layers.append((similar.logsumexp(1) - similar.diagonal()).mean())
            loss[f"G_nce_{source}"] = torch.stack(layers).mean()
        loss["G_idt_A"], loss["G_idt_B"] = (idt_A - A).abs().mean(), (idt_B - B).abs().mean()
        total = (loss["G_gan_A"] + loss["G_gan_B"]) / 2 + (loss["G_idt_A"] + loss["G_idt_B"]) / 2
        total = total + (2 if kind == "dclgan" else 1) * (loss["G_nce_A"] + loss["G_nce_B"]) / 2
        if kind == "simdcl":
            for name in ("B", "A"):
                places = [torch.randperm(m.shape[2] * m.shape[3])[:patches].tolist() for m in fake[name]]
                seen[f"fake_{name}"] = vectors(w[f"H_{name}"], fake[name], places)
            s = {name: summary(w[f"S.{name}"], layers) for name, layers in seen.items()}
            loss["G_sim"] = (s["real_A"] - s["fake_A"]).abs().mean() + (s["fake_B"] - s["real_B"]).abs().mean()
            total = total + 10 * loss["G_sim"]
        gradients = torch.autograd.grad(total, of_G + heads)
        adam_G.step(gradients[: len(of_G)], 2e-4)
        adam_H.step(gradients[len(of_G) :], 1e-3 if kind == "dclgan" else 2e-4)
        history.append({name: float(value.detach()) for name, value in loss.items()})
    return history


@pytest.mark.parametrize(("kind", "joined"), [("dclgan", "true"), ("dclgan", "false"), ("simdcl", "null")])
def test_first_iterations_equal_an_independent_one(run: Callable[..., Path], kind: str, joined: str) -> None:
    overrides = (
        f"model={kind}",
        *("trainer.max_steps=5", "trainer.precision=64-true", "model.generator.blocks=2", "model.num_patches=7"),
        f"model.join_passes={joined}",
    )
    folder = run("ours", *overrides)
    with open(folder / "metrics.csv", newline="") as file:
        ours = list(csv.DictReader(file))
    config = small_config(*overrides)
    data = build(config["data"])
    data.setup()
    items = [data.on_after_batch_transfer(data.train_set[i], 0) for i in range(5)]
    batches = [(item["A"][None].double(), item["B"][None].double()) for item in items]
    torch.manual_seed(0)
    model = build(config["model"])
    initial = {n: [p.detach().double() for p in getattr(model, n).parameters()] for n in NETWORKS}
    initial |= {f"S.{n}": [p.detach().double() for p in part.parameters()] for n, part in model.S.items()}
    theirs = train_reference(kind, initial, batches, patches=7)
    assert len(ours) == len(theirs) == 5
    for t, (row, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert {name: float(row[f"train/{name}"]) for name in expected} == pytest.approx(expected, rel=1e-6), t


def test_the_vectors_of_the_reference_are_those_of_cut_s() -> None:
    """The two references hold each other: patch by patch, and by matrices."""
    torch.manual_seed(0)
    H = [torch.randn(size, dtype=torch.float64) for size in ((4, 3), (4,), (4, 4), (4,))]
    maps = [[torch.randn(1, 3, 5, 5, dtype=torch.float64)] for _ in range(2)]
    places = [[3, 8, 11, 24]]
    query, key = (vectors(H, one, places)[0] for one in maps)
    similar = query @ key.T / 0.07
    expected = (similar.logsumexp(1) - similar.diagonal()).mean()
    assert contrast(H, maps[1], maps[0], places).item() == pytest.approx(expected.item())


def test_yaml_holds_the_published_settings() -> None:
    dcl, sim = (composed(f"model={kind}", "name=test")["model"] for kind in ("dclgan", "simdcl"))
    assert (dcl["lambda_gan"], dcl["lambda_nce"], dcl["lambda_idt"], dcl["nce_tau"]) == (1, 2, 1, 0.07)
    assert (dcl["num_patches"], dcl["gan_mode"], dcl["lambda_sim"]) == (256, "hinge_both", 0)
    assert (dcl["schedule"]["constant"], dcl["schedule"]["decay"]) == (200, 200)
    assert sim == dcl | {"lambda_nce": 1.0, "lambda_sim": 10.0, "optimizer_H": None}
    model = build(dcl)
    counts = model.parameter_counts()
    assert (counts["G_AB"], counts["G_BA"]) == (11_378_179, 11_378_179)
    assert (counts["D_A"], counts["D_B"]) == (2_764_737, 2_764_737)
    assert (model.D_A.receptive_field, "S" in counts) == (84, False)


def test_heads_have_settings_of_their_own() -> None:
    model = make("model=dclgan")
    optimizer = model.make_optimizer["G"](model.parameter_groups("G"))
    generators, heads = optimizer.param_groups
    assert (generators["lr"], generators["betas"]) == (2e-4, (0.5, 0.999))
    assert (heads["lr"], list(heads["betas"])) == (1e-3, [0.9, 0.999])
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in trained} == {id(p) for p in model.parameters_of("G")}
    assert model.parameter_groups("D") == model.parameters_of("D")
    plain = make("model=simdcl").parameter_groups("G")
    assert all(isinstance(p, torch.nn.Parameter) for p in plain)


def test_a_picture_of_its_own_domain_is_held_by_the_identity_loss() -> None:
    model, inputs = make("model=dclgan"), batch()
    _, terms = model.generator_loss(model.generate(inputs))
    with torch.no_grad():
        expected = (model.translate(inputs["A"], "B2A") - inputs["A"]).abs().mean()
    assert terms["idt_A"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_pictures_too_small_for_a_summary_are_refused() -> None:
    model = make("model=simdcl", "model.num_patches=2")
    with pytest.raises(UserError, match=r"of 3 places: raise model.num_patches, which is 2"):
        model.generator_loss(model.generate(batch()))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"as many channels in A \(1\) as in B \(3\)"):
        build(small_config("model=dclgan")["model"], channels_A=1, channels_B=3)
    with pytest.raises(UserError, match=r"UNetGenerator gives no features to compare"):
        build(small_config("model=dclgan", "model/generator=unet128")["model"])


def test_a_similarity_whose_weight_has_fallen_to_nothing_still_gives_its_networks_a_gradient() -> None:
    """Several processes want one of every weight in every turn."""
    model, inputs = make("model=simdcl"), batch()
    model.lambda_sim = 0.0
    total, _ = model.generator_loss(model.generate(inputs))
    total.backward()
    assert all(p.grad is not None for p in model.S.parameters())
