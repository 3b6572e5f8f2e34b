"""The verb `gan-style completion`: shtab writes the script from the parser, and our configs give words of `train`."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path

import shtab

from gan_style.cli.parsers import verbs_of
from gan_style.core.config import config_dir
from gan_style.core.terminal import answer

# What a person names there is a file or a folder, by the destination of the argument.
FILES = (
    *("checkpoint", "content", "input", "output", "source", "style", "mask", "weights", "vgg", "dino", "against"),
    *("json", "sheet", "archive", "back", "set", "real", "fake", "data"),
)
FOLDERS = ("run_dir", "runs", "root", "out", "config_dir", "export", "explain", "train")
WORDS = ("train", "audit", "plan", "sweep")  # verbs that take words of the config
# "=" breaks words in bash, which would then complete what stands behind it alone.
IN_BASH = """
COMP_WORDBREAKS="${{COMP_WORDBREAKS//=}}"
_gan_style_words() {{
  compgen -W "{words}" -- "$1"
}}
"""
IN_ZSH = """
_gan_style_words() {{
  local -a words; words=({words}); compadd -S '' -a words
}}
"""


def completion(parsed: Namespace) -> None:
    """Print the script of a shell."""
    from gan_style.cli.main import parser_of_verbs

    for line in script(parser_of_verbs(), parsed.shell).splitlines():
        answer(line)


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Write a script that completes a command line.

    Args:
        parser: of the command.
        shell: "bash", "zsh" or "fish".
    """
    words = " ".join(choices())
    complete = {
        "bash": "_gan_style_words",
        "zsh": "_gan_style_words",
        "fish": f"(string split ' ' '{words}')",
    }
    for verb, own in verbs_of(parser).items():
        for action in own._actions:
            if verb in WORDS and action.dest in ("words", "overrides"):
                action.complete = complete  # type: ignore[attr-defined]
            elif action.choices is None and action.dest in FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.choices is None and action.dest in FOLDERS:
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    preamble = {"bash": IN_BASH, "zsh": IN_ZSH}.get(shell, "").format(words=words)
    return shtab.complete(parser, shell=shell, preamble=preamble)


def choices(folder: Path | None = None) -> list[str]:
    """List `group=choice` of every config, such as `model=cut` and `model/generator=resnet9`."""
    root = folder or config_dir()
    files = [path.relative_to(root).with_suffix("") for path in root.rglob("*.yaml")]
    return sorted(f"{path.parent.as_posix()}={path.name}" for path in files if len(path.parts) > 1)
