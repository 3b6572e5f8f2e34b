"""A new training that begins with networks of another: what it takes, what begins anew, and what it refuses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import gan_style
from gan_style.checkpoints import checkpoint
from gan_style.core.config import build
from gan_style.core.errors import UserError
from tests.conftest import differences, small_config
from tests.official_generators import Weights, resnet
from tests.small_models import saved
from tests.test_ddp import train_on_two_ranks
from tests.test_resume import rows, state

Run = Callable[..., Path]
STILL = ("model.optimizer_G.lr=0", "model.optimizer_D.lr=0")
BASE = ("model.pool_size=3", "callbacks.ema.decay=0.9", "trainer.max_steps=4", "~callbacks.image_grid")


def of(network: str, content: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors of a network in a checkpoint."""
    tensors = content["state_dict"].items()
    return {name.removeprefix(f"{network}."): value for name, value in tensors if name.startswith(f"{network}.")}


def fresh(*words: str) -> dict[str, Any]:
    """The weights that a run of these words has before it trains."""
    torch.manual_seed(0)
    return {"state_dict": build(small_config(*words)["model"], channels_A=3, channels_B=3).state_dict()}


@pytest.fixture
def base(trained: Run) -> Path:
    return trained("base", *BASE) / "checkpoints" / "last.ckpt"


def test_a_new_run_begins_with_the_averages_and_with_nothing_else_of_the_old(
    run: Run, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = checkpoint.load(base)
    averages = before["callbacks"]["EMA"]
    assert differences(of("G_AB", before), averages["G_AB"]) != [], "or the test could not tell them apart"
    folder = run("new", *BASE, *STILL, f"init_from={base}", "trainer.max_steps=1")
    after = state(folder)
    for name in ("G_AB", "G_BA"):
        assert differences(of(name, after), averages[name]) == []
        assert differences(after["callbacks"]["EMA"][name], averages[name]) == []
    for name in ("D_A", "D_B"):
        assert differences(of(name, after), of(name, before)) == []
    assert f"begins with G_AB, G_BA, D_A, D_B of {base}\n" in capsys.readouterr().out
    assert after["iteration"] == 1
    assert {int(one["step"]) for one in after["optimizers"]["G"]["state"].values()} == {1}
    assert [len(pool["images"]) for pool in after["pools"][0].values()] == [1, 1]
    assert len(before["pools"][0]["pool_A"]["images"]) == 3


def test_the_file_is_named_wherever_a_run_says_where_it_comes_from(run: Run, base: Path) -> None:
    folder = run("new", *BASE, f"init_from={base}", "init_discriminators=false", "trainer.max_steps=1")
    sha256 = hashlib.sha256(base.read_bytes()).hexdigest()
    expected = {"file": "last.ckpt", "sha256": sha256, "iteration": 4, "networks": ["G_AB", "G_BA"]}
    expected["anew"] = ["D_A", "D_B"]
    assert state(folder)["init_from"] == json.loads((folder / "run.json").read_text())["init_from"] == expected
    assert f"init_from: {base}" in (folder / "config.yaml").read_text()
    page = (folder / "report.html").read_text()
    assert f"G_AB, G_BA of last.ckpt (sha256 {sha256[:8]}); anew: D_A, D_B" in page
    said = gan_style.describe(folder / "checkpoints" / "last.ckpt")["began from"]
    assert said == f"G_AB, G_BA of last.ckpt of iteration 4, sha256 {sha256}"


def test_discriminators_are_left_if_that_is_asked(run: Run, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run("new", *BASE, *STILL, f"init_from={base}", "init_discriminators=false", "trainer.max_steps=1")
    for name in ("D_A", "D_B"):
        assert differences(of(name, state(folder)), of(name, fresh(*BASE))) == []
    why = "as init_discriminators=false says"
    assert f"begins with G_AB, G_BA of {base}; anew begin D_A, {why}; D_B, {why}\n" in capsys.readouterr().out


def test_a_run_that_goes_on_needs_the_file_no_more(run: Run, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*BASE, f"init_from={base}")
    whole = run("whole", *words, "trainer.max_steps=4", "trainer.val_every=2")
    parts = run("parts", *words, "trainer.max_steps=2", "trainer.val_every=2")
    base.unlink()
    capsys.readouterr()
    run("parts", *words, "trainer.max_steps=3", "trainer.val_every=2", "resume=last")
    assert "begins with" not in (said := capsys.readouterr().out)
    assert "init_from" not in said
    run("parts", *BASE, "trainer.max_steps=4", "trainer.val_every=2", "resume=last")
    assert differences(state(whole), state(parts)) == []
    assert rows(whole) == rows(parts)
    assert state(parts)["init_from"]["networks"] == ["G_AB", "G_BA", "D_A", "D_B"]
    assert f"init_from: {base}" in (parts / "config.yaml").read_text()
    run("parts", *BASE, "trainer.max_steps=5", "resume=last", "init_from=other.ckpt")
    assert "note: init_from=other.ckpt is not read: a run that goes on has networks" in capsys.readouterr().out


def test_an_official_generator_goes_on_training(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = Weights()
    resnet(weights, torch.rand(1, 3, 32, 32, dtype=torch.float64), ngf=4, blocks=1)
    torch.save(weights.file(), tmp_path / "net_G.pth")
    gan_style.import_official(tmp_path / "net_G.pth", tmp_path / "mine.ckpt")
    words = ("model.generator.filters=4", "model.generator.blocks=1", "trainer.max_steps=1")
    folder = run("still", *words, *STILL, f"init_from={tmp_path / 'mine.ckpt'}")
    found = of("G_AB", state(folder))
    assert differences(found, of("G_AB", checkpoint.load(tmp_path / "mine.ckpt"))) == []
    assert torch.equal(found["layers.1.weight"], weights.file()["model.1.weight"])
    assert differences(of("G_BA", state(folder)), of("G_BA", fresh(*words))) == []
    anew = "; ".join(f"{name}, as there is no {name}" for name in ("G_BA", "D_A", "D_B"))
    assert f"anew begin {anew}\n" in capsys.readouterr().out
    moved = run("moving", *words, f"init_from={tmp_path / 'mine.ckpt'}")
    assert differences(of("G_AB", state(moved)), found) != []


def test_a_network_that_fits_in_part_is_not_mixed(run: Run, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = checkpoint.load(base)
    for state_dict, name in (
        (content["state_dict"], "D_A.layers.0.weight"),
        (content["callbacks"]["EMA"]["G_BA"], "layers.1.weight"),
    ):
        state_dict[name] = state_dict[name][:, :1].clone()
    content["state_dict"]["D_B.another"] = torch.zeros(())
    checkpoint.save(content, base)
    after = state(run("new", *BASE, *STILL, f"init_from={base}", "trainer.max_steps=1"))
    for name in ("G_BA", "D_A", "D_B"):
        assert differences(of(name, after), of(name, fresh(*BASE))) == []
    said = capsys.readouterr().out
    assert "anew begin G_BA, as G_BA.layers.1.weight is " in said
    assert "; D_A, as D_A.layers.0.weight is " in said
    assert "; D_B, as D_B.another is a number there and missing here\n" in said


def test_styles_of_another_number_leave_what_knows_them(run: Run, trained: Run, tmp_path: Path) -> None:
    words = ("model=style_conditional", "~callbacks.image_grid", "trainer.max_steps=1")
    before = trained("before", *words) / "checkpoints" / "last.ckpt"
    content = checkpoint.load(before)
    after = state(run("after", *words, *STILL, f"init_from={before}", "model.mapping.width=8"))
    assert after["init_from"]["networks"] == ["G", "E", "D"]
    assert after["init_from"]["anew"] == ["M"]
    assert differences(of("E", after), content["callbacks"]["EMA"]["E"]) == []


def refused(run: Run, *words: str) -> str:
    with pytest.raises(UserError) as error:
        run("new", "trainer.max_steps=1", *words)
    return str(error.value)


def test_another_architecture_is_refused_with_what_to_train(run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path / "x.ckpt", "model.generator.filters=6", "model.generator.blocks=2")
    said = refused(run, "model.generator.filters=4", "model.generator.blocks=1", f"init_from={path}")
    assert "of another architecture, so no generator fits: G_AB.layers.1.weight is 6x3x7x7 there and 4x3x7x7" in said
    assert "train with model.generator.filters=6 model.generator.blocks=2" in said
    assert not (tmp_path / "new").exists()
    said = refused(run, "model/generator=unet128", f"init_from={path}")
    assert "train with the model/generator of a ResnetGenerator in place of a UNetGenerator" in said


def test_the_same_weights_in_another_function_are_told_of_or_left(
    run: Run, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("blurred", *BASE, "model.generator.upsample=resize", "trainer.max_steps=1")
    resized = base.parents[2] / "blurred" / "checkpoints" / "last.ckpt"
    run("again", *BASE, f"init_from={resized}", "model.generator.upsample=blur", "trainer.max_steps=1")
    assert "note that G_AB has upsample=resize there and blur here" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"head=tanh there and residual here.*train with model.generator.head=tanh"):
        run("head", *BASE, f"init_from={base}", "model.generator.head=residual", "trainer.max_steps=1")


def test_of_several_judges_the_setting_that_differs_is_named_alone(
    run: Run, trained: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*BASE, "model/discriminator=patches", "model.discriminator.judges.patch.filters=4", "data.image_size=32")
    words = (*words, "trainer.max_steps=1")
    before = trained("judged", *words) / "checkpoints" / "last.ckpt"
    run("on", *words, f"init_from={before}", "model.discriminator.judges.texture.gain=8")
    assert "note that D_A has judges.texture.gain=4.0 there and 8 here;" in capsys.readouterr().out
    path = saved(before.parent / "x.ckpt", "model.generator.filters=6", *words[len(BASE) :])
    said = refused(run, *words, f"init_from={path}", "model.discriminator.judges.texture.filters=4")
    assert "train with model.generator.filters=6, or name" in said, "another discriminator would begin anew"
    with pytest.raises(UserError) as error:
        run("judged", *words, "resume=last", "trainer.max_steps=2", "model.discriminator.judges.texture=null")
    assert str(error.value).endswith(
        "is of another architecture: model.discriminator.judges.texture=a TextureDiscriminator there, "
        "model.discriminator.judges.texture=null here"
    )


@pytest.mark.parametrize("iteration", ["abc", float("nan"), [1], -1, 2**70, True])
def test_an_iteration_that_is_none_is_refused(run: Run, tmp_path: Path, base: Path, iteration: Any) -> None:
    content = torch.load(base, weights_only=True)
    path = tmp_path / "hostile.ckpt"
    torch.save(content | {"iteration": iteration}, path)
    with pytest.raises(UserError, match=r"hostile\.ckpt"):
        run("new", *BASE, f"init_from={path}", "trainer.max_steps=1")


def test_a_checkpoint_without_such_networks_is_refused(run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path / "x.ckpt", "model=adain")
    said = refused(run, "model=cut", f"init_from={path}")
    assert "has no G_AB, but " in said
    assert "decoder: name a checkpoint with a generator of CUT's names" in said
    assert "Gatys trains no generator that could begin elsewhere" in refused(run, "model=gatys", f"init_from={path}")


def test_what_cannot_begin_is_said_before_anything_is_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.ckpt").write_text("hello")
    nowhere = ("data=folders", "data.root=/no/such/place")
    assert "init_from= is empty" in refused(run, "init_from=", *nowhere)
    assert "no checkpoint none.ckpt: check init_from" in refused(run, "init_from=none.ckpt", *nowhere)
    assert "is a folder: name a checkpoint in it" in refused(run, f"init_from={tmp_path / 'folder'}", *nowhere)
    both = (
        "model=style_conditional",
        *(f"{key}={tmp_path / 'text.ckpt'}" for key in ("init_from", "model.warm_start")),
    )
    assert "leave one out" in refused(run, *both, *nowhere)
    assert "text.ckpt is not a checkpoint of gan_style: it is text" in refused(run, f"init_from={tmp_path}/text.ckpt")


def test_a_plan_and_an_audit_begin_there_too(base: Path, tmp_path: Path) -> None:
    from gan_style.apps.planning.parts import parts_of
    from gan_style.cli.audit import compare

    averages = checkpoint.load(base)["callbacks"]["EMA"]
    config = small_config(*BASE, f"init_from={base}")
    assert differences(dict(parts_of(config).model.G_AB.state_dict()), averages["G_AB"]) == []  # type: ignore[union-attr]
    assert compare(config, 1)["same"]
    base.unlink()
    with pytest.raises(UserError, match="check init_from"):
        compare(config, 1)


@pytest.mark.ddp
def test_every_process_begins_there(tmp_path: Path) -> None:
    base, new = tmp_path / "base", tmp_path / "new"
    train_on_two_ranks((base, ("trainer.max_steps=2",)))
    path = base / "checkpoints" / "last.ckpt"
    train_on_two_ranks((new, (*STILL, f"init_from={path}", "trainer.max_steps=1")))
    averages = checkpoint.load(path)["callbacks"]["EMA"]
    assert differences(of("G_AB", state(new)), averages["G_AB"]) == []
