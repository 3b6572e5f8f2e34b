"""Parsers of train, sweep, table, serve, completion and licences."""

from __future__ import annotations

import argparse
from argparse import RawDescriptionHelpFormatter
from typing import Any

from gan_style.cli.options import allow_option, configs_option, wrap_option

KEYS_OF_SWEEP = """
  sweep=lambdas | generator | batch_size | seed | recipe, or PATH.yaml of your own (conf/sweep shows the form)
  trials=N jobs=N budget=PICTURES sampler= pruner= gpus=[0,1] folder=DIR storage=URL     the sweep's own keys
  every other key=value goes to each training

One process per trial. The same command goes on with a sweep that was interrupted or killed.
"""

KEYS_OF_TABLE = """
  runs=DIR                 a run folder, a folder of runs (a sweep, a multirun), or one checkpoint
  data=NAME_OR_DIR         a named set below data/, a folder, scenes, or scenes:TASK
  folders=[DIR,...]        pictures that other tools made of testA, named as their inputs; folders_B2A= of testB
  out=DIR                  for scores.json, table.md, table.tex, plot.svg and sheet-*.png; default DIR/evaluation
  extractor= weights= vgg= dino= draws= limit= device= no_cache= force=    as the options of gan-style evaluate
  pictures=N size=N        rows of a sheet, 6; side of the pictures where there is no checkpoint to say it

A checkpoint that cannot be scored is named at the end, with exit status 2; all others are done by then.
"""

KEYS_OF_COMPLETION = """
  bash   gan-style completion bash > ~/.local/share/bash-completion/completions/gan-style
  zsh    gan-style completion zsh > _gan-style      in a folder of $fpath
  fish   gan-style completion fish > ~/.config/fish/completions/gan-style.fish
"""


def add_sweep(verbs: Any) -> None:
    """Add the verb that searches for good settings."""
    said = "search for good settings: a process per trial, resumable"
    parser = verbs.add_parser("sweep", help=said, description=said, epilog=KEYS_OF_SWEEP)
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="sweep=NAME and what it shall be, see below")
    configs_option(parser)
    parser.set_defaults(run=("cli.sweep", "sweep"), unnamed="a file of the sweep")


def add_table(verbs: Any) -> None:
    """Add the verb that scores all checkpoints of a run or sweep."""
    said = "score every checkpoint of a run or a sweep in one table"
    parser = verbs.add_parser("table", help=said, description=said, epilog=KEYS_OF_TABLE)
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="runs=DIR data=NAME_OR_DIR and more, see below")
    allow_option(parser)
    parser.set_defaults(run=("cli.table", "table"))


def add_serve(verbs: Any) -> None:
    """Add the verb that serves a model over HTTP."""
    said = "serve a trained model or an export over HTTP, in batches"
    parser = verbs.add_parser("serve", help=said, description=said)
    add = parser.add_argument
    add("checkpoint", metavar="CHECKPOINT|EXPORT", help="a checkpoint, .safetensors, .onnx or .pt2")
    add("--port", type=int, default=8000, metavar="N", help="8000; 0 takes a free one")
    add("--host", default="127.0.0.1", help="another than this machine alone, such as 0.0.0.0")
    add("--name", action="append", default=[], metavar="HOST", help="a name that requests may call this machine by")
    add("--direction", choices=("A2B", "B2A"), help="serve this one alone; default: all, and the first unless asked")
    add("--style", action="append", default=[], metavar="IMAGE_OR_NAME[=WEIGHT]", help="given to every picture")
    add("--alpha", type=float, default=1.0, help="strength of the styles, 0 to 1")
    wrap_option(parser)
    add("--seed", type=int, default=0, metavar="N", help="of a generator's noise; 0")
    add("--batch", type=int, default=8, metavar="N", help="pictures of equal size in one pass, of those that wait; 8")
    add("--queue", type=int, default=64, metavar="N", help="requests that may wait; more are answered 503; 64")
    add("--max-bytes", type=int, default=32 * 2**20, metavar="N", help="of a request; more are answered 413; 32 MiB")
    add("--max-pixels", type=int, default=4096**2, metavar="N", help="of a picture; more are answered 413; 4096 x 4096")
    add("--device", metavar="cpu|cuda|mps|xpu", help="default: a GPU where there is one")
    allow_option(parser)
    parser.set_defaults(run=("cli.serve", "serve"))


def add_train(verbs: Any) -> None:
    """Add the verb that trains; it replaces this process, and Hydra parses its words (`cli/train.py`)."""
    said = "train a model: gan-style train model=cyclegan data=scenes (--help for all keys)"
    parser = verbs.add_parser("train", help=said)
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("-m", "--multirun", action="store_true", help="a run for each combination of the values")
    configs_option(parser)


def add_completion(verbs: Any) -> None:
    """Add the verb that prints a script for a shell."""
    said = "print a script that completes verbs, options, files and config groups on Tab"
    parser = verbs.add_parser("completion", help=said, description=said, epilog=KEYS_OF_COMPLETION)
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="whose script to print")
    parser.set_defaults(run=("cli.completion", "completion"))


def add_licences(verbs: Any) -> None:
    """Add the verb that lists what this package is built on."""
    said = "list the licences of this package and of all that it depends on here"
    parser = verbs.add_parser("licences", help=said, description=said)
    parser.add_argument("--json", action="store_true", help="the same for programs")
    parser.set_defaults(run=("cli.licences", "licences"))


def verbs_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of a command's verbs, by name."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found
