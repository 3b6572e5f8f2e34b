"""What Hydra would make by itself, out of the words or of a folder of configs, is refused before it does."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import hydra
import pytest

from gan_style.cli import train
from gan_style.core.compose import composed
from gan_style.core.config import config_dir
from gan_style.core.errors import UserError
from gan_style.core.hydra_guard import composing, named_packages

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
        (["hydra.launcher._target_=os.makedirs", "-m", "+hydra.launcher.name={made}"], "_target_=os.makedirs is not"),
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
        (["--data", "tiny"], "--data is no option: keys are written without dashes, as data=VALUE"),
        (["--model.lambda-cycle=5"], "as model.lambda_cycle=VALUE"),
        (["-model=cut"], "-model is no option: keys are written without dashes, as model=VALUE"),
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
    "experiment/filled": (  # words of the command, as Hydra notes them
        "# @package _global_\nhydra:\n  overrides:\n    task: ['allow=x']\nallow: [os.]\ncallbacks:\n  evil: {bomb}\n",
        ["experiment=filled"],
    ),
    "experiment/mode": (
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      seed: 0,1\n",
        ["experiment=mode"],
    ),
    "experiment/grid": (
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      ++allow: '[os.]'\ncallbacks:\n  evil: {bomb}\n",
        ["-m", "experiment=grid"],
    ),
    "experiment/verb": (
        "# @package _global_\ncallbacks:\n  evil:\n    _target_: gan_style.cli.main.main\n    arguments:\n"
        "      [plan, data=tiny, 'allow=[os.]', +callbacks.x._target_=os.makedirs, '+callbacks.x.name={made}']\n",
        ["experiment=verb"],
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
    assert name != "experiment/mode" or "hydra.mode is not taken from a file" in text
    assert "not taken" in text or "not allowed" in text or "refers to another node" in text
    assert list(tmp_path.iterdir()) == [folder]


def test_hydras_own_would_have_made_it(tmp_path: Path) -> None:
    """Or the tests above could not fail: the same callback in Hydra as it is."""
    script = "import argparse, hydra\nargparse.ArgumentParser._check_help = lambda *words: None  # of Python 3.14\n"
    script += "@hydra.main(version_base='1.3', config_path=None)\ndef main(config):\n    pass\nmain()\n"
    made = tmp_path / "made"
    words = [f"+hydra.callbacks.x={FOLDER % made}", "hydra.run.dir=.", "hydra.output_subdir=null"]
    subprocess.run([sys.executable, "-c", script, *words], cwd=tmp_path, capture_output=True, timeout=60)
    assert made.is_dir()


def test_a_file_may_give_a_grid(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\nhydra:\n  sweeper:\n    params:\n      seed: 0,1\n"
    (tmp_path / "experiment" / "grid.yaml").write_text(text)
    with composing(config_dir(), tmp_path):
        config = hydra.compose("train", ["experiment=grid"], return_hydra_config=True)
    assert config.hydra.sweeper.params == {"seed": "0,1"}


def test_a_file_does_not_fill_what_the_words_leave_open(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nname: os.\n")
    with pytest.raises(UserError, match=r"allow=\[os\.\] stands in a file"):
        composed(["experiment=mine", "data=tiny", "allow=[mylab.,${name}]"], tmp_path)
    assert composed(["data=tiny", "allow=[mylab.,other]"])["allow"] == ["mylab.", "other"]


def test_which_packages_the_words_of_a_command_name() -> None:
    words = [
        "model=cut",
        "+allow=[mylab.,'other']",
        "++allow=one",
        "allow=[a.],[b.]",
        "allow=[",
        "--config-dir",
        "~allow",
    ]
    assert named_packages(words) == ["mylab.", "other", "one", "a.", "b."]


def test_a_job_in_another_process_knows_the_words_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Launchers send it what Hydra was given, by value."""
    cloudpickle = pytest.importorskip("cloudpickle")
    monkeypatch.setattr(train, "_words", ["allow=[mylab.]"])
    job = pickle.loads(cloudpickle.dumps(train._compose_and_train.__wrapped__))
    assert job.__globals__["_words"] == ["allow=[mylab.]"]
    assert job.__globals__["_words"] is not train._words


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["hydra/job_logging=stdout"],
        ["-m", "hydra/launcher=basic", "seed=0"],
        ["-m", "allow=[mylab.]", "model=cut,cyclegan"],
        ["hydra.mode=MULTIRUN", "seed=0,1"],
    ],
)
def test_what_the_docs_name_is_taken(tmp_path: Path, words: list[str]) -> None:
    """As far as our own checks; in a process of its own, because Hydra sets up logging."""
    command = [sys.executable, str(ROOT / "train.py"), *words, "data=tiny", "data.image_size=0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("gan_style: data.image_size=0 is not valid")
