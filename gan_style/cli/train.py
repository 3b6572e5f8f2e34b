"""`python train.py ...`, `python -m gan_style.train ...`: Hydra in, exit status out.

Nothing heavy is imported before the config is composed, so `--help` and a misspelt key answer at once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gan_style.core import builds, memory, signals
from gan_style.core.allowed import find_here
from gan_style.core.compose import explain
from gan_style.core.config import config_dir
from gan_style.core.errors import Interrupted, TrainingFailed, UserError
from gan_style.core.hydra_guard import guard_hydra, named_packages, require_own_allow
from gan_style.core.paths import cannot_use
from gan_style.core.terminal import answer, hushed, settle, warn


def main() -> None:
    """Run the command of sys.argv and exit: 0 done, 1 failed, 2 the user's mistake, 130 interrupted."""
    _commands.append(os.getpid())
    # Hydra prints its own errors on several lines and exits with 1; with this it raises them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    quiet = [argument for argument in sys.argv[1:] if argument in ("-q", "--quiet")]
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument not in quiet]
    with hushed(bool(quiet)):
        _run()


def _run() -> None:
    try:
        _words[:] = sys.argv[1:]
        parsed = guard_hydra(_words)
        find_here(named_packages(_words))
        if parsed.help:
            _help(parsed.overrides, parsed.config_dir)
            return
        _compose_and_train()
        if _failures:
            raise _failures[0]
    except UserError as error:
        sys.exit(_fail(str(error), 2))
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(_fail(explain(error), 2))
    except ValueError as error:  # Hydra's own, such as for model=null
        if _started:
            raise
        sys.exit(_fail(f"{' '.join(str(error).split())}: see --help for what each group takes", 2))
    except TrainingFailed as error:
        sys.exit(_fail(str(error), 1))
    except OSError as error:  # no space, no permission: the user's machine, not our code
        sys.exit(_fail(refused(error), 2))
    except (Interrupted, KeyboardInterrupt) as error:
        sys.exit(_fail(str(error) or "interrupted before training began", 130))


def _help(overrides: Sequence[str], folder: str | None) -> None:
    """Print the page about keys, for the model and data that are chosen beside --help."""
    from gan_style.cli.train_help import page

    for line in page(overrides, folder):
        answer(line)
    settle()


def refused(error: OSError) -> str:
    """Return a sentence about a file that the system refuses while a run is trained."""
    advice = ": free some space, then go on with resume=last" if error.errno == errno.ENOSPC else ""
    return cannot_use(error, "a file of the run") + advice


# Errors that end a run with a sentence.
_EXPECTED = (UserError, TrainingFailed, Interrupted, OSError, OmegaConfBaseException)
# Hydra prints a banner over an exception that leaves a job, and ends a multirun with it.
_failures: list[BaseException] = []
_started: list[bool] = []
_commands: list[int] = []  # the process that `main` runs in
# That the user typed. A launcher sends them to another process with `_compose_and_train`, whose global they are; what
# Hydra notes of them stands in its config, which a file can fill.
_words: list[str] = []


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")
def _compose_and_train(config: DictConfig) -> None:
    _started.append(True)
    hydra_config = HydraConfig.get()
    multirun = Path(hydra_config.runtime.output_dir) if hydra_config.mode == RunMode.MULTIRUN else None
    if any(isinstance(failure, Interrupted) for failure in _failures):
        return  # Ctrl-C ends the multirun, not only its current job
    try:
        from gan_style.training.run import train

        whole: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
        require_own_allow(whole.get("allow"), _words)
        # A launcher that runs the job in another process answers signals there itself.
        with signals.listening() if os.getpid() in _commands else contextlib.nullcontext():
            train(whole, multirun_dir=multirun)
    except (Exception, Interrupted) as error:
        if builds.differ(error):
            error = UserError(builds.sentence())
        if not memory.ran_out(error) and not isinstance(error, _EXPECTED):
            raise
        failure = UserError(explain(error)) if isinstance(error, OmegaConfBaseException) else error
        if memory.ran_out(error):  # before training began
            failure = TrainingFailed(memory.sentence(error, memory.advice_of("train")))
        # A launcher such as submitit runs the job in another process, whose copy of these lists is lost: raise.
        if os.getpid() not in _commands:
            raise failure from None
        _failures.append(failure)
        if multirun:
            warn(f"gan_style: job {hydra_config.job.num} failed: {_failures[-1]}")


def _is_child() -> bool:
    return int(os.environ.get("LOCAL_RANK", os.environ.get("RANK", "0"))) != 0


def _fail(message: str, status: int) -> int:
    if not _is_child():
        warn(f"gan_style: {message}")
        return status
    # Once the processes are connected the first one notices that another is gone, and a signal it was sent itself;
    # a status other than 0 would have Lightning kill it before it can say so.
    distributed = sys.modules.get("torch.distributed")
    return 0 if status == 130 or (distributed is not None and distributed.is_initialized()) else status
