"""Named sets: whole or not there, whatever server, zip and process do."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.folders import FoldersDataModule
from gan_style.data.images import SUFFIXES
from gan_style.data.named import download, unpacking
from gan_style.data.named.download import fetch
from gan_style.data.named.table import FOLDERS, IMAGES, NAMED_SETS
from tests.conftest import composed
from tests.data.named.server import ZipServer
from tests.data.named.tiny_set import (
    COUNTS,
    HASH,
    OTHER,
    OTHER_HASH,
    PNG,
    TINY,
    ZIP,
    assert_nothing_beside,
    assert_whole,
    entries,
    failing,
    is_whole,
    zipped,
)

ROOT = Path(__file__).parents[3]


pytestmark = pytest.mark.usefixtures("tinyset")

# The table


def test_the_table_and_the_configs_are_one() -> None:
    files = {path.stem: path for path in (ROOT / "conf/data").glob("*.yaml") if "\nset: " in path.read_text()}
    del files["folders"]
    assert files.keys() == NAMED_SETS.keys() - {"tinyset"}
    for name in files:
        data = composed(f"data={name}", "name=test", "run_dir=unused")["data"]
        entry = NAMED_SETS[name]
        assert (data["set"], data["root"]) == (name, f"data/{name}")
        assert (data["name_A"], data["name_B"]) == entry.domains
        assert data["url"] is data["archive"] is data["sha256"] is None
        assert (entry.size_bytes is None) == (entry.sha256 is None)
        assert entry.sha256 is None or len(bytes.fromhex(entry.sha256)) == 32
        assert entry.url.startswith("https://")


def test_what_counts_as_a_picture_of_a_set_can_be_read() -> None:
    assert set(IMAGES) <= set(SUFFIXES)


def test_the_list_names_every_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(NAMED_SETS)
    assert lines[-1].split()[1:6] == ["noise", "and", "rest", "17", "0"]


def test_an_unknown_name_offers_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "monet"]) == 2
    assert capsys.readouterr().err == "gan_style: monet is not a named set: did you mean monet2photo?\n"


def test_a_withdrawn_set_says_how_to_have_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"licence forbids.*cityscapes-dataset\.com.*data\.root=DIR"):
        fetch("cityscapes", tmp_path / "cityscapes")
    assert list(tmp_path.iterdir()) == []


def test_a_set_without_a_known_hash_wants_one(
    tmp_path: Path, server: ZipServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = dataclasses.replace(TINY, size_bytes=None, sha256=None, counts={})
    monkeypatch.setitem(NAMED_SETS, "tinyset", unknown)
    root = tmp_path / "data/tinyset"
    assert "no sha256 of tinyset is known" in failing(root, url=server.url)
    assert server.asked == []
    fetch("tinyset", root, url=server.url, sha256=HASH.upper())
    assert_whole(root)


# Downloads


def test_a_good_server(root: Path, server: ZipServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert not is_whole("tinyset", root)
    assert main(["download", "tinyset", "--root", str(root), "--url", f"{server.url}?token=secret"]) == 0
    assert_whole(root)
    assert is_whole("tinyset", root)
    manifest = json.loads((root / ".gan_style.json").read_text())
    assert manifest == {"name": "tinyset", "url": server.url, "sha256": HASH, "counts": COUNTS}
    said = capsys.readouterr().out
    for expected in ("trainA 5, trainB 7, testA 2, testB 3", "licence: public domain", "cite: Nobody 2026", server.url):
        assert expected in said
    assert "secret" not in said


def test_a_set_at_hand_needs_no_network(root: Path, server: ZipServer) -> None:
    fetch("tinyset", root, url=server.url)
    said: list[str] = []
    assert fetch("tinyset", root, url="http://127.0.0.1:1/x.zip", say=said.append) == root
    assert said == []


def test_a_password_goes_to_the_server_of_the_address_alone(root: Path, server: ZipServer) -> None:
    with ZipServer(ZIP) as other:
        server.redirect = other.url
        fetch("tinyset", root, url=f"{server.base}/here".replace("//", "//me:a%40b@"))
    assert_whole(root)
    assert server.authorised == ["Basic bWU6YUBi"]  # me:a@b
    assert other.authorised == [None]


def test_a_redirect_is_followed(root: Path, server: ZipServer) -> None:
    server.redirect = "/elsewhere/tinyset.zip"
    fetch("tinyset", root, url=f"{server.base}/moved")
    assert_whole(root)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/tinyset.zip"])
def test_a_redirect_elsewhere_is_not_followed(root: Path, server: ZipServer, target: str) -> None:
    server.redirect = target
    assert "cannot be downloaded" in failing(root, url=f"{server.base}/moved")
    assert_nothing_beside(root)


@pytest.mark.parametrize(
    "url", ["file:///tmp/x.zip", "ftp://host/x.zip", "x.zip", "https://", "http://[::1/x", "http://a/b c"]
)
def test_other_addresses_are_refused(root: Path, url: str) -> None:
    assert "is no address to download from" in failing(root, url=url)
    assert not root.parent.exists()


@pytest.mark.parametrize(
    ("options", "ranges"),
    [
        ({"drops": (3000, 20_000)}, [None, "bytes=3000-", "bytes=23000-"]),
        ({"drops": (3000, 20_000), "ranges": False}, [None, "bytes=3000-", "bytes=20000-"]),
        ({"drops": (3000,), "length": False}, [None, "bytes=3000-"]),
        ({"drops": (0, 0)}, [None, None, None]),
        ({"statuses": (503, 429)}, [None, None, None]),
        ({"drops": (1000,) * 6}, [None, *(f"bytes={n}000-" for n in range(1, 7))]),
        ({"pause": 0.001}, [None]),
    ],
)
def test_a_broken_connection_goes_on(root: Path, options: dict[str, Any], ranges: list[str | None]) -> None:
    with ZipServer(ZIP, **options) as server:
        fetch("tinyset", root, url=server.url)
    assert server.asked == ranges
    assert_whole(root)


def test_a_server_that_always_breaks_off_is_given_up(root: Path) -> None:
    with ZipServer(ZIP, drops=(5000,) + (0,) * 9) as server:
        assert "the connection broke" in failing(root, url=server.url)
        assert len(server.asked) == 3
        assert_nothing_beside(root, ".tinyset.zip.part")
        server.drops.clear()
        fetch("tinyset", root, url=server.url)
    assert server.asked[-1] == "bytes=5000-"
    assert_whole(root)


def test_what_is_left_of_another_file_is_thrown_away(root: Path, server: ZipServer) -> None:
    root.parent.mkdir()
    part = root.parent / ".tinyset.zip.part"
    for left in (bytes(9000), ZIP + b"more"):  # goes on and does not fit; is longer than the file
        part.write_bytes(left)
        fetch("tinyset", root, url=server.url)
        assert_whole(root)
        shutil.rmtree(root)
    assert server.asked == ["bytes=9000-", None, f"bytes={len(ZIP) + 4}-", None]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_server_without_the_file(root: Path, status: int) -> None:
    with ZipServer(ZIP, statuses=(status,) * 9) as server:
        message = failing(root, url=server.url)
    assert f"cannot be downloaded from {server.url} (status {status} " in message
    assert len(server.asked) == (3 if status == 500 else 1)
    assert_nothing_beside(root)


def test_without_network_the_ways_out_are_named(root: Path) -> None:
    url = "http://user:password@127.0.0.1:1/tinyset.zip"
    message = failing(root, url=url)
    for words in ("(0 MB)", "http://127.0.0.1:1/tinyset.zip", "data.archive=ZIP", "data.url=MIRROR", "data.root=DIR"):
        assert words in message
    assert "password" not in message
    assert_nothing_beside(root)


def test_a_full_disk_is_noticed_before(root: Path, server: ZipServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    assert "has 0 MB free" in failing(root, url=server.url)
    assert_nothing_beside(root)


def test_a_disk_that_fills_meanwhile(root: Path, server: ZipServer, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        assert ".tinyset.zip.part cannot be written (File too large): free some space" in failing(root, url=server.url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_nothing_beside(root)

    def full(archive: Any, info: Any, path: Path, source: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(unpacking, "_write", full)
    assert "tinyset cannot be put into" in failing(root, url=server.url)
    assert_nothing_beside(root)


# Hashes


@pytest.mark.parametrize("body", [OTHER, ZIP[:-100], ZIP[:500] + b"!" + ZIP[501:], b"<html>", b""])
def test_a_wrong_file_is_deleted_and_the_flag_is_named(root: Path, body: bytes) -> None:
    found = hashlib.sha256(body).hexdigest()
    with ZipServer(body) as server:
        message = failing(root, url=server.url)
    assert f"has sha256 {found} and {len(body)} bytes, but {HASH} and {len(ZIP)} bytes was expected" in message
    again = f"gan-style download tinyset --root {root} --url {server.url} --sha256 {found}"
    assert f"if you trust it, `{again}` (train: data.sha256={found})" in message
    assert_nothing_beside(root)


def test_the_flag_pins_the_new_hash(root: Path) -> None:
    said: list[str] = []
    with ZipServer(OTHER) as server:
        fetch("tinyset", root, url=server.url, sha256=OTHER_HASH, say=said.append)
    assert_whole(root, {**COUNTS, "trainA": 6})
    assert json.loads((root / ".gan_style.json").read_text())["sha256"] == OTHER_HASH
    assert any("trainA 6" in line and "taken, as its sha256 was given" in line for line in said)
    fetch("tinyset", root, say=said.append)  # and it stays
    with pytest.raises(UserError, match=f"was made of a zip with sha256 {OTHER_HASH}, not {HASH}"):
        fetch("tinyset", root, sha256=HASH)


def test_what_is_no_hash_is_refused(root: Path) -> None:
    assert "data.sha256=abc is no sha256" in failing(root, sha256="abc")


def test_counts_of_the_table_are_checked(root: Path, server: ZipServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NAMED_SETS, "tinyset", dataclasses.replace(TINY, counts={**COUNTS, "testB": 4}))
    message = failing(root, url=server.url)
    assert "testB 3 pictures, but tinyset has" in message
    assert f"data.sha256={HASH}" in message
    assert_nothing_beside(root)


# Zips at hand


@pytest.mark.parametrize("top", ["tinyset/", "", "./", "another name/"])
def test_an_archive_is_used_and_kept(tmp_path: Path, root: Path, top: str) -> None:
    archive = tmp_path / "mine.zip"
    archive.write_bytes(zipped(entries(top)))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert main(["download", "tinyset", "--root", str(root), "--archive", str(archive), "--sha256", digest]) == 0
    assert_whole(root)
    assert archive.is_file()
    assert json.loads((root / ".gan_style.json").read_text())["url"] is None


def test_a_wrong_archive_is_kept(tmp_path: Path, root: Path) -> None:
    archive = tmp_path / "mine, perhaps.zip"
    archive.write_bytes(OTHER)
    message = failing(root, archive=str(archive))
    assert f"data.sha256={OTHER_HASH}" in message
    assert f"`gan-style download tinyset --root {root} --archive '{archive}' --sha256 {OTHER_HASH}`" in message
    assert "deleted" not in message
    assert archive.read_bytes() == OTHER
    assert "there is no file data.archive=" in failing(root, archive=str(tmp_path / "none.zip"))
    assert_nothing_beside(root)


# Folders of the user


def own_folders(root: Path, *names: str) -> dict[str, bytes]:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "mine.png").write_bytes(PNG)
    return {str(path): path.read_bytes() for path in root.rglob("*.png")}


def test_folders_unpacked_by_hand_are_used_and_not_changed(root: Path, server: ZipServer) -> None:
    before = own_folders(root, *FOLDERS, "val")
    said: list[str] = []
    fetch("tinyset", root, url=server.url, say=said.append)
    assert {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    assert server.asked == []
    assert said == [
        f"warning: {root} holds trainA 1, trainB 1, testA 1, testB 1 pictures, but tinyset has trainA 5, trainB 7, "
        "testA 2, testB 3: they are not that set as it was published, and are used as they are; "
        "`gan-style download tinyset --root DIR` puts tinyset elsewhere"
    ]
    assert_nothing_beside(root, root.name)


def test_a_folder_with_something_else_is_refused_and_not_changed(root: Path, server: ZipServer) -> None:
    before = own_folders(root, "trainA", "trainB")
    with pytest.raises(UserError, match=r"has no folder testA and testB with pictures; it holds trainA, trainB: remov"):
        fetch("tinyset", root, url=server.url)
    own_folders(root / "inner", *FOLDERS)
    with pytest.raises(UserError, match=f"did you mean data.root={root}/inner"):
        fetch("tinyset", root, url=server.url)
    assert before.items() <= {str(path): path.read_bytes() for path in root.rglob("*.png")}.items()
    with pytest.raises(UserError, match=r"mine\.png is a file"):
        fetch("tinyset", root / "trainA/mine.png", url=server.url)
    assert server.asked == []


def test_another_set_is_not_taken_for_this_one(root: Path, server: ZipServer, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch("tinyset", root, url=server.url)
    assert not is_whole("maps", root)
    with pytest.raises(UserError, match=r"holds tinyset, not maps"):
        fetch("maps", root)
    (root / ".gan_style.json").write_text("{")
    with pytest.raises(UserError, match=r"\.gan_style\.json cannot be read"):
        fetch("tinyset", root)


def test_an_empty_folder_and_a_link_to_one_are_filled(tmp_path: Path, server: ZipServer) -> None:
    (tmp_path / "big disk/empty").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "big disk/empty")
    fetch("tinyset", tmp_path / "link", url=server.url)
    assert (tmp_path / "link").is_symlink()
    assert_whole(tmp_path / "big disk/empty")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_that_fills_meanwhile_is_not_touched(
    root: Path, server: ZipServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*arguments: Any) -> None:
        own_folders(root, "trainA")

    monkeypatch.setattr(download, "_check_counts", meanwhile)
    with pytest.raises(UserError, match=r"tinyset cannot be put into .*not empty"):
        fetch("tinyset", root, url=server.url)
    assert [path.name for path in root.rglob("*.png")] == ["mine.png"]
    assert_nothing_beside(root, root.name)


def test_a_folder_that_cannot_be_written(tmp_path: Path, server: ZipServer) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"tinyset cannot be put into \S+/file/tinyset \(.*data\.root=DIR"):
        fetch("tinyset", tmp_path / "file/tinyset", url=server.url)


def test_names_that_no_user_has_are_names(
    tmp_path: Path, server: ZipServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["download", "tinyset", "--root", "~nouser/x"]
    assert main([*words, "--archive", "~none.zip"]) == 2
    assert "there is no file data.archive=~none.zip" in capsys.readouterr().err
    Path("~mine.zip").write_bytes(ZIP)
    assert main([*words, "--archive", "~mine.zip"]) == 0
    assert_whole(tmp_path / "~nouser/x")


@pytest.mark.parametrize("word", ["--root", "--url", "--archive"])
def test_an_empty_word_is_no_default(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["download", "tinyset", word, ""]) == 2
    assert f"gan_style: {word} is empty: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# Training


def test_the_data_module_fetches_on_first_use(root: Path, server: ZipServer) -> None:
    options = {"image_size": 32, "load_size": 36, "set": "tinyset", "name_A": "noise", "name_B": "rest"}
    data = FoldersDataModule(str(root), url=server.url, **options)  # type: ignore[arg-type]
    data.setup()
    splits = data.splits
    assert splits is not None
    assert (len(splits.train_A), len(splits.test_B)) == (5, 3)
    assert data.describe()["domains"]["A"]["name"] == "noise"
    with pytest.raises(UserError, match=r"data\.url is for a named set"):
        FoldersDataModule(str(root), url=server.url)


def test_a_served_set_trains(run: Callable[..., Path], root: Path, server: ZipServer) -> None:
    words = ("data=folders", "data.set=tinyset", f"data.root={root}", f"data.url={server.url}", "data.image_size=32")
    folder = run("run", *words, "data.load_size=36", "trainer.max_steps=1")
    assert (folder / "checkpoints/last.ckpt").is_file()
    assert_whole(root)
