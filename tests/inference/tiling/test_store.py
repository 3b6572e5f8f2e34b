"""The temporary files of exact tiling: what they hold, where they lie, and that they go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from gan_style.core.errors import UserError
from gan_style.inference.tiling import store
from gan_style.inference.tiling.steps import Window


def test_windows_come_back_as_they_were_written(tmp_path: Path) -> None:
    whole = torch.randn(1, 3, 11, 13)
    kept = store.Stored(tmp_path, (3, 11, 13))
    for rows in ((0, 4), (4, 8), (8, 11)):
        for columns in ((0, 6), (6, 13)):
            kept.write(whole[:, :, slice(*rows), slice(*columns)], Window(rows, columns))
    for window in (Window((0, 11), (0, 13)), Window((2, 9), (5, 8)), Window((10, 11), (12, 13))):
        assert torch.equal(kept.read(window), whole[:, :, slice(*window.rows), slice(*window.columns)])
    assert list(tmp_path.iterdir()) == []  # it has no name
    kept.close()


def test_a_full_disk_is_one_sentence_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert store.scratch_folder(1000, "it") == tmp_path
    with pytest.raises(UserError, match=rf"it needs 1000000000.0 GB of disk.*but {tmp_path} has .*set TMPDIR"):
        store.scratch_folder(10**18, "it")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    with pytest.raises(UserError, match="cannot be written to"):
        store.scratch_folder(1000, "it")


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no file system in memory here")
def test_a_folder_in_memory_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/dev/shm")
    with pytest.raises(UserError, match="/dev/shm lies in memory"):
        store.scratch_folder(1000, "it")


def test_a_disk_that_fills_up_is_one_sentence(tmp_path: Path) -> None:
    kept = store.Stored(tmp_path, (1, 4, 4))
    kept.close()
    kept._file = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115
    with pytest.raises(UserError, match=f"a temporary file in {tmp_path} failed .No space left.*TMPDIR"):
        kept.write(torch.zeros(1, 1, 4, 4), Window((0, 4), (0, 4)))
    kept.close()


@pytest.mark.slow  # two processes that import torch
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_process_that_ends(number: signal.Signals, tmp_path: Path) -> None:
    code = (
        "import sys, time, torch\nfrom pathlib import Path\nfrom gan_style.inference.tiling.store import Stored\n"
        "from gan_style.inference.tiling.steps import Window\nkept = Stored(Path(sys.argv[1]), (1, 8, 8))\n"
        "kept.write(torch.ones(1, 1, 8, 8), Window((0, 8), (0, 8)))\nprint('there', flush=True)\ntime.sleep(60)\n"
    )
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"there\n"
    process.send_signal(number)
    assert process.wait(30) != 0
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []
    assert not [name for name in os.listdir(tempfile.gettempdir()) if name.startswith("gan-style-")]
