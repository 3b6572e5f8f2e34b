"""Main loop of a sweep: start, watch, prune, report, and resume after being killed."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import yaml
from filelock import FileLock, Timeout

from gan_style.apps.sweep import summary
from gan_style.apps.sweep.scores import read_scores
from gan_style.apps.sweep.settings import Sweep
from gan_style.apps.sweep.study import Base, Study, Trial, steps, storage_of
from gan_style.core import terminal
from gan_style.core.commands import train_command
from gan_style.core.errors import Interrupted, UserError
from gan_style.core.training_process import Training, end_orphans

POLL_SECONDS = 0.3


def run(sweep: Sweep) -> None:
    """Run a sweep, or what is left of it.

    Raises:
        UserError: the sweep cannot start; no trial was drawn.
        Interrupted: Ctrl-C or SIGTERM; the trainings have saved, and the same command resumes them.
    """
    try:
        sweep.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(sweep.folder / ".lock").acquire(timeout=0)
    except Timeout:
        raise UserError(f"another sweep runs in {sweep.folder}: wait for it, or give another folder=") from None
    except OSError as error:
        raise UserError(f"folder={sweep.folder} cannot be written: {error.strerror}") from error
    with lock, _stop_requests() as requests:
        orphans = end_orphans(sweep.folder)
        if orphans:
            say(f"ended {orphans} processes that a killed sweep left; their trainings go on from what they saved")
        with storage_of(sweep) as storage:
            Runner(sweep, Study(sweep, storage, lambda: rehearse(sweep, requests)), requests).run()


def command_of(sweep: Sweep, params: dict[str, Any], base: Base | None = None) -> list[str]:
    """Return the command of one training, without its run_dir."""
    overrides = [*sweep.overrides.values(), *(f"{key}={summary.word(value)}" for key, value in params.items())]
    if sweep.file.budget and base is not None:
        overrides.append(f"trainer.max_steps={steps(sweep, params, base)}")
    # Hydra accepts no overrides after a flag that follows one.
    return [*(sweep.file.command or train_command()), *sweep.options, *overrides]


def rehearse(sweep: Sweep, requests: list[int]) -> Base:
    """Train one iteration with the first values of the space, so that errors show before the first trial.

    Raises:
        UserError: the error of the training, or that it has no score or no end.
    """
    say("rehearsal: one iteration and one validation")
    first = {key: dimension.first() for key, dimension in sweep.space.items()}
    command = command_of(sweep, first)
    said = {**sweep.overrides, **sweep.space}
    if not sweep.file.budget and not said.keys() & {"trainer.max_steps", "experiment"}:
        raise UserError("the trainings have no common length: give budget=PICTURES or trainer.max_steps=N")
    folder = sweep.folder / "trial-rehearsal"
    shutil.rmtree(folder, ignore_errors=True)
    command += ["trainer.max_steps=1", "trainer.val_every=1"]
    training = Training(command, folder, {"WANDB_MODE": "disabled"})
    while (status := training.poll()) is None:
        if requests:
            training.kill()
            training.wait()
            raise Interrupted("interrupted before the first trial")
        time.sleep(POLL_SECONDS)
    if status != 0:
        reason = training.last_words() or f"its exit status is {status}, see {folder}"
        raise UserError(f"a training of this sweep cannot start: {reason}")
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    rule = config["best"]
    if not read_scores(folder, rule["monitor"]):
        raise UserError(
            f"a training of this sweep has no {rule['monitor'] or 'score'} to choose by: use data with a known truth, "
            "such as data=scenes, or set best.monitor"
        )
    shutil.rmtree(folder, ignore_errors=True)
    return Base(rule["monitor"], rule["mode"], config["data"]["batch_size"], _processes(config))


def _processes(config: dict[str, Any]) -> int:
    trainer = config.get("trainer", {})
    if trainer.get("devices", 1) == 1 and trainer.get("num_nodes", 1) == 1:
        return 1
    from gan_style.core.config import build  # only torch knows the number of devices of `auto`

    return int(build(trainer).world_size)


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of being ended by them, inside a `with` block."""
    requests: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        requests.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Runner:
    """Loop that keeps up to `jobs` trainings running until every trial has ended."""

    def __init__(self, sweep: Sweep, study: Study, requests: list[int]) -> None:
        self.sweep, self.study, self.requests = sweep, study, requests
        self.rule = study.base.rule
        self.waiting = study.left_running()
        self.running: dict[int, tuple[Trial, Training]] = {}  # by slot
        self.seen: dict[int, int] = {}

    def run(self) -> None:
        """Run until nothing is left to do on this machine."""
        self.tell_where_it_stands()
        try:
            while not self.requests:
                self.fill()
                if not self.running:
                    break
                self.look()
                time.sleep(POLL_SECONDS)
        finally:
            stopped = self.end_all()
        summary.write(self.sweep, self.study)
        if self.requests:
            raise Interrupted(f"stopped with {stopped} trials saved; the same command goes on")
        for line in summary.last_lines(self.sweep, self.study):
            say(line)

    def tell_where_it_stands(self) -> None:
        """Print the first line of a sweep."""
        rows = self.study.rows()
        going_on = f", {len(rows) - len(self.waiting)} done before, {len(self.waiting)} go on" if rows else ""
        say(
            f"{self.sweep.name}: {self.sweep.trials} trials, {self.sweep.file.jobs} at a time, "
            f"by the {self.rule.mode} {self.rule.monitor}{going_on}, into {self.sweep.folder}"
        )

    def fill(self) -> None:
        """Start trainings in the free slots."""
        for slot in range(self.sweep.file.jobs):
            if slot not in self.running:
                trial = self.waiting.pop(0) if self.waiting else self.study.ask()
                if trial is None:
                    return
                self.start(slot, trial)

    def start(self, slot: int, trial: Trial) -> None:
        """Start or resume a trial's training."""
        folder = self.sweep.folder / f"trial-{trial.number:03d}"
        params = dict(trial.params)
        environment = {"WANDB_RUN_GROUP": f"{self.sweep.name}-{self.sweep.folder.name}"}
        gpus = self.sweep.file.gpus
        if gpus:
            mine = gpus[slot :: self.sweep.file.jobs] or [gpus[slot % len(gpus)]]
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, mine))
        try:
            training = Training(command_of(self.sweep, params, self.study.base), folder, environment)
        except OSError as error:
            raise UserError(f"{folder} cannot be trained into: {error.strerror}") from error
        self.running[slot] = (trial, training)
        self.seen[trial.number] = 0
        values = "  ".join(f"{key}={summary.short(value)}" for key, value in params.items())
        say(f"trial {trial.number}  {'goes on' if training.resumed else 'starts'}  {values}")

    def look(self) -> None:
        """Read new scores, and handle trainings that have ended."""
        for slot, (trial, training) in list(self.running.items()):
            status = training.poll()
            if training.asked_to_stop is None:
                self.prune(trial, training)
            if status is not None:
                del self.running[slot]
                trial.spent(time.monotonic() - training.started)
                self.settle(trial, training, status)
                summary.write(self.sweep, self.study)

    def prune(self, trial: Trial, training: Training) -> None:
        """Report new scores, and stop a training that is no longer promising."""
        scores = read_scores(training.folder, self.rule.monitor)
        if len(scores) == self.seen[trial.number]:
            return
        self.seen[trial.number] = len(scores)
        end = yaml.safe_load((training.folder / "config.yaml").read_text(encoding="utf-8"))["trainer"]["max_steps"]
        if not end:  # an experiment in epochs, whose iterations are not known here
            return
        # Trainings with different batch sizes are compared at the same share of the run, not at the same iteration.
        for iteration, value in scores:
            if trial.report(min(100, round(100 * iteration / end)), value):
                training.stop()

    def settle(self, trial: Trial, training: Training, status: int) -> None:
        """Tell the study how a training ended."""
        best = self.rule.best(read_scores(training.folder, self.rule.monitor))
        if status == 0 and best is not None:
            trial.finish(best)
            state = "done"
        elif training.asked_to_stop is not None and best is not None:
            trial.finish(best, pruned=True)
            state = "pruned"
        elif (status < 0 or status == 130) and trial.died():
            say(f"trial {trial.number}  ended by a signal (status {status}): it goes on from what it saved")
            self.waiting.append(trial)
            return
        else:
            reason = training.last_words() or f"exit status {status}, and nothing on stderr"
            reason = f"finished without {self.rule.monitor}" if status == 0 else reason
            trial.fail(reason)
            say(f"trial {trial.number}  failed: {reason}")
            return
        rows = [row for row in self.study.rows() if row["state"] == "done"]
        top = summary.best_row(rows, self.rule)
        beside = f"  (best: {top['score']:.4g}, trial {top['trial']}; {len(rows)} done)" if top else ""
        say(f"trial {trial.number}  {state}  {self.rule.monitor} {best[1]:.4g} in {trial.seconds:.0f} s{beside}")

    def end_all(self) -> int:
        """Make every training save and end, and return their number."""
        for _, training in self.running.values():
            training.stop()
        if self.running:
            say(f"ending {len(self.running)} trainings; once more ends them unsaved")
        for trial, training in self.running.values():
            while training.poll() is None:
                if len(self.requests) > 1:
                    training.kill()
                time.sleep(0.1)
            trial.spent(time.monotonic() - training.started)
        return len(self.running)


def say(text: str) -> None:
    terminal.say(text, flush=True)
