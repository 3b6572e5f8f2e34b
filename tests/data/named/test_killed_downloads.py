"""Processes that are killed, or start at once: the set is whole afterwards, or not there."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gan_style.data.named.download import fetch
from tests.data.named.server import ZipServer
from tests.data.named.tiny_set import TINY, ZIP, assert_whole, is_whole

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("tinyset")

SCRIPT = """
import os, sys, time, json
from gan_style.data.named import download, table, transfer, unpacking
root, url, stage, entry = sys.argv[1:]
table.NAMED_SETS["tinyset"] = table.NamedSet(**json.loads(entry))
def die(*words, **more):
    print("here", flush=True)
    time.sleep(60)
def slowly(*words, write=unpacking._write):
    write(*words)
    if len(os.listdir(words[2].parent)) == 4:
        die()
def some(*words, receive=transfer._read):
    some.count = getattr(some, "count", 0) + 1
    return receive(*words) if some.count < 20 else die()
if stage == "download": transfer._read = some
if stage == "unpack": unpacking._write = slowly
if stage == "rename": os.rename = die
if stage == "tidy": download._tidy = die
download.fetch("tinyset", root, url=url)
"""


VERB = """
from gan_style.cli import main as cli
sys.exit(cli.main(["download", "tinyset", "--root", root, "--url", url]))
"""


def start(root: Path, url: str, stage: str = "", script: str = SCRIPT) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", script, str(root), url, stage, json.dumps(dataclasses.asdict(TINY))]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("stage", ["download", "unpack", "rename", "tidy"])
def test_killed_and_started_again_it_is_whole(root: Path, stage: str) -> None:
    with ZipServer(ZIP, pause=0.002) as server:
        with start(root, server.url, stage) as process:
            assert process.stdout is not None
            assert any(line == "here\n" for line in process.stdout)
            process.send_signal(signal.SIGKILL)
        beside = {path.name for path in root.parent.iterdir()}
        expected = {"unpack": {".tinyset.unpacking"}, "rename": {".tinyset.unpacking"}, "tidy": {"tinyset"}}
        assert beside == {".tinyset.lock", ".tinyset.zip.part"} | expected.get(stage, set())
        assert is_whole("tinyset", root) == (stage == "tidy")
        fetch("tinyset", root, url=server.url)
        assert_whole(root)
        # A download goes on; a zip that was whole is not asked for again.
        assert len(server.asked) == (2 if stage == "download" else 1)
        assert stage != "download" or int((server.asked[1] or "").strip("bytes=-")) >= 1000


def test_of_two_processes_one_downloads(root: Path) -> None:
    with ZipServer(ZIP, pause=0.01) as server:
        processes = [start(root, server.url) for _ in range(2)]
        said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert len(server.asked) == 1
    assert sorted("waiting for it" in out for out, _ in said) == [False, True]
    assert_whole(root)


def test_a_verb_that_is_asked_to_end_says_so_and_goes_on_later(root: Path) -> None:
    with ZipServer(ZIP, pause=0.002) as server:
        with start(root, server.url, "unpack", SCRIPT.rpartition("download.fetch")[0] + VERB) as process:
            assert process.stdout is not None
            assert any(line == "here\n" for line in process.stdout)
            process.send_signal(signal.SIGTERM)
            _, told = process.communicate()
        assert (process.returncode, told) == (130, "gan_style: interrupted\n")
        assert {path.name for path in root.parent.iterdir()} == {".tinyset.lock", ".tinyset.zip.part"}
        asked = len(server.asked)
        fetch("tinyset", root, url=server.url)
        assert len(server.asked) == asked
    assert_whole(root)
