"""What every method promises, for every conf/model/*.yaml; the checks are those that others use for their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gan_style import testing
from gan_style.core.config import config_dir
from gan_style.models.translator import Translator
from tests.conftest import SCORES, small_config

MODELS = sorted(p.stem for p in (config_dir() / "model").glob("*.yaml"))


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Translator:
    return testing.build_model(small_config(f"model={request.param}", "data.batch_size=2"))


def test_images_have_standard_names_shapes_and_range(model: Translator) -> None:
    testing.check_images(model, testing.example_batch())


def test_each_turn_moves_its_own_player_only(model: Translator) -> None:
    testing.check_turns(model, testing.example_batch())


def test_any_size_in_the_same_size_out(model: Translator) -> None:
    testing.check_translation(model)


def totals(name: str, **weights: float) -> list[float]:
    """The losses of both players of a new method, the same each time, after its weights were changed."""
    more = ["model.start=noise"] if name == "gatys" else []  # which has no distance to its content at the start
    method = testing.build_model(small_config(f"model={name}", *more)).train()
    method.iteration = 1
    for key, weight in weights.items():
        setattr(method, key, weight)
    torch.manual_seed(1)
    images = method.generate(testing.example_batch())
    turns = {"G": method.generator_loss, "D": method.discriminator_loss}
    return [float(turns[player](images)[0].detach()) for player in method.players() if player in turns]


@pytest.mark.parametrize("name", sorted({*MODELS} - {"wct"}))
def test_any_weight_that_is_changed_while_training_changes_the_loss(name: str) -> None:
    """As `model.weight_schedules` changes it, which sets the method's attribute before each iteration."""
    method = vars(testing.build_model(small_config(f"model={name}")))
    weights = {key: value for key, value in method.items() if key.startswith("lambda_") and value}
    before = totals(name)
    assert weights
    assert totals(name) == before
    for key, weight in weights.items():
        assert totals(name, **{key: 3 * weight}) != pytest.approx(before, rel=1e-6), (
            f"model.{key} is read only when the method is built"
        )


@pytest.mark.parametrize("name", MODELS)
def test_two_steps_train_and_the_checkpoint_is_plain(name: str, tmp_path: Path) -> None:
    content = testing.check_training(small_config(f"model={name}"), tmp_path / "run")
    assert content["config"]["model"]["_target_"].startswith("gan_style.models.")
    assert content["domains"]["A"] == {"name": "photo", "channels": 3, "dtype": "uint8", "low": 0, "high": 255}


@pytest.mark.parametrize("name", MODELS)
def test_resume_is_bit_exact(name: str, tmp_path: Path) -> None:
    unscored = [f"~{callback}" for callback in SCORES]  # with them, and for one model: tests/test_resume.py
    testing.check_resume(small_config(f"model={name}", *unscored), tmp_path)
