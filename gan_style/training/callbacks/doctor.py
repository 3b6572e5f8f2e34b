"""Training doctor: checks every k iterations for faults of training, reports each once, and acts as configured."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor

from gan_style.checkpoints import checkpoint
from gan_style.core.errors import TrainingFailed, UserError, did_you_mean
from gan_style.core.terminal import say
from gan_style.core.types import Count, CountOrNone
from gan_style.models.translator import Images, Terms
from gan_style.training.callbacks.findings_file import FindingsFile
from gan_style.training.callbacks.keeper import Keeper
from gan_style.training.doctor.codes import CODES, Finding, change_for
from gan_style.training.doctor.course import Course, is_critical
from gan_style.training.doctor.detectors import examine
from gan_style.training.doctor.gradients import gradient_norm, slopes
from gan_style.training.doctor.statistics import Sketch, measure, sketch
from gan_style.training.doctor.verdict import verdict
from gan_style.training.engine.batch_norm import computes_together
from gan_style.training.engine.engine import Engine, engine_of
from gan_style.training.engine.hooks import RunCallback

WINDOW = 4  # iterations before a look whose pictures are compared
FIRST_SLOPES, SLOPES_EVERY = 2, 10  # looks that check the gradients of loss terms: the first two, then each tenth
# The doctor's name of a score of validations -> the score's.
OF_VALIDATIONS = {"honesty": "cycle_honesty", "renditions": "rendition_difference"}
# Iteration before which renditions are not judged: a head that begins at the picture draws hardly any noise at first,
# and averaged weights lag behind.
FIRST_OF_NOISE = 1000
SLOPES_WINDOW = 2  # iterations whose gradients are collected: terms of two kinds of codes alternate


class Doctor(RunCallback):
    """Callback that computes statistics on the device, fetches them every k iterations, and logs them as `doctor/...`.

    Findings go to the terminal, `findings.jsonl`, the loggers and the report. The doctor changes no number of a run
    unless it ends it or goes back. In a run of several processes it checks the first one's images.

    Args:
        every: iterations between two looks.
        on_critical: `warn` goes on; `stop` ends the run and keeps its checkpoints; `rollback` goes on from
            `checkpoints/good.ckpt`, the newest checkpoint after which a look saw nothing critical.
        rollbacks: how often, before the run ends.
        ignore: codes that are not looked for.

    Raises:
        UserError: a code that is not known, or a rollback of several processes.
    """

    def __init__(
        self,
        every: Count = 100,
        on_critical: Literal["warn", "stop", "rollback"] = "warn",
        rollbacks: CountOrNone = 3,
        ignore: Sequence[str] = (),
    ) -> None:
        for code in ignore:
            if code not in CODES:
                raise UserError(f"doctor.ignore={code} is nothing that is looked for{did_you_mean(code, CODES)}")
        self.every, self.on_critical, self.rollbacks, self.ignore = every, on_critical, rollbacks, tuple(ignore)
        self.course = Course()
        self.gone_back = 0
        self._window: deque[Sketch] = deque(maxlen=WINDOW)
        self._slopes: dict[str, Tensor] = {}
        self._listens = False

    # What Lightning calls

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        engine = engine_of(pl_module)
        if self.on_critical == "rollback" and trainer.world_size > 1:
            raise UserError("doctor.on_critical=rollback is for runs of one process: take stop or warn")
        self.file = FindingsFile(Path(trainer.default_root_dir))
        if trainer.is_global_zero:
            self.file.cut(engine.iteration)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        engine = engine_of(pl_module)
        iteration = engine.iteration + 1
        look, left = -(-iteration // self.every), -iteration % self.every
        wanted = left < SLOPES_WINDOW and (look <= FIRST_SLOPES or look % SLOPES_EVERY == 0)
        # A compiled network frees its graph in the first backward pass; with synchronised norms all processes would
        # have to make the second one.
        alone = engine.compiled == "off" and not computes_together(engine.method)
        if wanted and trainer.is_global_zero and alone:
            self._listen(engine)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        engine = engine_of(pl_module)
        if self._listens:
            del engine.method.generator_loss  # restores the method of the class
            self._listens = False
        left = -engine.iteration % self.every
        if not trainer.is_global_zero or left >= WINDOW or engine.iteration <= engine.method.pretrain:
            return
        if engine.method.directions:  # else the method optimises one image
            self._window.append(sketch(outputs["images"]))
        if left == 0:
            self._look(trainer, engine, outputs["images"], batch)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        engine = engine_of(pl_module)
        if trainer.should_stop and engine.iteration % int(trainer.val_check_batch or 1):
            return  # this validation comes only because the run ends: an uninterrupted run would not have it
        rows = trainer.callback_metrics
        numbers = {
            f"{direction}/{name}": float(rows[column])
            for direction in engine.method.directions
            for name, score in OF_VALIDATIONS.items()
            if (column := f"val/{direction}/{score}") in rows
        }
        if engine.iteration < FIRST_OF_NOISE:
            numbers = {name: number for name, number in numbers.items() if not name.endswith("/renditions")}
        if numbers and trainer.is_global_zero and engine.iteration > engine.method.pretrain:
            self._judge(trainer, engine, numbers)

    def takes_not_finite(self, trainer: pl.Trainer, engine: Engine, what: str) -> bool:
        """Record a number that is not finite. Returns: whether the run goes back, so that training need not end."""
        if trainer.is_global_zero and "not-finite" not in self.ignore:
            self._say(trainer, self._finding(engine, "not-finite", "", what))
        if self.on_critical != "rollback" or trainer.should_stop:
            return False
        self._go_back(trainer, what)
        return True

    def rewound(self, engine: Engine) -> None:
        say(f"doctor: went back to iteration {engine.iteration}; pictures and noise go on as new ones", flush=True)

    # Looking

    def _listen(self, engine: Engine) -> None:
        """Compute the gradients of the loss terms of one iteration, while their graph exists."""
        model = engine.method
        original, parameters = model.generator_loss, model.parameters_of("G")

        def generator_loss(images: Images) -> tuple[Tensor, Terms]:
            total, terms = original(images)
            weighted = {name: term for name, term in terms.items() if name not in model.shown_only}
            for name, slope in slopes(weighted, images, parameters).items():
                self._slopes[name] = torch.maximum(slope, self._slopes.get(name, slope).to(slope.device))
            return total, terms

        model.generator_loss = generator_loss  # type: ignore[method-assign]
        self._listens = True

    def _look(self, trainer: pl.Trainer, engine: Engine, images: Images, batch: Any) -> None:
        model, device = engine.method, engine.device  # a resumed run begins with a window from the file
        found = measure([{name: value.to(device) for name, value in one.items()} for one in self._window])
        if engine.compiled == "off":  # a pass without gradients would be compiled again
            found |= verdict(model, batch, images)
        norms = {player: gradient_norm(model.parameters_of(player)) for player in model.players()}
        found |= {f"{player}/gradient": norm for player, norm in norms.items() if norm is not None}
        found |= {f"G_{name}/slope": slope for name, slope in self._slopes.items()}
        self._slopes = {}
        values = torch.stack([value.detach().float().to(device) for value in found.values()]).tolist()
        numbers = dict(zip(found, values, strict=True))
        known = {f"doctor/{name}": value for name, value in numbers.items() if value == value}  # not NaN
        for logger in trainer.loggers:
            logger.log_metrics(known, step=engine.iteration)
        for player in model.players():
            if f"{player}/gradient" in numbers:
                numbers[f"{player}/growth"] = self.course.growth(player, numbers[f"{player}/gradient"])
        self._judge(trainer, engine, numbers)
        if self.on_critical == "rollback" and not self.course.suspects():
            self._keep_good(trainer)

    def _judge(self, trainer: pl.Trainer, engine: Engine, numbers: dict[str, float]) -> None:
        look = {key: seen for key, seen in examine(numbers).items() if key[0] not in self.ignore}
        new = [self._finding(engine, *one) for one in self.course.update(look)]
        for finding in new:
            self._say(trainer, finding)
        critical = next((finding for finding in new if is_critical(finding.code)), None)
        if critical is None or self.on_critical == "warn":
            return
        if self.on_critical == "stop":
            raise TrainingFailed(
                f"{critical}: training stopped, as doctor.on_critical=stop asks; {self._kept(trainer)}"
            )
        self._go_back(trainer, str(critical))

    # Saying and doing

    def _finding(self, engine: Engine, code: str, where: str, seen: str) -> Finding:
        return Finding(code, where, engine.iteration, seen, change_for(code, type(engine.method)))

    def _say(self, trainer: pl.Trainer, finding: Finding) -> None:
        say(f"doctor: {finding}", flush=True)
        self.file.add(finding)
        for logger in trainer.loggers:
            logger.log_metrics({f"doctor/found/{finding.code}": 1.0}, step=finding.iteration)

    def _go_back(self, trainer: pl.Trainer, why: str) -> None:
        keeper = _keeper(trainer)
        good = keeper.folder / "good.ckpt"
        if self.gone_back >= self.rollbacks:
            raise TrainingFailed(f"{why}: training stopped after {self.gone_back} rollbacks; {self._kept(trainer)}")
        if not good.is_file():
            raise TrainingFailed(f"{why}: training stopped, as there is no checkpoint to go back to yet")
        self.gone_back += 1
        keeper.go_back(good)

    def _keep_good(self, trainer: pl.Trainer) -> None:
        keeper = _keeper(trainer)
        if keeper.saved_at is not None:
            checkpoint.copy(keeper.folder / "last.ckpt", keeper.folder / "good.ckpt")

    def _kept(self, trainer: pl.Trainer) -> str:
        saved = _keeper(trainer).saved_at
        return "no checkpoint was saved yet" if saved is None else f"last.ckpt is of iteration {saved}"

    # State: what has been counted, and the pictures of a window that a checkpoint cuts

    def state_dict(self) -> dict[str, Any]:
        window = [{name: value.cpu() for name, value in one.items()} for one in self._window]
        slopes = {name: value.cpu() for name, value in self._slopes.items()}
        return {"course": self.course.state_dict(), "gone_back": self.gone_back, "window": window, "slopes": slopes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.course.load_state_dict(state_dict["course"])
        self.gone_back = max(self.gone_back, state_dict["gone_back"])  # going back does not undo that it was done
        self._window = deque(state_dict["window"], maxlen=WINDOW)
        self._slopes = dict(state_dict.get("slopes", {}))


def _keeper(trainer: pl.Trainer) -> Keeper:
    return next(one for one in trainer.callbacks if isinstance(one, Keeper))  # type: ignore[attr-defined]
