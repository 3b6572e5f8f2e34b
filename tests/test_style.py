"""The rules of CONTRIBUTING on docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gan_style"
RIDDLES = {"What", "Whether", "One", "How", "Which", "Of", "That", "Those", "Where", "Who", "Inside,"}
NOT_IMPERATIVE = {"The", "A", "An", "Returns", "Reads", "Writes", "Draws", "Raises:"}  # of functions and methods
# Still to be rewritten; to be removed from here, file by file.
NOT_YET = (
    *("__init__.py", "models/", "cli/", "evaluation/", "metrics/", "report/", "testing.py"),
    *("training/callbacks/", "training/engine/", "training/compose.py", "training/run.py", "training/strategy.py"),
    *("training/trainer.py", "checkpoints/official.py", "checkpoints/restore.py", "core/config.py", "core/moved.py"),
    *("inference/describe.py", "inference/load.py", "inference/translator.py"),
)
FILES = sorted(path for path in PACKAGE.rglob("*.py") if not str(path.relative_to(PACKAGE)).startswith(NOT_YET))


def bad_beginnings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and first word of every docstring that begins with neither a verb nor a noun."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            word = ((ast.get_docstring(node) or "").split() or [""])[0]
            if word in RIDDLES or (word in NOT_IMPERATIVE and not is_noun(node)):
                yield getattr(node, "lineno", 1), word


def is_noun(node: ast.AST) -> bool:
    decorators = [ast.unparse(decorator) for decorator in getattr(node, "decorator_list", ())]
    return isinstance(node, ast.Module | ast.ClassDef) or any("property" in decorator for decorator in decorators)


def test_a_docstring_that_begins_as_a_riddle_is_found() -> None:
    tree = ast.parse('"""What a module is."""\ndef f():\n    """Return 1."""\nclass A:\n    """Whether x."""\n')
    assert [word for _, word in bad_beginnings(tree)] == ["What", "Whether"]
    tree = ast.parse('"""The module."""\ndef f():\n    """The mean."""\n@property\ndef g(self):\n    """The mean."""\n')
    assert list(bad_beginnings(tree)) == [(2, "The")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_begin_with_what_a_thing_does_or_is(path: Path) -> None:
    found = list(bad_beginnings(ast.parse(path.read_text())))
    assert not found, f"{path}: {found}; CONTRIBUTING says how a docstring begins"
