"""The command `train` in sentences and in processes: of a checkout, and of an installed package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gan_style.cli.main import main
from gan_style.core import commands, config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package finds its configs within itself, as in a wheel; there is a gan_style/train.py, which is no script."""
    monkeypatch.setattr(commands, "config_dir", lambda: commands.PACKAGE / "conf")
    assert (commands.PACKAGE / "train.py").is_file()


def test_of_a_checkout() -> None:
    assert config.config_dir() == ROOT / "conf"
    assert commands.typed_train() == ["python", "train.py"]
    assert commands.launched_train() == "train.py"
    assert commands.train_command() == [sys.executable, str(ROOT / "train.py")]


def test_of_an_installed_package(installed: None) -> None:
    assert commands.typed_train() == ["gan-style", "train"]
    assert commands.launched_train() == "-m gan_style.train"
    assert commands.train_command() == [sys.executable, "-m", "gan_style.train"]


def test_a_sentence_names_it(installed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["stylize", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--style", "c.png", "--method", "adain"]
    main(words)
    assert "--checkpoint CKPT (gan-style train model=adain)" in capsys.readouterr().err
