"""Saving of a run, so that it can go on as if it had never stopped, and stopping it in time.

Lightning's own checkpoint and loop state are left out on purpose: its counters change meaning with the hook
that saved them (docs/resume.md). The state here is listed, and a test proves that it is enough.
"""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from gan_style.checkpoints import checkpoint
from gan_style.checkpoints.restore import fitting
from gan_style.core import signals
from gan_style.core.errors import Interrupted, UserError, did_you_mean
from gan_style.training.callbacks.broken import end_or_go_back
from gan_style.training.callbacks.restoring import restore, rewind
from gan_style.training.callbacks.score_file import keep_best
from gan_style.training.engine.engine import Engine, engine_of


class Keeper(pl.Callback):
    """Callback for checkpoints at exact iterations, the best one by a rule, resume, the last iteration, and signals.

    It saves when the next batch starts, not when one ends: by then a validation of the same iteration is
    over, and a resumed run neither repeats nor misses it. It must be the first callback: the others' state is
    loaded before they start.

    Args:
        folder: for `last.ckpt`, `previous.ckpt` (the one saved before it) and `best.ckpt`.
        about: description in the checkpoint: config, domains, preprocessing.
        iterations: where training ends.
        processes: of the whole run.
        every: iterations between two saves.
        rule: description of the rule that chooses best.ckpt.
        monitor: a validation score, e.g. "val/psnr"; None takes the newest weights.
        mode: which end is better, "highest" or "lowest".
        patience: validations without a better score after which the run ends; None does not end it.
        resume: the content of a checkpoint to go on from.
    """

    def __init__(
        self,
        folder: Path,
        about: Mapping[str, Any],
        *,
        iterations: int,
        every: int,
        processes: int = 1,
        rule: str,
        monitor: str | None = None,
        mode: Literal["highest", "lowest"] = "highest",
        patience: int | None = None,
        resume: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.about = about
        self.iterations = iterations
        self.every = every
        self._processes = processes
        self.monitor = monitor
        self.mode = mode
        self.resume = resume
        self.patience = patience
        # `stale`: validations since the best one
        self.best: dict[str, Any] = {"rule": rule, "score": None, "iteration": None, "stale": 0}
        self.ended_early: str | None = None  # why
        self.started_at = resume["iteration"] if resume else 0
        self._saved_at = -1
        self._improved = False
        self._back_to: Path | None = None
        self._signal: int | None = None
        self._handlers: dict[int, Any] = {}
        self._signal_group: Any = None
        self._pipe: tuple[int, int] | None = None

    @property
    def saved_at(self) -> int | None:
        """Iteration of last.ckpt; None before there is one."""
        return None if self._saved_at < 0 else self._saved_at

    # Restore

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.resume is None:
            return
        engine = engine_of(pl_module)
        with fitting():
            restore(trainer, engine, self.resume)
        if self.resume["best"]["rule"] == self.best["rule"]:
            self.best |= self.resume["best"]
        self._saved_at = engine.iteration
        self.resume = None  # frees its memory

    def go_back(self, path: Path) -> None:
        """Go on from an earlier checkpoint before the next iteration; best.ckpt stays what it is."""
        self._back_to = path

    def _went_back(self, trainer: pl.Trainer, engine: Engine) -> bool:
        """Go back if that was asked for. Returns: whether it was."""
        if self._back_to is None:
            return False
        rewind(trainer, engine, checkpoint.load(self._back_to))
        checkpoint.copy(self._back_to, self.folder / "last.ckpt")  # later checkpoints must not be resumed
        self._back_to, self._saved_at, self._improved = None, engine.iteration, False
        return True

    # Save

    def listen(self) -> None:
        """Take SIGINT and SIGTERM as a wish to stop; before `fit`, so that none is lost while it starts.

        Raises:
            Interrupted: one came before that.
        """
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.signal(number, self._on_signal)
                self._handlers.setdefault(number, before)
            signals.raise_if_received()  # here, because from now on signals are noted, not raised
            if self._processes > 1 and self._pipe is None:
                self._end_at_a_signal_while_the_processes_meet()

    def _end_at_a_signal_while_the_processes_meet(self) -> None:
        """End at once by a signal while processes connect: torch waits up to 30 min and runs no handler of Python."""
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        signal.set_wakeup_fd(self._pipe[1])

        def wait(end: int) -> None:
            if os.read(end, 1):  # a signal; nothing was trained yet, so nothing is lost
                said = f"interrupted before training began{self.what_is_left()}"
                signals.end(said, first=getattr(rank_zero_only, "rank", 0) == 0)

        threading.Thread(target=wait, args=(self._pipe[0],), daemon=True).start()

    def _stop_waiting(self) -> None:
        if self._pipe is not None and threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(-1)
            os.close(self._pipe[1])  # the thread reads the end of the pipe, and ends
            self._pipe = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Again: Lightning has meanwhile set handlers that answer SIGTERM with a collective inside the handler.
        self.listen()
        if trainer.world_size > 1:
            self._signal_group = dist.new_group(backend="gloo")
        self._stop_waiting()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        engine = engine_of(pl_module)
        stop = self._any_rank_was_signalled()
        batches = trainer.fit_loop.epoch_loop.batch_progress.total
        batches.ready += int(self._went_back(trainer, engine))  # for the batch that is about to be trained
        due = engine.iteration > 0 and engine.iteration % self.every == 0
        if due or self._improved or stop:
            self._save(trainer, engine)
        batches.ready += int(self._went_back(trainer, engine))  # from weights that could not be saved
        if stop:
            raise Interrupted(f"stopped at iteration {engine.iteration} by a signal{self.what_is_left()}")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        engine = engine_of(pl_module)
        if engine.iteration >= self.iterations:
            trainer.should_stop = True

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        engine = engine_of(pl_module)
        # Lightning keeps values of earlier validations: a score that this one does not give would be read as new.
        trainer.callback_metrics.clear()
        refuse_broken_weights(trainer, engine)  # before their translations are scored
        self._went_back(trainer, engine)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        engine = engine_of(pl_module)
        if self.monitor is None:
            self._improved = True
            self.best |= {"iteration": engine.iteration}
            return
        known = self.best["score"] is not None or self.best["stale"] > 0  # an earlier validation made it
        if self.monitor not in trainer.callback_metrics and not known:
            there = [name for name in trainer.callback_metrics if name.startswith("val/")]
            raise UserError(
                f"best.monitor={self.monitor} is not a score of this run{did_you_mean(self.monitor, there)}"
            )
        # All ranks take the first one's score: if it differed in its last digit, some would stop and others not. NaN
        # where this validation gave none.
        score = trainer.strategy.broadcast(float(trainer.callback_metrics.get(self.monitor, math.nan)))
        before = self.best["score"]
        sign = 1 if self.mode == "highest" else -1
        if math.isfinite(score) and (before is None or sign * score > sign * before):
            self._improved = True
            self.best |= {"score": score, "iteration": engine.iteration, "stale": 0}
        else:
            self.best["stale"] += 1
        if out_of_patience(self.best, self.patience):
            trainer.should_stop = True
            self.ended_early = f"no better {self.monitor} in {self.best['stale']} validations"

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        engine = engine_of(pl_module)
        self._save(trainer, engine)

    def stop_listening(self) -> None:
        """Restore the previous signal handlers; also after a run that failed before it trained.

        Where the previous handler is the one for a run in preparation, signals are ignored: the run is over.
        """
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._handlers.items():
                signal.signal(number, signal.SIG_IGN if handler is signals.interrupt else handler)
            self._handlers = {}
        self._stop_waiting()

    def raise_if_signalled(self) -> None:
        """Raise at the end of a run if a signal came too late to stop it.

        Raises:
            Interrupted: there was such a signal.
        """
        if self._signal is not None:
            raise Interrupted("interrupted when the run was complete: nothing is left to do")

    def _save(self, trainer: pl.Trainer, engine: Engine) -> None:
        if self._saved_at == engine.iteration and not self._improved:
            return
        if refuse_broken_weights(trainer, engine):
            return
        state = engine.training_state()  # every rank: pools are gathered
        for logger in trainer.loggers:
            logger.save()  # a killed run must not lose rows that the checkpoint counts as written
        if trainer.is_global_zero:
            content = {
                **self.about,
                "state_dict": engine.method.state_dict(),
                **state,
                "callbacks": {c.state_key: c.state_dict() for c in trainer.callbacks if c.state_dict()},  # type: ignore[attr-defined]
                "precision": trainer.precision_plugin.state_dict(),
                "best": self.best,
            }
            last = self.folder / "last.ckpt"
            if last.is_file():  # a disk can damage a file after it was written completely
                checkpoint.copy(last, self.folder / "previous.ckpt")
            checkpoint.save(content, last)
            if self._improved:
                checkpoint.copy(last, self.folder / "best.ckpt")
                keep_best(self.folder.parent, self.best["rule"], engine.iteration)
        self._saved_at = engine.iteration
        self._improved = False

    # Signals

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not signals.is_new_request(number):
            return
        if self._signal is not None:  # a second signal does not wait for the iteration to end
            raise Interrupted(f"stopped at once by a second signal{self.what_is_left()}")
        self._signal = number

    def what_is_left(self) -> str:
        """Return how to go on, as the end of a sentence about the end of a run."""
        last = self.folder / "last.ckpt"
        return "; go on with resume=last and the same run_dir" if last.is_file() else "; no checkpoint was saved yet"

    def _any_rank_was_signalled(self) -> bool:
        if self._signal_group is None:
            return self._signal is not None
        flag = torch.tensor(int(self._signal is not None))
        dist.all_reduce(flag, op=dist.ReduceOp.MAX, group=self._signal_group)
        return bool(flag)


def out_of_patience(best: Mapping[str, Any], patience: int | None) -> bool:
    """Check whether a score has not become better for `patience` validations."""
    return patience is not None and best.get("stale", 0) >= patience


def refuse_broken_weights(trainer: pl.Trainer, engine: Engine) -> bool:
    """Protect a good checkpoint from weights that are not finite; return True where the run goes back instead."""
    for name, parameter in engine.method.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            end_or_go_back(trainer, engine, f"{name} holds NaN or infinity after iteration {engine.iteration}")
            return True
    return False
