"""What chooses best.ckpt: found before training begins, or refused with the nearest that there is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from gan_style.core.errors import UserError
from gan_style.training.best_rule import BestRule, resolve
from gan_style.training.callbacks.keeper import Keeper
from gan_style.training.engine.engine import Engine
from gan_style.training.engine.hooks import RunCallback


class Offers(RunCallback):
    def __init__(self, **offered: str) -> None:
        self.offered = {name.replace("__", "/"): mode for name, mode in offered.items()}

    def offers(self, model: Any, data: Any) -> dict[str, str]:
        return self.offered


Offers.__module__ = "gan_style.training.callbacks.of_a_test"  # one of ours: what it does not offer, there is not
TRUTH = Offers(val__local_distance="lowest", val__psnr="highest", val__A2B__psnr="highest", val__ssim="highest")
SETS = Offers(val__kid_random0="lowest", val__A2B__kid_random0="lowest", val__swd="lowest")


def rule(monitor: str | None, *callbacks: pl.Callback, **more: Any) -> tuple[str | None, str]:
    found = resolve({"monitor": monitor, **more}, callbacks, None, None)  # type: ignore[arg-type]
    return found["monitor"], found["mode"]


@pytest.mark.parametrize(
    ("monitor", "callbacks", "found"),
    [
        ("auto", (TRUTH, SETS), ("val/local_distance", "lowest")),
        ("auto", (SETS,), ("val/swd", "lowest")),
        ("auto", (Offers(val__kid_random0="lowest"),), (None, "auto")),
        ("kid", (TRUTH, SETS), ("val/kid_random0", "lowest")),
        ("ssim", (TRUTH, SETS), ("val/ssim", "highest")),
        ("val/A2B/psnr", (TRUTH,), ("val/A2B/psnr", "highest")),
        ("frechet", (Offers(val__fid="lowest"),), ("val/fid", "lowest")),
        ("frechet", (Offers(val__frechet_vgg="lowest"),), ("val/frechet_vgg", "lowest")),
        (None, (TRUTH, SETS), (None, "auto")),
    ],
)
def test_a_word_a_column_or_auto_is_found(
    monitor: str | None, callbacks: tuple[pl.Callback, ...], found: tuple[str | None, str]
) -> None:
    assert rule(monitor, *callbacks) == found


@pytest.mark.parametrize("before", [{"monitor": "val/psnr"}, {"monitor": "psnr"}])
def test_a_run_that_goes_on_keeps_the_score_that_chose_its_best(before: dict[str, str]) -> None:
    found = resolve({"monitor": "auto"}, [TRUTH], None, None, before)  # type: ignore[arg-type]
    assert (found["monitor"], found["mode"]) == ("val/psnr", "highest")


@pytest.mark.parametrize("before", [None, {}, {"monitor": None}, {"monitor": ["x"]}, {"monitor": "val/gone"}, [1]])
def test_without_such_a_score_it_is_chosen_anew(before: Any) -> None:
    assert resolve({"monitor": "auto"}, [TRUTH], None, None, before)["monitor"] == "val/local_distance"  # type: ignore[arg-type]


def test_the_mode_can_be_turned_and_says_itself() -> None:
    assert rule("psnr", TRUTH, mode="lowest") == ("val/psnr", "lowest")
    assert str(BestRule("val/psnr", "lowest")) == "lowest val/psnr"
    assert str(BestRule(None)).startswith("newest")


def test_what_there_is_not_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"best\.monitor=val/swdd is not a score of this run: did you mean val/swd\?"):
        rule("val/swdd", TRUTH, SETS)
    with pytest.raises(UserError, match=r"best\.mode=highest is the better end of a score"):
        rule("auto", SETS, mode="highest")
    with pytest.raises(UserError, match="which has none"):
        rule("psnr")
    with pytest.raises(UserError, match=r"best\.patience needs a score"):
        rule("auto", patience=2)


def test_a_score_of_another_package_needs_its_better_end() -> None:
    class Mine(pl.Callback):
        pass

    with pytest.raises(UserError, match=r"best\.mode must be given"):
        rule("val/mine", SETS, Mine())
    assert rule("val/mine", SETS, Mine(), mode="lowest") == ("val/mine", "lowest")


def keeper(tmp_path: Any, **more: Any) -> Keeper:
    return Keeper(tmp_path, {}, iterations=9, every=1, rule="a rule", monitor="val/x", **more)


def after(one: Keeper, engine: Engine, values: list[float]) -> list[tuple[float | None, int]]:
    """The best score and the count of validations without a better one, after each validation."""
    trainer = SimpleNamespace(
        callback_metrics={}, should_stop=False, strategy=SimpleNamespace(broadcast=lambda value: value)
    )
    found = []
    for engine.method.iteration, value in enumerate(values, 1):
        trainer.callback_metrics["val/x"] = torch.tensor(value, dtype=torch.float64)
        one.on_validation_end(trainer, engine)  # type: ignore[arg-type]
        found.append((one.best["score"], one.best["stale"]))
        if trainer.should_stop:
            break
    return found


def test_the_best_is_kept_and_patience_counts(tmp_path: Any) -> None:
    from tests.small_models import made

    engine = Engine(made())
    assert after(keeper(tmp_path, patience=2), engine, [1, 3, 3, 4, 2, 4, 9]) == [
        (1, 0),
        (3, 0),
        (3, 1),
        (4, 0),
        (4, 1),
        (4, 2),
    ]
    assert after(keeper(tmp_path, mode="lowest", patience=1), engine, [3, 1, 2, 0]) == [(3, 0), (1, 0), (1, 1)]
    nan = float("nan")
    assert after(keeper(tmp_path), engine, [nan, 1, nan, 2])[1:] == [(1, 0), (1, 1), (2, 0)], "NaN is never the best"
