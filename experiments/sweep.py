"""Search for a good configuration: python experiments/sweep.py sweep=NAME [key=value ...]

    sweep=lambdas | generator | batch_size | seed, or PATH.yaml for one of your own (conf/sweep shows the form)
    trials=N jobs=N budget=PICTURES sampler= pruner= gpus=[0,1] folder=DIR storage=URL     the sweep's own keys
    every other key=value goes to each training, as to train.py

One process per trial. The same command goes on with a sweep that was interrupted or killed.
"""

from __future__ import annotations

import argparse
import sys

from gan_style.core.exit_status import exit_status
from gan_style.core.signals import command


def main(arguments: list[str] | None = None) -> int:
    """Run a sweep; its exit status: 0 done, 2 the user's mistake, 130 interrupted after saving."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="key=value")
    parser.add_argument("--config-dir", metavar="DIR", help="a folder of your own YAML files, as for train.py")
    parsed = parser.parse_intermixed_args(arguments)  # words on either side of an option
    options = ["--config-dir", parsed.config_dir] if parsed.config_dir else []
    with exit_status("train", unnamed="a file of the sweep") as ending:
        from gan_style.apps.sweep import runner, settings

        runner.run(settings.read(parsed.words, options))
    return ending.status


if __name__ == "__main__":
    with command():
        sys.exit(main())
