"""The rules of CONTRIBUTING on docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gan_style"
# Riddles that the rest of the docstring solves, and verbs that are not in the imperative.
NO_FIRST_WORDS = {
    *("What", "Whether", "One", "How", "Which", "Of", "That", "Those", "Where", "Who", "Inside,"),
    *("Returns", "Reads", "Writes", "Draws", "Raises:"),
}
# Still to be rewritten; to be removed from here, file by file.
NOT_YET = (
    *("__init__.py", "models/", "cli/", "evaluation/", "metrics/", "report/", "testing.py"),
    *("training/callbacks/", "training/engine/", "training/compose.py", "training/run.py", "training/strategy.py"),
    *("training/trainer.py", "checkpoints/official.py", "checkpoints/restore.py", "core/config.py", "core/moved.py"),
    *("inference/describe.py", "inference/load.py", "inference/translator.py"),
)
FILES = sorted(path for path in PACKAGE.rglob("*.py") if not str(path.relative_to(PACKAGE)).startswith(NOT_YET))


def first_words(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and first word of every docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            words = (ast.get_docstring(node) or "").split()
            if words:
                yield getattr(node, "lineno", 1), words[0]


def test_a_docstring_that_begins_as_a_riddle_is_found() -> None:
    tree = ast.parse('"""What a module is."""\ndef f():\n    """Return 1."""\nclass A:\n    """Whether x."""\n')
    assert [word for _, word in first_words(tree) if word in NO_FIRST_WORDS] == ["What", "Whether"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_begin_with_what_a_thing_does_or_is(path: Path) -> None:
    found = [(line, word) for line, word in first_words(ast.parse(path.read_text())) if word in NO_FIRST_WORDS]
    assert not found, f"{path}: {found}; CONTRIBUTING says how a docstring begins"
