"""QS-Attn against an independent one written from the paper, and what its attention selects."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.models.qsattn import QSAttn
from gan_style.models.translator import kept
from gan_style.networks.query_attention import AttendingProjector, global_entropy, spread, window_attention
from gan_style.testing import example_batch
from tests.conftest import composed, small_config
from tests.models.reference_cyclegan import Adam, Weights, patchgan, resnet
from tests.models.test_cut import encode, head

Rows = list[list[float]]  # attention of each place to each place


def make(*overrides: str) -> QSAttn:
    model = build(small_config("model=qsattn", *overrides)["model"])
    assert isinstance(model, QSAttn)
    return model


def rows_of(x: Tensor, reach: int | None) -> Rows:
    """Softmax of the products with all places, or with those that are no farther than `reach` down and across."""
    height, width = x.shape[1:]
    places = [(y, x_) for y in range(height) for x_ in range(width)]
    vectors = x.permute(1, 2, 0).reshape(len(places), -1)
    products = (vectors @ vectors.T).tolist()
    rows = []
    for (y, x_), line in zip(places, products, strict=True):
        near = [reach is None or max(abs(y - v), abs(x_ - u)) <= reach for v, u in places]
        most = max(value for value, there in zip(line, near, strict=True) if there)
        raised = [math.exp(value - most) if there else 0.0 for value, there in zip(line, near, strict=True)]
        rows.append([value / sum(raised) for value in raised])
    return rows


def entropy(row: list[float]) -> float:
    return -sum(p * math.log(p) for p in row if p > 0)


def selected(x: Tensor, attention: str, count: int, reach: int) -> Tensor:
    """[count, places] of one map [C, h, w]."""
    chooses = rows_of(x, None if attention == "global" else reach)
    routes = chooses if attention == "local" else rows_of(x, None)
    order = sorted(range(len(chooses)), key=lambda i: entropy(chooses[i]))[:count]
    return torch.tensor([routes[i] for i in order], dtype=torch.float64)


def contrast(H: Weights, keys: list[Tensor], queries: list[Tensor], taken: list[Tensor]) -> Tensor:
    layers = []
    for i, (key_map, query_map, rows) in enumerate(zip(keys, queries, taken, strict=True)):
        vectors = []
        for x in (key_map, query_map):
            flat = x[0].flatten(1)
            patches = rows @ flat.T if rows.is_floating_point() else flat[:, rows].T
            vectors.append(torch.stack([head(H[4 * i : 4 * i + 4], patch) for patch in patches]))
        similar = vectors[1] @ vectors[0].detach().T / 0.07
        layers.append((torch.logsumexp(similar, 1) - similar.diagonal()).mean())
    return torch.stack(layers).mean()


def train_reference(
    initial: dict[str, Weights], batches: list[tuple[Tensor, Tensor]], attention: str, patches: int, reach: int
) -> list[dict[str, float]]:
    G, D, H = ([w.detach().clone().requires_grad_() for w in initial[n]] for n in ("G_AB", "D_B", "H"))
    adam_G, adam_D = Adam(G + H), Adam(D)
    history = []
    for t, (A, B) in enumerate(batches):
        torch.manual_seed(derive_seed(0, "iteration", t, 0))
        fakes = [resnet(G, x, True) for x in (A, B)]
        keys = [[one.detach() for one in encode(G, x, True)] for x in (A, B)]
        taken = []
        for maps in keys:
            drawn = [torch.randperm(x.shape[2] * x.shape[3])[:patches] for x in maps[:3]]
            taken.append([*drawn, *(selected(x[0], attention, patches, reach) for x in maps[3:])])
        loss = {"D_B": 0.5 * ((patchgan(D, B, True) - 1) ** 2).mean()}
        loss["D_B"] = loss["D_B"] + 0.5 * (patchgan(D, fakes[0].detach(), True) ** 2).mean()
        adam_D.step(torch.autograd.grad(loss["D_B"], D), 2e-4)
        loss["G_gan_B"] = ((patchgan(D, fakes[0], True) - 1) ** 2).mean()
        for name, key, fake, rows in zip(("G_nce", "G_nce_idt"), keys, fakes, taken, strict=True):
            loss[name] = contrast(H, key, encode(G, fake, True), rows)
        total = loss["G_gan_B"] + (loss["G_nce"] + loss["G_nce_idt"]) / 2
        adam_G.step(torch.autograd.grad(total, G + H), 2e-4)
        history.append({name: float(value.detach()) for name, value in loss.items()})
    return history


@pytest.mark.parametrize("attention", ["global", "local", "local_global"])
def test_first_iterations_equal_an_independent_one(run: Callable[..., Path], attention: str) -> None:
    overrides = (
        *("model=qsattn", "trainer.max_steps=4", "trainer.precision=64-true", "model.generator.blocks=2"),
        *("model.num_patches=7", f"model.attention={attention}", "model.window=3"),
    )
    with open(run("ours", *overrides) / "metrics.csv", newline="") as file:
        ours = list(csv.DictReader(file))
    config = small_config(*overrides)
    data = build(config["data"])
    data.setup()
    items = [data.on_after_batch_transfer(data.train_set[i], 0) for i in range(4)]
    batches = [(item["A"][None].double(), item["B"][None].double()) for item in items]
    torch.manual_seed(0)
    model = build(config["model"])
    initial = {n: [p.detach().double() for p in getattr(model, n).parameters()] for n in ("G_AB", "D_B", "H")}
    theirs = train_reference(initial, batches, attention, patches=7, reach=1)
    for t, (row, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert {name: float(row[f"train/{name}"]) for name in expected} == pytest.approx(expected, rel=1e-5), t


def test_yaml_holds_the_published_settings() -> None:
    cut, ours = (composed(f"model={name}", "name=test")["model"] for name in ("cut", "qsattn"))
    added = {key: ours.pop(key) for key in ("attention", "attention_layers", "window")}
    assert added == {"attention": "global", "attention_layers": 2, "window": 7}
    assert ours.pop("_target_") != cut.pop("_target_")
    assert ours == cut
    counts, expected = (
        build(composed(f"model={name}", "name=test")["model"]).parameter_counts() for name in ("qsattn", "cut")
    )
    assert counts == expected, "attention has no weights"
    assert (counts["G_AB"], counts["D_B"]) == (11_378_179, 2_764_737)


def test_entropy_by_parts_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    expected = torch.tensor([[entropy(row) for row in rows_of(one, None)] for one in x], dtype=torch.float64)
    monkeypatch.setattr("gan_style.networks.query_attention.ROWS_AT_ONCE", 4)
    torch.testing.assert_close(global_entropy(x), expected)


@pytest.mark.parametrize("size", [(5, 7), (1, 2), (9, 3)])
def test_windows_end_at_the_border(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    windows = window_attention(x, 5)
    places = torch.arange(size[0] * size[1]).repeat(2, 1)
    found = spread(windows, places, size, 5)
    expected = torch.stack([torch.tensor(rows_of(one, 2), dtype=torch.float64) for one in x])
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(2), torch.ones_like(found[..., 0]))


def test_a_place_like_no_other_is_chosen_first_and_each_picture_has_its_own() -> None:
    x = torch.zeros(2, 3, 6, 6)
    x[0, :, 2, 3] = x[1, :, 5, 0] = 9.0
    heads = AttendingProjector([3], layers=1, num_patches=4)
    (rows,) = heads.sample([x])
    assert rows.shape == (2, 4, 36)
    assert rows[0, 0].argmax() == 2 * 6 + 3
    assert rows[1, 0].argmax() == 5 * 6
    assert rows[:, 0].max(1).values.min() > 0.999
    both = heads([x], [rows])[0]
    for picture, row, expected in zip(x, rows, both, strict=True):
        torch.testing.assert_close(heads([picture[None]], [row[None]])[0][0], expected)


def test_small_maps_give_all_their_places_and_huge_features_no_infinity() -> None:
    model = make("model.num_patches=256", "model.attention_layers=9")
    images = model.generate(example_batch(32))
    assert [one.shape[1:] for one in kept(images, "ids")[0]][1:] == [(256, 1024), (256, 256), (64, 64)]
    total, _ = model.generator_loss(images)
    total.backward()
    assert torch.isfinite(total)
    heads = AttendingProjector([2], layers=1, attention="local")
    x = (torch.randn(1, 2, 8, 8) * 1e4).requires_grad_()
    heads([x], heads.sample([x.detach()]))[0].sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_attention_is_of_float32_under_autocast() -> None:
    model = make("model.attention=local_global")
    with torch.autocast("cpu", torch.bfloat16):
        images = model.generate(example_batch(32))
        _, terms = model.generator_loss(images)
    assert {one.dtype for one in kept(images, "ids")[0]} == {torch.int64, torch.float32}
    assert terms["nce"].dtype == torch.float32


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"model.window=4 has no place in its middle: take an odd one, such as 5"):
        make("model.window=4")
    with pytest.raises(UserError, match=r"attention=far is not valid"):
        make("model.attention=far")
    with pytest.raises(UserError, match="wrong is not a known key"):
        make("+model.wrong=1")
    with pytest.raises(UserError, match=r"UNetGenerator gives no features to compare"):
        make("model/generator=unet128")
