"""A real studio in a process of its own, with two small models and Gatys on random weights."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import trained_into

ROOT = Path(__file__).parents[3]


class Server(NamedTuple):
    """A studio that runs."""

    address: str
    folder: Path  # of its temporary files
    log: Path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("gradio", reason="the studio needs gradio")
    folder = tmp_path_factory.mktemp("studio")
    (folder / "tmp").mkdir()
    for model in ("adain", "cyclegan"):
        trained_into(folder / "runs" / model / "first", f"model={model}", "trainer.max_steps=1")
    words = [sys.executable, "-m", "gan_style", "studio", "--runs", str(folder / "runs"), "--weights", "random"]
    # settings of other pages must not hold for this one
    environment = os.environ | {"TMPDIR": str(folder / "tmp"), "GRADIO_ALLOWED_PATHS": "/", "GRADIO_SHARE": "True"}
    log = folder / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout
            line = process.stdout.readline()  # comes when the models are loaded and the port is bound
            found = re.match(r"(http://127\.0\.0\.1:\d+) ", line)
            assert found, log.read_text()
            yield Server(found[1], folder / "tmp", log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0, log.read_text()
        finally:
            process.kill()
    assert list((folder / "tmp").iterdir()) == []  # nothing that was uploaded stays
