"""The pool's rule, and that its state is complete."""

from __future__ import annotations

import torch

from gan_style.models.image_pool import ImagePool


def numbered(start: int, count: int) -> torch.Tensor:
    return torch.arange(start, start + count, dtype=torch.float32).reshape(-1, 1, 1, 1)


def test_it_fills_first_and_returns_what_came() -> None:
    pool = ImagePool(3)
    assert torch.equal(pool.swap(numbered(0, 3)), numbered(0, 3))
    assert [float(x) for x in pool.images] == [0, 1, 2]


def test_a_full_pool_returns_an_older_fake_half_of_the_time() -> None:
    pool = ImagePool(50)
    pool.swap(numbered(0, 50))
    swapped = 0
    for i in range(50, 2050):
        before = {float(x) for x in pool.images}
        out = float(pool.swap(numbered(i, 1)))
        if out != i:
            swapped += 1
            assert out in before
            assert i in {float(x) for x in pool.images}
            assert out not in {float(x) for x in pool.images}
    assert 900 < swapped < 1100


def test_size_zero_only_detaches() -> None:
    x = numbered(0, 2).requires_grad_()
    out = ImagePool(0).swap(x)
    assert torch.equal(out, x)
    assert not out.requires_grad


def test_it_keeps_copies_not_views_of_the_batch() -> None:
    pool, batch = ImagePool(2), numbered(0, 2)
    pool.swap(batch)
    batch.zero_()
    assert [float(x) for x in pool.images] == [0, 1]


def test_restored_state_goes_on_identically() -> None:
    a, b = ImagePool(4, seed=1), ImagePool(4, seed=9)
    a.swap(numbered(0, 10))
    b.load_state_dict(a.state_dict())
    assert all(torch.equal(a.swap(numbered(i, 1)), b.swap(numbered(i, 1))) for i in range(10, 60))
