"""`gan-style plan` as a command: counts, a real tiny plan, mistakes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gan_style.apps.planning.parts import parts_of
from gan_style.apps.planning.plan import KEPT_CHECKPOINTS, counts_of, run_trial, target_of
from gan_style.apps.planning.proposals import Target, candidates
from gan_style.apps.planning.trial import tried
from gan_style.cli.main import main
from gan_style.core.compose import composed
from gan_style.core.config import build
from gan_style.core.errors import UserError
from tests.apps.planning.test_prediction import PLAIN
from tests.conftest import fitting
from tests.models.test_contract import MODELS

TINY = ("data=tiny", "trainer=cpu", "trainer.max_steps=8")


@pytest.mark.parametrize("name", MODELS)
def test_parts_are_those_of_the_command(name: str) -> None:
    words = [f"model={name}", *TINY, *fitting(f"model={name}")]
    config = composed(words)
    parts = parts_of(config)
    target = target_of(config, parts)
    assert (target.image_size, target.load_size, target.iterations) == (32, 36, 8)
    trained = sum(p.numel() for p in parts.model.parameters() if p.requires_grad)
    assert sum(parts.model.parameter_counts().values()) == trained > 0


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_tried(name: str, tmp_path: Path) -> None:
    parts = parts_of(composed([f"model={name}", *TINY, *fitting(f"model={name}")]))
    found = tried(parts, 3, tmp_path)
    assert len(found["seconds"]) == 2
    assert parts.model.iteration == 4  # one more, whose operations were counted
    assert found["flops"] > 0
    assert found["state"]["weights"] == 4 * sum(parts.model.parameter_counts().values())
    assert not list(tmp_path.rglob("*.ckpt"))


def test_operations_grow_with_the_pixels(tmp_path: Path) -> None:
    words = [
        "model=cyclegan",
        *TINY,
        *fitting("model=cyclegan"),
        "trainer.fast_convolutions=false",
        "data.load_size=null",
    ]
    small, large = (
        tried(parts_of(composed([*words, f"data.image_size={size}"])), 2, tmp_path)["flops"] for size in (32, 64)
    )
    assert 3.5 * small < large < 5 * small  # a discriminator's last maps are smaller than their share of the pixels


def test_operations_are_counted_without_shortcuts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_style.networks.fast_convolutions.MIN_TILES_FOR_WINOGRAD", 1)
    words = ["model=cyclegan", *TINY, *fitting("model=cyclegan"), "model.generator.filters=8"]
    plain, short = (
        tried(parts_of(composed([*words, f"trainer.fast_convolutions={quick}"])), 2, tmp_path)["flops"]
        for quick in (False, True)
    )
    assert short == plain


def test_pretraining_is_no_measure_of_a_run(tmp_path: Path) -> None:
    words = ["model=cyclegan", *TINY, *fitting("model=cyclegan"), "trainer.fast_convolutions=false"]
    without, with_it = (
        tried(parts_of(composed([*words, f"model.pretrain={iterations}"])), 2, tmp_path)["flops"]
        for iterations in (0, 200)
    )
    assert with_it == without


def test_iterations_that_cost_more_count_with_those_that_cost_less(tmp_path: Path) -> None:
    words = ["model=cyclegan", *TINY, *fitting("model=cyclegan"), "trainer.fast_convolutions=false"]
    words += ["model.lambda_idt=0"]
    always, second, third = (
        tried(parts_of(composed([*words, f"model.cycle_every={every}"])), 4, tmp_path) for every in (1, 2, 3)
    )
    assert [len(found["seconds"]) for found in (always, second, third)] == [3, 2, 1]
    cycle = 2 * (always["flops"] - second["flops"])  # of the passes back, in every second iteration
    assert 0 < cycle < always["flops"]
    assert third["flops"] == pytest.approx(always["flops"] - 2 / 3 * cycle, abs=2)
    regular = tried(
        parts_of(composed([*words, "model.cycle_every=2", "model.lambda_r1=1", "model.penalty_every=3"])), 2, tmp_path
    )
    assert len(regular["seconds"]) == 1
    assert second["flops"] < regular["flops"]


def test_a_step_of_the_optimiser_is_in_every_trial(tmp_path: Path) -> None:
    words = ["model=cyclegan", *TINY, *fitting("model=cyclegan"), "trainer.fast_convolutions=false"]
    one, eight = (tried(parts_of(composed([*words, f"model.accumulate={n}"])), 2, tmp_path) for n in (1, 8))
    assert eight["state"]["moments"] == one["state"]["moments"] > 0
    assert len(eight["seconds"]) == 1


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (("model=cut",), {}),
        (("model=cut", "trainer.max_steps=7"), {"trainer.max_steps": 7}),
        (("model=sincut",), {"model.schedule.constant": 50000, "model.schedule.decay": 50000}),
        (("model=munit",), {"model.schedule.every": 100_000}),
        (
            ("experiment=demo", "model.pretrain=3"),
            {
                "trainer.max_steps": 2100,
                "model.pretrain": 3,
                "model.schedule.constant": 1050,
                "model.schedule.decay": 1050,
                "model.weight_schedules.lambda_cycle.length": 2100,
            },
        ),
    ],
)
def test_what_counts_iterations_grows_as_the_batch_shrinks(words: tuple[str, ...], counts: dict[str, int]) -> None:
    config = composed(words)
    assert counts_of(config) == counts
    target = Target(image_size=64, batch_size=2, accumulate=1, iterations=10, counts=counts)
    changes = {word for one in candidates(target, {False: PLAIN}) for word in one.overrides}
    assert {f"{key}={2 * count}" for key, count in counts.items()} <= changes


def test_a_known_network_has_the_known_number_of_parameters() -> None:
    node = composed(["model=cyclegan", *TINY])["model"]
    model = build(node, channels_A=3, channels_B=3)
    assert model.parameter_counts()["G_AB"] == 11_378_179  # resnet9 of the official code
    assert model.parameter_counts()["D_A"] == 2_764_737


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("model=cyclegam",), "model=cyclegam is not known: did you mean cyclegan?"),
        (("model=cyclegan", "data.image_sise=64"), "data.image_sise is not a known key"),
        (("model=cyclegan", *TINY, "data.image_size=0"), "data.image_size=0 is not valid"),
        (("model=cyclegan", "--memory", "8"), "--memory 8 is not an amount of memory"),
        (("model=cyclegan", "--hours", "none"), "--hours none is not a number of hours"),
        (("model=cyclegan", "--iterations", "1"), "--iterations 1 is too few"),
        (("model=cyclegan", "--json", "nowhere/plan.json"), "there is no folder nowhere"),
        (("model=null",), "train.py --help"),
    ],
)
def test_mistakes_are_sentences(
    words: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plan", *words]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.quiet
def test_a_real_tiny_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["model=cyclegan", *TINY, *fitting("model=cyclegan")]
    assert main(["plan", *words, "--json", "plan.json", "--memory", "1TB", "--iterations", "3"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    found = json.loads(Path("plan.json").read_text())
    trained = sum(found["parameters"].values()) * 4
    memory = found["memory"]
    assert memory["weights"] == memory["gradients"] == trained
    # Adam: two moments of each weight, and of each tensor its number of steps.
    assert 2 * trained <= memory["moments"] < 2 * trained * 1.2
    assert memory["ema"] == 4 * (found["parameters"]["G_AB"] + found["parameters"]["G_BA"])
    assert memory["peak"] == pytest.approx(max(t["peak"] for t in found["trials"]), rel=0.5)
    assert found["flops"] > 0
    assert found["disk"]["checkpoints"] == KEPT_CHECKPOINTS * found["disk"]["checkpoint"]
    assert found["proposals"][0]["command"] == " ".join(["python", "train.py", *words])
    assert "G_AB" in capsys.readouterr().out


def test_torchvision_of_another_build_is_said_as_in_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "Traceback\nRuntimeError: operator torchvision::nms does not exist\n"
    ended = subprocess.CompletedProcess([], 1, "", said)
    monkeypatch.setattr(subprocess, "run", lambda *words, **more: ended)
    with pytest.raises(UserError, match=r"^torch .* and torchvision .* are of different builds"):
        run_trial({}, 1, 64)


@pytest.mark.quiet
def test_the_mistake_of_a_trial_is_handed_on() -> None:
    config = composed(["model=cyclegan", *TINY, "data.image_size=0"])
    with pytest.raises(UserError, match=r"the trial at 0 px failed: data\.image_size=0 is not valid"):
        run_trial(config, 3, 0)
