"""Tars of strangers: members are read in place, so no name leads anywhere, and no header has memory taken."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.data.ledger import Ledger
from gan_style.data.shards import open_shards
from tests.fuzz.test_seeds import little_memory


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def tar(*members: tuple[str, bytes, dict[str, Any]], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as made:
        for name, data, more in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in more.items():
                setattr(member, key, value)
            made.addfile(member, io.BytesIO(data) if data else None)
    return buffer.getvalue()


def claiming(data: bytes, size: int | None, kind: bytes | None = None) -> bytes:
    """The same, where the first header says another size or kind."""
    changed = bytearray(data)
    if size is not None:
        changed[124:136] = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    if kind is not None:
        changed[156:157] = kind
    changed[148:156] = b"%06o\0 " % (sum(changed[:148]) + sum(changed[156:512]) + 8 * 32)
    return bytes(changed)


GOOD = ("good.png", png(), {})
NAMED = {
    "out of its folder": "../../../outside.png",
    "absolute": "/outside.png",
    "with a code of the terminal": "\x1b[2J\x07.png",
    "in a folder that is a link": "link/a.png",
}
OTHER_KINDS = {
    "link": {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
    "hard link": {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"},
    "device": {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5},
    "pipe": {"type": tarfile.FIFOTYPE},
}
LONG = {"pax": (("é" * 200 + ".png", png(), {}), tarfile.PAX_FORMAT), "gnu": (("x" * 200 + ".png", png(), {}), 1)}
REFUSED: dict[str, tuple[bytes, str]] = {
    **{
        f"{kind} header of {size} bytes": (claiming(tar(member, form=form), size), "is cut off or no tar")
        for kind, (member, form) in LONG.items()
        for size in (2**36, 2**62, 2**80)
    },
    **{f"member of {n} bytes": (claiming(tar(GOOD), n), "is cut off or no tar") for n in (2**40, 2**62, 2**80)},
    "size in words": (tar(("a.png", png(), {"pax_headers": {"size": str(10**15)}})), "is cut off or no tar"),
    "odd words": (tar(("a.png", png(), {"pax_headers": {"size": "x", "mtime": "y"}})), "is cut off or damaged"),
    "headers upon headers": (claiming(tar(("x", b"", {}))[:512], None, b"x") * 5000 + bytes(1024), "is cut off or no"),
    "sparse": (claiming(tar(GOOD, form=tarfile.GNU_FORMAT), None, b"S"), "holds no picture"),
    "sparse in words": (
        tar(("a.png", png(), {"pax_headers": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}})),
        "is cut off or no tar",
    ),
    "twice": (tar(GOOD, GOOD), "two pictures of one sample, good.png and good.png"),
    "backslashes": (tar(("..\\..\\outside.png", png(), {})), "holds no picture"),
    "NUL": (tar(("\0.png", png(), {})), "holds no picture"),
}


def opened(folder: Path, data: bytes) -> Any:
    (folder / "in").mkdir()
    (folder / "in" / "link").symlink_to(folder)
    (folder / "in" / "a.tar").write_bytes(data)
    with little_memory():
        images = open_shards("A", [folder / "in" / "a.tar"], "stop", None, [], Ledger())
        return {name: images[index] for index, name in enumerate(images.names)}


def beside(folder: Path) -> set[str]:
    return {*os.listdir(folder), *(f"in/{name}" for name in os.listdir(folder / "in"))}


@pytest.mark.parametrize("name", NAMED)
def test_a_name_leads_nowhere(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert opened(tmp_path, tar((NAMED[name], png(), {}), GOOD)).keys() == {NAMED[name], "good.png"}
    assert beside(tmp_path) == {"in", "in/a.tar", "in/a.tar.index.json", "in/link"}
    assert "\x1b" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_what_is_no_file_is_left_out(tmp_path: Path, kind: str) -> None:
    assert list(opened(tmp_path, tar(("a.png", b"", OTHER_KINDS[kind]), GOOD))) == ["good.png"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_tar_is_a_sentence(tmp_path: Path, name: str) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(UserError, match=f"the shard .*a\\.tar {reason}|{reason}"):
        opened(tmp_path, data)
    assert beside(tmp_path) == {"in", "in/a.tar", "in/link"}


def test_an_index_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tar.index.json").symlink_to(victim)
    (tmp_path / "in" / "a.tar").write_bytes(tar(GOOD))
    open_shards("A", [tmp_path / "in" / "a.tar"], "stop", None, [], Ledger())
    assert victim.read_text() == "mine"
