"""Whatever bytes and words come from elsewhere: an answer or one sentence. The same examples in every run."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hydra.errors import HydraException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf.errors import OmegaConfBaseException

from gan_style.core.allowed import ALLOWED
from gan_style.core.compose import explain
from gan_style.core.config import check, read
from gan_style.core.errors import UserError
from gan_style.training.run import RunConfig
from tests.conftest import composed
from tests.fuzz import targets

FEW = {"official": 25, "checkpoint": 12, "structure": 25, "config": 40, "video": 15, "picture": 150, "reader": 150}
QUIET = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}


def mutated(data: bytes, seed: int) -> bytes:
    """Some bytes changed, doubled or cut away."""
    draw, made = random.Random(seed), bytearray(data)
    for _ in range(draw.randint(0, 6)):
        if not made:
            break
        at, length = draw.randrange(len(made)), draw.choice((1, 1, 2, 4, 64))
        kind = draw.randrange(5)
        if kind == 0:
            made[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            made[at : at + length] = draw.choice((b"\xff", b"\0", b"\x7f")) * length
        elif kind == 2:
            del made[at : at + length]
        elif kind == 3:
            made[at:at] = made[at : at + length]
        elif draw.randrange(4) == 0:
            del made[at:]
    return bytes(made)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_bytes_are_an_answer_or_a_sentence(name: str) -> None:
    valid = targets.examples(name)

    @settings(max_examples=FEW.get(name, 60), **QUIET)
    @given(st.integers(0, len(valid) - 1), st.integers(0, 2**32))
    def feed(which: int, seed: int) -> None:
        targets.feed(name, mutated(valid[which], seed))

    @settings(max_examples=20, **QUIET)
    @given(st.binary(max_size=200))
    def feed_noise(data: bytes) -> None:
        targets.feed(name, data)

    feed()
    feed_noise()


KEYS = (
    "seed",
    "run_dir",
    "data.image_size",
    "data.A",
    "data.cache",
    "model",
    "model.generator",
    "model.generator.norm",
)
KEYS += ("model._target_", "trainer.max_steps", "trainer.precision", "best.monitor", "callbacks.ema", "data", "allow")
VALUES = ("", "null", "-1", "1e99", "nan", "true", "[1,2]", "{a: 1}", "'", "${seed}", "${oc.env:NOT_SET_AT_ALL}", "???")
VALUES += (
    "os.system",
    "gan_style.training.run.train",
    "{_target_: os.system}",
    "[",
    "é",
    "a b",
    "\\",
    "x" * 300,
    "${hydra:x}",
)


@settings(max_examples=40, **QUIET)
@given(st.sampled_from(("", "+", "++", "~")), st.sampled_from(KEYS), st.sampled_from(VALUES))
def test_an_override_is_taken_or_refused_by_a_sentence(sign: str, key: str, value: str) -> None:
    word = f"{sign}{key}={value}"
    try:
        config = composed("data=tiny", "name=test", word)
        read(config, allowed=ALLOWED, target=RunConfig)
    except UserError as error:
        one_line(str(error))
    except Exception as error:
        if not isinstance(error, ValueError | HydraException | OmegaConfBaseException):
            raise  # `train.main` puts these into a sentence and no others
        one_line(explain(error))


def one_line(text: str) -> None:
    """What a user is shown."""
    assert text
    assert "\n" not in text


NODES: Any = st.recursive(
    st.sampled_from([None, True, -1, 0.5, "x", "???", b"x", "os.system", "gan_style.core.paths.write_whole"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["_target_", "_partial_", "_args_", "a", "filters", ""]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200, **QUIET)
@given(NODES)
def test_a_node_of_any_form_is_checked_without_running_it(node: Any) -> None:
    try:
        check(node, "model", allowed=("gan_style.networks.",))
    except UserError as error:
        one_line(str(error))
