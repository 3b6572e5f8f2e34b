"""The command line: exit status, and one sentence for each mistake."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_style.cli import train
from gan_style.cli.main import main
from tests.conftest import SMALL, SMALL_RESNET

Run = Callable[..., Path]
ROOT = Path(__file__).parents[1]
HERE = tuple(word for word in (*SMALL, *SMALL_RESNET) if not word.startswith(("run_dir", "name")))


class Command:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.capsys, self.monkeypatch = folder, capsys, monkeypatch

    def __call__(self, *words: str) -> tuple[int, str]:
        """`python train.py words`, in this process: exit status and stderr."""
        given = words if any(w.startswith("run_dir=") for w in words) else (*words, f"run_dir={self.folder / 'run'}")
        self.monkeypatch.setattr(sys, "argv", ["train.py", *given])
        train._failures.clear()
        train._started.clear()
        status = 0
        try:
            train.main()
        except SystemExit as error:
            status = int(error.code or 0)
        return status, self.capsys.readouterr().err.strip()


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, capsys, monkeypatch)


def images(folder: Path, count: int = 3, size: tuple[int, int] = (40, 40)) -> None:
    folder.mkdir(parents=True)
    for i in range(count):
        noise = np.random.default_rng(i).integers(0, 255, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("trainA", "trainB", "testA", "testB"):
        images(tmp_path / "set" / name)
    return tmp_path / "set"


MISTAKES = [
    (("model=cyclegam",), "model=cyclegam is not known: did you mean cyclegan?"),
    (("model/generator=resnet99",), "model/generator=resnet99 is not known"),
    (("model.lambda_cylce=5",), "model.lambda_cylce is not a known key: did you mean lambda_cycle?"),
    (("+model.lambda_cylce=5",), "model.lambda_cylce is not a known key: did you mean lambda_cycle?"),
    (
        ("model=cut", "model.lambda_cycle=5"),
        "model.lambda_cycle is not a known key here, but with model=cyclegan, munit, style_conditional, ugatit, unit",
    ),
    (("model=munit", "model.generator.noise=true"), "resnet6, resnet9, resnet9_antialiased, stylegan2 and 2 more"),
    (
        ("model/discriminator=patches", "model.discriminator.weights={patch:1,texure:2}"),
        "model.discriminator.weights.texure is not a known key: did you mean texture?",
    ),
    (("trainer.max_step=5",), "trainer.max_step is not a known key: did you mean max_steps?"),
    (("modle=cut",), "modle is not a known key: did you mean model?"),
    (("model.lambda_cycle=abc",), "model.lambda_cycle=abc is not valid"),
    (("trainer.max_steps=0",), "trainer.max_steps=0 is not valid: input should be greater than or equal to 1"),
    (("data=folders",), "no pictures are named: give data.root=DIR, or data.A=DIR data.B=DIR"),
    (("data=folders", "data.root=/no/such/place"), "there is no folder /no/such/place"),
    (("data=monet2photo", "data.root=/no/such/place", "data.url=https://127.0.0.1:9/x.zip"), "data.archive="),
    (("resume=last",), "found no checkpoint"),
    (("resume=/no/such.ckpt",), "there is no checkpoint /no/such.ckpt"),
    (("data.load_size=20", "data.image_size=32"), "data.load_size"),
    (("data=tiny", "data.image_size=16", "data.load_size=16"), "too small"),
    (
        ("model=adain", "data=scenes", "data.image_size=4", "data.load_size=4"),
        "data.image_size=4 must be from 16 to 1024",
    ),
    (("data=scenes", "data.load_size=2000"), "data.load_size=2000 must be from 16 to 1024"),
    (("trainer=gpu",), "trainer=cpu"),
    (("trainer.num_nodes=2",), "needs a launcher"),
    (("trainer.devices=0",), "trainer.devices=0 is not valid"),
    (("trainer.max_steps=true",), "trainer.max_steps=true is not valid"),
    (("data.batch_size=0",), "data.batch_size=0 is not valid"),
    (("data.image_size=[64]",), "data.image_size=[64] is not valid: give N, the side of a square, or [H,W], height"),
    (("data.load_size=[64,96,3]",), "data.load_size=[64, 96, 3] is not valid: give N, the side of a square, or [H,W]"),
    (("data.image_size=[64,0]",), "data.image_size=[64, 0] is not valid: give N, the side of a square, or [H,W]"),
    (
        ("data=tiny", "data.image_size=[64,96]"),
        "data.load_size is 36, smaller than data.image_size, which is [64,96] (height and width)",
    ),
    (("data.val_count=0",), "data.val_count=0 is not valid"),
    (("data.num_workers=-1",), "data.num_workers=-1 is not valid"),
    (("model.accumulate=0",), "model.accumulate=0 is not valid"),
    (("model.generator.filters=0",), "model.generator.filters=0 is not valid"),
    (("callbacks.ema.decay=2",), "callbacks.ema.decay=2 is not valid"),
    (("seed=-1",), "seed=-1 is not valid"),
    (("best.mode=max",), "best.mode=max is not valid: input should be 'auto', 'highest' or 'lowest'"),
    (("model=null",), "see --help"),
    (("data=tiny", "model.optimizer_G.lr=-1"), "model.optimizer_G: Invalid learning rate: -1"),
    (
        ("data=tiny", "best.monitor=val/psnrr"),
        "best.monitor=val/psnrr is not a score of this run: did you mean val/psnr?",
    ),
    (("best.patience=0",), "best.patience=0 is not valid"),
    (
        ("data=tiny", "callbacks.set_scores.metrics=[fid]"),
        "metrics=fid is the name of a result: ask for frechet",
    ),
    (
        ("data=tiny", "callbacks.set_scores.metrics=[kid,frechett]"),
        "metrics=frechett is no distance: did you mean frechet?",
    ),
    (("callbacks.set_scores.extractor=squeezenett",), "there is no extractor squeezenett: did you mean squeezenet?"),
    (("run_dir=",), "run_dir= is empty"),
    (("run_dir=/tmp/a=b",), """put quotes around its value, as in 'run_dir="/tmp/a=b"'"""),
    (("data=folders", "data.root="), "data.root= is empty"),
    (("data=folders", f"data.root={__file__}"), "is a file: name its folder"),
    (("data=tiny", "+model.channels_A=1"), "channels_A cannot be set"),
    (
        (
            "logger=wandb",
            "+logger.settings=[[{_target_: os.system, command: ls}]]",
        ),
        "is not allowed",
    ),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=[" ".join(w) for w, _ in MISTAKES])
def test_a_mistake_is_one_line_and_status_2(command: Command, words: tuple[str, ...], message: str) -> None:
    small = HERE if words[0].startswith("data=tiny") else ()
    status, stderr = command(*small, "trainer.max_steps=2", *words)
    assert status == 2
    assert message in stderr
    assert len(stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "word", ["trainer.max_steps='1'", "trainer.max_steps=1.0", "data.batch_size=1e0", "callbacks=[]"]
)
def test_values_are_converted_where_their_meaning_is_clear(command: Command, word: str) -> None:
    assert command(*HERE, "trainer.max_steps=1", word) == (0, "")


def test_each_player_can_have_its_own_rate(command: Command, tmp_path: Path) -> None:
    assert command(*HERE, "trainer.max_steps=1", "model.optimizer_D.lr=1e-3")[0] == 0
    header, row = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    rates = dict(zip(header.split(","), row.split(","), strict=True))
    assert (rates["lr/G"], rates["lr/D"]) == ("0.0002", "0.001")


def test_a_failed_start_does_not_block_its_folder_and_another_run_is_not_overwritten(
    command: Command, trained: Run, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("")
    assert command(*HERE, "trainer.max_steps=1")[0] == 0
    trained("other", "trainer.max_steps=1")
    mine = tmp_path / "run" / "checkpoints" / "last.ckpt"
    status, stderr = command(*HERE, "trainer.max_steps=2", f"run_dir={tmp_path / 'other'}", f"resume={mine}")
    assert status == 2
    assert "holds another run" in stderr


def test_a_lower_rate_after_a_resume_is_used(command: Command, trained: Run, tmp_path: Path) -> None:
    trained("run", "trainer.max_steps=1")
    assert command(*HERE, "trainer.max_steps=2", "resume=last", "model.optimizer_G.lr=1e-5")[0] == 0
    header, _, row = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True))["lr/G"] == "1e-05"


def folder_command(command: Command, root: Path, *words: str) -> tuple[int, str]:
    small = [word for word in HERE if word != "data=tiny"]
    sizes = ["data.image_size=32", "data.load_size=36", "data.val_count=2", "trainer.max_steps=1"]
    return command(*small, "data=folders", f"data.root={root}", *sizes, *words)


def test_folders_train(command: Command, root: Path, tmp_path: Path) -> None:
    assert folder_command(command, root) == (0, "")
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").is_file()


@pytest.mark.parametrize("name", ["monet2photo", "horse2zebra"])
def test_a_named_set_at_hand_is_used_and_nothing_is_fetched(command: Command, root: Path, name: str) -> None:
    assert folder_command(command, root, f"data={name}") == (0, "")


def test_a_missing_domain_lists_what_was_found(command: Command, root: Path) -> None:
    (root / "trainB").rename(root / "train_B")
    status, stderr = folder_command(command, root)
    assert status == 2
    assert "has trainA but no trainB (it holds testA, testB, trainA, train_B): add the folder trainB" in stderr


def test_a_folder_above_the_set_is_recognised(command: Command, root: Path) -> None:
    status, stderr = folder_command(command, root.parent)
    assert status == 2
    assert f"the pictures are one folder deeper: data.root={root}" in stderr


def test_an_empty_domain(command: Command, root: Path) -> None:
    for path in (root / "trainA").iterdir():
        path.unlink()
    status, stderr = folder_command(command, root)
    assert status == 2
    assert "trainA" in stderr


def test_an_unreadable_picture_stops_before_the_first_iteration_or_is_skipped(
    command: Command, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "trainA" / "broken.jpg").write_text("not a picture")
    status, stderr = folder_command(command, root)
    assert status == 2
    assert "broken.jpg" in stderr
    assert "data.on_error=skip" in stderr
    assert not (tmp_path / "run").exists()
    train.sys.argv = []
    status, stderr = folder_command(command, root, "data.on_error=skip")
    assert (status, stderr) == (0, "")


def test_a_picture_smaller_than_the_crop_is_named(command: Command, root: Path) -> None:
    Image.new("RGB", (20, 50)).save(root / "trainB" / "small.png")
    status, stderr = folder_command(command, root, "data.load_size=null")
    assert status == 2
    assert "small.png" in stderr
    assert folder_command(command, root)[0] == 0, "with load_size it is enlarged"


def test_a_checkpoint_of_another_architecture(command: Command, trained: Run) -> None:
    trained("run", "trainer.max_steps=1")
    status, stderr = command(*HERE, "trainer.max_steps=2", "resume=last", "model.generator.filters=8")
    assert status == 2
    assert "another architecture: model.generator.filters=4 there, model.generator.filters=8 here" in stderr


def test_an_old_run_is_not_overwritten(command: Command, trained: Run) -> None:
    trained("run", "trainer.max_steps=1")
    status, stderr = command(*HERE, "trainer.max_steps=1")
    assert status == 2
    assert "already holds a run" in stderr


def test_nan_stops_training_and_keeps_the_last_good_checkpoint(command: Command, trained: Run, tmp_path: Path) -> None:
    trained("run", "trainer.max_steps=2")
    good = (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes()
    status, stderr = command(*HERE, "trainer.max_steps=9", "resume=last", "model.lambda_cycle=1e39")
    assert status == 1
    assert "G_" in stderr or "NaN" in stderr
    assert "iteration" in stderr
    assert len(stderr.splitlines()) == 1
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes() == good


def test_a_folder_that_cannot_be_written_is_named(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, stderr = command(*HERE, "trainer.max_steps=1", f"run_dir={tmp_path / 'file' / 'run'}")
    assert status == 2
    assert str(tmp_path / "file" / "run") in stderr
    assert len(stderr.splitlines()) == 1


def test_help_and_version_are_quick_and_plain() -> None:
    found = subprocess.run([sys.executable, "-m", "gan_style", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0
    assert "train" in found.stdout
    assert "report" in found.stdout


def test_the_report_verb(trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained("run", "trainer.max_steps=1")
    (tmp_path / "run" / "report.html").unlink()
    assert main(["report", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "report.html").is_file()
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.slow
def test_the_train_verb_is_train_py(tmp_path: Path) -> None:
    words = [*HERE, "trainer.max_steps=1", f"run_dir={tmp_path / 'run'}"]
    assert subprocess.run([sys.executable, "-m", "gan_style", "train", *words], cwd=tmp_path).returncode == 0
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_users_own_folder_of_configs_and_own_package(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mylab").mkdir()
    (tmp_path / "mylab" / "nets.py").write_text(
        "from gan_style.networks.resnet import ResnetGenerator\n"
        "class Mine(ResnetGenerator):\n"
        "    def __init__(self, in_channels: int = 3, out_channels: int = 3, *, width: int = 4) -> None:\n"
        "        super().__init__(in_channels, out_channels, filters=width, blocks=1)\n"
    )
    group = tmp_path / "configs" / "model" / "generator"
    group.mkdir(parents=True)
    (group / "mine.yaml").write_text("_target_: mylab.nets.Mine\n_partial_: true\nwidth: 4\n")
    monkeypatch.syspath_prepend(tmp_path)
    words = ("--config-dir", str(tmp_path / "configs"), "data=tiny", "model/generator=mine", "trainer.max_steps=1")
    small = ("model.discriminator.filters=4", "model.generator.width=2")
    status, stderr = command(*words, *small)
    assert status == 2
    assert "allow=[mylab.]" in stderr
    assert command(*words, *small, "allow=[mylab.]") == (0, "")
    status, stderr = command(*words, *small, "allow=[mylab.]", "model.generator.wdth=2")
    assert "model.generator.wdth is not a known key" in stderr
