"""The blocks of a Markdown file, found with Sybil, and what is to be done with each.

Fenced blocks have a language. Blocks that are indented by four spaces are commands of a shell, one a line. HTML
comments before a block, one a line, say what a reader does not need:

    <!-- not run: REASON -->               of the whole block
    <!-- not run (TEXT): REASON -->        of the lines of a shell block that hold TEXT
    <!-- not code: WHAT -->                a folder's layout, what a program prints, ...
    <!-- slow -->                          by the slow tests alone
    <!-- file: PATH -->                    the block is this file, and what follows finds it
    <!-- invisible-code-block: python      Python that runs, such as what a fragment needs
    ... -->
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sybil import Document, Region
from sybil.parsers.markdown.lexers import DirectiveInHTMLCommentLexer, FencedCodeBlockLexer

INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n(?:[ \t]*\n(?= {4}))*)+")
COMMENTS = re.compile(r"(?:<!--[^\n]*-->\s*)+\Z")
COMMENT = re.compile(r"<!-- (not run|not code|slow|file)(?: \(([^)]*)\))?(?:: (.*?))? -->")


@dataclass
class Block:
    """One block of a document."""

    line: int
    language: str  # `shell` of an indented one
    source: str
    seen: bool = True  # by a reader
    file: str | None = None
    slow: bool = False
    not_code: str | None = None
    not_run: list[tuple[str, str]] = field(default_factory=list)  # a text of a line, and why such lines are not run

    @cached_property
    def commands(self) -> list[Command]:
        """The commands of a shell block."""
        found = []
        for line in self.source.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                why = next((reason for text, reason in self.not_run if text in line), None)
                found.append(Command(words, why))
        return found

    @property
    def why_not(self) -> str | None:
        """Why the whole block is not run."""
        return next((reason for text, reason in self.not_run if not text), None)


@dataclass
class Command:
    """One line of a shell block."""

    words: list[str]
    why_not: str | None

    def __str__(self) -> str:
        return shlex.join(self.words)


def blocks(path: Path) -> list[Block]:
    """All blocks of a document, in their order."""
    document = Document.parse(str(path), _regions)
    found = []
    for example in document.examples():
        block: Block = example.parsed
        block.line = example.line
        found.append(block)
    return found


def _regions(document: Document) -> Iterator[Region]:
    taken: list[tuple[int, int]] = []
    for region in FencedCodeBlockLexer(r"\w*")(document):
        taken.append((region.start, region.end))
        yield _with_block(document, region, region.lexemes["language"], str(region.lexemes["source"]))
    for region in DirectiveInHTMLCommentLexer("invisible-code-block", ".+")(document):
        taken.append((region.start, region.end))
        yield _with_block(document, region, region.lexemes["arguments"], str(region.lexemes["source"]), seen=False)
    for match in INDENTED.finditer(document.text):
        if not any(start <= match.start() < end for start, end in taken):
            region = Region(match.start(), match.end())
            yield _with_block(document, region, "shell", textwrap.dedent(match[0]))


def _with_block(document: Document, region: Region, language: str, source: str, seen: bool = True) -> Region:
    block = Block(0, language, source, seen)
    before = COMMENTS.search(document.text, 0, region.start)
    for kind, text, value in COMMENT.findall(before[0] if before else ""):
        if kind == "not run":
            block.not_run.append((text, value))
        elif kind == "not code":
            block.not_code = value
        elif kind == "file":
            block.file = value
        else:
            block.slow = True
    region.parsed, region.evaluator = block, _none
    return region


def _none(example: object) -> None:
    """Nothing: blocks are run by `tests/documents/running.py`, which knows where."""
