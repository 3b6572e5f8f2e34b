"""Files and folders as a user names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gan_style import cli
from gan_style.paths import expanded, printable


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
    assert cli.main(["sheet", "~nouser/x.png", *words]) == 2
    assert "~no" in capsys.readouterr().err
