"""Every command and every block of Python in the documents is run, or is marked with why not and looked at as it is."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import gan_style.models
from tests.documents import running
from tests.documents.blocks import Block, blocks
from tests.documents.desk import lay

ROOT = running.ROOT
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "data" / "README.md")
    if path.name != "CHANGELOG.md"
]
WITH_BLOCKS = [name for name in DOCUMENTS if blocks(ROOT / name)]


@pytest.fixture(scope="session")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay(tmp_path_factory.mktemp("desk"))


@pytest.fixture
def desk(laid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder that documents speak of, as the working folder."""
    folder = shutil.copytree(laid, tmp_path / "desk")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GAN_STYLE_VGG", "random")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    # A document's gan_style/models/NAME.py lies in this folder.
    monkeypatch.setattr(
        gan_style.models, "__path__", [*gan_style.models.__path__, str(folder / "gan_style" / "models")]
    )
    before = {*sys.modules}
    yield folder
    for name in {*sys.modules} - before:
        module = sys.modules[name]
        places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
        if any(place.startswith(str(folder)) for place in places):
            del sys.modules[name]


def write(block: Block, desk: Path) -> None:
    """A block that is a file."""
    assert block.file is not None
    path = desk / block.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.source)


def go_through(name: str, desk: Path, slow: bool) -> None:
    """All that is to be run of a document, in its order; what is slow only where it is asked for."""
    namespace: dict[str, Any] = {"__name__": "document", "desk": desk}
    for block in blocks(ROOT / name):
        where = f"{name}, line {block.line}"
        if block.file:
            write(block, desk)
        elif block.not_code is not None or block.why_not:
            continue
        elif block.language == "python" and (slow or not block.slow):
            running.run_python(block, ROOT / name, namespace)
        elif block.language == "shell":
            for command in block.commands:
                if not command.why_not and (slow or not running.is_slow(block, command)):
                    print(f"{where}: {command}")
                    running.run_shell(command)


def needs_slow(name: str) -> bool:
    """Whether something of a document is left to the slow tests."""
    return any(
        block.slow or any(not c.why_not and running.is_slow(block, c) for c in block.commands)
        for block in blocks(ROOT / name)
        if block.language in ("shell", "python") and block.not_code is None and not block.why_not
    )


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_what_is_quick_runs(name: str, desk: Path) -> None:
    go_through(name, desk, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in WITH_BLOCKS if needs_slow(name)])
def test_what_is_slow_runs(name: str, desk: Path) -> None:
    go_through(name, desk, slow=True)


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_what_is_not_run_is_right_as_far_as_it_can_be_seen(name: str) -> None:
    for block in blocks(ROOT / name):
        if block.file and block.file.endswith(".py"):
            compile(block.source, block.file, "exec")
        if block.language == "python" and block.why_not:
            running.check_python(block, ROOT / name)
        if block.language == "shell" and block.not_code is None:
            for command in block.commands:
                if command.why_not:
                    running.check_shell(command)


def test_most_is_run_and_the_rest_has_its_reason() -> None:
    counts: Counter[str] = Counter()
    reasons = []
    for name in DOCUMENTS:
        for block in blocks(ROOT / name):
            where = f"{name}, line {block.line}"
            for level, what, reason in levels(block, where):
                counts[level] += 1
                if reason:
                    reasons.append(f"{where}: {what}: {reason}")
    print("\n".join(f"{count:4} {level}" for level, count in counts.most_common()))
    print("\n".join(reasons))
    assert counts["run"] + counts["run, slow"] > 2 * counts["checked without a run"]
    assert counts["not looked at"] <= 8


def levels(block: Block, where: str) -> list[tuple[str, str, str | None]]:
    """What is done with each command of a block, or with the block: a level, its first words, and why not more."""
    first = block.source.strip().split("\n")[0][:60]
    if not block.seen:
        return []
    if block.language == "math":
        return [("no code", first, None)]
    if block.not_code is not None:
        assert block.not_code, f"{where}: say what it is"
        return [("no code", first, None)]
    if block.file:
        return [("a file that others find", block.file, None)]
    if block.language == "python":
        return [
            ("checked without a run" if block.why_not else "run, slow" if block.slow else "run", first, block.why_not)
        ]
    assert block.language == "shell", f"{where}: nobody runs {block.language}: mark it <!-- file: PATH --> or not code"
    found: list[tuple[str, str, str | None]] = []
    for command in block.commands:
        known = bool(running.kind(command)[0])
        assert command.why_not is None or command.why_not, f"{where}: say why {command} is not run"
        assert known or command.why_not, f"{where}: {command} is not known: mark it"
        if command.why_not:
            level = "checked without a run" if known else "not looked at"
        else:
            level = "run, slow" if running.is_slow(block, command) else "run"
        found.append((level, str(command), command.why_not))
    return found
