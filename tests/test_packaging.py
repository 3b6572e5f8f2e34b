"""What is built of this tree: an sdist that holds all that git does, a typed wheel, and metadata that agree."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

from gan_style.core.version import __version__

ROOT = Path(__file__).parents[1]
HOMES = ("GAN_STYLE_URL", "GITHUB_SERVER_URL", "GITHUB_REPOSITORY")


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in HOMES:
        monkeypatch.delenv(name, raising=False)


def metadata() -> Any:
    return ProjectMetadata(str(ROOT), PluginManager()).core


def test_an_sdist_holds_all_that_git_does() -> None:
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("there is no git here to compare with")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    kept = {name for name in listed.split("\0") if name and not name.startswith(".ci/") and (ROOT / name).exists()}
    built = {Path(one.path).relative_to(ROOT).as_posix() for one in SdistBuilder(str(ROOT)).recurse_included_files()}
    assert not kept - built


def test_a_wheel_holds_configs_and_says_that_it_is_typed() -> None:
    built = {one.distribution_path for one in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {"gan_style/py.typed", "gan_style/conf/train.yaml", "gan_style/apps/bench/small.yaml"} <= built


def test_versions_agree_and_the_changelog_has_its_day() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.findall(r"^## (\S+) - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)[0]
    assert metadata().version == __version__ == citation["version"] == newest[0]
    assert str(citation["date-released"]) == newest[1]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys(), "which the format requires"


def test_metadata_name_each_python_and_make_no_address_up() -> None:
    found = metadata()
    pythons = [text.rpartition(" ")[2] for text in found.classifiers if re.search(r":: 3\.\d+$", text)]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert pythons == re.findall(r"^PYTHONS \?= (.*)$", makefile, re.M)[0].split()
    assert pythons[0] == found.requires_python.lstrip(">=")
    assert found.keywords
    assert found.authors_data["name"] == ["The gan_style authors"]
    assert found.urls == {}
    assert found.readme == (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "given",
    [
        {"GAN_STYLE_URL": "https://forge.example/us/gan_style/"},
        {"GITHUB_SERVER_URL": "https://forge.example", "GITHUB_REPOSITORY": "us/gan_style"},
    ],
)
def test_where_the_home_is_known_the_page_of_an_index_has_no_relative_link(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = metadata()
    home = "https://forge.example/us/gan_style"
    assert found.urls["Homepage"] == home
    assert all(address.startswith(home) for address in found.urls.values())
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", found.readme)
    assert len(links) > 20
    for picture, address in links:
        assert address.startswith(("https://", "http://", "#")), address
        if address.startswith(home):
            kind, path = re.match(rf"{home}/(blob|raw)/main/([^#]*)", address).groups()  # type: ignore[union-attr]
            assert kind == ("raw" if picture else "blob")
            assert (ROOT / path).exists(), path


def test_extras_of_the_server_are_what_it_needs() -> None:
    from gan_style.apps.serve.verb import NEEDED

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {re.split(r"[<>=]", one)[0].replace("-", "_") for one in extras["serve"]}
    assert named == {*NEEDED}
