"""Run folders of strangers: what they hold is shown as text, within bounds, and nothing is built or looked up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from gan_style.apps.studio.runs import gallery
from gan_style.cli.main import main
from gan_style.core.plain_data import MAX_DEPTH, MAX_FILE_CHARACTERS
from gan_style.report import read
from gan_style.report.page import render
from gan_style.report.plain import from_yaml
from gan_style.report.read import read_run
from tests.conftest import small_config
from tests.fuzz.test_seeds import little_memory

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(12)
)
CONFIGS = {
    "aliases": (LAUGHS, "it has an alias"),
    "an alias of itself": ("&a [*a]", "it has an alias"),
    "deep lists": ("a: " + "[" * 5000, f"it has more than {MAX_DEPTH} levels"),
    "deep maps": ("\n".join(" " * i + f"a{i}:" for i in range(900)), f"it has more than {MAX_DEPTH} levels"),
    "a tag": ("a: !!python/object/apply:os.system [touch pwned]", "could not determine a constructor"),
    "a name of Python's": ("a: !!python/name:os.system", "could not determine a constructor"),
    "much": ("a: " + "x" * MAX_FILE_CHARACTERS, f"it has more than {MAX_FILE_CHARACTERS:,} characters"),
    "long keys": (f"? {'x' * 90_000}\n: {{{', '.join(f'{i}: 1' for i in range(2000))}}}", "its keys have more than"),
    "a number of base 60": ("a: " + ":".join(["1"] * 90_000), "it has a number that no config has"),
    "no mapping key": ("? [1, 2]\n: 3", "found unhashable key"),
}
OTHERS = {
    "metrics.csv": ("iteration," + "x" * 200_000 + "\n1,2\n", "field larger than field limit"),
    "scores.json": ("[" * 100_000, f"it has more than {MAX_DEPTH} levels"),
    "run.json": ('{"data": ' + "[" * 500 + "]" * 500 + "}", f"it has more than {MAX_DEPTH} levels"),
}
ODD_VALUES = {
    "config.yaml": f"name: 0x{'f' * 9000}\nseed: 0x{'f' * 9000}\ntrainer: {{max_steps: {':'.join(['59'] * 4000)}}}\n",
    "metrics.csv": "iteration,train/G\n1e308,1\n-1e308,2\n3,inf\n",
    "scores.json": '{"scores": {"A2B": {"fid": {"value": ' + "9" * 400 + '}}}, "protocol": {"\\ud800": "\\udfff"}}',
    "run.json": '{"iterations": ' + "9" * 4000 + ', "seconds": 1e999, "device": "\\ud800"}',
    "findings.jsonl": "[" * 100_000 + '\n{"iteration": ' + "9" * 400 + ', "code": "\\ud800"}\n',
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder that the report and the studio take for one."""
    folder = tmp_path / "runs" / "stranger"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"")
    (folder / "config.yaml").write_text("name: x\n")
    return folder


@pytest.mark.parametrize("name", CONFIGS)
def test_a_hostile_config_is_a_sentence(run: Path, name: str) -> None:
    text, reason = CONFIGS[name]
    (run / "config.yaml").write_text(text)
    before = time.monotonic()
    with little_memory():
        found = read_run(run)
        pages = render(found) + gallery(run.parent)
    assert time.monotonic() - before < 30
    assert found.settings == {}
    assert found.problems["config.yaml"].startswith("config.yaml cannot be read: ")
    assert reason in found.problems["config.yaml"]
    assert reason in pages
    assert not list(Path().glob("pwned*"))


@pytest.mark.parametrize("name", OTHERS)
def test_other_hostile_files_are_a_sentence(run: Path, name: str) -> None:
    text, reason = OTHERS[name]
    (run / name).write_text(text)
    found = read_run(run)
    assert reason in found.problems[name]
    assert reason in render(found)
    assert gallery(run.parent).count("<article>") == 1


def test_numbers_and_texts_that_no_page_can_hold_are_shown_all_the_same(run: Path) -> None:
    for name, text in ODD_VALUES.items():
        (run / name).write_text(text)
    for page in (render(read_run(run)), gallery(run.parent)):
        page.encode()
    assert "a number of many digits" in render(read_run(run))


@pytest.mark.parametrize(
    "text",
    [
        "${oc.env:SECRET_TOKEN}",
        "${oc.decode:${oc.env:SECRET_TOKEN}}",
        "${oc.create:{a: ${oc.env:SECRET_TOKEN}}}",
        "${oc.select:name}",
        "${name}",
        "???",
    ],
)
def test_interpolations_stay_the_text_that_they_are(
    run: Path, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    config = {"name": text, "model": {"_target_": f"a.{text}", "lambda_x": text}, "data": {"set": text}, text: text}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert read_run(run).settings["name"] == text
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text() + gallery(run.parent) + "".join(capsys.readouterr())
    assert text in page
    assert "hunter2" not in page


def test_a_config_of_ours_is_read_as_it_was_written() -> None:
    config = small_config("model=cyclegan", "trainer.max_steps=1", "data=scenes", "model.lambda_cycle=1e-5")
    from omegaconf import OmegaConf

    found = from_yaml(OmegaConf.to_yaml(config))
    assert found["model.generator.norm"] == config["model"]["generator"]["norm"]
    composed = OmegaConf.create(config)
    for key, value in found.items():  # OmegaConf finds each of them by its full key
        there = OmegaConf.select(composed, key)
        assert (there if value != {} else OmegaConf.to_container(there)) == value, key
    assert len(found) == sum(not isinstance(value, dict) or not value for value in values_in(config))


def values_in(config: dict[str, Any]) -> Iterator[Any]:
    for value in config.values():
        yield value
        yield from values_in(value) if isinstance(value, dict) else ()


def test_a_list_of_parts_is_read_by_their_numbers() -> None:
    text = "data: {transforms: [{_target_: a.B, p: 0.5}, {_target_: a.C}], flips: [1, 2]}"
    assert from_yaml(text) == {
        "data.transforms.0._target_": "a.B",
        "data.transforms.0.p": 0.5,
        "data.transforms.1._target_": "a.C",
        "data.flips": [1, 2],
    }


def test_files_that_would_fill_the_memory_are_not_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "_MOST", {"metrics.csv": 100})
    (run / "metrics.csv").write_text("iteration,a\n" + "1,2\n" * 100)
    assert "metrics.csv cannot be read: it has more than 0 MB" in render(read_run(run))
    monkeypatch.undo()
    for name in ("metrics.csv", "scores.json", "run.json", "config.yaml", "findings.jsonl"):
        (run / name).touch()
        with open(run / name, "r+b") as file:
            file.truncate(50 * 10**9)
    with little_memory():
        assert len(read_run(run).problems) == 5


def test_a_grid_of_another_format_starts_no_program(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow reads PostScript by a program `gs`, whatever the file is called."""
    started = tmp_path / "started"
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {started}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    (run / "images").mkdir()
    grid = run / "images" / "iteration-1.png"
    Image.new("RGB", (8, 8)).save(grid, "EPS")
    assert "Could not be read: iteration-1.png" in render(read_run(run))
    assert "no pictures yet" in gallery(run.parent)
    assert not started.exists()


def test_a_grid_that_claims_gigabytes_is_left_out(run: Path) -> None:
    from tests.fuzz.test_seeds import large_png

    (run / "images").mkdir()
    (run / "images" / "iteration-1.png").write_bytes(large_png())
    with little_memory():
        assert "Could not be read: iteration-1.png" in render(read_run(run))
