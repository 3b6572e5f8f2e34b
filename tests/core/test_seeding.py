"""Seeds and orders are the same numbers everywhere and always."""

import subprocess
import sys

import numpy as np
import pytest

from gan_style.core.seeding import derive_seed, epoch_order


def test_seeds_are_these_numbers_forever() -> None:
    assert derive_seed() == 4090036724241674979
    assert derive_seed(0, "A") == 8298969102954368773
    assert derive_seed(123456789, "größe", -1) == 7146698478239494294


def test_seeds_have_63_bits_and_do_not_collide() -> None:
    seeds = [derive_seed(seed, position, domain) for seed in range(5) for position in range(500) for domain in "AB"]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 0
    assert 2**62 < max(seeds) < 2**63


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1,), ("1",)),
        (("ab",), ("a", "b")),
        ((1, 2), (2, 1)),
        ((1, 23), (12, 3)),
        (("1, 2",), (1, 2)),
        ((), (0,)),
    ],
)
def test_parts_are_kept_apart(one: tuple[int | str, ...], other: tuple[int | str, ...]) -> None:
    assert derive_seed(*one) != derive_seed(*other)


def test_numpy_integers_count_as_integers_and_floats_are_refused() -> None:
    assert derive_seed(np.int64(3), "A") == derive_seed(3, "A")  # type: ignore[arg-type]
    assert derive_seed(True) == derive_seed(1)
    with pytest.raises(TypeError):
        derive_seed(0.5)  # type: ignore[arg-type]


def test_another_process_derives_the_same() -> None:
    code = "from gan_style.core.seeding import *; print(derive_seed(7, 'B'), epoch_order(7, 3, 20).tolist())"
    told = subprocess.check_output([sys.executable, "-c", code], text=True, env={"PYTHONHASHSEED": "5"}).strip()
    assert told == f"{derive_seed(7, 'B')} {epoch_order(7, 3, 20).tolist()}"


def test_orders_are_permutations_that_depend_on_seed_and_epoch() -> None:
    orders = [epoch_order(seed, epoch, 100) for seed in (0, 1) for epoch in (0, 1, 2)]
    for order in orders:
        assert order.dtype == np.int64
        assert sorted(order.tolist()) == list(range(100))
    assert len({tuple(order) for order in orders}) == len(orders)
    np.testing.assert_array_equal(epoch_order(1, 2, 100), orders[-1])


def test_an_order_is_this_list_forever() -> None:
    assert epoch_order(0, 0, 8).tolist() == [5, 0, 6, 4, 1, 3, 2, 7]


def test_every_first_item_is_equally_likely() -> None:
    first = np.bincount([epoch_order(0, epoch, 5)[0] for epoch in range(2000)], minlength=5)
    # Five standard deviations of a binomial with n = 2000 and p = 1/5 are 89.
    assert np.abs(first - 400).max() < 90


def test_the_callers_random_state_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr,index]
    epoch_order(0, 0, 50)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # type: ignore[index]
