"""What a config becomes before anything is built."""

from __future__ import annotations

import copy
import tracemalloc

import pytest

from gan_style.core.errors import UserError
from gan_style.core.plain_data import plain_copy
from gan_style.training.callbacks.ema import EMA
from gan_style.training.run import checked
from tests.conftest import small_config


@pytest.mark.parametrize("name", ["model", "data", "trainer", "logger"])
def test_a_callback_may_have_the_name_of_a_group(name: str) -> None:
    config = copy.deepcopy(small_config())
    before = checked(config)
    config["callbacks"][name] = {"_target_": "gan_style.training.callbacks.ema.EMA", "decay": 0.5}
    after = checked(config)
    assert [node.target for node in after.callbacks] == [*(node.target for node in before.callbacks), EMA]
    for group in ("model", "data", "trainer", "logger"):
        assert getattr(after, group).target is getattr(before, group).target


def test_what_holds_too_much_is_refused_before_it_is_copied() -> None:
    much = {"callbacks": [0] * 3_000_000}
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="holds more than 1,000,000 values"):
            plain_copy(much, "")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000, "bytes; a copy has 24 million"
    finally:
        tracemalloc.stop()
