"""The end of a command: one line and a status for what its user can mend, and the error itself for what he cannot."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from experiments import sweep
from gan_style.apps.sweep import settings
from gan_style.core.errors import Interrupted, UserError
from gan_style.core.exit_status import exit_status


def raising(error: BaseException) -> Callable[..., object]:
    def work(*_: object) -> object:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UserError("x.png is no picture"), 2, "gan_style: x.png is no picture\n"),
        (KeyboardInterrupt(), 130, "gan_style: interrupted\n"),
        (Interrupted("saved; go on with it"), 130, "gan_style: saved; go on with it\n"),
        (MemoryError("unable to allocate 3 GiB"), 2, "--limit, or give --device cpu\n"),
        (OSError(28, "No space left on device", "out.png"), 2, "gan_style: out.png cannot be used (No space left"),
        (OSError(28, "No space left on device"), 2, "gan_style: a file cannot be used (No space left on device): free"),
        (OSError(122, "Disk quota exceeded"), 2, "gan_style: a file cannot be used (Disk quota exceeded): free some"),
        (RuntimeError("operator torchvision::nms does not exist"), 2, " are of different builds, so torchvision does"),
    ],
)
def test_what_ended_it_is_one_line(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with exit_status("evaluate") as ending:
        raise error
    assert ending.status == status
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1


def test_a_full_disk_in_a_sweep_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`write` says no name: it is a file of the sweep."""
    monkeypatch.setattr(settings, "read", raising(OSError(28, "No space left on device")))
    assert sweep.main(["sweep=lambdas"]) == 2
    line = "gan_style: a file of the sweep cannot be used (No space left on device): free some space\n"
    assert capsys.readouterr().err == line


def test_a_status_of_its_own_and_faults_of_ours_go_on() -> None:
    for status in (0, 1):
        with exit_status("train") as ending:
            ending.status = status
        assert ending.status == status
    for error in (
        KeyError("x"),
        RuntimeError("y"),
        BrokenPipeError(32, "Broken pipe"),
        OSError(5, "Input/output error"),
    ):
        with pytest.raises(type(error)), exit_status("train"):
            raise error
