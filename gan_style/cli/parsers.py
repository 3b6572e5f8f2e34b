"""Parsers of the verbs that take words of the form key=value: sweep and table."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from typing import Any

from gan_style.cli.options import allow_option, configs_option

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
