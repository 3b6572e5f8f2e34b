"""Named weights: listed with what is known of them, and fetched whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from gan_style.cli.main import main
from gan_style.core.errors import UserError
from gan_style.data.named import weights
from gan_style.data.named.weights import NAMED_WEIGHTS, NamedWeights, WeightsFile, fetch_weights
from tests.data.named.server import ZipServer

BODY = bytes(range(256)) * 40
HASH = hashlib.sha256(BODY).hexdigest()

pytestmark = pytest.mark.usefixtures("tinyset")


@pytest.fixture
def server() -> ZipServer:
    with ZipServer(BODY) as serving:
        yield serving


def listed(monkeypatch: pytest.MonkeyPatch, *files: WeightsFile, cached: bool = False) -> None:
    entry = NamedWeights("small", "small ones", files, "MIT", ("look at {root}",), cached)
    monkeypatch.setattr(weights, "NAMED_WEIGHTS", {"small": entry})


def test_the_list_says_size_digest_and_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights"]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.startswith("cyclegan-horse2zebra "))
    assert row.split()[1:5] == ["~46", "MB", "none", "known"]
    assert all(entry.name in out and entry.licence in out for entry in NAMED_WEIGHTS.values())


def test_the_table_agrees_with_what_commands_fetch_by_themselves() -> None:
    from gan_style.metrics import inception, squeezenet
    from gan_style.networks import vgg

    urls = {"inception": inception.URL, "squeezenet": squeezenet.URL} | vgg.URLS
    assert {name: NAMED_WEIGHTS[name].files[0].url for name in urls} == urls
    for name in urls:
        file = NAMED_WEIGHTS[name].files[0]
        assert file.sha256 is not None
        assert Path(file.name).stem.endswith(file.sha256[:8])


@pytest.mark.parametrize("known", [HASH, HASH[:8], None])
def test_a_file_is_fetched_once(
    known: str | None,
    server: ZipServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    listed(monkeypatch, WeightsFile(f"{server.base}/net.pth", known))
    monkeypatch.chdir(tmp_path)
    assert main(["weights", "small"]) == 0
    out = capsys.readouterr().out
    assert (tmp_path / "weights/small/net.pth").read_bytes() == BODY
    assert f"sha256 {HASH}, {'as it should be' if known else 'which nobody has published'}" in out
    assert "licence: MIT\nthen: look at weights/small\n" in out
    assert main(["weights", "small"]) == 0
    assert "is there" in capsys.readouterr().out
    assert len(server.asked) == 1


def test_a_broken_connection_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with ZipServer(BODY, drops=(3000,)) as server:
        listed(monkeypatch, WeightsFile(f"{server.base}/net.pth", HASH))
        (path,) = fetch_weights("small", tmp_path)
        assert path.read_bytes() == BODY
        assert server.asked == [None, "bytes=3000-"]


def test_another_file_is_refused_and_nothing_is_left(
    server: ZipServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listed(monkeypatch, WeightsFile(f"{server.base}/net.pth", "0" * 64))
    with pytest.raises(UserError, match=f"sha256 is {HASH}, and should be 0000.*was deleted"):
        fetch_weights("small", tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []
    fetch_weights("small", tmp_path, sha256=HASH)
    with pytest.raises(UserError, match=r"net\.pth is another file: remove it"):
        fetch_weights("small", tmp_path)
    assert (tmp_path / "net.pth").read_bytes() == BODY


def test_several_files_come_from_a_mirror(server: ZipServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = [WeightsFile(f"http://192.0.2.1/{name}", HASH) for name in ("a.pth", "b.pth")]
    listed(monkeypatch, *files)
    found = fetch_weights("small", tmp_path, url=f"{server.base}/mirror/")
    assert [path.name for path in found] == ["a.pth", "b.pth"]


def test_what_every_command_looks_for_is_put_where_it_looks(
    server: ZipServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from gan_style.core.weights import hub

    url = f"{server.base}/net-{HASH[:8]}.pth"
    listed(monkeypatch, WeightsFile(url, HASH[:8]), cached=True)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (path,) = fetch_weights("small")
    assert hub(url, "a net") == path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["smal"], "smal are no named weights: did you mean small?"),
        (["small", "--url", ""], "--url is empty"),
        (["small", "--url", "file:///etc/passwd"], "--url file:///etc/passwd is no address"),
        (["small", "--sha256", "12"], "--sha256 12 is no digest of small: give 64"),
        (["small", "--root", "a_file"], "small cannot be put into a_file"),
        (["small", "--url", "http://127.0.0.1:9/x"], "give a mirror with --url, or put the file there yourself"),
    ],
)
def test_mistakes_are_one_sentence(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed(monkeypatch, WeightsFile("http://127.0.0.1:9/net.pth"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").write_text("")
    assert main(["weights", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
