"""The test of the documents can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from gan_style.core.errors import UserError
from tests.documents import running
from tests.documents.blocks import Block, Command, blocks
from tests.documents.test_documents import levels

TEXT = """# A document

    gan-style describe best.ckpt   # what it is
    python train.py \\
        model=cut

<!-- not run (studio): it serves -->
<!-- slow -->

    gan-style studio

- a list
  goes on

<!-- not code: a folder -->

    data/mine/

<!-- invisible-code-block: python
x = 1
-->

<!-- file: conf/a.yaml -->
```yaml
a: 1

    b: 2
```
"""


def test_blocks_and_what_is_said_of_them(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(TEXT)
    commands, studio, layout, hidden, file = blocks(path)
    assert [command.words for command in commands.commands] == [
        ["gan-style", "describe", "best.ckpt"],
        ["python", "train.py", "model=cut"],
    ]
    assert commands.line == 3
    assert (studio.commands[0].why_not, studio.slow) == ("it serves", True)
    assert layout.not_code == "a folder"
    assert (hidden.source, hidden.seen) == ("x = 1\n", False)
    assert (file.file, file.language, file.source) == ("conf/a.yaml", "yaml", "a: 1\n\n    b: 2\n")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("gan-style translate best.ckpt", SystemExit),
        ("gan-style translat a b c", SystemExit),
        ("gan-style audit model=cut model.lambda_none=1", Exception),
        ("python train.py data.batch_size=none", UserError),
        ("torchrun --nnodes=2 train.py trainer.devices=none", UserError),
        ("python experiments/fuzz.py --minuts 3", SystemExit),
        ("make tests", AssertionError),
        ("pip install 'gan-style[videos]'", AssertionError),
    ],
)
def test_a_command_that_is_wrong_is_seen_without_a_run(line: str, error: type[BaseException]) -> None:
    (command,) = Block(1, "shell", line).commands
    with pytest.raises(error):
        running.check_shell(command)


def test_python_that_is_wrong_is_seen_without_a_run() -> None:
    with pytest.raises(ImportError):
        running.check_python(Block(1, "python", "from gan_style.models.translator import nothing\n"), Path("a.md"))
    with pytest.raises(SyntaxError):
        running.check_python(Block(1, "python", "x = (\n"), Path("a.md"))


def test_what_nobody_knows_must_be_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match=r"a\.md: ls data is not known: mark it"):
        levels(Block(1, "shell", "ls data\n"), "a.md")
    with pytest.raises(AssertionError, match="nobody runs toml"):
        levels(Block(1, "toml", "a = 1\n"), "a.md")
    with pytest.raises(running.NotACommandError):
        running.run_shell(Command(["make", "test"], None))


def test_a_command_that_fails_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="exit status 2"):
        running.run_shell(Command(["gan-style", "describe", "no.ckpt"], None))
    with pytest.raises(AssertionError, match="exit status 2"):
        running.run_shell(Command(["python", "train.py", "resume=no.ckpt"], None))
