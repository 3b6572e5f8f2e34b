"""Zips that are hostile or damaged: refused with a reason, and nothing is written."""

from __future__ import annotations

import hashlib
import io
import random
import re
import struct
import zipfile
from pathlib import Path

import pytest

from gan_style.core.errors import UserError
from gan_style.data.named import unpacking
from tests.data.named.server import ZipServer
from tests.data.named.tiny_set import PNG, ZIP, assert_nothing_beside, entries, failing, pixels, zipped

pytestmark = pytest.mark.usefixtures("tinyset")


def changed(name: str, **fields: int) -> bytes:
    """The set's zip, with other values in the central directory's record of one entry."""
    layout = {"flags": (8, "<H"), "method": (10, "<H"), "size": (24, "<I")}
    content = bytearray(ZIP)
    record = content.rfind(name.encode()) - 46
    assert content[record : record + 4] == b"PK\1\2"
    for key, value in fields.items():
        struct.pack_into(layout[key][1], content, record + layout[key][0], value)
    return bytes(content)


def with_entry(name: str, content: bytes = PNG, mode: int = 0, method: int = zipfile.ZIP_STORED) -> bytes:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = method
    return zipped(entries() | {info: content})


HOSTILE = {
    "parent": (with_entry("tinyset/trainA/../../../evil.png"), "leads out of its folder"),
    "parent, not chosen": (with_entry("../evil.txt"), "leads out of its folder"),
    "absolute": (with_entry("/tmp/trainA/evil.png"), "is an absolute path"),
    "drive": (with_entry("C:/trainA/evil.png"), "is an absolute path"),
    "backslash": (with_entry("tinyset\\..\\..\\evil.png"), "has a backslash"),
    "nul": (with_entry("tinyset/trainA/_.png").replace(b"trainA/_.png", b"trainA/\0.png"), "has a control character"),
    "link": (with_entry("tinyset/trainA/evil.png", b"/etc/passwd", mode=0o120777), "is a link or a device"),
    "linked folder": (with_entry("tinyset/testA", b"/tmp", mode=0o120777), "is a link or a device"),
    "device": (with_entry("tinyset/trainA/evil.png", mode=0o020666), "is a link or a device"),
    "pipe": (with_entry("tinyset/trainA/evil.png", mode=0o010666), "is a link or a device"),
    "pipe, not chosen": (with_entry("evil", mode=0o010666), "is a link or a device"),
    "twice": (with_entry("tinyset//trainA/./1.png"), "has the same name as 'tinyset/trainA/1.png'"),
    "two spellings": (
        zipped(entries() | {f"tinyset/trainA/{e}.png": PNG for e in ("\xe9", "e\u0301")}),
        "has the same",
    ),
    "file and folder": (with_entry("tinyset/trainA/1.png/x.png"), "lies in .*1.png', which is a picture"),
    "cursor": (with_entry("tinyset/trainA/\x1b[2J.png"), "has a control character"),
    "long": (with_entry(f"tinyset/trainA/{'x' * 300}.png"), "has a name that is too long"),
    "deep": (with_entry(f"tinyset/trainA/{'x/' * 3000}x.png"), "has a name that is too long"),
    "encrypted": (changed("tinyset/testB/2.png", flags=1), "is encrypted"),
    "method": (changed("tinyset/testB/2.png", method=14), "is packed by an unusual method"),
    "upper case": (with_entry("tinyset/trainA/1.PNG"), "has the same name as 'tinyset/trainA/1.png'"),
    "two sets": (with_entry("other/trainA/1.png"), r"holds several sets \(in other, tinyset\)"),
    "ratio": (with_entry("tinyset/trainA/9.png", bytes(3_000_000), method=zipfile.ZIP_DEFLATED), "would unpack"),
    "size too small": (changed("tinyset/testB/2.png", size=50), "is damaged or no zip"),
    "size too large": (changed("tinyset/testB/2.png", size=10**6), "is damaged or no zip|says that it has 1000000"),
    "checksum": (ZIP.replace(pixels(6), pixels(6)[:-30] + b"!" + pixels(6)[-29:]), r"\(Bad CRC-32 for file"),
    "cut off": (ZIP[:-200], "is damaged or no zip"),
    "no zip": (b"<html>404</html>", "is damaged or no zip"),
    "no set": (zipped({"readme.txt": b"x"}), "has no picture in trainA and trainB and testA and testB"),
}


@pytest.mark.parametrize(("body", "message"), HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_zips_are_refused(root: Path, server: ZipServer, body: bytes, message: str, tmp_path: Path) -> None:
    server.body = body
    found = failing(root, url=server.url, sha256=hashlib.sha256(body).hexdigest())
    assert re.search(message, found), found
    assert_nothing_beside(root)
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize(
    ("limits", "message"),
    [({"MAX_ENTRIES": 9}, "more than 9"), ({"MAX_UNPACKED_BYTES": 9, "MAX_UNPACKED_RATIO": 0}, "unpack to")],
)
def test_bombs_of_many_small_entries(
    root: Path, server: ZipServer, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], message: str
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(unpacking, name, value)
    assert message in failing(root, url=server.url)
    assert_nothing_beside(root)


def test_written_bytes_are_counted_whatever_the_library_gives(
    root: Path, server: ZipServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda self, info: io.BytesIO(bytes(10**6)))
    assert "says that it has" in failing(root, url=server.url)
    assert_nothing_beside(root)


def test_whatever_is_damaged_is_one_sentence(tmp_path: Path) -> None:
    chance = random.Random(0)
    directory = ZIP.find(b"PK\1\2")
    messages: list[str] = []
    for number in range(150):
        content = bytearray(ZIP)
        for _ in range(3):
            content[chance.randrange(directory, len(ZIP))] = chance.choice((0, 255, chance.randrange(256)))
        try:
            unpacking.unpack(io.BytesIO(content), "x.zip", tmp_path / str(number), lambda line: None)
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert all(message.startswith("x.zip ") and "\n" not in message for message in messages)
