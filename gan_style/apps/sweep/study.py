"""Optuna study of a sweep, in SQLite beside the trainings or in a storage that machines share."""

from __future__ import annotations

import re
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from gan_style.apps.sweep.scores import Rule
from gan_style.apps.sweep.settings import Sweep
from gan_style.apps.sweep.space import grid
from gan_style.core.errors import UserError
from gan_style.core.extras import why_no_import

try:
    import optuna
except ImportError as error:  # an extra
    raise UserError(
        f"sweeps need Optuna, which {why_no_import(error, 'optuna')}: "
        "pip install 'gan-style[sweep]', or uv sync --extra sweep"
    ) from error

optuna.logging.set_verbosity(optuna.logging.WARNING)

MAX_SIGNAL_RESTARTS = 2  # of a training that ended by a signal, before it counts as failed


@dataclass(frozen=True)
class Base:
    """Facts about every training, from a rehearsal of one iteration.

    Attributes:
        monitor, mode: the rule that chooses best.ckpt.
        batch_size: where the space does not vary it.
        processes: number that a training starts.
    """

    monitor: str
    mode: str
    batch_size: int
    processes: int

    @property
    def rule(self) -> Rule:
        return Rule(self.monitor, self.mode)


# With 12 random trials the only one of three keys that mattered came first in 23 of 25 studies, with 8 trials in 17.
MIN_TRIALS_FOR_IMPORTANCE = 12


@contextmanager
def storage_of(sweep: Sweep) -> Iterator[optuna.storages.BaseStorage]:
    """Open the database of a sweep, and close its connections at the end.

    Raises:
        UserError: it cannot be used.
    """
    url = sweep.file.storage or f"sqlite:///{sweep.folder / 'sweep.db'}"
    try:
        database = optuna.storages.RDBStorage(url)
    except Exception as error:
        raise UserError(f"storage={_without_password(url)} cannot be used: {_reason(error)}") from error
    try:
        yield optuna.storages.get_storage(database)
    finally:
        database.remove_session()
        database.engine.dispose()


class Study:
    """Study that draws trials, records their scores and who runs them.

    Args:
        sweep: checked.
        storage: of `storage_of` the sweep.
        rehearse: called if the study is new.

    Raises:
        UserError: the storage holds another sweep under this name.
    """

    def __init__(self, sweep: Sweep, storage: optuna.storages.BaseStorage, rehearse: Callable[[], Base]) -> None:
        self.sweep = sweep
        self.shared = sweep.file.storage is not None
        self._owner = f"{socket.gethostname()}:{sweep.folder}"
        name = sweep.file.study or sweep.name
        if name not in optuna.study.get_all_study_names(storage):
            base = rehearse()
            study = optuna.create_study(
                storage=storage, study_name=name, direction=base.rule.direction, load_if_exists=True
            )
            study.set_user_attr("sweep", sweep.fingerprint())
            study.set_user_attr("base", asdict(base))
        self._study = optuna.load_study(study_name=name, storage=storage, pruner=_pruner(sweep))
        self._study.sampler = _sampler(sweep, sweep.file.sampler_seed)
        self._check_same_study(name)
        self.base = Base(**self._study.user_attrs["base"])

    def _check_same_study(self, name: str) -> None:
        before, now = self._study.user_attrs.get("sweep"), self.sweep.fingerprint()
        if before is None or "base" not in self._study.user_attrs:
            raise UserError(f"study={name} of this storage was not made by a sweep: give another study= or folder=")
        different = [key for key in now if before.get(key) != now[key]]
        if different:
            what = " and ".join(different)
            raise UserError(
                f"{self.sweep.folder} holds a sweep {name} whose {what} differ: "
                "repeat its command, or give another folder= (and study=, with a storage)"
            )

    def left_running(self) -> list[Trial]:
        """Return the trials that a killed sweep of this folder left, in the order of their numbers."""
        minute = datetime.now() - timedelta(minutes=1)
        mine = []
        for frozen in self._study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
            owner = frozen.user_attrs.get("owner")
            # Killed before its owner was recorded; in a shared storage a recent one may be another machine's.
            unsigned = owner is None and (not self.shared or (frozen.datetime_start or minute) < minute)
            if owner == self._owner or unsigned or not self.shared:
                mine.append(self._sign(optuna.trial.Trial(self._study, frozen._trial_id)))
        return mine

    def ask(self) -> Trial | None:
        """Draw a new trial; None when there are enough."""
        existing = len(self._study.get_trials(deepcopy=False))
        if existing >= self.sweep.trials:
            return None
        # The seed depends on the number of trials: else a restarted sweep would draw the first values again.
        self._study.sampler = _sampler(self.sweep, self.sweep.file.sampler_seed + existing)
        if existing == 0 and self.sweep.file.sampler != "grid" and (unvaried := self.sweep.unvaried()):
            # what all others have to beat
            with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
                self._study.sampler = optuna.samplers.PartialFixedSampler(unvaried, self._study.sampler)
        drawn = self._study.ask()
        if drawn.number >= self.sweep.trials:  # two machines asked for the last one at once
            drawn.set_user_attr("surplus", True)
            self._study.tell(drawn, state=optuna.trial.TrialState.FAIL)
            return None
        return self._sign(drawn)

    def _sign(self, trial: Any) -> Trial:
        for key, dimension in self.sweep.space.items():
            dimension.suggest(trial, key)
        trial.set_user_attr("owner", self._owner)
        return Trial(self._study, trial)

    def rows(self) -> list[dict[str, Any]]:
        """Return every trial as a plain dict, by number."""
        rows = []
        for t in self._study.get_trials(deepcopy=False):
            if not t.user_attrs.get("surplus"):
                kept = {key: t.user_attrs.get(key) for key in ("score", "iteration", "seconds", "error")}
                rows.append({"trial": t.number, "state": STATES[t.state.name], "params": dict(t.params), **kept})
        return rows

    def importances(self) -> dict[str, float]:
        """Estimate each key's share in the success of trials; empty with too few trials."""
        done = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        if len(done) < MIN_TRIALS_FOR_IMPORTANCE or len({trial.value for trial in done}) < 2:
            return {}
        try:  # needs no further package; the default quantile, a tenth of few trials, would be one or two
            evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
            return dict(optuna.importance.get_param_importances(self._study, evaluator=evaluator))
        except (RuntimeError, ValueError, ImportError):
            return {}


STATES = {"RUNNING": "running", "COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed", "WAITING": "waiting"}


class Trial:
    """Trial of the study."""

    def __init__(self, study: Any, trial: Any) -> None:
        self._study, self._trial = study, trial
        self.number: int = trial.number
        self.params: Mapping[str, Any] = trial.params
        frozen = study.trials[trial.number]
        self._reported = set(frozen.intermediate_values)
        self.deaths = int(frozen.user_attrs.get("deaths", 0))
        self.seconds = float(frozen.user_attrs.get("seconds", 0.0))

    def report(self, percent: int, value: float) -> bool:
        """Report a score of a running training, and return whether it should be pruned."""
        if percent in self._reported:
            return False
        self._reported.add(percent)
        self._trial.report(value, percent)
        return percent < 100 and bool(self._trial.should_prune())

    def spent(self, seconds: float) -> None:
        self.seconds += seconds
        self._trial.set_user_attr("seconds", round(self.seconds, 1))

    def died(self) -> bool:
        """Record an end by a signal, and return whether the trial may be resumed."""
        self.deaths += 1
        self._trial.set_user_attr("deaths", self.deaths)
        return self.deaths <= MAX_SIGNAL_RESTARTS

    def finish(self, best: tuple[int, float], *, pruned: bool = False) -> None:
        iteration, score = best
        self._trial.set_user_attr("score", score)
        self._trial.set_user_attr("iteration", iteration)
        if pruned:
            self._study.tell(self._trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(self._trial, score)

    def fail(self, reason: str) -> None:
        self._trial.set_user_attr("error", reason[:1000])
        self._study.tell(self._trial, state=optuna.trial.TrialState.FAIL)


class _Grid(optuna.samplers.GridSampler):
    """Grid sampler without its end: Optuna's own stops `study.optimize`, which is an error outside of it."""

    def after_trial(self, *_: Any) -> None:
        pass


def _sampler(sweep: Sweep, seed: int) -> Any:
    if sweep.file.sampler == "grid":
        return _Grid(grid(sweep.space, sweep.name), seed=sweep.file.sampler_seed)
    if sweep.file.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed % 2**32)
    return optuna.samplers.TPESampler(seed=seed % 2**32, constant_liar=True)


def _pruner(sweep: Sweep) -> Any:
    if sweep.file.pruner == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(sweep.file.pruner_startup, sweep.file.pruner_warmup)


def _without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def _reason(error: Exception) -> str:
    return _without_password(" ".join(str(error).split()).split(" (Background on")[0])[:200]


def steps(sweep: Sweep, params: dict[str, Any], base: Base) -> int:
    """Return how many iterations show the budget's number of pictures."""
    assert sweep.file.budget is not None
    per_iteration = int(params.get("data.batch_size", base.batch_size)) * base.processes
    return max(1, sweep.file.budget // per_iteration)
