"""Files and folders as a user names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gan_style.checkpoints import checkpoint
from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded, printable
from gan_style.data.saving import save_image


def test_a_tilde_is_a_home_or_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/x") == Path("/home/me/x")
    assert expanded(Path("~")) == Path("/home/me")
    assert expanded("~nouser/x") == Path("~nouser/x")
    assert expanded("a~") == Path("a~")


def test_what_cannot_be_printed_is_escaped() -> None:
    assert printable("café 日本.png") == "café 日本.png"
    assert printable("a\n\t\x1b[2J\x9b\u202e\udcff") == "a\\n\\t\\x1b[2J\\x9b\\u202e\\udcff"


def test_a_verb_takes_a_name_with_a_tilde_for_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--content", "~nouser.png", "--style", "~nostyle.png", "--set", "model.steps=1", "--weights", "random"]
    assert main(["sheet", "~nouser/x.png", *words]) == 2
    assert "~no" in capsys.readouterr().err


def test_a_file_where_a_folder_is_wanted_is_named(tmp_path: Path) -> None:
    (tmp_path / "file.png").write_text("in the way")
    out = tmp_path / "file.png" / "deep" / "x.ckpt"
    with pytest.raises(UserError, match=r"file\.png is a file, and a folder is wanted there: name another place"):
        checkpoint.save({}, out)
    with pytest.raises(UserError, match=r"file\.png is a file, and a folder is wanted there"):
        save_image(np.zeros((4, 4, 3), np.uint8), out.with_suffix(".png"))
