"""The rules of CONTRIBUTING on docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gan_style"
RIDDLES = {"What", "Whether", "One", "How", "Which", "Of", "That", "Those", "Where", "Who", "Inside,"}
# In functions and methods also these, and what is no word, such as a formula.
NOT_IMPERATIVE = {"The", "A", "An", "Each", "As", "For", "From", "In", "Its", "Called", "Means", "Mean", "Share"}
NOT_IMPERATIVE |= {"Returns", "Reads", "Writes", "Draws", "Raises:", "Args:"}
FILES = sorted(PACKAGE.rglob("*.py"))


def bad_beginnings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and first word of every docstring that begins with neither a verb nor a noun."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            word = ((ast.get_docstring(node) or "").split() or [""])[0]
            imperative = word not in NOT_IMPERATIVE and (not word or word[0].isupper())
            if word in RIDDLES or not (imperative or is_noun(node)):
                yield getattr(node, "lineno", 1), word


def is_noun(node: ast.AST) -> bool:
    decorators = [ast.unparse(decorator) for decorator in getattr(node, "decorator_list", ())]
    return isinstance(node, ast.Module | ast.ClassDef) or any("property" in decorator for decorator in decorators)


def test_a_docstring_that_begins_as_a_riddle_is_found() -> None:
    tree = ast.parse('"""What a module is."""\ndef f():\n    """Return 1."""\nclass A:\n    """Whether x."""\n')
    assert [word for _, word in bad_beginnings(tree)] == ["What", "Whether"]
    tree = ast.parse('"""The module."""\ndef f():\n    """The mean."""\n@property\ndef g(self):\n    """The mean."""\n')
    assert list(bad_beginnings(tree)) == [(2, "The")]
    assert list(bad_beginnings(ast.parse('def f():\n    """`a` of b."""\n'))) == [(1, "`a`")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_begin_with_what_a_thing_does_or_is(path: Path) -> None:
    found = list(bad_beginnings(ast.parse(path.read_text())))
    assert not found, f"{path}: {found}; CONTRIBUTING says how a docstring begins"
