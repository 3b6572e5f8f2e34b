"""What was written before the package had its rooms still loads, goes on, reports and is swept.

`golden/before_rooms` was written by the commit before: a run of three iterations, and a sweep whose second trial was
killed after two of four. Their configs name the import paths of then.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import gan_style
from gan_style.checkpoints import checkpoint
from gan_style.cli.main import main
from gan_style.core.allowed import ALLOWED
from gan_style.core.config import _locate, build
from gan_style.core.errors import UserError
from gan_style.core.moved import MODULES, NAMES, moved
from gan_style.core.plain_data import plain_copy
from gan_style.training.run import train

BEFORE = Path(__file__).parent / "golden" / "before_rooms"
OLD = re.compile(r"_target_: (gan_style\.[\w.]+)")


def targets(node: Any) -> list[str]:
    """Every `_target_` of a plain config."""
    if isinstance(node, list):
        return [one for value in node for one in targets(value)]
    if not isinstance(node, dict):
        return []
    own = [node["_target_"]] if "_target_" in node else []
    return own + [one for value in node.values() for one in targets(value)]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A copy of the run."""
    folder = tmp_path / "run"
    shutil.copytree(BEFORE / "run", folder)
    shutil.copyfile(folder / "checkpoints" / "last.ckpt", folder / "checkpoints" / "best.ckpt")
    return folder


def test_the_golden_files_name_what_has_moved() -> None:
    names = set(OLD.findall((BEFORE / "run" / "config.yaml").read_text()))
    assert {"gan_style.schedules.ConstantThenLinear", "gan_style.trainer.TrainerSettings"} <= names
    content = torch.load(BEFORE / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert names == {name for name in targets(content["config"]) if name.startswith("gan_style.")}
    for name in names:
        assert _locate(name, "x", ALLOWED) is _locate(moved(name), "x", ALLOWED)


def test_every_place_of_the_table_is_there_and_none_of_then_is() -> None:
    for old, new in MODULES.items():
        assert (Path(gan_style.__file__).parent / f"{new.replace('.', '/')}.py").is_file() or (
            Path(gan_style.__file__).parent / new.replace(".", "/") / "__init__.py"
        ).is_file(), new
        assert moved(f"gan_style.{new}.x") == f"gan_style.{new}.x" or new in MODULES, old
    for new in NAMES.values():
        module, _, name = new.rpartition(".")
        text = (Path(gan_style.__file__).parent / f"{module.replace('.', '/')}.py").read_text()
        assert re.search(rf"^(def |class )?{name}\b", text, re.MULTILINE), new


def test_moved_leaves_everything_else_alone() -> None:
    for name in (
        "torch.optim.Adam",
        "mylab.trainer.X",
        "gan_style.networks.vgg.VGG",
        "gan_style.nothing",
        "",
        "gan_style",
    ):
        assert moved(name) == name
    assert moved("gan_style.callbacks.scores.TruthScores") == "gan_style.training.callbacks.truth_scores.TruthScores"
    assert moved("gan_style.loading.load") == "gan_style.inference.load.load"
    assert moved("gan_style.loading.restore") == "gan_style.checkpoints.restore.restore"


def test_a_config_is_renewed_at_any_depth_in_a_copy() -> None:
    node: dict[str, Any] = {"_target_": "gan_style.schedules.ConstantThenLinear", "inner": [{"_target_": 5}, 1, None]}
    inner: Any = node
    for _ in range(9):
        inner = [{"a": inner}] if isinstance(inner, dict) else {"b": inner}
    renewed, notes = plain_copy(inner, "")
    while "_target_" not in renewed:
        renewed = renewed[0]["a"] if isinstance(renewed, list) else renewed["b"]
    today = "gan_style.models.schedules.ConstantThenLinear"
    assert (renewed, notes) == ({**node, "_target_": today}, [])
    assert node["_target_"] == "gan_style.schedules.ConstantThenLinear"
    assert renewed["inner"] is not node["inner"]


def test_a_config_of_any_shape_is_refused_before_it_is_renewed() -> None:
    node: dict[str, Any] = {"_target_": "gan_style.schedules.ConstantThenLinear"}
    node["itself"] = node
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    for endless in (node, deep):
        with pytest.raises(UserError, match="holds more than 32 levels"):
            plain_copy(endless, "")


def test_an_old_name_opens_no_new_door() -> None:
    with pytest.raises(UserError, match="is not allowed"):
        build({"_target_": "gan_style.checkpoint.torch.load", "f": "x"})
    with pytest.raises(UserError, match="is not allowed"):
        build({"_target_": "gan_style.trainer.TrainerSettings"}, ("gan_style.models.",))


def test_an_old_checkpoint_translates_and_says_what_it_is(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run_dir / "checkpoints" / "last.ckpt"
    image = torch.linspace(-1, 1, 3 * 8 * 8).reshape(3, 8, 8)
    assert gan_style.load(path, device="cpu").translate(image, "B2A").shape == (3, 8, 8)
    assert main(["describe", str(path)]) == 0
    assert "gan_style.models.cyclegan.CycleGAN" in capsys.readouterr().out
    assert set(map(moved, targets(checkpoint.load(path)["config"]))) == set(targets(checkpoint.load(path)["config"]))


def test_an_old_run_goes_on_as_if_nothing_had_moved(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    config |= {"run_dir": str(run_dir), "resume": "last", "trainer": config["trainer"] | {"max_steps": 4}}
    assert train(config) == run_dir
    said = capsys.readouterr().out
    assert "iteration 3 to 4" in said
    notes = [line for line in said.splitlines() if line.startswith("note:")]
    assert [note for note in notes if " is called " not in note] == []  # no setting differs
    assert any("trainer.quick is called" in note for note in notes)
    assert torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["iteration"] == 4
    assert not [name for name in OLD.findall((run_dir / "config.yaml").read_text()) if moved(name) != name]


def test_an_old_run_is_reported(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run_dir)]) == 0
    page = (run_dir / "report.html").read_text()
    assert "cyclegan" in page.lower()
    assert "val/A2B/psnr" in page or "PSNR" in page


@pytest.mark.slow
def test_an_old_sweep_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    from experiments import sweep

    folder = tmp_path / "sweep"
    shutil.copytree(BEFORE / "sweep", folder)
    with sqlite3.connect(folder / "sweep.db") as database:
        database.executescript((folder / "sweep.sql").read_text())
    database.close()
    assert sweep.main([f"sweep={BEFORE / 'sweep.yaml'}", f"folder={folder}"]) == 0
    trials = yaml.safe_load((folder / "summary.json").read_text())["trials"]
    assert [trial["state"] for trial in trials] == ["done", "done"]
    assert [trial["iteration"] for trial in trials] == [4, 4]
    rows = (folder / "trial-001" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["iteration", "1", "2", "3", "4"]
    said = (folder / "trial-001" / "train.out").read_text()
    assert "iteration 2 to 4" in said
    assert "note:" not in said
