"""The contrastive loss against loops over single patches, and its known values."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_style.losses.patchnce import patch_nce


def units(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return F.normalize(torch.randn(*shape, dtype=dtype), dim=-1)


def loops(query: Tensor, key: Tensor, tau: float, batch_negatives: bool) -> float:
    """Equation 2, one query after the other: the positive pair against the sum over it and its negatives."""
    images, patches, _ = query.shape
    total = 0.0
    for b in range(images):
        for n in range(patches):
            similarity = {
                (c, m): math.exp(float(query[b, n] @ key[c, m]) / tau)
                for c in range(images)
                for m in range(patches)
                if batch_negatives or c == b
            }
            total -= math.log(similarity[b, n] / sum(similarity.values()))
    return total / (images * patches)


@pytest.mark.parametrize("batch_negatives", [False, True])
@pytest.mark.parametrize("tau", [0.07, 0.5])
def test_equals_loops_over_patches(batch_negatives: bool, tau: float) -> None:
    query, key = units(3, 5, 4), units(3, 5, 4)
    found = patch_nce(query, key, tau=tau, batch_negatives=batch_negatives)
    assert float(found) == pytest.approx(loops(query, key, tau, batch_negatives), rel=1e-12)


def test_identical_patches_give_log_n() -> None:
    one = units(1, 1, 8)
    assert float(patch_nce(one.expand(2, 6, 8), one.expand(2, 6, 8))) == pytest.approx(math.log(6))
    joined = patch_nce(one.expand(2, 6, 8), one.expand(2, 6, 8), batch_negatives=True)
    assert float(joined) == pytest.approx(math.log(12))


def test_orthogonal_patches_found_again_give_almost_nothing() -> None:
    """N orthogonal vectors: log(1 + (N - 1) exp(-1 / tau))."""
    key = torch.eye(4, dtype=torch.float64)[None]
    assert float(patch_nce(key, key)) == pytest.approx(math.log1p(3 * math.exp(-1 / 0.07)))
    assert float(patch_nce(key.roll(1, 1), key)) == pytest.approx(1 / 0.07, rel=1e-6)


def test_keys_get_no_gradient() -> None:
    query, key = units(1, 4, 3).requires_grad_(), units(1, 4, 3).requires_grad_()
    patch_nce(query, key).backward()
    assert query.grad is not None
    assert query.grad.abs().sum() > 0
    assert key.grad is None


def test_autocast_does_not_reach_it() -> None:
    query, key = units(2, 16, 8, dtype=torch.float32), units(2, 16, 8, dtype=torch.float32)
    expected = patch_nce(query, key)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(patch_nce(query, key), expected)
        assert patch_nce(query.bfloat16(), key.bfloat16()).dtype == torch.float32
