"""Tables of what has moved or was renamed: old checkpoints, run folders, sweeps and users' YAML have the old names."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Below gan_style; a module as a whole, and names that moved elsewhere than their module.
MODULES = {
    "apps.studio.pictures": "apps.studio.images",
    "arithmetic": "training.arithmetic",
    "audit": "cli.audit",
    "callbacks.broken": "training.callbacks.broken",
    "callbacks.cost": "training.callbacks.cost",
    "callbacks.cycle_scores": "training.callbacks.cycle_scores",
    "callbacks.doctor": "training.callbacks.doctor",
    "callbacks.ema": "training.callbacks.ema",
    "callbacks.findings_file": "training.callbacks.findings_file",
    "callbacks.image_grid": "training.callbacks.image_grid",
    "callbacks.keeper": "training.callbacks.keeper",
    "callbacks.losses": "training.callbacks.losses",
    "callbacks.progress": "training.callbacks.progress",
    "callbacks.recorder": "training.callbacks.recorder",
    "callbacks.restoring": "training.callbacks.restoring",
    "callbacks.score_file": "training.callbacks.score_file",
    "callbacks.scores": "training.callbacks.truth_scores",
    "callbacks.set_scores": "training.callbacks.set_scores",
    "checkpoint": "checkpoints.checkpoint",
    "checks": "core.checks",
    "cli": "cli.main",
    "compare": "cli.sheet",
    "config": "core.config",
    "core.ending": "core.exit_status",
    "data.budget": "core.budget",
    "data.pictures": "data.image_sets",
    "data.seeding": "core.seeding",
    "describe": "inference.describe",
    "doctor.blame": "training.engine.blame",
    "doctor.codes": "training.doctor.codes",
    "doctor.course": "training.doctor.course",
    "doctor.detectors": "training.doctor.detectors",
    "doctor.gradients": "training.doctor.gradients",
    "doctor.statistics": "training.doctor.statistics",
    "doctor.verdict": "training.doctor.verdict",
    "errors": "core.errors",
    "evaluation": "evaluation.distances",
    "evaluation.table": "evaluation.result_table",
    "export": "apps.export.export",
    "export_graph": "apps.export.graph",
    "exported": "checkpoints.exported",
    "extras": "core.extras",
    "failures": "training.failures",
    "hub": "checkpoints.hub",
    "hydra_guard": "core.hydra_guard",
    "importing": "apps.export.importing",
    "inference": "inference.translator",
    "inference.tiling.table": "inference.tiling.known_functions",
    "inspection.advice": "data.inspection.advice",
    "inspection.contact": "data.inspection.contact",
    "inspection.duplicates": "data.inspection.duplicates",
    "inspection.facts": "data.inspection.facts",
    "inspection.findings": "data.inspection.findings",
    "inspection.page": "data.inspection.page",
    "inspection.seen": "data.inspection.seen",
    "inspection.verb": "cli.inspect",
    "judge": "evaluation.judge",
    "loading": "checkpoints.restore",
    "loggers": "training.loggers",
    "memory": "core.memory",
    "metrics.set_metric": "metrics.as_torchmetrics",
    "metrics.weights": "core.weights",
    "models.batch_norm": "training.engine.batch_norm",
    "models.optimizers": "training.engine.optimizers",
    "models.picture_descent": "models.image_descent",
    "networks.quick": "networks.fast_convolutions",
    "official": "checkpoints.official",
    "overlapping": "inference.files",
    "paths": "core.paths",
    "picture_scores": "evaluation.images",
    "pictures_in": "inference.images",
    "plain_data": "core.plain_data",
    "planning.parts": "apps.planning.parts",
    "planning.prediction": "apps.planning.prediction",
    "planning.proposals": "apps.planning.proposals",
    "planning.table": "apps.planning.table",
    "planning.trial": "apps.planning.trial",
    "planning.verb": "cli.plan",
    "portable": "checkpoints.safetensors",
    "quoting": "core.quoting",
    "refusals": "training.refusals",
    "rules": "training.best_rule",
    "run": "training.run",
    "run_folder": "training.run_folder",
    "run_lock": "training.run_lock",
    "schedules": "models.schedules",
    "score_plot": "evaluation.plot",
    "score_table": "evaluation.result_table",
    "scored_set": "evaluation.sets",
    "scoring": "cli.evaluate",
    "sheet": "data.contact_sheet",
    "signals": "core.signals",
    "strategy": "training.strategy",
    "studio.controls": "apps.studio.controls",
    "studio.guard": "apps.studio.guard",
    "studio.inputs": "apps.studio.inputs",
    "studio.models": "apps.studio.models",
    "studio.page": "apps.studio.page",
    "studio.painting": "apps.studio.painting",
    "studio.pictures": "apps.studio.images",
    "studio.room": "apps.studio.room",
    "studio.runs": "apps.studio.runs",
    "studio.stopping": "apps.studio.stopping",
    "studio.translating": "apps.studio.translating",
    "studio.verb": "apps.studio.verb",
    "styles": "inference.styles",
    "stylize": "cli.translate",
    "sweep.plots": "apps.sweep.plots",
    "sweep.process": "core.training_process",
    "sweep.runner": "apps.sweep.runner",
    "sweep.scores": "apps.sweep.scores",
    "sweep.settings": "apps.sweep.settings",
    "sweep.space": "apps.sweep.space",
    "sweep.study": "apps.sweep.study",
    "sweep.summary": "apps.sweep.summary",
    "terminal": "core.terminal",
    "tiling.functions": "inference.tiling.functions",
    "tiling.statistics": "inference.tiling.statistics",
    "tiling.steps": "inference.tiling.steps",
    "tiling.store": "inference.tiling.store",
    "tiling.streamed": "inference.tiling.streamed",
    "tiling.tiled": "inference.tiling.tiled",
    "torch_files": "core.torch_files",
    "train": "cli.train",
    "training.doctor.blame": "training.engine.blame",
    "trainer": "training.trainer",
    "training.train": "training.from_python",
    "types": "core.types",
    "verbs": "cli.arguments",
    "video.flicker": "inference.video.flicker",
    "video.flow": "inference.video.flow",
    "video.norm_window": "inference.video.norm_window",
    "video.reading": "inference.video.reading",
    "video.smoothing": "inference.video.smoothing",
    "video.verb": "inference.video.translate",
    "video.writing": "inference.video.writing",
}
NAMES = {
    "compare.name_checkpoints": "checkpoints.labels.name_checkpoints",
    "export.weights_of": "checkpoints.hub.weights_of",
    "hub.from_pretrained": "inference.load.from_pretrained",
    "inspection.verb.CHECKS": "data.inspection.examine.CHECKS",
    "inspection.verb.examine": "data.inspection.examine.examine",
    "loading.device_of": "core.devices.device_of",
    "loading.load": "inference.load.load",
    "loading.loaded": "inference.load.loaded",
    "models.pretrained.network_of": "models.translator.network_of",
    "networks.styled.read_trained": "models.warm_start.read_trained",
    "networks.styled.fitting_tensors": "models.warm_start.fitting_tensors",
    "stylize.LONGEST_SIDE_OF_GATYS": "cli.stylize.MAX_SIDE_OF_GATYS_PIXELS",
    "stylize.stylize": "cli.stylize.stylize",
    "stylize.translator_of": "cli.stylize.translator_of",
    "stylize.start_of": "cli.stylize.start_of",
    "stylize.progress_of": "cli.stylize.progress_of",
    "cli.progress.progress_bars": "core.progress.progress_bars",
    "stylize.progress_bars": "core.progress.progress_bars",
    "stylize.watch_in": "cli.progress.watch_in",
    "stylize.LARGEST_SEED": "cli.arguments.MAX_SEED",
    "stylize.style_options": "cli.arguments.style_options",
    "stylize.inputs_and_outputs": "inference.files.inputs_and_outputs",
    "stylize.renamed": "inference.files.renamed",
    "sweep.runner.steps": "apps.sweep.study.steps",
    "tiling.statistics.UnknownOperationError": "inference.tiling.known_functions.UnknownOperationError",
    "tiling.statistics.unknown": "inference.tiling.known_functions.unknown",
    "train.composed": "core.compose.composed",
    "train.explain": "core.compose.explain",
    "verbs.check_output": "data.saving.check_output",
    "verbs.refuse_overwriting": "data.saving.check_not_overwriting",
    "verbs.save": "data.saving.save",
    "verbs.gatys": "inference.load.gatys",
    "video.verb.moving": "cli.translate_video.moving",
}
ROOT = "gan_style."

# Keys of a config -> their last part now. The old ones are understood, with a note, until the next minor version.
KEYS = {
    "trainer.quick": "fast_convolutions",
    "callbacks.cycle_scores.pictures": "images",
    "model.r1_every": "penalty_every",
}


def moved(target: str) -> str:
    """Return the present import path of what a `_target_` names; one that never moved is returned as it is."""
    if not target.startswith(ROOT):
        return target
    path = target.removeprefix(ROOT)
    if path in NAMES:
        return ROOT + NAMES[path]
    module, _, name = path.rpartition(".")
    return f"{ROOT}{MODULES[module]}.{name}" if module in MODULES else target


def of_today(key: str) -> str:
    """Return the name that a key of a config has today."""
    return f"{key.rpartition('.')[0]}.{KEYS[key]}" if key in KEYS else key


def renamed(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return overrides of a command with today's keys, and a note about each key that was an old one.

    Args:
        overrides: such as "trainer.quick=true" or "++trainer.quick=true".
    """
    found, notes = [], []
    for override in overrides:
        prefix, key, rest = re.fullmatch(r"([+~]*)([^=]*)(.*)", override, re.DOTALL).groups()  # type: ignore[union-attr]
        if key in KEYS:
            notes.append(_note(key, of_today(key)))
            key = of_today(key)
        found.append(f"{prefix}{key}{rest}")
    return found, notes


def _note(old: str, new: str) -> str:
    return f"note: {old} is called {new} now; the old name will not be understood by the next minor version"


def key_of_today(inside: str, key: str) -> tuple[str, list[str]]:
    """Return what a key of a config is called today, and a note where that is another name.

    Args:
        inside: the keys that it is in, each with a dot behind, such as "trainer.".
        key: such as "quick".
    """
    full = inside + key
    if "." in key or full not in KEYS:
        return key, []
    return KEYS[full], [_note(full, of_today(full))]
