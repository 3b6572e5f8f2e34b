"""What the tests of named sets share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gan_style.data.named import transfer
from gan_style.data.named.table import NAMED_SETS
from tests.data.named.server import ZipServer
from tests.data.named.tiny_set import TINY, ZIP


@pytest.fixture
def tinyset(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small set is in the table; nothing waits."""
    monkeypatch.setitem(NAMED_SETS, "tinyset", TINY)
    monkeypatch.setattr(transfer, "WAIT_SECONDS", (0.0, 0.0))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(os, "sync", lambda: None)  # the whole machine's disks, for every test


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data/tinyset"


@pytest.fixture
def server() -> Iterator[ZipServer]:
    with ZipServer(ZIP) as serving:
        yield serving
