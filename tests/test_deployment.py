"""What runs elsewhere, and cannot run here: workflows, issue forms, the container; as far as it can be read."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = [path for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"]
SCHEMAS = [
    *((path, "vendor.github-workflows") for path in WORKFLOWS),
    *((path, "vendor.github-issue-forms") for path in FORMS),
    (GITHUB / "ISSUE_TEMPLATE" / "config.yml", "vendor.github-issue-config"),
    (GITHUB / "dependabot.yml", "vendor.dependabot"),
]


def test_files_are_what_their_schemas_say() -> None:
    pytest.importorskip("check_jsonschema")
    for schema in dict.fromkeys(schema for _, schema in SCHEMAS):
        files = [str(path) for path, its in SCHEMAS if its == schema]
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_workflows_are_safe() -> None:
    zizmor = shutil.which("zizmor", path=str(Path(sys.executable).parent))
    if zizmor is None:
        pytest.skip("zizmor is not installed")
    done = subprocess.run([zizmor, "--offline", "--no-progress", str(GITHUB)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_job_ends_and_asks_for_little(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 180


def test_the_matrix_has_the_versions_and_systems_that_are_promised() -> None:
    matrix = yaml.safe_load((GITHUB / "workflows" / "tests.yml").read_text())["jobs"]["tests"]["strategy"]["matrix"]
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert matrix["python"][0] == lowest
    assert {one["os"] for one in matrix["include"]} | {*matrix["os"]} == {
        "ubuntu-latest",
        "macos-latest",
        "windows-latest",
    }


def test_the_container_copies_what_is_there_and_gives_up_root() -> None:
    text = (ROOT / "Dockerfile").read_text()
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for word in line.split()]
    assert {*copied} == kept
    assert all((ROOT / name).exists() for name in copied)
    final = text.rpartition("\nFROM ")[2]
    assert final.index("\nUSER ") < final.index("\nENTRYPOINT ")
    assert 'VOLUME ["/weights"]' in final
    # What the package needs to be built is among it.
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = ["README.md", "hatch_build.py", *build["project"]["license-files"]]
    wanted += [*build["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"], "gan_style"]
    assert {*wanted} <= {*copied}
