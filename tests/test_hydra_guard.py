"""What Hydra would make by itself, out of the words or of a folder of configs, is refused before it does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gan_style.cli import train

ROOT = Path(__file__).parents[1]
FOLDER = "{_target_: os.makedirs, name: %s}"


def said(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says, which ends with 2 and no traceback."""
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    train._failures.clear()
    train._started.clear()
    with pytest.raises(SystemExit) as ended:
        train.main()
    text = capsys.readouterr().err
    assert ended.value.code == 2, text
    assert text.startswith("gan_style: ")
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["+hydra.callbacks.x={bomb}"], "hydra.callbacks is not taken"),
        (["-m", "hydra.launcher._target_=os.makedirs", "+hydra.launcher.name={made}"], "_target_=os.makedirs is not"),
        (["-m", "hydra.sweeper._target_=os.makedirs", "+hydra.sweeper.name={made}"], "hydra.sweeper._target_"),
        (["-m", "+evil={bomb}", "+hydra.launcher.inner=${{evil}}"], "hydra.launcher.inner refers to another node"),
        (["-m", "+evil={bomb}", "hydra.launcher=${{evil}}"], "hydra.launcher refers to another node"),
        (["-m", "hydra.launcher='${{oc.create:{bomb}}}'"], "hydra.launcher refers to another node"),
        (["hydra/job_logging=default", "+hydra.job_logging.handlers.x.class=os.makedirs"], "class=os.makedirs"),
        (["hydra/hydra_logging=default", "+hydra.hydra_logging.formatters.x.class=os.makedirs"], "class=os.makedirs"),
        (["hydra/job_logging=default", "hydra.job_logging.handlers.console.stream=ext://this"], "stream=ext://this"),
        (["hydra.searchpath=[pkg://this]"], "hydra.searchpath=pkg://this is not taken"),
        (["+hydra.job.env_set.PYTHONPATH=x"], "hydra.job.env_set is not taken"),
        (["--experimental-rerun={made}"], "--experimental-rerun is not taken"),
        (["--exp", "{made}"], "--experimental-rerun is not taken"),
    ],
)
def test_words(
    tmp_path: Path,
    words: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = tmp_path / "made"
    filled = [word.format(bomb=FOLDER % made, made=made) for word in words]
    tail = [] if words[0].startswith("--") else ["data=tiny", "trainer.max_steps=1", f"run_dir={tmp_path / 'run'}"]
    assert expected in said([*filled, *tail], monkeypatch, capsys)
    assert list(tmp_path.iterdir()) == []


CONFIGS = {
    "experiment/mine": ("# @package _global_\nhydra:\n  callbacks:\n    a: {bomb}\n", ["experiment=mine"]),
    "whole": ("defaults: [train, _self_]\nhydra:\n  callbacks:\n    a: {bomb}\n", ["--config-name", "whole"]),
    "search": ('defaults: [train, _self_]\nhydra:\n  searchpath: ["pkg://this"]\n', ["--config-name", "search"]),
    "hydra/launcher/mine": ("_target_: os.makedirs\nname: {made}\n", ["-m", "hydra/launcher=mine"]),
    "hydra/job_logging/mine": (
        "version: 1\nhandlers:\n  a:\n    (): os.makedirs\n    name: {made}\nroot:\n  handlers: [a]\n",
        ["hydra/job_logging=mine"],
    ),
    "experiment/later": (  # a text that Hydra's resolver gives only when logging is set up
        "# @package _global_\nhydra:\n  job:\n    name: \"{{h: {{'()': os.mkdir, path: {made}}}}}\"\n"
        "  job_logging:\n    version: 1\n    root: {{level: INFO}}\n"
        '    handlers: "${{oc.create:${{hydra:job.name}}}}"\n',
        ["experiment=later"],
    ),
    "experiment/allow": (
        "# @package _global_\nallow: [posix.]\ncallbacks:\n  evil: {{_target_: posix.mkdir, path: {made}}}\n",
        ["experiment=allow"],
    ),
    "model/mine": ("_target_: os.makedirs\nname: {made}\n", ["model=mine"]),
    "callbacks/mine": ("a: {bomb}\n", ["+callbacks=mine"]),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_folder_of_configs(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, folder = tmp_path / "made", tmp_path / "conf"
    text, words = CONFIGS[name]
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(text.format(bomb=FOLDER % made, made=made))
    tail = ["data=tiny", "trainer.max_steps=1", f"run_dir={tmp_path / 'run'}"]
    text = said(["--config-dir", str(folder), *words, *tail], monkeypatch, capsys)
    assert "not taken" in text or "not allowed" in text or "refers to another node" in text
    assert list(tmp_path.iterdir()) == [folder]


def test_hydras_own_would_have_made_it(tmp_path: Path) -> None:
    """Or the tests above could not fail: the same callback in Hydra as it is."""
    script = "import hydra\n@hydra.main(version_base='1.3', config_path=None)\ndef main(config):\n    pass\nmain()\n"
    made = tmp_path / "made"
    words = [f"+hydra.callbacks.x={FOLDER % made}", "hydra.run.dir=.", "hydra.output_subdir=null"]
    subprocess.run([sys.executable, "-c", script, *words], cwd=tmp_path, capture_output=True, timeout=60)
    assert made.is_dir()


@pytest.mark.parametrize("words", [["hydra/job_logging=stdout"], ["-m", "hydra/launcher=basic", "seed=0"]])
def test_what_the_docs_name_is_taken(tmp_path: Path, words: list[str]) -> None:
    """As far as our own checks; in a process of its own, because Hydra sets up logging."""
    command = [sys.executable, str(ROOT / "train.py"), *words, "data=tiny", "data.image_size=0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("gan_style: data.image_size=0 is not valid")
