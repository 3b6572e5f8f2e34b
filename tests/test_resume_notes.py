"""What a resumed run says of settings, pictures and machines that are not those of the checkpoint, and what it does
not say because it changes no number."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gan_style.core.config import build
from gan_style.data.shard_writer import write_shards
from gan_style.training import arithmetic
from gan_style.training.refusals import differences
from gan_style.training.run import checked
from tests.conftest import small_config

CPU = "trainer=cpu"
EXACT = "as if it had never stopped"


def command(*words: str) -> tuple[dict[str, Any], Any, Any]:
    """The config, data and trainer's settings of a command."""
    run = checked(small_config(*words))
    settings, data = build(run.trainer), build(run.data)
    data.setup()
    return run.config, data, settings


kept = functools.cache(command)  # of commands whose data are drawn


def saved(one: tuple[dict[str, Any], Any, Any]) -> dict[str, Any]:
    """What a checkpoint of a command says of its settings, pictures and machine."""
    config, data, settings = one
    about = {**data.describe(), **arithmetic.describe(settings, data.image_size)}
    return copy.deepcopy({"config": config, "pools": [{}] * settings.world_size, **about})


def notes(content: dict[str, Any], one: tuple[dict[str, Any], Any, Any]) -> list[str]:
    """What a command says when it goes on with a checkpoint."""
    config, data, settings = one
    return list(differences(config, content, data.describe(), settings))


SAID = {
    "trainer.fast_convolutions": (("trainer.fast_convolutions=false",), ("trainer.fast_convolutions=true",)),
    "trainer.fast_convolutions of null": (
        ("trainer.fast_convolutions=null",),
        ("trainer.fast_convolutions=true",),
    ),  # small crops do not pay
    "trainer.channels_last": ((), ("trainer.channels_last=true",)),
    "trainer.precision": ((), ("trainer.precision=bf16-mixed",)),
    "trainer.compile": ((), ("trainer.compile=default",)),
    "trainer.deterministic": ((), ("trainer.deterministic=true",)),
    "processes": ((), ("trainer.devices=2",)),
    "model.accumulate": ((), ("model.accumulate=2",)),
    "model.clip_grad_norm": ((), ("model.clip_grad_norm=1",)),
    "model.pool_size": ((), ("model.pool_size=3",)),
    "model.augment": ((), ("model.augment=apa",)),
    "model.join_passes": ((), ("model.join_passes=false",)),
    "model.optimizer_G.lr": ((), ("model.optimizer_G.lr=0.1", "model.optimizer_D.lr=2.0e-4")),
    "data.batch_size": ((), ("data.batch_size=2",)),
    "data.task": ((), ("data.task=night",)),
    "data.flip": ((), ("data.flip=false",)),
    "data.val_count": ((), ("data.val_count=2",)),
    "callbacks.ema.decay": ((), ("callbacks.ema.decay=0.5",)),
    "callbacks.ema": ((), ("~callbacks.ema",)),
}
NOT_SAID = {
    "trainer.fast_convolutions": (("trainer.fast_convolutions=null",), ("trainer.fast_convolutions=false",)),
    "trainer.checkpointing": ((), ("trainer.checkpointing=true",)),
    "trainer.precision": ((), ("trainer.precision=tf32",)),
    "trainer.compile": (("trainer.compile=default",), ("trainer.compile=max",)),
    "trainer.devices": ((), ("trainer.devices=auto",)),
    "cadence": ((), ("trainer.val_every=3", "trainer.save_every=2", "trainer.log_every=5")),
    "length": (("trainer.max_steps=3",), ("trainer.max_steps=4", "trainer.max_epochs=2")),
    "profiler": ((), ("trainer.profiler=simple",)),
    "logger": ((), ("logger=tensorboard",)),
    "loading": ((), ("data.num_workers=2",)),
    "scores": ((), ("callbacks.set_scores.metrics=[swd]", "~callbacks.cycle_scores", "~callbacks.truth_scores")),
    "grids": ((), ("~callbacks.image_grid",)),
    "warm start": (("model=style_conditional",), ("model=style_conditional", "model.warm_start=gone.ckpt")),
}


@pytest.mark.parametrize("name", SAID)
def test_a_setting_that_changes_numbers_is_said_both_ways(name: str) -> None:
    one, other = (kept(CPU, *words) for words in SAID[name])
    for then, now in ((one, other), (other, one)):
        found = [
            note for note in notes(saved(then), now) if not note.startswith("threads=")
        ]  # two processes share them
        assert found, "nothing is said"
        assert found[0].startswith((f"{name.split()[0]}=", f"{name}."))
        assert all(note.endswith(EXACT) for note in found)


@pytest.mark.parametrize("name", NOT_SAID)
def test_a_setting_that_changes_no_number_is_not_said(name: str) -> None:
    one, other = (kept(CPU, *words) for words in NOT_SAID[name])
    assert notes(saved(one), other) == []
    assert notes(saved(other), one) == []


@pytest.mark.parametrize("method", ["cyclegan", "cut", "style_conditional"])
def test_a_run_from_before_the_penalties_were_one_choice_goes_on_without_a_note(method: str) -> None:
    now = kept(CPU, f"model={method}")
    then = saved(now)
    for key in ("gan_mode", "lambda_r2", "lambda_gp", "lambda_gp0", "lambda_r1", "penalty_every"):
        del then["config"]["model"][key]
    assert notes(then, now) == []


def test_a_weight_that_means_something_else_now_is_said() -> None:
    now = kept(CPU, "model.lambda_r1=1")
    assert notes(saved(now), now) == []
    then = saved(now)
    del then["config"]["model"]["penalty_every"]
    (note,) = notes(then, now)
    assert note.startswith("model.lambda_r1 was the weight of a sum over the places of the discriminator")


def test_what_null_stands_for_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Null means another setting on a processor where fast convolutions pay than on one where they do not."""
    content = saved(kept(CPU))
    monkeypatch.setattr("gan_style.training.trainer.is_faster", lambda size: True)
    (note,) = notes(content, kept(CPU))
    assert note.startswith("trainer.fast_convolutions=False there, trainer.fast_convolutions=True here")
    (note,) = notes(saved(kept(CPU)), kept(CPU, "trainer.fast_convolutions=false"))
    assert note.startswith("trainer.fast_convolutions=True there, trainer.fast_convolutions=False here")


def test_another_machine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    content, threads = saved(kept(CPU)), torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert [n.split(";")[0] for n in notes(content, kept(CPU))] == [
            f"threads={threads} there, threads={threads + 1} here"
        ]
    finally:
        torch.set_num_threads(threads)
    assert notes(content, kept(CPU)) == []
    monkeypatch.setattr(torch, "__version__", "1.0")
    monkeypatch.setattr(arithmetic, "cpu", lambda: "Abacus")
    found = notes(content, kept(CPU))
    assert [note.split("=")[0] for note in found] == ["torch", "processor"]
    assert "torch=1.0 here; the run goes on, but its last digits may be others" in found[0]
    assert "processor=Abacus, " in found[1]


def test_a_checkpoint_that_does_not_say_how_it_was_computed_says_nothing_false(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was written before checkpoints said so."""
    # Where a processor has these units, bfloat16 brings fast convolutions, which is said, too.
    monkeypatch.setattr("gan_style.training.trainer.has_amx", lambda: False)

    def older(*words: str) -> dict[str, Any]:
        content = saved(kept(CPU, *words))
        del content["arithmetic"]
        images = content["preprocessing"]["pictures"]
        content["preprocessing"]["pictures"] = {
            domain: {key: images[domain][key] for key in ("count", "names")} for domain in "AB"
        }
        del content["config"]["trainer"]["fast_convolutions"], content["config"]["trainer"]["channels_last"]
        return content

    assert notes(older(), kept(CPU)) == []
    assert notes(older(), kept(CPU, "trainer.fast_convolutions=false")) == []
    for word in ("trainer.fast_convolutions=true", "trainer.channels_last=true", "trainer.precision=bf16-mixed"):
        (note,) = notes(older(), kept(CPU, word))
        assert note.startswith(word.split("=")[0])
    assert notes(older(), kept(CPU, "trainer.devices=2"))[0].startswith("processes=1 there, processes=2 here")


def test_pictures_of_another_task_are_said() -> None:
    """By the pictures themselves, so that a value written out and its default are the same."""
    one, other = kept(CPU, "data.task=unshared"), kept(CPU, "data.task=unshared", "data.unshared=0.6")
    for then, now in ((one, other), (other, one)):
        assert [note.split(" had ")[0] for note in notes(saved(then), now)] == [
            "domain A",
            "domain B",
            "domain A",
            "domain B",
        ]
    assert notes(saved(one), kept(CPU, "data.task=unshared", "data.unshared=0.3")) == []
    assert notes(saved(kept(CPU, "data.task=paint", "data.count=8")), kept(CPU)) == []


def test_a_run_from_before_tasks_is_the_task_paint() -> None:
    content = saved(kept(CPU))
    del content["config"]["data"]["task"], content["config"]["data"]["unshared"], content["preprocessing"]["task"]
    assert notes(content, kept(CPU)) == []


def noise(number: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (36, 36, 3), np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, part in enumerate(("trainA", "trainB", "testA", "testB")):
        (tmp_path / "set" / part).mkdir(parents=True)
        for i in range(4):
            noise(10 * number + i).save(tmp_path / "set" / part / f"{i}.png")
    return tmp_path / "set"


def of(folder: Path, *more: str) -> tuple[str, ...]:
    return ("data=folders", f"data.root={folder}", "data.image_size=32", "data.load_size=32", CPU, *more)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("trainA", "domain A had 4 training pictures and has 4; others of the same number"),
        ("testB", "domain B had 4 validation pictures and has 4; others of the same number"),
    ],
)
def test_pictures_that_were_replaced_under_their_names_are_said(folder: Path, part: str, said: str) -> None:
    content = saved(command(*of(folder)))
    noise(99).save(folder / part / "2.png")
    assert notes(content, command(*of(folder))) == [f"{said}; the run goes on, but not {EXACT}"]


def test_a_folder_that_was_moved_and_files_that_were_renamed_in_order_are_not_said(folder: Path) -> None:
    content = saved(command(*of(folder)))
    moved = folder.rename(folder.with_name("elsewhere"))
    (moved / "trainA" / "3.png").rename(moved / "trainA" / "7.png")
    assert notes(content, command(*of(moved))) == []
    both = ("A", "B", "test_A", "test_B")
    named = [
        f"data.{key}={moved}/{part}" for key, part in zip(both, ("trainA", "trainB", "testA", "testB"), strict=True)
    ]
    listed = [*(word for word in of(moved) if "root" not in word), *named]
    assert notes(content, command(*listed, "data.name_A=photo")) == []
    (moved / "trainA" / "7.png").rename(moved / "trainA" / "0b.png")  # the second now
    assert len(notes(content, command(*of(moved)))) == 1


def test_pictures_that_are_not_seen_are_not_compared(folder: Path) -> None:
    words = of(folder, "data.limit=3", "data.val_count=3")
    content = saved(command(*words))
    for part in ("trainA", "testA"):
        noise(99).save(folder / part / "3.png")
    assert notes(content, command(*words)) == []


def test_pictures_of_shards_and_of_styles_are_known_again(folder: Path, tmp_path: Path) -> None:
    parts = ("trainA", "trainB", "testA", "testB")

    def packed(out: Path) -> tuple[str, ...]:
        write_shards({part: sorted((folder / part).iterdir()) for part in parts}, out, 12_000)
        return ("data=shards", *of(out)[1:])

    words = packed(tmp_path / "shards")
    content = saved(command(*words))
    assert notes(content, command(*words)) == []
    noise(99).save(folder / "trainA" / "2.png")
    assert [n.split(";")[0] for n in notes(content, command(*packed(tmp_path / "again")))] == [
        "domain A had 4 training pictures and has 4"
    ]
    styled = ("model=style_conditional", "data=styles", *of(folder)[2:])
    styled += (f"data.content={folder / 'trainA'}", f"data.styles={folder / 'trainB'}")
    content = saved(command(*styled))
    assert notes(content, command(*styled)) == []
    noise(99).save(folder / "trainB" / "2.png")
    assert [n.split(";")[0] for n in notes(content, command(*styled))] == ["domain B had 4 training pictures and has 4"]
