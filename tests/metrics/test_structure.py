"""The DINO network and its self-similarity against attention written out, and what they see."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.metrics.structure import StructureDistance

WIDTH, PATCH, SIDE, DEPTH = 128, 4, 16, 3  # two heads


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Random weights by DINO's names."""
    random = torch.Generator().manual_seed(0)

    def drawn(*shape: int, scale: float = 0.2) -> Tensor:
        return torch.randn(*shape, generator=random) * scale

    found = {
        "cls_token": drawn(1, 1, WIDTH),
        "pos_embed": drawn(1, 1 + (SIDE // PATCH) ** 2, WIDTH),
        "patch_embed.proj.weight": drawn(WIDTH, 3, PATCH, PATCH),
        "patch_embed.proj.bias": drawn(WIDTH),
        "norm.weight": 1 + drawn(WIDTH),
        "norm.bias": drawn(WIDTH),
    }
    for i in range(DEPTH):
        for name, rows, columns in (
            ("attn.qkv", 3 * WIDTH, WIDTH),
            ("attn.proj", WIDTH, WIDTH),
            ("mlp.fc1", 2 * WIDTH, WIDTH),
            ("mlp.fc2", WIDTH, 2 * WIDTH),
        ):
            found[f"blocks.{i}.{name}.weight"] = drawn(rows, columns)
            found[f"blocks.{i}.{name}.bias"] = drawn(rows)
        for name in ("norm1", "norm2"):
            found[f"blocks.{i}.{name}.weight"], found[f"blocks.{i}.{name}.bias"] = 1 + drawn(WIDTH), drawn(WIDTH)
    return found


@pytest.fixture(scope="module")
def structure(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> StructureDistance:
    path = tmp_path_factory.mktemp("dino") / "dino.pth"
    torch.save(state, path)
    return StructureDistance(path)


def images(seed: int) -> Tensor:
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def written_out(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Cosines between the keys of the last block, one picture, head and token at a time (Vaswani et al. 2017)."""
    mean, std = (torch.tensor(x)[:, None, None] for x in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    found = []
    for image in ((images + 1) / 2 - mean) / std:
        patches = image.unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH).permute(1, 2, 0, 3, 4).flatten(0, 1).flatten(1)
        tokens = patches @ state["patch_embed.proj.weight"].flatten(1).T + state["patch_embed.proj.bias"]
        x = torch.cat([state["cls_token"][0], tokens]) + state["pos_embed"][0]
        for i in range(DEPTH):
            block = {key.removeprefix(f"blocks.{i}."): value for key, value in state.items()}
            y = F.layer_norm(x, (WIDTH,), block["norm1.weight"], block["norm1.bias"], eps=1e-6)
            q, k, v = (y @ block["attn.qkv.weight"].T + block["attn.qkv.bias"]).split(WIDTH, dim=1)
            heads = []
            for a, b, c in zip(q.split(64, 1), k.split(64, 1), v.split(64, 1), strict=True):
                heads.append(torch.softmax(a @ b.T / math.sqrt(64), dim=1) @ c)
            x = x + torch.cat(heads, 1) @ block["attn.proj.weight"].T + block["attn.proj.bias"]
            z = F.layer_norm(x, (WIDTH,), block["norm2.weight"], block["norm2.bias"], eps=1e-6)
            z = F.gelu(z @ block["mlp.fc1.weight"].T + block["mlp.fc1.bias"])
            x = x + z @ block["mlp.fc2.weight"].T + block["mlp.fc2.bias"]
        found.append(torch.stack([torch.stack([F.cosine_similarity(a, b, dim=0) for b in k]) for a in k]))
    return torch.stack(found)


def test_self_similarity_equals_attention_written_out(structure: StructureDistance, state: dict[str, Tensor]) -> None:
    found, expected = structure.self_similarity(images(0)), written_out(state, images(0))
    assert found.shape == (2, 17, 17)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_distance_is_the_mean_square_of_the_differences(structure: StructureDistance) -> None:
    x, y = images(0), images(1)
    assert structure(x, x).tolist() == [0, 0]
    difference = structure.self_similarity(x)[1] - structure.self_similarity(y)[1]
    assert float(structure(x, y)[1]) == pytest.approx(float((difference**2).sum() / 17**2), rel=1e-5)
    larger = F.interpolate(x, (40, 40), mode="nearest")
    assert structure(larger, larger).shape == (2,)
    assert structure.name == f"structure_dino_{structure.sha256[:8]}"


def test_weights_of_another_form_are_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    for broken, sentence in (
        ({"features.0.weight": torch.zeros(3)}, "not of DINO's form"),
        ({key: value for key, value in state.items() if "norm2" not in key}, "names or shapes differ"),
        (state | {"patch_embed.proj.weight": torch.zeros(100, 3, 4, 4)}, "multiple of 64"),
    ):
        torch.save(broken, tmp_path / "dino.pth")
        with pytest.raises(UserError, match=sentence):
            StructureDistance(tmp_path / "dino.pth")
