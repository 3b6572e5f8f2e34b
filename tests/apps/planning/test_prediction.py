"""The arithmetic of a plan, against planted measurements."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_style.apps.planning.prediction import Cost, Line, bytes_of, hours_of, trial_batch, trial_sizes
from gan_style.apps.planning.proposals import Target, candidates, fitting
from gan_style.core.errors import UserError

FLAT = Line(0.0, 0.0)
# 1 GB, and 40 kB for each pixel; with checkpointing half of that, for a third more time
PLAIN = Cost(Line(1e9, 4e4), Line(0.1, 1e-4), FLAT)
AGAIN = Cost(Line(1e9, 2e4), Line(0.1, 1.33e-4), FLAT)
WANTED = Target(image_size=256, batch_size=4, accumulate=1, iterations=1000, load_size=286, smallest=32)


def test_a_line_meets_planted_measurements_and_extrapolates_them() -> None:
    line = Line.through([(side * side, 5e8 + 12_000 * side * side) for side in (96, 160)])
    assert line.at(256 * 256) == pytest.approx(5e8 + 12_000 * 256 * 256)
    assert line.slope == pytest.approx(12_000)


positive = st.floats(1, 1e12)


@given(positive, positive, st.integers(1, 2048), st.integers(1, 2048), st.integers(1, 64))
def test_predictions_never_fall_with_size_or_batch(y1: float, y2: float, side: int, other: int, batch: int) -> None:
    line = Line.through([(96**2, y1), (160**2, y2)])
    small, large = sorted((side, other))
    assert line.at(small**2 * batch) <= line.at(large**2 * batch)
    assert line.at(side**2 * batch) <= line.at(side**2 * (batch + 1))


def test_noise_that_would_make_a_line_fall_makes_it_flat() -> None:
    line = Line.through([(10.0, 7.0), (20.0, 5.0)])
    assert (line.at(20), line.at(1000)) == (5.0, 5.0)


@pytest.mark.parametrize(
    ("side", "smallest", "sizes"),
    [(256, 32, (96, 160)), (128, 32, (64, 128)), (32, 32, (32, 64)), (32, 1, (16, 32)), (512, 128, (256, 512))],
)
def test_the_sizes_of_trials(side: int, smallest: int, sizes: tuple[int, int]) -> None:
    assert trial_sizes(side, smallest) == sizes


def test_a_batch_is_tried_as_it_is_where_it_is_small() -> None:
    assert trial_batch(32, 4) == 4
    assert trial_batch(160, 4) == 1


@pytest.mark.parametrize(
    ("text", "amount"), [("8GB", 8e9), ("800 mb", 8e8), ("7.5GiB", 7.5 * 2**30), (".5TB", 5e11), ("512MiB", 2**29)]
)
def test_amounts_of_memory(text: str, amount: float) -> None:
    assert bytes_of(text) == amount


@pytest.mark.parametrize("text", ["8", "GB", "0GB", "-8GB", "8 apples", "", "nanGB", "1e3GB", "8KB"])
def test_what_is_no_amount_of_memory(text: str) -> None:
    with pytest.raises(UserError, match=f"--memory {text} is not an amount of memory.*8GB"):
        bytes_of(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon", ""])
def test_what_is_no_number_of_hours(text: str) -> None:
    with pytest.raises(UserError, match=f"--hours {text} is not a number of hours"):
        hours_of(text)


def test_what_fits_is_left_as_it_is() -> None:
    (only,) = fitting(WANTED, {False: PLAIN}, memory=20e9)
    assert only.overrides == ()
    assert only.memory == pytest.approx(1e9 + 4e4 * 4 * 256**2)


@given(st.floats(1.1e9, 30e9), st.floats(0.01, 50))
def test_every_proposal_fits_the_budget(memory: float, hours: float) -> None:
    for proposal in fitting(WANTED, {False: PLAIN, True: AGAIN}, memory=memory, hours=hours):
        assert proposal.memory <= memory
        assert proposal.hours <= hours * (1 + 1e-9)


def test_smaller_batches_keep_the_step_of_the_optimiser_and_come_before_smaller_pictures() -> None:
    found = fitting(WANTED, {False: PLAIN, True: AGAIN}, memory=6.5e9)
    assert found[0].overrides == ("trainer.checkpointing=true",)  # 1 GB + 5.2 GB
    assert found[1].overrides == ("data.batch_size=2", "model.accumulate=2")
    assert ("data.image_size=192", "data.load_size=214") not in [
        p.overrides for p in found
    ]  # 1 GB + 5.9 GB: after them
    for proposal in candidates(WANTED, {False: PLAIN}):
        values = dict(word.split("=") for word in proposal.overrides)
        assert int(values.get("data.batch_size", 4)) * int(values.get("model.accumulate", 1)) == 4
        assert int(values.get("data.load_size", 286)) >= int(values.get("data.image_size", 256))


def test_a_number_of_iterations_grows_as_the_batch_shrinks() -> None:
    target = Target(image_size=64, batch_size=4, accumulate=2, iterations=10, counts={"trainer.max_steps": 10})
    words = [proposal.overrides for proposal in candidates(target, {False: PLAIN})]
    assert ("data.batch_size=1", "model.accumulate=8", "trainer.max_steps=40") in words


def test_too_little_time_shortens_the_training() -> None:
    whole = PLAIN.seconds.at(256**2 * 4) * 1000 / 3600
    *_, last = fitting(WANTED, {False: PLAIN}, hours=whole / 4)
    assert last.overrides == ("trainer.max_steps=250",)
    assert last.hours == pytest.approx(whole / 4)


def test_nothing_fits_less_than_the_program_needs() -> None:
    assert fitting(WANTED, {False: PLAIN, True: AGAIN}, memory=0.9e9) == []
