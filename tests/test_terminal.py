"""At the terminal: help in a moment, completion by real shells, -q, descriptions for programs, licences."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gan_style.cli import completion, train_help
from gan_style.cli.main import main, parser_of_verbs
from gan_style.core import terminal
from gan_style.core.config import config_dir
from gan_style.core.errors import UserError
from gan_style.core.exit_status import exit_status
from tests.documents.running import run_training
from tests.small_models import saved

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "pytorch_lightning", "torchvision", "cv2", "numpy", "fastapi", "pydantic")


@pytest.mark.parametrize("verb", completion.verbs_of(parser_of_verbs()))
def test_every_verb_has_help_and_is_quiet_where_it_is_asked_to_be(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if verb != "train":  # which has a page of its own
        with pytest.raises(SystemExit) as ended:
            main([verb, "--help"])
        assert ended.value.code == 0
        assert "--quiet" in capsys.readouterr().out


@pytest.mark.parametrize("verb", sorted({*completion.verbs_of(parser_of_verbs())} - {"train"}))
def test_help_says_what_a_verb_does_and_what_each_argument_is(verb: str) -> None:
    parser = completion.verbs_of(parser_of_verbs())[verb]
    assert parser.description
    assert [action.dest for action in parser._actions if not action.help] == []


def test_help_imports_nothing_that_takes_long() -> None:
    """Of a process of its own: what takes seconds is what is imported."""
    code = "import sys; from gan_style.cli import main as m; m.parser_of_verbs().format_help()"
    ours = f"{code}; print([n for n in {HEAVY!r} if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", ours], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"
    page = "import sys; from gan_style.cli import train_help as h; h.page(['model=cut'])"
    heavy = tuple(name for name in HEAVY if name not in ("numpy", "pydantic"))
    ours = f"{page}; print([n for n in {heavy!r} if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", ours], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"


def test_help_of_train_groups_keys_with_the_comments_of_their_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_training(["model=fastcut", "data=monet2photo", "--help"]) == 0
    page = capsys.readouterr().out
    assert page.count("python train.py ") == 1 + 3, "usage and three examples"
    assert "*fastcut" in page
    assert "*monet2photo" in page
    lines = [" ".join(line.split()) for line in page.splitlines()]
    assert "trainer.max_steps=null iterations; wins over max_epochs" in lines
    assert "seed=0" in page
    assert "_target_" not in page.replace("a _target_ may", "").replace("{_target_:", "").replace("[{_target_:", "")
    cut = (config_dir() / "model" / "cut.yaml").read_text()
    said = next(line for line in cut.splitlines() if line.startswith("nce_idt:")).partition("# ")[2]
    if said:
        assert said.split()[0] in page, "comments of the file that it builds on"
    assert "data.split=0.1" in page
    assert "held out to look at" in page
    assert max(map(len, page.splitlines())) <= 130


def test_a_reader_that_has_seen_enough_is_no_mistake() -> None:
    """As `train --help | head -1` does."""
    script = "import sys; sys.argv[1:] = ['--help']; from gan_style.cli.train import main; main()"
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_a_mistake_after_lines_that_nobody_reads_is_its_sentence_alone() -> None:
    """Python would complain of them at its end, and end with a status of its own."""
    script = "from gan_style.core import terminal; from gan_style.core.errors import UserError; "
    script += "from gan_style.core.exit_status import exit_status; import sys\n"
    script += "with exit_status('inspect') as ending:\n    terminal.answer('a line')\n    raise UserError('no')\n"
    script += "sys.exit(ending.status)"
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=buffered, **pipes)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read().decode().splitlines() == ["gan_style: no"]
    process.stderr.close()
    assert process.wait() == 2


def test_a_process_without_a_terminal_ends_as_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of pythonw."""
    monkeypatch.setattr(sys, "stdout", None)
    with exit_status("inspect") as ending:
        terminal.answer("a line")
    assert ending.status == 0


def test_every_key_of_the_config_is_on_the_page() -> None:
    page = "\n".join(train_help.page([]))
    config, _ = train_help.composed_of([])
    places = [".".join(place) for place, _ in train_help.leaves(config, ())]
    assert len(places) > 100
    missing = [place for place in places if f"{place}=" not in page]
    assert not missing


def test_a_mistake_beside_help_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_training(["model=cutt", "--help"]) == 2
    assert "did you mean cut" in capsys.readouterr().err
    with pytest.raises(UserError):
        train_help.page([], "no-such-folder")


def test_no_verb_is_a_question_for_the_list_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    assert "translate a picture, a folder or a video" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["translte", "a", "b", "c"], "VERB 'translte' is not known: did you mean translate?"),
        (["export", "a.ckpt", "b.onnx", "--direction", "AB"], "--direction 'AB' is not known: did you mean A2B?"),
        (["translate", "a", "b", "c", "--tle", "3"], "unrecognized arguments: --tle 3: did you mean --tile?"),
        (["describe", "a", "b"], "unrecognized arguments: b: see gan-style describe --help"),
        (["describe"], "gan-style describe needs FILE: see gan-style describe --help"),
        (["serve", "a", "--port", "x"], "--port 'x' is not a whole number: see gan-style serve --help"),
        (["stylize", "a", "b", "--alpha", "x"], "--alpha 'x' is not a number: see gan-style stylize --help"),
        (["live", "--size"], "--size: expected one argument: see gan-style live --help"),
    ],
)
def test_a_misspelt_word_is_answered_by_one_sentence(
    typed: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(typed)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"gan_style: {said}\n"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--multirn"], "--multirn is no option of train: did you mean --multirun?"),
        (["--quite", "data=tiny"], "--quite is no option of train: did you mean --quiet?"),
        (["seed=1", "-x"], "-x is no option of train: a key is written without dashes, as seed=1; see --help"),
        (["--cfg", "nope"], "--cfg/-c: invalid choice: "),
        (["--config-dir"], "--config-dir/-cd: expected one argument: see --help"),
        (["--lr=1"], "--lr=1 is no option of train: a key is written without dashes, as seed=1; see --help"),
        (["--precision"], "--precision is no option of train: a key is written without dashes, as seed=1; see --help"),
        (["--size", "64"], "--size is no option of train: a key is written without dashes, as seed=1; see --help"),
        (
            ["data=tiny", "--config-dirr", "x", "seed=1"],
            "--config-dirr is no option of train: did you mean --config-dir?",
        ),
    ],
)
def test_an_option_that_train_does_not_take_is_one_sentence(
    typed: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_training(typed) == 2
    heard = capsys.readouterr().err
    assert heard.startswith(f"gan_style: {said}")
    assert heard.count("\n") == 1


@pytest.mark.parametrize(
    "typed",
    [
        ["--config-dir", "{folder}", "--cfg", "job", "data=tiny", "seed=7"],
        ["data=tiny", "--config-dir", "{folder}", "seed=7", "--cfg", "job"],
        ["seed=7", "--cfg", "job", "data=tiny", "--config-dir={folder}"],
        ["data=tiny", "seed=7", "--cfg=job", "--config-dir", "{folder}"],
    ],
)
def test_overrides_of_train_stand_on_both_sides_of_its_options(
    typed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_training([word.format(folder=tmp_path) for word in typed]) == 0
    heard = capsys.readouterr()
    assert heard.err == ""
    assert "seed: 7\n" in heard.out
    assert "  val_count: 4\n" in heard.out, "of data=tiny"


def test_the_page_of_keys_is_found_beside_any_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("defaults: [cut]\n")
    assert run_training(["seed=1", f"--config-dir={tmp_path}", "-h", "model=mine"]) == 0
    assert "*mine" in capsys.readouterr().out


def test_train_and_the_verbs_are_of_one_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_training(["--version"]) == 0
    shown = capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--version"])
    assert shown == capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe without a reader is another error there")
@pytest.mark.parametrize("words", [["licences"], ["download"], ["train", "--help"]])
def test_a_reader_that_has_seen_enough_ends_nothing(words: list[str]) -> None:
    """As `| head` does: no traceback, and the status that the command would have had."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "gan_style", *words]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_reads_the_script(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    assert "model=cyclegan" in script.read_text()
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("gan-style tra", {"train", "translate"}),
        ("gan-style train model=cy", {"model=cyclegan"}),
        ("gan-style train model/generator=resnet", {f"model/generator=resnet{n}" for n in ("6", "9", "9_antialiased")}),
        ("gan-style sweep sweep=la", {"sweep=lambdas"}),
        ("gan-style translate --tile-mode ", {"exact", "fast"}),
        ("gan-style serve ./a.c", {"./a.ckpt"}),
        ("gan-style export a.ckpt b.onnx --dir", {"--direction"}),
        ("gan-style completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes(typed: str, offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "a.ckpt").touch()
    words = typed.split(" ")
    listed = " ".join(f"'{word}'" for word in words)
    code = f"""
source ./script
COMP_WORDS=({listed}) COMP_CWORD={len(words) - 1} COMP_LINE='{typed}' COMP_POINT={len(typed)}
name=$(complete -p gan-style | sed -E 's/.*-F ([^ ]+).*/\\1/')
$name gan-style '{words[-1]}' '{words[-2]}'
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert {line.strip() for line in done.stdout.splitlines()} >= offered, done.stderr
    assert not [line for line in done.stdout.splitlines() if not line.startswith(words[-1])]


def test_a_description_for_programs_is_the_one_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(saved(tmp_path / "a.ckpt", "model=cut"))
    assert main(["describe", path]) == 0
    page = capsys.readouterr().out
    assert main(["describe", path, "--json", "--quiet"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert page.splitlines() == [f"{name:14}{value}" for name, value in rows.items()]


def test_quiet_leaves_the_answer_and_the_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(saved(tmp_path / "a.ckpt", "model=cut"))
    assert main(["export", path, str(tmp_path / "a.pth"), "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "a.pth").is_file()
    assert main(["describe", "-q", str(tmp_path / "none.ckpt")]) == 2
    assert "none.ckpt" in capsys.readouterr().err
    assert terminal.QUIET not in os.environ, "only within the command"
    terminal.say("heard")
    assert capsys.readouterr().out == "heard\n"


def test_a_quiet_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ("data=tiny", "model.generator.filters=4", "model.discriminator.filters=4", "model.generator.blocks=1")
    words = [*small, "trainer=cpu", "trainer.max_steps=1", "~callbacks.set_scores", "~callbacks.cycle_scores"]
    assert run_training([*words, f"run_dir={tmp_path / 'run'}", "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "run" / "report.html").is_file()


def test_licences_of_all_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    if main(["licences", "--json"]) == 2:
        pytest.skip("gan_style is not installed here")
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["name"] == "gan-style"
    by_name = {row["name"]: row for row in rows}
    assert "BSD" in by_name["torch"]["licence"]
    assert by_name["numpy"]["version"]
    assert "pillow" in by_name
    assert all(row["licence"] for row in rows)
    assert main(["licences"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(rows)
