"""One test per trap of Lightning and Hydra that two players fall into; see docs/design.md."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from gan_style.checkpoints.checkpoint import load
from gan_style.core.compose import composed
from gan_style.core.config import build
from gan_style.core.errors import UserError
from gan_style.models.cyclegan import CycleGAN
from gan_style.models.schedules import ConstantThenLinear, Stepwise
from gan_style.training.callbacks.keeper import Keeper
from gan_style.training.engine.engine import Engine
from gan_style.training.strategy import DDPPerPlayer
from gan_style.training.trainer import TrainerSettings
from tests.conftest import SGD, differences, small_config

Run = Callable[..., Path]
ROOT = Path(__file__).parents[1]


def metrics(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_max_steps_counts_iterations_not_optimiser_steps(trained: Run) -> None:
    folder = trained("run", "trainer.max_steps=5")
    assert load(folder / "checkpoints/last.ckpt")["iteration"] == 5
    assert [row["iteration"] for row in metrics(folder)] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(("batch", "iterations"), [(1, 16), (3, 6)])
def test_max_epochs_is_exact(run: Run, batch: int, iterations: int) -> None:
    folder = run("run", "trainer.max_epochs=2", f"data.batch_size={batch}")
    assert load(folder / "checkpoints/last.ckpt")["iteration"] == iterations


@pytest.mark.parametrize(
    ("words", "iterations"),
    [
        (("model.schedule.constant=2", "model.schedule.decay=3", "model.schedule.unit=iterations"), 5),
        (("model.schedule.constant=1", "model.schedule.decay=0.5", "data.batch_size=3"), 4),  # 1.5 epochs of 8/3
        (("model.schedule.decay=7", "model.schedule.unit=iterations", "trainer.max_epochs=1"), 8),
    ],
)
def test_without_a_length_a_run_ends_with_its_schedule(run: Run, words: tuple[str, ...], iterations: int) -> None:
    assert load(run("run", *words) / "checkpoints/last.ckpt")["iteration"] == iterations


PAPERS_EPOCHS = {"cyclegan": 200, "gcgan": 200, "stegogan": 200, "fastcut": 200} | dict.fromkeys(
    ["cut", "dclgan", "simdcl", "santa", "enco", "unsb", "qsattn"], 400
)
PAPERS_ITERATIONS = {"ugatit": 1_000_000, "ugatit_light": 1_000_000, "sincut": 100_000}


@pytest.mark.parametrize("model", [*PAPERS_EPOCHS, *PAPERS_ITERATIONS])
def test_the_papers_lengths_are_the_defaults(model: str) -> None:
    config = composed([f"model={model}"])
    method = Mock(schedule=build(config["model"]["schedule"]), last_iteration=None)
    per_epoch = 7.5
    expected = PAPERS_ITERATIONS.get(model) or PAPERS_EPOCHS[model] * per_epoch
    assert build(config["trainer"]).iterations(per_epoch, method) == expected


@pytest.mark.parametrize(
    ("schedule", "iterations"),
    [
        (None, 1500),
        (ConstantThenLinear(decay=0), 1500),
        (Stepwise(), 1500),
        (lambda iteration, iterations_per_epoch: 1.0, 1500),
        (Mock(end=lambda iterations_per_epoch: 5000), 5000),
        (Mock(end=0.5), 1500),
    ],
)
def test_a_schedule_that_says_no_end_is_200_epochs(schedule: object, iterations: int) -> None:
    settings, method = TrainerSettings("cpu"), Mock(schedule=schedule, last_iteration=None)
    assert settings.iterations(7.5, method) == iterations
    assert TrainerSettings("cpu", max_epochs=2).iterations(7.5, method) == 15
    assert settings.iterations(7.5, Mock(schedule=ConstantThenLinear(), last_iteration=30)) == 30


def test_checkpoints_come_at_odd_iterations_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = []
    original = Keeper._save
    monkeypatch.setattr(
        Keeper,
        "_save",
        lambda self, trainer, engine: (saved.append(engine.iteration), original(self, trainer, engine)),
    )
    run("run", "trainer.max_steps=8", "trainer.save_every=3", "trainer.val_every=100")
    assert saved == [3, 6, 8]


def test_the_learning_rate_falls(run: Run) -> None:
    schedule = ("model.schedule.constant=2", "model.schedule.decay=4", "model.schedule.unit=iterations")
    folder = run("run", "trainer.max_steps=5", *schedule)
    expected = [2e-4, 2e-4, 2e-4, 1.5e-4, 1e-4]
    assert [float(row["lr/G"]) for row in metrics(folder)] == pytest.approx(expected)
    assert [float(row["lr/D"]) for row in metrics(folder)] == pytest.approx(expected)


def test_schedule_in_epochs_is_the_papers() -> None:
    factor = ConstantThenLinear()
    assert [factor(t, 10.0) for t in (0, 999, 1000)] == [1, 1, 1]
    assert factor(1500, 10.0) == pytest.approx(0.5)
    assert factor(2500, 10.0) == 0


def test_clipping_bounds_what_the_optimiser_sees(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    norms = []
    original = torch.optim.Adam.step

    def step(self: torch.optim.Adam, closure: object = None) -> object:
        grads = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(float(torch.stack([g.norm() for g in grads]).norm()))
        return original(self)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    run("free", "trainer.max_steps=2")
    free, norms[:] = list(norms), []
    run("clipped", "trainer.max_steps=2", "model.clip_grad_norm=0.01")
    assert min(free) > 0.02
    assert max(norms) <= 0.01 + 1e-6


def test_accumulating_four_pictures_equals_a_batch_of_four(run: Run) -> None:
    """Exact under instance norm with the pool off; SGD, because Adam hides a wrong factor."""
    same = (*SGD, "model.pool_size=0")
    four = run("four", *same, "data.batch_size=4", "trainer.max_steps=2")
    one = run("one", *same, "data.batch_size=1", "model.accumulate=4", "trainer.max_steps=8")
    a, b = (load(folder / "checkpoints/last.ckpt")["state_dict"] for folder in (four, one))
    start = build(small_config()["model"], channels_A=3, channels_B=3).state_dict()
    assert any(not torch.equal(a[k], start[k]) for k in a)
    for key in a:
        assert torch.allclose(a[key], b[key], atol=1e-6), key


def test_ema_averages_generators_only_and_is_swapped_back(run: Run) -> None:
    folder = run("run", "trainer.max_steps=3", "trainer.val_every=1", "callbacks.ema.decay=0.5")
    content = load(folder / "checkpoints/last.ckpt")
    averages = content["callbacks"]["EMA"]
    assert set(averages) == {"G_AB", "G_BA"}
    raw = {k.removeprefix("G_AB."): v for k, v in content["state_dict"].items() if k.startswith("G_AB.")}
    assert differences(raw, dict(averages["G_AB"])) != []
    without = run("without", "trainer.max_steps=3", "trainer.val_every=1", "~callbacks.ema")
    other = load(without / "checkpoints/last.ckpt")
    assert differences(content["state_dict"], other["state_dict"]) == [], "looking must not change training"


def test_ema_is_the_recursive_mean() -> None:
    from gan_style.training.callbacks.ema import EMA

    model = build(small_config()["model"])
    ema = EMA(decay=0.75)
    engine = Engine(model)
    ema.on_fit_start(None, engine)
    expected = next(model.G_AB.parameters()).detach().clone()
    for t in range(1, 30):
        with torch.no_grad():
            next(model.G_AB.parameters()).fill_(float(t))
        model.iteration = t
        ema.on_train_batch_end(None, engine)
        decay = min(0.75, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * t
    assert torch.allclose(next(ema.averages["G_AB"].parameters()), expected, rtol=1e-5)


def test_multirun_with_several_devices_says_what_to_do() -> None:
    settings = TrainerSettings(accelerator="cpu", devices=2)
    with pytest.raises(UserError, match="--multirun") as caught:
        settings.refuse_what_cannot_work(multirun=True)
    assert "trainer.devices=1" in str(caught.value)
    settings.refuse_what_cannot_work(multirun=False)


def test_several_devices_get_a_strategy_that_works_for_two_players() -> None:
    trainer = TrainerSettings(accelerator="cpu", devices=2).make([], [], Path("unused"), 1)
    assert isinstance(trainer.strategy, DDPPerPlayer)


@pytest.mark.parametrize("name", [None, "auto", "ddp", "ddp_find_unused_parameters_true"])
def test_strategies_of_lightning_by_name_are_ours_where_they_fit(name: str | None) -> None:
    trainer = TrainerSettings(accelerator="cpu", devices=2, strategy=name).make([], [], Path("unused"), 1)
    assert isinstance(trainer.strategy, DDPPerPlayer)
    assert trainer.strategy._ddp_kwargs.get("find_unused_parameters", False) == (name or "").endswith("true")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fsdp", "players take turns and each holds the whole model: take trainer.strategy=ddp"),
        ("deepspeed_stage_2", "each holds the whole model"),
        ("ddp_spawn", "would train in copies of this process"),
        ("ddp_fork_find_unused_parameters_true", "would train in copies of this process"),
        ("dpp", "is no strategy of Lightning: did you mean ddp?"),
        ("single_device", "is not for 2 processes"),
    ],
)
def test_strategies_that_cannot_train_two_players_are_refused(run: Run, name: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        run("run", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", f"trainer.strategy={name}")
    assert str(caught.value).startswith(f"trainer.strategy={name} ")
    assert "\n" not in str(caught.value)


def test_one_process_needs_no_strategy() -> None:
    for name in (None, "auto", "single_device"):
        trainer = TrainerSettings(accelerator="cpu", strategy=name).make([], [], Path("unused"), 1)
        assert not isinstance(trainer.strategy, DDPPerPlayer)


@pytest.mark.slow
def test_multirun_gives_each_job_one_folder_and_goes_on_after_a_failed_one(tmp_path: Path) -> None:
    small = ["data=tiny", "model.generator.filters=4", "model.generator.blocks=1", "model.discriminator.filters=4"]
    jobs = ["trainer.max_steps=1", "model.lambda_cycle=5,abc,20", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    command = [sys.executable, "train.py", "-m", *small, *jobs]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 2
    assert "job 1 failed: model.lambda_cycle=abc" in process.stderr
    assert "Traceback" not in process.stderr
    for job, value in ((0, "5"), (2, "20")):
        assert f"lambda_cycle: {value}" in (tmp_path / "sweep" / str(job) / "config.yaml").read_text()
    assert not (tmp_path / "sweep" / "1" / "config.yaml").exists()


def test_hydra_makes_no_folder_of_its_own(run: Run, tmp_path: Path) -> None:
    run("run", "trainer.max_steps=1")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    expected = {
        "config.yaml",
        "metrics.csv",
        "run.json",
        "scores.json",
        "scores_best.json",
        "report.html",
        "images",
        "checkpoints",
    }
    assert {p.name for p in (tmp_path / "run").iterdir()} == expected


def test_checkpoint_of_a_finished_accumulation_carries_no_gradient(run: Run) -> None:
    folder = run("run", "trainer.max_steps=4", "model.accumulate=2")
    assert load(folder / "checkpoints/last.ckpt")["gradients"] == [{}]


def test_the_module_counts_iterations_itself(run: Run) -> None:
    assert CycleGAN.turns == ("G", "D")
    assert "iteration" in vars(build(small_config()["model"]))
